"""What a modality is, and which there are: the file `modality.py` of a folder of `deepsc` holds one.

Commands, training, checkpoints and maps know modalities by this interface alone, and modalities know nothing
of them. No torch here, nor at the top of those modules, so that `--help` is quick.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import deepsc
from data.files.errors import ToolkitError
from data.files.schema import from_json
from data.settings import named
from deepsc.codec.config import CodecConfig
from deepsc.config import RunConfig, SetConfig, TrainConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from data.images.sets import ImageSet
    from data.questions.sets import VQASet
    from data.text.parallel import ParallelCorpus
    from data.text.tokenizer import TextTokenizer
    from deepsc.codec.base import Batch, Codec
    from deepsc.link.channel import Channel
    from deepsc.link.transmission import Link

_ROOM = "modality"
"""Of the module in a modality's folder that holds it."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is said of data in checkpoints and maps."""

    name: str
    synthetic: bool
    sha256: Mapping[str, str]

    @classmethod
    def of(cls, source: ParallelCorpus | ImageSet | VQASet) -> Dataset:
        """What is said of a set."""
        return cls(name=source.name, synthetic=source.synthetic, sha256=source.sha256)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained codec and what is needed to use it; `deepsc.checkpoint.from_pretrained` reads one."""

    codec: Codec
    tokenizer: TextTokenizer | None
    """None where nothing is text."""
    document: Mapping[str, Any]
    """config.json as it is: modality, task, codec, training, corpus, provenance."""
    metrics: Mapping[str, Any]
    """What the weights' file says of itself: step, epoch, validation loss."""
    sha256: str
    """Which model it is: `deepsc.checkpoint.model_sha256` of the weights."""
    file_sha256: str
    """Checksum of the file model.safetensors, by which files of earlier releases tell models apart. Equal
    models differ in it, since safetensors writes the metadata in any order."""

    @cached_property
    def modality(self) -> Modality[Any]:
        """Of the codec."""
        return modality(self.document["modality"])

    @cached_property
    def task(self) -> str:
        """What the codec is trained for.

        Raises:
            ValueError: if the modality has no such task.
        """
        task: str = self.document["task"]
        if task not in (tasks := self.modality.run_config.tasks):
            raise ValueError(f"task is {task!r}, allowed: {', '.join(tasks)}")
        return task

    @cached_property
    def training(self) -> TrainConfig:
        """How the codec was trained, and over which channel."""
        return TrainConfig.from_dict(self.document["training"])

    @cached_property
    def corpus(self) -> SetConfig:
        """Which data it was trained on; their folder is not kept."""
        return from_json(self.modality.corpus_config, self.document["corpus"])


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a modality brings to a training run."""

    dataset: Dataset
    codec_config: CodecConfig
    batches: Callable[[], Callable[[int], Sequence[Batch]]]
    """Makes the training batches: by epoch, the same whenever asked for the same epoch."""
    validation: Callable[[], Sequence[Batch]]
    tokenizer: TextTokenizer | None = None
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """Published weights to start from, by name of the codec's parameters."""
    weights_file: Path | None = None
    """What they were read from, where it is known."""
    description: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of config.json, which checkpoints of earlier releases lack."""


class Measurer(ABC):
    """Sends test items over the channel and counts what arrives."""

    together: ClassVar[int] = 1
    """Cells of a map that `measure_together` gains by having at once."""

    @abstractmethod
    def measure(self, *, k: Any, snr_db: Any, seed: int) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Send every test item once.

        Args:
            k: complex symbols per token; one a transmission where there are several. The local model reads
                neither this nor the SNR.
            snr_db: nominal E_s/N_0, likewise.
            seed: of fading and noise.

        Returns:
            Counts, (items, statistics), and further figures by name.
        """

    def measure_together(
        self, points: Sequence[tuple[Any, Any]], *, seed: int
    ) -> list[tuple[NDArray[np.int64], dict[str, float]]]:
        """`measure` at each (k, SNR), with one seed."""
        return [self.measure(k=k, snr_db=snr_db, seed=seed) for k, snr_db in points]


class Evaluator(Measurer):
    """Measures one model on test items; what need not be done for every k and SNR is done once."""

    metric: str
    """Name of the accuracy."""

    @staticmethod
    def score(counts: NDArray[np.int64]) -> float:
        """Accuracy of counts summed over items, (statistics,): unless a metric says otherwise, the first of
        them in per cent of the second."""
        return 100 * float(counts[0]) / float(counts[1])

    @staticmethod
    @abstractmethod
    def signature() -> str:
        """Exact definition of the metric."""


@dataclass(frozen=True, kw_only=True)
class TestData:
    """What a map is measured on."""

    __test__ = False  # no test class, whatever pytest may think

    dataset: Dataset
    items: int
    fingerprint: str
    """Changes when the items do."""
    scorer: type[Evaluator]
    """Class of the evaluators, which scores their counts."""
    evaluator: Callable[[Checkpoint, Channel | None], Evaluator]
    """Makes the evaluator of a model; channel None: of the local model."""
    metric_options: Mapping[str, str] = field(default_factory=dict)
    """What of the metric is not as usual, such as a tokenizer; cells are not mixed with those of others."""
    digital: Callable[[Checkpoint, Channel, str], Measurer] | None = None
    """What `--baseline digital` measures with the local model and a channel code, where there is one; see
    `deepsc.digital`."""
    source_codes: tuple[str, ...] = ()
    """Names of those that the digital baseline chooses from."""
    tokens_per_word: Callable[[TextTokenizer], float] | None = None
    """Tokens that are sent for a word of the items' text, on average; None: it has none."""
    language_prior: Callable[[], float] | None = None
    """Accuracy in percent of an answer that knows a question's first two words and no image."""
    whole: int | None = None
    """Items of the whole test set as `limit` counts them; None: not known."""


class Answer(NamedTuple):
    """What the receiver makes of an item."""

    text: str
    """A sentence, a class or an answer."""
    probability: float | None = None
    """Of a class or answer, as the classifier sees it."""
    embedding: NDArray[np.float32] | None = None
    """Of an image, (width,): what a gallery is ranked by."""


Links = Callable[[int, "Tensor"], "Link | None"]
"""Makes the link of a transmission, by its number, for features (1, ...); None for the local model."""


class Separate(NamedTuple):
    """An item by separate source and channel coding."""

    digital: Measurer
    """Its counts, (1, 1), say which version arrived, from 1 on; 0: none."""
    bits: tuple[int, ...]
    """Of each version."""
    versions: tuple[Any, ...]
    """The item as it is behind each version."""
    nothing: Any
    """What the receiver has instead where nothing arrives; None: nothing to answer to."""


class Sender(ABC):
    """Sends a user's own items with one model, a codec or the local one.

    Args:
        checkpoint: the model.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @staticmethod
    @abstractmethod
    def read(words: Sequence[str]) -> Any:
        """The item that the words of a command line name.

        Raises:
            ToolkitError: if they name none.
        """

    @abstractmethod
    def send(self, item: Any, links: Links) -> Answer:
        """Send an item, and answer at the receiver."""

    def separate(self, item: Any, *, channel: Channel, code: str, data_dir: str | None) -> Separate:
        """An item of the local model's by separate source and channel coding; see `deepsc.digital`.

        Args:
            item: to be sent.
            channel: the uplink.
            code: name of the channel code.
            data_dir: folder that holds the data that the source code is learned from.

        Raises:
            ToolkitError: if the modality has none, or the data or packages are missing.
        """
        raise ToolkitError(
            f"{named('digital')}: given, {self.checkpoint.modality.name} has no separate coding"
        )


Config = TypeVar("Config", bound=RunConfig)


class Modality(ABC, Generic[Config]):
    """One modality. A subclass imports whatever is heavy inside its methods.

    One in a single file overrides `codec` and `material`.
    """

    name: str
    run_config: type[Config]
    codec_config: type[CodecConfig]
    corpus_config: type[SetConfig]
    """Type of the run config's `corpus`."""
    example_flags: str = ""
    """For train-deepsc's help: flags of a short run besides `--modality`."""
    example_k: str = "--k 16"
    """Those of its codec."""
    codec_name: str = ""
    """Class of the model in the folder's `model.py`."""
    has_text: bool = False
    """Whether a tokenizer belongs to the checkpoint."""
    transmissions: tuple[str, ...] = ("",)
    """Names of what is sent, the empty one where it is one thing: a map has axes k and SNR for each."""
    further_tasks: tuple[str, ...] = ()
    """Those that need no training of their own: build-accuracy-map's `--task` measures them."""
    sweep_options: tuple[str, ...] = ()
    """Which of `test_data`'s options it reads; build-accuracy-map refuses the flags of the others."""

    def measured_task(self, asked: str | None, *, trained: str) -> str:
        """What a map of models that were trained for a task is of: the task asked for, if any.

        Raises:
            ToolkitError: if the models cannot be measured for it.
        """
        if asked not in (None, trained, *self.further_tasks):
            allowed = ", ".join((trained, *self.further_tasks))
            raise ToolkitError(
                f"{named('task')}: {asked!r} given, of a model trained for {trained!r} is allowed: {allowed}"
            )
        return asked or trained

    def codec(self, config: Any) -> Codec:
        """The model, its weights drawn from torch's global generator: `codec_name` of `model.py` beside."""
        codec: Codec = getattr(self._beside("model"), self.codec_name)(config)
        return codec

    def material(self, config: Config, initial: Checkpoint | None) -> Material:
        """Load the data and decide on the model, as `material` of `material.py` beside does.

        Args:
            config: the run.
            initial: checkpoint to start from, if any.
        """
        material: Material = self._beside("material").material(config, initial)
        return material

    def sender(self, checkpoint: Checkpoint) -> Sender:
        """Who sends a user's own items with a model: `SENDER` of `send.py` beside.

        Raises:
            ToolkitError: if the modality has none.
        """
        try:
            sender: Sender = self._beside("send").SENDER(checkpoint)
        except ModuleNotFoundError as error:
            if not (error.name or "").endswith(".send"):
                raise
            raise ToolkitError(f"{self.name}: this modality has no sender of a user's own items") from error
        return sender

    def _beside(self, name: str) -> ModuleType:
        """A module of the modality's folder, which loads torch."""
        return importlib.import_module(f"{type(self).__module__.rpartition('.')[0]}.{name}")

    @abstractmethod
    def test_data(
        self,
        document: Mapping[str, Any],
        *,
        data_dir: str | None,
        limit: int | None,
        options: Mapping[str, Any],
    ) -> TestData:
        """Load what a map is measured on.

        Args:
            document: the local model's config.json.
            data_dir: folder that holds the data.
            limit: first so many test items only.
            options: further settings of the sweep; this modality reads its `sweep_options`.
        """


def modality_names() -> tuple[str, ...]:
    """Names of all modalities, sorted."""
    rooms = (room for root in deepsc.__path__ for room in Path(root).glob(f"*/{_ROOM}.py"))
    return tuple(sorted({room.parent.name for room in rooms}))


def modality(name: str) -> Modality[Any]:
    """A modality by its name.

    Raises:
        ToolkitError: if there is none of this name.
    """
    if name not in modality_names():
        raise ToolkitError(f"{named('modality')}: {name!r} given, allowed: {', '.join(modality_names())}")
    kind: Modality[Any] = importlib.import_module(f"deepsc.{name}.{_ROOM}").MODALITY
    return kind

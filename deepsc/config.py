"""What every training is told, whatever the modality: data, schedule, channel, where from and where to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self

from typing_extensions import override

from data.files.printable import listed
from data.files.schema import from_json
from data.settings import Flag, Problem, Range, Settings, named
from deepsc.codec.config import SNR_RANGE_DB, SNRRange, empty_texts, snr_problems
from deepsc.link.channel import Channel, channel_fields, channel_from_fields

LARGEST_RATE = 1e30
"""Learning rate whose first step float32 still holds."""
LARGEST_BATCH = 2**24


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A model's size and the training that suits it; a modality adds the sizes."""

    epochs: int
    """Passes over the data."""
    batch_tokens: int
    """Most tokens in a batch, padding included: of text and target a side's, of images patches and class
    tokens."""
    learning_rate: float
    """Peak, after warm-up."""
    warmup_steps: int
    """Steps in which the learning rate rises."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """How a codec is trained.

    Raises:
        SettingsError: from the constructor, listing every error at once.
    """

    epochs: Annotated[int, Range(0)]
    """Passes over the data; 0, without a channel: the local model is what a codec's halves make together."""
    batch_tokens: Annotated[int, Range(1, LARGEST_BATCH)]
    """Most tokens in a batch, a side."""
    learning_rate: Annotated[float, Range(above=0, most=LARGEST_RATE)]
    """Peak, after warm-up; then cosine decay to 0 at the last step."""
    warmup_steps: Annotated[int, Range(1)]
    """Steps in which the learning rate rises to its peak."""
    channel: Channel | None = Channel()  # noqa: RUF009, frozen
    """What lies between user equipment and server; null: the local model."""
    label_smoothing: Annotated[float, Range(0, 1)] = 0.1
    """Share of the target's probability that is spread over all answers."""
    consistency: Annotated[float | None, Range(0)] = None
    """Of the local model: how much two passes with dropout of their own must agree (R-Drop), which doubles
    the time of a step; 0, the default: one pass."""
    weight_decay: Annotated[float, Range(0)] = 1e-2
    """AdamW's."""
    clip_norm: Annotated[float, Range(above=0)] = 1.0
    """Largest norm of the gradient."""
    patience: Annotated[int, Range(1)] = 5
    """Epochs without a better validation loss after which training stops."""
    checkpoint_steps: Annotated[int, Range(1)] = 200
    """Steps between two savings of the training state; each epoch's end saves it too."""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Of weights, batches, dropout, k, SNR and noise."""

    def to_dict(self) -> dict[str, Any]:
        """Fields as config.json has them: those of the channel among the others, "none" for none."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | channel_fields(fields.pop("channel"))

    @classmethod
    def from_dict(cls, fields: object) -> Self:
        """Inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: if a field is missing, unknown or of another type.
            ToolkitError: if the constructor refuses it.
        """
        if not isinstance(fields, Mapping):
            raise TypeError(f"an object expected, found {fields!r}")
        channel, others = channel_from_fields({"channel": "awgn", **fields})
        return dataclasses.replace(from_json(cls, others), channel=channel)


@dataclass(frozen=True, kw_only=True)
class SetConfig(Settings):
    """Which data; a subclass adds what its modality's loader takes.

    Raises:
        SettingsError: from the constructor, listing every error at once.
    """

    own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Dataset that stands for a user's own files, and the settings that name them."""
    read_by: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Settings that some datasets alone read, and which; on the command line they are refused for others."""

    dataset: Annotated[str, Flag(metavar="NAME")]
    """Which data."""
    data_dir: Annotated[str | None, Flag(metavar="DIR")] = None
    """Folder that holds the data ($DEEPSC_DATA)."""

    @classmethod
    def unread(cls, dataset: str, values: Mapping[str, object]) -> Iterator[str]:
        """An error for each setting that is not None and that a dataset does not read."""
        for name, datasets in cls.read_by.items():
            value = values.get(name)
            if value is not None and dataset not in datasets:
                alone = f"{named('dataset')} {listed(datasets)} alone"
                yield f"{named(name)}: {value} given, {alone} {'read' if datasets[1:] else 'reads'} it"

    @override
    def problems(self) -> Iterator[Problem]:
        yield from empty_texts(self)
        for dataset, names in self.own_files.items():
            missing = [name for name in names if getattr(self, name) is None]
            flags = " and ".join(map(named, names))
            if len(missing) in range(1, len(names)):
                yield Problem(missing[0], f"none given, {flags} must be given together")
            elif not missing and self.dataset != dataset:
                have = "have" if names[1:] else "has"
                yield Problem("dataset", f"{self.dataset!r} given, {flags} {have} none")
            elif missing and self.dataset == dataset:
                yield Problem("dataset", f"{dataset!r} given, it needs {flags}")


@dataclass(frozen=True, kw_only=True)
class RunConfig(Settings):
    """What `train-deepsc` does; a subclass adds the data, the k and the sizes of its modality.

    Raises:
        SettingsError: from the constructor, listing every error at once.
    """

    modality: ClassVar[str]
    presets: ClassVar[Mapping[str, Preset]]
    tasks: ClassVar[tuple[str, ...]]
    k_names: ClassVar[tuple[str, ...]] = ("k",)
    """Fields of the trained k, one for each transmission; the codec's config has the same."""
    size_names: ClassVar[tuple[str, ...]] = ()
    """Fields that replace sizes of the preset, unless they are None; the codec's config has the same."""
    jsc_names: ClassVar[tuple[str, ...]] = ()
    """Sizes of the preset's that are of JSC codecs alone; the codec's config has the same."""
    training_names: ClassVar[tuple[str, ...]] = ()
    """Fields that replace others than sizes, as `size_names` do; weights fit whatever they are."""
    local_names: ClassVar[tuple[str, ...]] = ("training.consistency",)
    """Settings that the local model's training alone reads; 0 turns each off."""
    start_names: ClassVar[tuple[str, ...]] = ("pretrained",)
    """Fields that name weights to start from, where `init_from` names none."""

    corpus: SetConfig
    """Which data."""
    training: TrainConfig
    """How the codec is trained."""
    output: Annotated[str, Flag(metavar="DIR")]
    """Folder of the checkpoint."""
    preset: str
    """Size of the model."""
    task: str
    """What the receiver answers."""
    snr_range_db: SNRRange = SNR_RANGE_DB
    """Trained E_s/N_0 in dB."""
    init_from: Annotated[str | None, Flag(metavar="DIR")] = None
    """Checkpoint to start from, such as the local model's: its weights and tokenizer. Of a codec that ships,
    by its name, the local model."""
    pretrained: Annotated[str | None, Flag(metavar="NAME")] = None
    """Published weights to start from: a folder or file, or a name on the hub; text: opus-mt, not a preset
    (pip install 'deepsc-toolkit[pretrained]'); image, vqa: DeiT."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""
    resume: bool = False
    """Go on with the run in the output folder, or start it."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from empty_texts(self)
        yield from snr_problems(self.snr_range_db)
        if self.preset not in self.presets:
            yield Problem("preset", f"{self.preset!r} given, allowed: {', '.join(self.presets)}")
        if self.task not in self.tasks:
            yield Problem("task", f"{self.task!r} given, allowed: {', '.join(self.tasks)}")
        if self.init_from and self.pretrained:
            yield Problem("init_from", f"given beside {named('pretrained')}, one of them is allowed")
        if self.training.epochs == 0 and (self.training.channel is not None or not self.init_from):
            needed = f"{named('training.channel.kind')} none and a codec for {named('init_from')}"
            yield Problem("training.epochs", f"0 given, {needed} are needed")
        if self.training.channel is not None:
            for name in self.local_names:
                if value := attrgetter(name)(self):
                    local = f"{named('training.channel.kind')} none"
                    yield Problem(name, f"{value:g} given, {local} alone reads it")
            for name, ks in self.trained_k.items():
                if not ks:
                    yield Problem(name, "none given, a channel needs at least one")

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        """k of each transmission, by the name of the codec config's field."""
        return {name: getattr(self, name) for name in self.k_names}

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes that replace the preset's, by the name of the codec config's field."""
        return self._given(self.size_names)

    def _given(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def codec_fields(self) -> dict[str, Any]:
        """Fields of the codec's config that a run gives it, whatever weights it starts from.

        They say what channel it is made for, and how it is trained.
        """
        local = self.training.channel is None
        ks = {name: () if local else ks for name, ks in self.trained_k.items()}
        sizes = {} if local else {name: getattr(self.presets[self.preset], name) for name in self.jsc_names}
        return {**ks, "snr_range_db": self.snr_range_db, **sizes, **self._given(self.training_names)}

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON knows them, for provenance."""
        return dataclasses.asdict(self) | {"training": self.training.to_dict()}

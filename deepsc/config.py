"""Configurations of codecs and training runs; no torch here, so that `--help` is quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from data.cli import flag_of, raise_config_errors
from data.typed import from_json

TASKS = ("translate", "reconstruct")
CHANNEL_CODES = ("capacity", "finite", "ldpc")
"""Of the digital baseline, see `deepsc.digital`."""
SNR_RANGE_DB = (-6.0, 18.0)
SNR_LIMIT_DB = 100.0
"""Noise or signal is lost in single precision long before."""


@dataclass(frozen=True, kw_only=True)
class TextPreset:
    """Size of a text codec and the training that suits it."""

    d_model: int
    layers: int
    """Encoder layers, and as many decoder layers (F^T of section V)."""
    heads: int
    d_ff: int
    vocab_size: int
    dropout: float
    learning_rate: float
    """Peak, after warm-up."""
    warmup_steps: int
    batch_tokens: int
    """Largest number of tokens in a batch, padding included, per side."""
    epochs: int


TEXT_PRESETS = {
    "tiny": TextPreset(
        d_model=64, layers=2, heads=4, d_ff=128, vocab_size=600, dropout=0.0, learning_rate=3e-3,
        warmup_steps=50, batch_tokens=2048, epochs=6,
    ),
    "small": TextPreset(
        d_model=128, layers=6, heads=4, d_ff=512, vocab_size=5000, dropout=0.2, learning_rate=1.5e-3,
        warmup_steps=800, batch_tokens=2048, epochs=28,
    ),
    "base": TextPreset(
        d_model=512, layers=6, heads=8, d_ff=2048, vocab_size=8000, dropout=0.3, learning_rate=5e-4,
        warmup_steps=2000, batch_tokens=4096, epochs=60,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """What every codec's config has; a subclass adds the architecture of its modality.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    preset: str
    """Name of the size, or of the pretrained weights: part of the model's name in maps and FLOPs files."""
    snr_range_db: tuple[float, float] = SNR_RANGE_DB
    """E_s/N_0 the codec is trained for."""

    def __post_init__(self) -> None:
        errors = self.architecture_errors()
        for ks in self.uplinks:
            errors += k_errors("k", ks)
        raise_config_errors(errors + snr_errors(self.snr_range_db))

    @property
    def uplinks(self) -> tuple[tuple[int, ...], ...]:
        """Trained k of each transmission, in the order of the codec's links; () for the local model."""
        raise NotImplementedError

    @property
    def model_name(self) -> dict[str, Any]:
        """What tells this model from another where FLOPs and accuracy are concerned."""
        raise NotImplementedError

    def architecture_errors(self) -> list[str]:
        """What is wrong with the subclass's own fields."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON knows them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            TypeError, ValueError: if a field is missing, unknown or of another type.
            ToolkitError: if the constructor refuses it.
        """
        return from_json(cls, fields)


MOST_LAYERS, LARGEST_SIZE = 1000, 2**20
LARGEST_K = 4096
"""Beyond any use: the widest of the codecs hands over 512 features, which 256 symbols carry."""
LARGEST_COUNT = 2**31 - 1
LARGEST_RATE = 1e30
"""Learning rate whose first step float32 still holds."""
LARGEST_BATCH = 2**24
MOST_CAPTIONS = 10**6
"""The grammar takes minutes for as many."""


def k_errors(name: str, ks: tuple[int, ...]) -> list[str]:
    """An error unless the k of a transmission rise and are within bounds."""
    if list(ks) == sorted(set(ks)) and all(1 <= k <= LARGEST_K for k in ks):
        return []
    return [f"{flag_of(name)}: {list(ks)} given, rising whole numbers of 1 to {LARGEST_K} are allowed"]


def snr_errors(snr_range_db: tuple[float, float]) -> list[str]:
    """An error unless the SNRs are an interval within bounds."""
    low, high = snr_range_db
    if -SNR_LIMIT_DB <= low <= high <= SNR_LIMIT_DB:
        return []
    most = f"{SNR_LIMIT_DB:g}"
    return [f"--snr-db: {low:g}:{high:g} given, LOW:HIGH with -{most} <= LOW <= HIGH <= {most} is allowed"]


def token_errors(config: Any) -> list[str]:
    """Errors of the ids of the special tokens, which must be two tokens of the vocabulary."""
    errors = [
        f"{name}: {getattr(config, name)} given, a token of the vocabulary, 0 to {config.vocab_size - 1}, is "
        "allowed"
        for name in ("pad_id", "eos_id")
        if not 0 <= getattr(config, name) < config.vocab_size
    ]
    if config.pad_id == config.eos_id:
        errors.append(f"eos_id: {config.eos_id} given, another token than pad_id is allowed")
    return errors


def empty_text_errors(config: Any) -> list[str]:
    """An error for each text that is given and empty: it names nothing."""
    return [
        f"{flag_of(one.name)}: '' given, a name or a path is allowed"
        for one in dataclasses.fields(config)
        if getattr(config, one.name) == ""
    ]


def size_errors(config: object, *names: str) -> list[str]:
    """An error for each whole number that is below 1 or above any model's, for a file may hold anything."""
    errors = []
    for name in names:
        most = MOST_LAYERS if name.endswith(("layers", "depth")) else LARGEST_SIZE
        if not 1 <= getattr(config, name) <= most:
            errors.append(f"{name}: {getattr(config, name)} given, 1 to {most} is allowed")
    return errors


@dataclass(frozen=True, kw_only=True)
class TextCodecConfig(CodecConfig):
    """Architecture of a text codec: a Marian Transformer, and between its halves the JSC codec.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    vocab_size: int
    d_model: int
    layers: int
    heads: int
    d_ff: int
    dropout: float
    pad_id: int = 0
    eos_id: int = 1
    max_length: int = 256
    """Most tokens of a sentence, the end of sentence included."""
    k: tuple[int, ...] = ()
    """Complex channel symbols per token the codec is trained for, rising; empty for the local model."""

    @property
    def uplinks(self) -> tuple[tuple[int, ...], ...]:
        """One transmission: k."""
        return (self.k,) if self.k else ()

    def architecture_errors(self) -> list[str]:
        """Sizes below 1, heads that do not divide the width, dropout outside [0, 1)."""
        errors = size_errors(self, "vocab_size", "d_model", "layers", "heads", "d_ff", "max_length")
        if self.heads >= 1 and self.d_model % self.heads:
            errors.append(f"d_model: {self.d_model} given, a multiple of the {self.heads} heads is allowed")
        errors += token_errors(self)
        if not 0 <= self.dropout < 1:
            errors.append(f"dropout: {self.dropout} given, [0, 1) is allowed")
        return errors

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> TextCodecConfig:
        """Config of a preset, with fields changed."""
        size = TEXT_PRESETS[preset]
        names = ("vocab_size", "d_model", "layers", "heads", "d_ff", "dropout")
        return cls(preset=preset, **{name: getattr(size, name) for name in names} | changes)

    @property
    def model_name(self) -> dict[str, Any]:
        """What tells this model from another where FLOPs and accuracy are concerned."""
        names = ("preset", "d_model", "layers", "heads", "d_ff", "vocab_size")
        return {"name": "text-marian", **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    epochs: int
    batch_tokens: int
    learning_rate: float
    """Peak of the schedule: linear warm-up, then cosine decay to 0 at the last step."""
    warmup_steps: int
    channel: str = "awgn"
    """"none" trains the local model."""
    fading: str = "block"
    csi: str = "perfect"
    rician_factor: float = 4.0
    label_smoothing: float = 0.1
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    patience: int = 5
    """Epochs without a better validation loss after which training stops."""
    checkpoint_steps: int = 200
    """Steps between two savings of the training state; each epoch's end saves it too."""
    seed: int = 0

    def __post_init__(self) -> None:
        errors = []
        for name in ("epochs", "batch_tokens", "warmup_steps", "patience", "checkpoint_steps"):
            most = LARGEST_BATCH if name == "batch_tokens" else LARGEST_COUNT
            if not 1 <= getattr(self, name) <= most:
                errors.append(
                    f"{name}: {getattr(self, name)} given, 1 to {most} is allowed ({flag_of(name)})"
                )
        if not 0 < self.learning_rate <= LARGEST_RATE:
            errors.append(
                f"learning_rate: {self.learning_rate} given, above 0 and up to {LARGEST_RATE:g} is allowed "
                f"({flag_of('learning_rate')})"
            )
        if not 0 <= self.seed < 2**32:
            errors.append(f"seed: {self.seed} given, 0 to 2^32 - 1 is allowed (--seed)")
        raise_config_errors(errors)


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Which sentences; the arguments of `data.parallel.load_parallel`."""

    dataset: str
    """"multi30k", "captions", "europarl", or "files" for `source` and `target`."""
    pair: str = "en-de"
    """Source and target language. Of "files" it decides BLEU's tokenizer alone."""
    data_dir: str | None = None
    caption_count: int = 8000
    source: str | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        errors = empty_text_errors(self)
        if not 1 <= self.caption_count <= MOST_CAPTIONS:
            errors.append(f"--caption-count: {self.caption_count} given, 1 to {MOST_CAPTIONS} is allowed")
        raise_config_errors(errors)

    def language(self, task: str) -> str:
        """Language of what the receiver writes, by its code."""
        source, _, target = self.pair.partition("-")
        return source if task == "reconstruct" else target


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What `train-deepsc` does; a subclass adds the data and the k of its modality.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    modality: ClassVar[str]
    presets: ClassVar[Mapping[str, Any]]
    tasks: ClassVar[tuple[str, ...]]

    corpus: Any
    """Which data; a dataclass of JSON values with a field `data_dir`."""
    training: TrainConfig
    output: str
    preset: str
    task: str
    snr_range_db: tuple[float, float] = SNR_RANGE_DB
    init_from: str | None = None
    """Folder of a checkpoint, such as the local model's, whose weights and tokenizer to start from."""
    pretrained: str | None = None
    """Published weights to start from: a folder or file, or a name on a hub."""
    device: str = "cpu"
    resume: bool = False

    def __post_init__(self) -> None:
        errors = empty_text_errors(self)
        if self.preset not in self.presets:
            errors.append(f"--preset: {self.preset!r} given, allowed: {', '.join(self.presets)}")
        if self.init_from and self.pretrained:
            errors.append("--init-from and --pretrained: both given, one is allowed")
        if self.task not in self.tasks:
            errors.append(f"--task: {self.task!r} given, allowed: {', '.join(self.tasks)}")
        if self.training.channel != "none":
            errors += [
                f"{flag_of(name)}: none given, a channel needs at least one"
                for name, ks in self.trained_k.items()
                if not ks
            ]
        for name, ks in self.trained_k.items():
            errors += k_errors(name, ks)
        raise_config_errors(errors + snr_errors(self.snr_range_db))

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        """k of each transmission, by the name of the codec config's field."""
        raise NotImplementedError

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that were given and replace the preset's, by the name of the codec config's field."""
        return {}

    @property
    def channel_fields(self) -> dict[str, Any]:
        """Fields of the codec's config that say what channel it is made for."""
        local = self.training.channel == "none"
        ks = {name: () if local else ks for name, ks in self.trained_k.items()}
        return {**ks, "snr_range_db": self.snr_range_db}


@dataclass(frozen=True, kw_only=True)
class TextRunConfig(RunConfig):
    """What `train-deepsc --modality text` does.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    modality: ClassVar[str] = "text"
    presets: ClassVar[Mapping[str, TextPreset]] = TEXT_PRESETS
    tasks: ClassVar[tuple[str, ...]] = TASKS

    corpus: CorpusConfig
    preset: str = "small"
    task: str = "translate"
    """"translate", or "reconstruct": the source sentence itself (DeepSC's own task)."""
    k: tuple[int, ...] = (16,)

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        """One transmission: k."""
        return {"k": self.k}

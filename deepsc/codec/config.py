"""What every codec's config has; no torch here, so that `--help` is quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from typing_extensions import override

from data.files.schema import from_json
from data.settings import Flag, Problem, Range, Settings, SettingsError

CHANNEL_CODES = ("capacity", "finite", "ldpc")
"""Of the digital baseline, see `deepsc.digital`."""
SNR_RANGE_DB = (-6.0, 18.0)
SNR_LIMIT_DB = 100.0
"""Noise or signal is lost in single precision long before."""
MOST_LAYERS, LARGEST_SIZE = 1000, 2**20
"""Of any model, for a file may hold anything."""
LARGEST_K = 4096
"""Beyond any use: the widest of the codecs hands over 512 features, which 256 symbols carry."""


def _snr_range(text: str) -> tuple[float, float]:
    low, separator, high = text.partition(":")
    return float(low), float(high if separator else low)


Size = Annotated[int, Range(1, LARGEST_SIZE)]
"""Type of a width, or a number of tokens."""
Layers = Annotated[int, Range(1, MOST_LAYERS)]
Dropout = Annotated[float, Range(0, below=1)]
K_RANGE = Range(1, LARGEST_K)
"""What a k may be, wherever one is named."""
TrainedK = Annotated[tuple[int, ...], dataclasses.replace(K_RANGE, rising=True), Flag(metavar="K[,K...]")]
"""Type of the complex channel symbols per token that are trained, rising; () for the local model."""
SNRRange = Annotated[
    tuple[float, float],
    Range(-SNR_LIMIT_DB, SNR_LIMIT_DB),
    Flag("--snr-db", metavar="LOW:HIGH", type=_snr_range),
]


@dataclass(frozen=True, kw_only=True)
class CodecConfig(Settings):
    """What every codec's config has; a subclass adds the architecture of its modality.

    Raises:
        SettingsError: from the constructor, listing every error at once.
    """

    k_names: ClassVar[tuple[str, ...]] = ("k",)
    """Fields of the trained k, one for each transmission."""
    jsc_names: ClassVar[tuple[str, ...]] = ()
    """Sizes of JSC codecs, which the local model has none of."""
    presets: ClassVar[Mapping[str, Any]] = {}
    """Sizes by name, each a `deepsc.config.Preset`; those of their fields that the config has are its own."""

    preset: str
    """Name of the size, or of the pretrained weights: part of the model's name in maps and FLOPs files."""
    snr_range_db: SNRRange = SNR_RANGE_DB
    """E_s/N_0 the codec is trained for."""

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> Self:
        """Config of a preset, with fields changed."""
        size = vars(cls.presets[preset])
        architecture = {name: size[name] for name in size.keys() & cls.__dataclass_fields__.keys()}
        return cls(preset=preset, **architecture | changes)

    @classmethod
    def preset_problems(cls, preset: str, **changes: Any) -> Iterator[Problem]:
        """What is wrong with what `from_preset` would make."""
        try:
            cls.from_preset(preset, **changes)
        except SettingsError as error:
            yield from error.problems

    @override
    def problems(self) -> Iterator[Problem]:
        yield from snr_problems(self.snr_range_db)

    @property
    def uplinks(self) -> tuple[tuple[int, ...], ...]:
        """Trained k of each transmission, in the order of the codec's links; () for the local model."""
        ks = tuple(getattr(self, name) for name in self.k_names)
        return ks if any(ks) else ()

    @property
    def model_name(self) -> dict[str, Any]:
        """What tells this model from another where FLOPs and accuracy are concerned."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON knows them; a local model's have none of a JSC codec's sizes."""
        fields = dataclasses.asdict(self)
        return (
            fields if self.uplinks else {name: fields[name] for name in fields if name not in self.jsc_names}
        )

    @classmethod
    def from_dict(cls, fields: object) -> Self:
        """Inverse of `to_dict`.

        Raises:
            TypeError, ValueError: if a field is missing, unknown or of another type.
            ToolkitError: if the constructor refuses it.
        """
        return from_json(cls, fields)


def snr_problems(snr_range_db: tuple[float, float]) -> Iterator[Problem]:
    """A problem unless the SNRs are an interval."""
    low, high = snr_range_db
    if low > high:
        yield Problem("snr_range_db", f"{low:g}:{high:g} given, LOW:HIGH with LOW <= HIGH is allowed")


def token_problems(config: Any) -> Iterator[Problem]:
    """Problems of the ids of the special tokens, which must be two tokens of the vocabulary."""
    for name in ("pad_id", "eos_id"):
        if not 0 <= (token := getattr(config, name)) < config.vocab_size:
            yield Problem(
                name, f"{token} given, a token of the vocabulary, 0 to {config.vocab_size - 1}, is allowed"
            )
    if config.pad_id == config.eos_id:
        yield Problem("eos_id", f"{config.eos_id} given, another token than pad_id is allowed")


def head_problems(config: Any, width: str, heads: str) -> Iterator[Problem]:
    """A problem if the heads do not divide the width; both are names of fields."""
    size, count = getattr(config, width), getattr(config, heads)
    if count >= 1 and size % count:
        yield Problem(width, f"{size} given, a multiple of the {count} heads is allowed")


def empty_texts(config: Settings) -> Iterator[Problem]:
    """A problem for each text that is given and empty: it names nothing."""
    for field in dataclasses.fields(config):
        if getattr(config, field.name) == "":
            yield Problem(field.name, "'' given, a name or a path is allowed")

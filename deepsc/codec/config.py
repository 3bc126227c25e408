"""What every codec's config has; no torch here, so that `--help` is quick."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from data.files.errors import flag_of, raise_config_errors
from data.files.schema import from_json

CHANNEL_CODES = ("capacity", "finite", "ldpc")
"""Of the digital baseline, see `deepsc.digital`."""


SNR_RANGE_DB = (-6.0, 18.0)


SNR_LIMIT_DB = 100.0
"""Noise or signal is lost in single precision long before."""


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

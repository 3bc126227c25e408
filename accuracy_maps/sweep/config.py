"""What `build-accuracy-map` is told."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy_maps.grid import CHANNELS
from data.files.errors import ToolkitError, flag_of, raise_config_errors
from data.intervals import INTERVAL_ITEMS_MIN
from deepsc.codec.config import CHANNEL_CODES, LARGEST_SIZE, SNR_LIMIT_DB

SNR_DB = tuple(float(snr) for snr in range(-6, 19, 3))
MAX_SEED = 5 * 10**8  # a batch's noise has a seed up to 2e10 times as large, and torch takes 64 bits
MAX_DRAWS = 10_000  # seeds of a batch's draws are 10,007 apart from those of the next --seed
MAX_BEAMS = 64
MAX_CELLS = 10**6
"""Of a map: twice as many is the largest file that is read."""
MAX_MAT_K = 4096
"""Rows of a sem_table, one for each k from 1."""


@dataclass(frozen=True, kw_only=True)
class MapConfig:
    """What `build-accuracy-map` does.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    codecs: tuple[str, ...]
    """Checkpoint folders; together they must be trained for every k."""
    local: str
    """Checkpoint folder of the local model, the map's denominator."""
    output: str
    k: tuple[int, ...] | None = None
    """Complex symbols per token; None: all that the codecs are trained for."""
    k_text: tuple[int, ...] | None = None
    """Instead of `k` where a question and an image are sent: of the question."""
    k_image: tuple[int, ...] | None = None
    snr_db: tuple[float, ...] | None = None
    """None: -6 to 18 dB in steps of 3; of a baseline those of `beside`."""
    channel: str | None = None
    """None: the channel the codecs are trained on; of a baseline that of `beside`."""
    task: str | None = None
    """What the models are trained for, or one of the modality's `further_tasks`; None: the former, of a
    baseline that of `beside`."""
    baseline: str | None = None
    """"digital": no codec, but separate source and channel coding, see `deepsc.digital`."""
    code: str = "capacity"
    """A baseline's channel code: "capacity" (ideal), "finite" (the best of its length, by the normal
    approximation) or "ldpc" (5G NR's, with QAM), see `deepsc.digital.channel_code`."""
    beside: str | None = None
    """Another map whose lines the plot shows too; a baseline takes its k, SNRs, channel and task where none
    are given."""
    also_beside: tuple[str, ...] = ()
    """Further maps whose lines the plot shows."""
    mat: bool = False
    """Write a .mat for MATLAB too, see `accuracy_maps.show.mat`."""
    draws: int = 1
    """Noise draws per test item and cell."""
    beams: int = 1
    bleu_tokenize: str | None = None
    """Text: sacreBLEU's tokenizer; None: that of the target language, of a baseline that of `beside`."""
    limit: int | None = None
    """Measure on the first so many test items; None: on all."""
    data_dir: str | None = None
    skip_bad: bool = False
    """Leave out images of the models' folder that cannot be read, instead of an error that lists them."""
    seed: int = 0
    device: str = "cpu"
    overwrite: bool = False
    """Replace an output that other settings made."""

    def __post_init__(self) -> None:
        errors = self._axis_errors()
        if not self.output.endswith(".json") or Path(self.output).name == ".json":
            errors.append(f"--output: {self.output!r} given, a name that ends in .json is allowed")
        errors += [
            f"{flag_of(name)}: '' given, leave it out or say what it is"
            for name in ("beside", "task", "data_dir", "local")
            if getattr(self, name) == ""
        ]
        if self.beside is not None and Path(self.beside).resolve() == Path(self.output).resolve():
            errors.append(f"--output: {self.output} is the map of --beside, which it would replace")
        if not self.codecs and self.baseline is None:
            errors.append("--codec: none given, at least one checkpoint is needed")
        if self.baseline not in (None, "digital"):
            errors.append(f"--baseline: {self.baseline!r} given, allowed: digital")
        if self.code not in CHANNEL_CODES:
            errors.append(f"--code: {self.code!r} given, allowed: {', '.join(CHANNEL_CODES)}")
        elif self.code != "capacity" and self.baseline is None:
            errors.append(f"--code: {self.code!r} given, --baseline alone has one")
        if self.baseline is not None and self.codecs:
            errors.append("--codec and --baseline: both given, one is allowed")
        if self.channel is not None and self.channel not in CHANNELS:
            errors.append(f"--channel: {self.channel!r} given, allowed: {', '.join(CHANNELS)}")
        for name, most in (("draws", MAX_DRAWS), ("beams", MAX_BEAMS)):
            if not 1 <= getattr(self, name) <= most:
                errors.append(f"--{name}: {getattr(self, name)} given, 1 to {most} is allowed")
        if self.limit is not None and self.limit < INTERVAL_ITEMS_MIN:
            errors.append(
                f"--limit: {self.limit} given, at least {INTERVAL_ITEMS_MIN} is allowed: an interval over "
                "fewer items would feign certainty"
            )
        if not 0 <= self.seed <= MAX_SEED:
            errors.append(f"--seed: {self.seed} given, 0 to {MAX_SEED} is allowed")
        raise_config_errors(errors)

    def _axis_errors(self) -> list[str]:
        errors = []
        for name in ("k", "k_text", "k_image"):
            if (ks := getattr(self, name)) is not None:
                errors += k_errors(flag_of(name), ks)
        snr_db = self.snr_points
        if not snr_db or not _rises(snr_db):
            errors.append(f"--snr-db: {snr_db} given, rising finite numbers are allowed")
        elif outside := [snr for snr in snr_db if not abs(snr) <= SNR_LIMIT_DB]:
            errors.append(
                f"--snr-db: {outside[0]:g} given, -{SNR_LIMIT_DB:g} to {SNR_LIMIT_DB:g} dB is allowed"
            )
        return errors

    @property
    def options(self) -> dict[str, Any]:
        """What modalities read of a sweep; see `deepsc.modality.Modality.sweep_options`."""
        return {"beams": self.beams, "bleu_tokenize": self.bleu_tokenize, "skip_bad": self.skip_bad}

    @property
    def snr_points(self) -> tuple[float, ...]:
        """SNRs of a codec's map."""
        return SNR_DB if self.snr_db is None else self.snr_db


def k_errors(source: str, ks: Sequence[int]) -> list[str]:
    """What is wrong with an axis of k that a flag or a file, `source`, names."""
    if ks and ks[0] >= 1 and ks[-1] <= LARGEST_SIZE and _rises(ks):
        return []
    return [f"{source}: {ks} given, rising whole numbers of 1 to {LARGEST_SIZE} are allowed"]


def require_size(config: MapConfig, ks: Collection[tuple[int, ...]]) -> None:
    """Check how large a map is to be.

    Args:
        config: of the map.
        ks: k, one of each transmission; each transmission has an axis of SNRs, too.

    Raises:
        ToolkitError: if there are more cells than anybody could measure, or no .mat can hold it.
    """
    largest = max(ks)
    if config.mat and len(largest) > 1:
        raise ToolkitError("--mat: given, a map of several transmissions has none")
    if config.mat and largest[0] > MAX_MAT_K:
        raise ToolkitError(f"--mat: given with k = {largest[0]}, a table up to k = {MAX_MAT_K} is allowed")
    snrs = len(config.snr_points)
    if (cells := len(ks) * snrs ** len(largest)) > MAX_CELLS:
        raise ToolkitError(
            f"--snr-db: {snrs} SNRs given, which make {cells:,} cells; at most {MAX_CELLS:,} are allowed"
        )


def _rises(values: Sequence[float]) -> bool:
    return all(before < after for before, after in itertools.pairwise(values))

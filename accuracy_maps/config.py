"""What `build-accuracy-map` is told."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from accuracy_maps.grid import CHANNELS
from data.cli import flag_of, raise_config_errors

SNR_DB = tuple(float(snr) for snr in range(-6, 19, 3))
MAX_SEED = 5 * 10**8  # a batch's noise has a seed up to 2e10 times as large, and torch takes 64 bits


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
    beside: str | None = None
    """Another map whose lines the plot shows too; a baseline takes its k, SNRs, channel and task where none
    are given."""
    mat: bool = False
    """Write a .mat for MATLAB too, see `accuracy_maps.mat`."""
    draws: int = 1
    """Noise draws per test item and cell."""
    beams: int = 1
    bleu_tokenize: str | None = None
    """Text: sacreBLEU's tokenizer; None: that of the target language, of a baseline that of `beside`."""
    limit: int | None = None
    """Measure on the first so many test items; None: on all."""
    data_dir: str | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        errors = []
        if not self.codecs and self.baseline is None:
            errors.append("--codec: none given, at least one checkpoint is needed")
        if self.baseline not in (None, "digital"):
            errors.append(f"--baseline: {self.baseline!r} given, allowed: digital")
        if self.baseline is not None and self.codecs:
            errors.append("--codec and --baseline: both given, one is allowed")
        for name in ("k", "k_text", "k_image"):
            ks = getattr(self, name)
            if ks is not None and (not ks or ks[0] < 1 or not _rises(ks)):
                errors.append(f"{flag_of(name)}: {ks} given, rising whole numbers of at least 1 are allowed")
        snr_db = self.snr_points
        if not snr_db or not all(map(math.isfinite, snr_db)) or not _rises(snr_db):
            errors.append(f"--snr-db: {snr_db} given, rising finite numbers are allowed")
        if self.channel is not None and self.channel not in CHANNELS:
            errors.append(f"--channel: {self.channel!r} given, allowed: {', '.join(CHANNELS)}")
        for name in ("draws", "beams", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                errors.append(f"--{name}: {value} given, at least 1 is allowed")
        if not 0 <= self.seed <= MAX_SEED:
            errors.append(f"--seed: {self.seed} given, 0 to {MAX_SEED} is allowed")
        raise_config_errors(errors)

    @property
    def snr_points(self) -> tuple[float, ...]:
        """SNRs of a codec's map."""
        return SNR_DB if self.snr_db is None else self.snr_db


def _rises(values: Sequence[float]) -> bool:
    return all(before < after for before, after in itertools.pairwise(values))

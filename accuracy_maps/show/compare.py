"""Maps side by side: what each is of, and the SNR from which on its ratio is worth having."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accuracy_maps.grid import MeasuredGrid
from accuracy_maps.map import AccuracyMap
from data.files.printable import one_line

CODE_NAMES = {"capacity": "ideal code", "finite": "finite-length code", "ldpc": "5G LDPC"}
LEVEL = 0.9
"""The paper's epsilon_min: a lower ratio earns the optimizer nothing."""


def is_baseline(accuracy_map: MeasuredGrid) -> bool:
    """Whether a map is of a baseline, not of a codec."""
    return accuracy_map.model.get("baseline") is not None


def who(accuracy_map: MeasuredGrid) -> str:
    """The codec, or a baseline and its channel code."""
    baseline, code = accuracy_map.model.get("baseline"), accuracy_map.model.get("code", "capacity")
    name = "codec" if baseline is None else one_line(f"{baseline}, {CODE_NAMES.get(str(code), code)}")
    return f"{name}; synthetic data" if accuracy_map.synthetic else name


def snr_at(snr_db: Sequence[float], ratios: Sequence[float], *, level: float = LEVEL) -> float | None:
    """The lowest SNR at which ratios that do not fall reach a level, linear in dB between grid points.

    Args:
        snr_db: rising.
        ratios: at each SNR.
        level: to reach.

    Returns:
        dB; the first SNR where its ratio is high enough already; None if it is never reached.
    """
    above = np.greater_equal(ratios, level)
    if not above.any():
        return None
    first = int(above.argmax())
    if not first:
        return float(snr_db[0])
    (low, high), (before, after) = snr_db[first - 1 : first + 1], ratios[first - 1 : first + 1]
    return float(low + (high - low) * (level - before) / (after - before))


def thresholds(accuracy_map: MeasuredGrid) -> dict[str, str]:
    """`snr_at` of the envelope as text, by k, or by pair of k with both transmissions at one SNR."""
    heads, snr_db, rows = accuracy_map.as_table(accuracy_map.envelope)
    return {head: _text(snr_db, row.tolist()) for head, row in zip(heads, rows, strict=True)}


def threshold_line(accuracy_map: MeasuredGrid) -> str:
    """`thresholds` for a terminal."""
    at = "; ".join(f"{name}: {snr}" for name, snr in thresholds(accuracy_map).items())
    return f"SNR in dB at a ratio of {LEVEL}, by {accuracy_map.rows_name}: {at}"


def symbols_per_word(accuracy_map: MeasuredGrid) -> dict[str, str]:
    """Channel symbols for a word at each k, by k; empty where the map does not say how many tokens it has."""
    tokens = accuracy_map.provenance.get("tokens_per_word")
    if not isinstance(tokens, float) or not isinstance(accuracy_map, AccuracyMap):
        return {}
    return {str(k): f"{k * tokens:.1f}" for k in accuracy_map.k}


def symbols_line(accuracy_map: MeasuredGrid) -> str:
    """`symbols_per_word` for a terminal; empty where there are none."""
    if not (words := symbols_per_word(accuracy_map)):
        return ""
    return "symbols per word, by k: " + "; ".join(f"{k}: {symbols}" for k, symbols in words.items())


def _text(snr_db: Sequence[float], ratios: Sequence[float]) -> str:
    if (snr := snr_at(snr_db, ratios)) is None:
        return "never"
    sign = "≤ " if snr == snr_db[0] and ratios[0] > LEVEL else ""
    return f"{sign}{snr:z.1f}".replace("-", "−")

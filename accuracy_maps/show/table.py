"""A map as a table for a terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from data.files.printable import printable

if TYPE_CHECKING:
    from accuracy_maps.bimodal import BimodalMap
    from accuracy_maps.map import AccuracyMap


def format_map(accuracy_map: AccuracyMap | BimodalMap) -> str:
    """Table of ratios for a terminal: a line per k, or per pair of k with both at one SNR."""
    from accuracy_maps.bimodal import BimodalMap  # scipy: not for --help

    metric = accuracy_map.metric_name
    half_width = (accuracy_map.ratio_high - accuracy_map.ratio_low).max() / 2
    digits = max(2, -math.floor(math.log10(max(half_width, 1e-3))) + 1)
    rows: list[tuple[str, Iterable[float]]]
    if isinstance(accuracy_map, BimodalMap):
        heading = "k^T, k^I"
        pairs = itertools.product(accuracy_map.k_text, accuracy_map.k_image)
        diagonal = accuracy_map.on_diagonal(accuracy_map.ratio).reshape(-1, len(accuracy_map.snr_db))
        rows = [(f"{text}, {image}", row) for (text, image), row in zip(pairs, diagonal, strict=True)]
    else:
        heading = "k"
        rows = [(str(k), row) for k, row in zip(accuracy_map.k, accuracy_map.ratio, strict=True)]
    lines = [
        f"{metric} over the channel / local, {accuracy_map.channel}, "
        f"{accuracy_map.provenance.get('dataset', '')}{'; synthetic data' if accuracy_map.synthetic else ''}",
        f"local {metric} {accuracy_map.local_accuracy:.2f} "
        f"[{accuracy_map.local_low:.2f}, {accuracy_map.local_high:.2f}]; "
        f"widest 95 % interval of a ratio: +-{half_width:.{digits}f}",
        f"{heading} \\ SNR dB".rjust(12) + "".join(f"{snr:>8g}" for snr in accuracy_map.snr_db),
    ]
    lines += [f"{name:>12}" + "".join(f"{value:>8.{digits}f}" for value in row) for name, row in rows]
    return "\n".join(map(printable, lines))

"""A map as a table for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from data.files.printable import printable

if TYPE_CHECKING:
    from accuracy_maps.grid import MeasuredGrid


def format_map(accuracy_map: MeasuredGrid) -> str:
    """Table of ratios for a terminal: a line per k, or per pair of k with both at one SNR."""
    metric = accuracy_map.metric_name
    half_width = (accuracy_map.ratio_high - accuracy_map.ratio_low).max() / 2
    digits = max(2, -math.floor(math.log10(max(half_width, 1e-3))) + 1)
    heads, snr_db, rows = accuracy_map.as_table(accuracy_map.ratio)
    note = f" ({accuracy_map.local_note})" if accuracy_map.local_note else ""
    lines = [
        f"{metric} over the channel / local, {accuracy_map.channel}, "
        f"{accuracy_map.provenance.get('dataset', '')}{'; synthetic data' if accuracy_map.synthetic else ''}",
        f"local {metric} {accuracy_map.local_accuracy:.2f} "
        f"[{accuracy_map.local_low:.2f}, {accuracy_map.local_high:.2f}]{note}; "
        f"widest 95 % interval of a ratio: +-{half_width:.{digits}f}",
        f"{accuracy_map.rows_name} \\ SNR dB".rjust(12) + "".join(f"{snr:>8g}" for snr in snr_db),
    ]
    for name, row in zip(heads, rows, strict=True):
        lines.append(f"{name:>12}" + "".join(f"{value:>8.{digits}f}" for value in row))
    return "\n".join(map(printable, lines))

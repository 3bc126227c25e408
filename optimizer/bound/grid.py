"""How finely a bound is computed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How finely a bound is computed; any grid gives a valid one."""

    cells: int
    """Bandwidth cells of the dynamic programme."""
    parts: int
    """Parts each cell's bound is the maximum of."""
    powers: int
    """Cells of the power range, equal in dB."""


GRIDS = (
    Grid(cells=16, parts=4, powers=8),
    Grid(cells=32, parts=8, powers=32),
    Grid(cells=64, parts=12, powers=64),
)
"""From coarse to fine: only where a coarse bound leaves a gap is a finer one computed."""

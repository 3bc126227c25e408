"""What the station hears from other cells."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optimizer.world.channel.pathloss import draw_gain, draw_positions
from optimizer.world.config import EpisodeConfig, SystemConfig

RINGS = 2
"""Rings of cells around ours: 6 and 12."""


class OtherCells:
    """UEs of the cells around ours, one a cell that sends at p_max on the whole band in every step.

    In each step it is another UE, in a place drawn as our UEs' are, around its own station: in a ring, and
    the rings of neighbours overlap. The interference is as strong at every frequency, so it is a noise that
    a step's UEs share. |h|^2 of the interferers is left out.

    Args:
        system: carrier, heights, p_max, the ring and the band.
        episode: how many cells.
        episodes: number of copies.
        generator: source of all draws.
    """

    def __init__(
        self, system: SystemConfig, episode: EpisodeConfig, episodes: int, generator: torch.Generator
    ) -> None:
        self._system, self._generator = system, generator
        self._shape = (episodes, episode.other_cells)
        self._stations_m = stations_m(system, generator.device)[: episode.other_cells]

    def noise_rise(self) -> Tensor:
        """Draw a step's (I_0 + sigma^2) / sigma^2, with I_0 in W/Hz; (episodes, 1)."""
        system = self._system
        place_m = self._stations_m + draw_positions(system, self._shape, self._generator)
        gain = draw_gain(system, place_m, self._generator).sum(dim=-1, keepdim=True)
        return 1.0 + gain * (system.power_max_w / (system.bandwidth_hz * system.noise_w_hz))


def stations_m(system: SystemConfig, device: torch.device) -> Tensor:
    """x and y of the stations around ours, which is the origin, nearest first, (18, 2).

    A hexagonal grid. Neighbours are sqrt(3) R apart, with R of `radius_max_m`: hexagons of circumradius R.
    """
    apart_m = math.sqrt(3.0) * system.radius_max_m
    across = range(-RINGS, RINGS + 1)
    grid = [(a + b / 2.0, b * math.sqrt(0.75)) for a in across for b in across if abs(a + b) <= RINGS]
    nearest = sorted(grid, key=lambda at: (round(math.hypot(*at), 9), math.atan2(at[1], at[0])))
    return apart_m * torch.tensor(nearest[1:], dtype=torch.float64, device=device)

"""UEs that walk: random waypoints, with line of sight and shadowing that change along the way."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.channel.pathloss import (
    SCENARIOS,
    draw_positions,
    gain_at,
    los_probability,
    warn_beyond_ranges,
)
from optimizer.world.config import EpisodeConfig, SystemConfig


class RandomWaypoints:
    """Each UE walks straight to a random place of the ring at its speed, then to the next, without a pause.

    A UE that reaches its waypoint within a step stays there until the next one. Closer to the station than
    the ring's inner radius, g is that of the inner radius. Shadowing is normal, with a correlation of
    exp(-moved / d_cor) (M. Gudmundson, Electronics Letters 27, 1991). So is the variable whose quantile below
    the LOS probability means a line of sight (TR 38.901, 7.6.3.3).

    Args:
        system: carrier, heights and the ring.
        episode: speed and time of a step.
        shape: (episodes, ues).
        generator: source of all draws.
    """

    position_m: Tensor
    """x and y, the station at the origin, (episodes, ues, 2)."""
    mean_gain: Tensor
    """g of eq. (1), linear, (episodes, ues)."""

    def __init__(
        self, system: SystemConfig, episode: EpisodeConfig, shape: tuple[int, int], generator: torch.Generator
    ) -> None:
        self._system, self._shape, self._generator = system, shape, generator
        self._stride_m = (episode.ue_speed_m_s or 0.0) * episode.step_s

    def start(self) -> None:
        """New places, waypoints and surroundings."""
        warn_beyond_ranges(self._system)
        self.position_m = draw_positions(self._system, self._shape, self._generator)
        self._waypoint_m = draw_positions(self._system, self._shape, self._generator)
        self._sight, self._shadow = self._normal(), self._normal()
        self._find_gain()

    def move(self) -> None:
        """Walk for one step."""
        way_m = self._waypoint_m - self.position_m
        left_m = torch.linalg.vector_norm(way_m, dim=-1, keepdim=True)
        share = (self._stride_m / left_m.clamp_min(1e-9)).clamp_max(1.0)
        self.position_m = self.position_m + share * way_m
        arrived = left_m <= self._stride_m
        following_m = draw_positions(self._system, self._shape, self._generator)
        self._waypoint_m = torch.where(arrived, following_m, self._waypoint_m)
        moved_m = (share * left_m).squeeze(-1)
        scenario = SCENARIOS[self._system.pathloss]
        of_los, of_nlos = scenario.shadowing_m
        self._shadow = self._changed(self._shadow, moved_m / torch.where(self._in_sight, of_los, of_nlos))
        self._sight = self._changed(self._sight, moved_m / scenario.los_state_m)
        self._find_gain()

    def _find_gain(self) -> None:
        distance_m = torch.linalg.vector_norm(self.position_m, dim=-1).clamp_min(self._system.radius_min_m)
        uniform = torch.special.ndtr(self._sight)
        self._in_sight = uniform < los_probability(self._system, distance_m)
        self.mean_gain = gain_at(self._system, distance_m, sight=self._in_sight, shadow=self._shadow)

    def _changed(self, value: Tensor, lengths: Tensor) -> Tensor:
        """A normal variable after so many correlation lengths."""
        return gauss_markov(value, self._normal(), torch.exp(-lengths))

    def _normal(self) -> Tensor:
        device = self._generator.device
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float64, device=device)


def gauss_markov(before: Tensor, innovation: Tensor, correlation: float | Tensor) -> Tensor:
    """The next of a first-order Gauss-Markov process, or an estimate of its value: distributed as `before`
    and `innovation`, which are normal of one variance and independent of each other.

    Args:
        before: normal, real or the parts of CN(0, 1).
        innovation: of `before`'s shape.
        correlation: -1 to 1, of a shape that broadcasts against `before`'s.
    """
    return correlation * before + (1.0 - correlation**2) ** 0.5 * innovation

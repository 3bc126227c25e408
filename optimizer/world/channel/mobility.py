"""Where UEs are, step by step, and g of eq. (1) there: standing, walking or as a file says."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from optimizer.world.channel.gain_table import GainTable
from optimizer.world.channel.pathloss import (
    SCENARIOS,
    draw_gain,
    draw_positions,
    gain_at,
    los_probability,
    warn_beyond_ranges,
)
from optimizer.world.config import EpisodeConfig, SystemConfig


class Places(Protocol):
    """Where the UEs of many episodes are."""

    position_m: Tensor
    """x and y, the station at the origin, (episodes, ues, 2)."""
    mean_gain: Tensor
    """g of eq. (1), linear, (episodes, ues)."""

    def start(self) -> None:
        """Begin new episodes."""

    def move(self) -> None:
        """Go on to the next step."""


def places_of(
    system: SystemConfig,
    episode: EpisodeConfig,
    gains: GainTable | None,
    shape: tuple[int, int],
    generator: torch.Generator,
) -> Places:
    """The places that a world asks for.

    Args:
        system: carrier, heights and the ring.
        episode: mobility, speed and time of a step.
        gains: of a file; None: the ring's places and the pathloss model.
        shape: (episodes, ues).
        generator: source of all draws.
    """
    if gains is not None:
        visits = _Visits(gains, episode.steps, shape, generator)
        if gains.gain is None:
            return _Traces(system, visits, shape, generator)
        return _OfFile(visits, gains.gain)
    if episode.mobility == "waypoint":
        stride_m = (episode.ue_speed_m_s or 0.0) * episode.step_s
        return _RandomWaypoints(system, stride_m, shape, generator)
    return _Still(system, shape, generator)


class _Still:
    """UEs that stay where they are for an episode."""

    position_m: Tensor
    mean_gain: Tensor

    def __init__(self, system: SystemConfig, shape: tuple[int, int], generator: torch.Generator) -> None:
        self._system, self._shape, self._generator = system, shape, generator

    def start(self) -> None:
        self.position_m = draw_positions(self._system, self._shape, self._generator)
        self.mean_gain = draw_gain(self._system, self.position_m, self._generator)

    def move(self) -> None:
        pass


class _Visits:
    """Which place of a file each UE is at, and from which of its steps on.

    All places are alike often, and of a longer one all windows of T steps. A trace stays at its last row once
    it is over.
    """

    def __init__(
        self, table: GainTable, steps: int, shape: tuple[int, int], generator: torch.Generator
    ) -> None:
        self._table, self._steps, self._shape, self._generator = table, steps, shape, generator

    def start(self) -> None:
        """Draw them for new episodes."""
        place, first = torch.rand(
            (2, *self._shape), generator=self._generator, dtype=torch.float64, device=self._generator.device
        )
        self._place = (place * self._table.places).long().clamp_max(self._table.places - 1)
        spare = max(self._table.steps - self._steps, 0)
        self._row = (first * (spare + 1)).long().clamp_max(spare)

    def move(self) -> None:
        """Go on to the next step."""
        self._row = (self._row + 1).clamp_max(self._table.steps - 1)

    @property
    def position_m(self) -> Tensor:
        """x and y now, (episodes, ues, 2)."""
        return self.of(self._table.position_m)

    def of(self, column: Tensor) -> Tensor:
        """What a column, (places, steps, ...), says now; (episodes, ues, ...)."""
        return column[self._place, self._row]


class _OfFile:
    """UEs at a file's places, with the gains that it has for them."""

    position_m: Tensor
    mean_gain: Tensor

    def __init__(self, visits: _Visits, gain: Tensor) -> None:
        self._visits, self._gain = visits, gain

    def start(self) -> None:
        self._visits.start()
        self._look_up()

    def move(self) -> None:
        self._visits.move()
        self._look_up()

    def _look_up(self) -> None:
        self.position_m, self.mean_gain = self._visits.position_m, self._visits.of(self._gain)


class _Walk:
    """UEs on their way, with line of sight and shadowing that change along it.

    Closer to the station than the ring's inner radius, g is that of the inner radius. Shadowing is normal,
    with a correlation of exp(-moved / d_cor) (M. Gudmundson, Electronics Letters 27, 1991). So is the
    variable whose quantile below the LOS probability means a line of sight (TR 38.901, 7.6.3.3).
    """

    position_m: Tensor
    mean_gain: Tensor

    def __init__(self, system: SystemConfig, shape: tuple[int, int], generator: torch.Generator) -> None:
        self._system, self._shape, self._generator = system, shape, generator

    def _set_out(self, position_m: Tensor) -> None:
        """Begin new episodes there, in new surroundings."""
        warn_beyond_ranges(self._system)
        self.position_m = position_m
        self._sight, self._shadow = self._normal(), self._normal()
        self._find_gain()

    def _go_to(self, position_m: Tensor) -> None:
        """Walk there, straight."""
        moved_m = torch.linalg.vector_norm(position_m - self.position_m, dim=-1)
        self.position_m = position_m
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


class _RandomWaypoints(_Walk):
    """Each UE walks straight to a random place of the ring, then to the next, without a pause.

    A UE that reaches its waypoint within a step stays there until the next one.
    """

    def __init__(
        self, system: SystemConfig, stride_m: float, shape: tuple[int, int], generator: torch.Generator
    ) -> None:
        super().__init__(system, shape, generator)
        self._stride_m = stride_m

    def start(self) -> None:
        position_m = draw_positions(self._system, self._shape, self._generator)
        self._waypoint_m = draw_positions(self._system, self._shape, self._generator)
        self._set_out(position_m)

    def move(self) -> None:
        way_m = self._waypoint_m - self.position_m
        left_m = torch.linalg.vector_norm(way_m, dim=-1, keepdim=True)
        share = (self._stride_m / left_m.clamp_min(1e-9)).clamp_max(1.0)
        arrived = left_m <= self._stride_m
        following_m = draw_positions(self._system, self._shape, self._generator)
        self._waypoint_m = torch.where(arrived, following_m, self._waypoint_m)
        self._go_to(self.position_m + share * way_m)


class _Traces(_Walk):
    """Each UE walks the way of a file."""

    def __init__(
        self, system: SystemConfig, visits: _Visits, shape: tuple[int, int], generator: torch.Generator
    ) -> None:
        super().__init__(system, shape, generator)
        self._visits = visits

    def start(self) -> None:
        self._visits.start()
        self._set_out(self._visits.position_m)

    def move(self) -> None:
        self._visits.move()
        self._go_to(self._visits.position_m)


def gauss_markov(before: Tensor, innovation: Tensor, correlation: float | Tensor) -> Tensor:
    """The next of a first-order Gauss-Markov process, or an estimate of its value: distributed as `before`
    and `innovation`, which are normal of one variance and independent of each other.

    Args:
        before: normal, real or the parts of CN(0, 1).
        innovation: of `before`'s shape.
        correlation: -1 to 1, of a shape that broadcasts against `before`'s.
    """
    return correlation * before + (1.0 - correlation**2) ** 0.5 * innovation

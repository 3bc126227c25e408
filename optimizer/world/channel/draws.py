"""Places, g and |h|^2 of all UEs, step by step."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.channel.gain_table import GainTable
from optimizer.world.channel.pathloss import draw_gain, draw_positions
from optimizer.world.config import EpisodeConfig, SystemConfig


class Channels:
    """Where the UEs of many episodes are and how well the station hears them.

    Places and g are drawn once an episode, |h|^2 each step. Every draw is of a fixed shape and none depends
    on what a policy does. With statistical CSI |h|^2 is not drawn: the map is already the mean over it.

    Args:
        system: carrier, heights and the ring.
        episode: CSI and fading.
        gains: of a file, in place of the pathloss model; None: the model's.
        shape: (episodes, ues).
        generator: source of all draws; its device is where everything is computed.
    """

    position_m: Tensor
    """x and y, the station at the origin, (episodes, ues, 2)."""
    mean_gain: Tensor
    """g of eq. (1), linear, (episodes, ues)."""
    gain: Tensor
    """g |h|^2 of this step; g with statistical CSI. (episodes, ues)."""

    def __init__(
        self,
        *,
        system: SystemConfig,
        episode: EpisodeConfig,
        gains: GainTable | None,
        shape: tuple[int, int],
        generator: torch.Generator,
    ) -> None:
        self._system, self._episode, self._gains = system, episode, gains
        self._shape, self._generator = shape, generator
        self._step = 0

    def place(self) -> None:
        """Start new episodes: new places and their g."""
        self._step = 0
        if self._gains is None:
            self.position_m = draw_positions(self._system, self._shape, self._generator)
            self.mean_gain = draw_gain(self._system, self.position_m, self._generator)
            return
        place, first = torch.rand(
            (2, *self._shape), generator=self._generator, dtype=torch.float64, device=self._generator.device
        )
        self._place = (place * self._gains.places).long().clamp_max(self._gains.places - 1)
        spare = max(self._gains.steps - self._episode.steps, 0)
        self._first = (first * (spare + 1)).long().clamp_max(spare)
        self._look_up(self._gains)

    def fade(self) -> None:
        """Draw |h|^2 of an episode's first step."""
        self.gain = self._faded()

    def advance(self) -> None:
        """Go on to the next step."""
        self._step += 1
        if self._gains is not None:
            self._look_up(self._gains)
        self.gain = self._faded()

    def _look_up(self, gains: GainTable) -> None:
        """g and places of this step; a trace stays at its last row once it is over."""
        at = (self._first + self._step).clamp_max(gains.steps - 1)
        self.position_m, self.mean_gain = gains.position_m[self._place, at], gains.gain[self._place, at]

    def _faded(self) -> Tensor:
        if self._episode.csi == "statistical" or self._episode.fading == "none":
            return self.mean_gain
        uniform = torch.rand(
            self._shape, generator=self._generator, dtype=torch.float64, device=self._generator.device
        )
        return self.mean_gain * fading_power(uniform)


def fading_power(uniform: Tensor) -> Tensor:
    """|h|^2 of h ~ CN(0, 1), which is Exp(1), from numbers uniform in [0, 1).

    A draw of exactly 0 (one in 2^53) counts as the next larger one: without it the bound would meet a gain of
    0 at a bandwidth of 0 in eq. (1), which is no number.
    """
    return -torch.log1p(-uniform.clamp_min(2.0**-53))

"""Places, g and |h|^2 of all UEs, step by step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optimizer.world.channel.gain_table import GainTable
from optimizer.world.channel.interference import OtherCells
from optimizer.world.channel.mobility import gauss_markov, places_of
from optimizer.world.channel.pathloss import SPEED_OF_LIGHT_M_S
from optimizer.world.config import EpisodeConfig, SystemConfig


class Channels:
    """Where the UEs of many episodes are and how well the station hears them.

    Places and g are drawn once an episode, or change as UEs walk or a file says. |h|^2 is drawn each step,
    from the step before where UEs have a speed. Every draw is of a fixed shape and none depends on what a
    policy does. With statistical CSI |h|^2 is not drawn: the map is already the mean over it.

    Args:
        system: carrier, heights and the ring.
        episode: CSI and fading.
        gains: of a file; None: the ring's places and the pathloss model.
        shape: (episodes, ues).
        generator: source of all draws; its device is where everything is computed.
    """

    gain: Tensor
    """g |h|^2 of this step; g with statistical CSI. (episodes, ues). With other cells divided by how far
    their interference raises the noise: the SNR (1) is then the SINR."""
    seen_gain: Tensor
    """What policies see of it: |h-hat|^2 for |h|^2. (episodes, ues)."""

    def __init__(
        self,
        *,
        system: SystemConfig,
        episode: EpisodeConfig,
        gains: GainTable | None,
        shape: tuple[int, int],
        generator: torch.Generator,
    ) -> None:
        self._episode, self._shape, self._generator = episode, shape, generator
        self._places = places_of(system, episode, gains, shape, generator)
        speed = episode.ue_speed_m_s
        drawn = (episode.csi, episode.fading) == ("instantaneous", "rayleigh")
        self._complex = drawn and (speed is not None or episode.csi_error > 0)
        """Whether h is drawn, not |h|^2 alone."""
        self._correlation = 0.0
        if speed is not None:
            self._correlation = clarke_correlation(speed, carrier_hz=system.carrier_hz, time_s=episode.step_s)
        self._h: Tensor | None = None
        self._others: OtherCells | None = None
        if episode.other_cells:
            self._others = OtherCells(system, episode, shape[0], generator)

    @property
    def position_m(self) -> Tensor:
        """x and y, the station at the origin, (episodes, ues, 2)."""
        return self._places.position_m

    @property
    def mean_gain(self) -> Tensor:
        """g of eq. (1), linear, (episodes, ues)."""
        return self._places.mean_gain

    def place(self) -> None:
        """Start new episodes: new places and their g."""
        self._places.start()

    def fade(self) -> None:
        """Draw |h|^2 of an episode's first step."""
        self._h = self._normal() if self._complex else None
        self._draw_gains()

    def advance(self) -> None:
        """Go on to the next step."""
        self._places.move()
        if self._h is not None:
            self._h = gauss_markov(self._h, self._normal(), self._correlation)
        self._draw_gains()

    def _normal(self) -> Tensor:
        """CN(0, 1), real and imaginary parts in the last axis, (episodes, ues, 2)."""
        drawn = torch.randn(
            (*self._shape, 2), generator=self._generator, dtype=torch.float64, device=self._generator.device
        )
        return drawn * math.sqrt(0.5)

    def _draw_gains(self) -> None:
        """The gains of this step, true and seen."""
        self.gain = self.seen_gain = self._faded()
        if self._h is not None and self._episode.csi_error > 0:
            estimate = gauss_markov(self._h, self._normal(), math.sqrt(1.0 - self._episode.csi_error))
            self.seen_gain = self.mean_gain * power_of(estimate)
        if self._others is not None:
            rise = self._others.noise_rise()
            self.gain, self.seen_gain = self.gain / rise, self.seen_gain / rise

    def _faded(self) -> Tensor:
        if self._episode.csi == "statistical" or self._episode.fading == "none":
            return self.mean_gain
        if self._h is not None:
            return self.mean_gain * power_of(self._h)
        uniform = torch.rand(
            self._shape, generator=self._generator, dtype=torch.float64, device=self._generator.device
        )
        return self.mean_gain * fading_power(uniform)


def clarke_correlation(speed_m_s: float, *, carrier_hz: float, time_s: float) -> float:
    """E[h(t) h*(t + time_s)] of Clarke's model, J_0(2 pi f_D time_s) with f_D = v f_c / c.

    Waves arrive from all directions alike (R. H. Clarke, Bell System Technical Journal 47, 1968).
    """
    doppler_hz = speed_m_s * carrier_hz / SPEED_OF_LIGHT_M_S
    phase = torch.tensor(2.0 * math.pi * doppler_hz * time_s, dtype=torch.float64, device="cpu")
    return float(torch.special.bessel_j0(phase).clamp(-1.0, 1.0))


def power_of(h: Tensor) -> Tensor:
    """|h|^2 of real and imaginary parts in the last axis, at least what `fading_power` is."""
    return h.square().sum(dim=-1).clamp_min(2.0**-53)


def fading_power(uniform: Tensor) -> Tensor:
    """|h|^2 of h ~ CN(0, 1), which is Exp(1), from numbers uniform in [0, 1).

    A draw of exactly 0 (one in 2^53) counts as the next larger one: without it the bound would meet a gain of
    0 at a bandwidth of 0 in eq. (1), which is no number.
    """
    return -torch.log1p(-uniform.clamp_min(2.0**-53))

"""What can be seen before a step, and what of it UE i observes: o_i of section IV-A."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from optimizer.world.config import MODALITIES, EpisodeConfig, SystemConfig
from optimizer.world.physics import (
    Actions,
    best_clock,
    best_local_clock,
    best_power,
    local_qoe,
    needed_snr_db,
    offloading_qoe,
)
from optimizer.world.ranges import clock_to_share, power_levels_w, power_to_share
from optimizer.world.tasks import Tasks

LOOKUPS = ((1, 1.0), (2, 0.75), (2, 0.5), (2, 0.25), (4, 0.25))
"""How many share the server, and shares of the band, at which a UE looks up what offloading would earn
it."""
LOOKUP_POWERS = 4
"""Powers it tries there, equal in dBm."""
POWER_LEVELS = 7
"""Powers a UE tries on the band it is granted, 1 dB apart in Table I's range."""
CLOCK_COLUMN = 8
"""Column of where in its range the best local clock lies, 0 to 1."""
SLOW_SIZE = 10 + len(MODALITIES)
"""Columns that |h|^2 does not decide: location 2, battery, queue, preference, last latency, mean channel,
time, the clock, what local execution would earn, modality one-hot."""
SHARE_COLUMN = SLOW_SIZE + 1
"""Column of the logarithm of the largest share of the band at which the UE meets epsilon_min at p_max, -3 to
0."""
POWER_COLUMN = SLOW_SIZE + 2
"""Column of where in its range (in dBm) the best power lies with half of the band, 0 to 1."""
OBSERVATION_SIZE = SLOW_SIZE + 6 + len(LOOKUPS)
"""After the slow columns: channel, the largest share, the best powers with half and with all of the band, the
most that another UE announces, whether this one announces more, what offloading as in LOOKUPS would earn."""

HEARD = "the largest gain another announces"
"""What a UE is told of the others, in words."""


def observed(*, announce: bool) -> str:
    """The same in words, for the table of policies; `announce` as in `EpisodeConfig`."""
    own = "own channel, queue, battery, beta, place, last latency"
    return f"{own}; {HEARD}" if announce else own


@dataclass(frozen=True, kw_only=True)
class View:
    """What can be seen before a step. A policy says which of it it reads.

    Shapes are given as (episodes, ues); more axes may lead.
    """

    system: SystemConfig
    episode: EpisodeConfig
    tasks: Tasks
    position_m: Tensor
    """x and y, the station at the origin, (episodes, ues, 2)."""
    queue: Tensor
    """d, tasks left, (episodes, ues)."""
    mean_gain: Tensor
    """g, (episodes, ues)."""
    channel_gain: Tensor
    """g |h|^2 with instantaneous CSI, g with statistical, (episodes, ues)."""
    battery_j: Tensor
    """Energy left, (episodes, ues)."""
    battery_max_j: Tensor
    """B_max, (ues,)."""
    beta: Tensor
    """Preference this step, (episodes, ues)."""
    last_latency_s: Tensor
    """t of the step before, (episodes, ues)."""
    step: int
    """Steps played."""

    @cached_property
    def clock_hz(self) -> Tensor:
        """Best local clock that t_max and the battery allow, (episodes, ues)."""
        return best_local_clock(self.system, self.tasks, self.queue, self.beta, self.battery_j)

    @cached_property
    def encoding_clock_hz(self) -> Tensor:
        """Best clock for what an offloading UE runs itself (`--offload-cost split`), (episodes, ues): t_max
        asks less of it than of local execution."""
        return best_clock(self.system, self.beta)

    def clock_for(self, offload: Tensor) -> Tensor:
        """The best clock of each UE; of `offload`'s shape."""
        return torch.where(offload, self.encoding_clock_hz, self.clock_hz)

    @cached_property
    def local_qoe(self) -> Tensor:
        """What each UE earns locally at its best clock, (episodes, ues)."""
        return local_qoe(
            self.system, self.tasks, queue=self.queue.clamp_min(1), battery_j=self.battery_j,
            beta=self.beta, clock_hz=self.clock_hz,
        )  # fmt: skip

    def offers(
        self, lookups: Sequence[tuple[int, float]], powers_w: Sequence[float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What offloading would earn each UE at the best of some powers and of every k.

        Args:
            lookups: how many share the server and the UE's share of the band.
            powers_w: powers to try.

        Returns:
            QoE, power in W and index of k, (lookups, episodes, ues) each.
        """
        options: dict[str, Any] = {"dtype": self.queue.dtype, "device": self.queue.device}
        offloading, share = torch.tensor(lookups, **options).T.view(2, -1, 1, 1, 1, 1)
        power_w = torch.tensor(powers_w, **options).view(-1, 1, 1, 1)
        code = torch.arange(self.tasks.codes, device=self.queue.device).view(-1, 1, 1)
        earned = offloading_qoe(
            self.system, self.tasks, queue=self.queue.clamp_min(1), channel_gain=self.channel_gain,
            battery_j=self.battery_j, beta=self.beta, power_w=power_w, clock_hz=self.encoding_clock_hz,
            bandwidth_hz=self.system.bandwidth_hz * share, offloading=offloading, code=code,
        )  # fmt: skip
        best, at = earned.flatten(1, 2).max(dim=1)  # (lookups, powers * codes, episodes, ues)
        return best, power_w.flatten()[at // self.tasks.codes], at % self.tasks.codes

    def best_power(self, actions: Actions, levels: int = POWER_LEVELS) -> tuple[Tensor, Tensor]:
        """`physics.best_power` now, p in W and QoE; of `actions`' shape."""
        return best_power(
            self.system, self.tasks, actions, powers_w=power_levels_w(self.system, levels), queue=self.queue,
            channel_gain=self.channel_gain, battery_j=self.battery_j, beta=self.beta,
        )  # fmt: skip

    @cached_property
    def slow(self) -> Tensor:
        """What UE i knows that the next |h|^2 does not change, float32, (..., ues, SLOW_SIZE)."""
        system = self.system
        columns = torch.stack(
            (
                self.battery_j / self.battery_max_j,
                self.queue / self.episode.queue_tasks,
                self.beta,
                (self.last_latency_s / system.latency_max_s).clamp_max(2.0),
                self._channel(self.mean_gain).expand_as(self.queue) / 2.0,
                torch.full_like(self.queue, self.step / self.episode.steps),
                clock_to_share(system, self.clock_hz),
                torch.log1p(self.local_qoe),
            ),
            dim=-1,
        )
        one_hot = torch.nn.functional.one_hot(self.tasks.modality, len(MODALITIES)).to(self.queue.dtype)
        lead = self.queue.shape
        place = (self.position_m / system.radius_max_m).expand(*lead, -1)
        return torch.cat((place, columns, one_hot.expand(*lead, -1)), dim=-1).float()

    @cached_property
    def observation(self) -> Tensor:
        """o_i, what UE i knows, float32, (episodes, ues, OBSERVATION_SIZE). It holds its map and its FLOPs,
        so that it can look up what its channel would let it earn. Of the others it hears one number."""
        system = self.system
        channel = self._channel(self.channel_gain)
        # with all the band the SNR is a quarter of that
        spare_db = 10.0 * (channel - math.log10(4.0)) - needed_snr_db(system, self.tasks)
        earned, power_w, _ = self.offers(LOOKUPS, power_levels_w(system, LOOKUP_POWERS))
        power = power_to_share(system, power_w)
        alone = LOOKUPS.index((1, 1.0))
        gain, rival = self.announced(earned[alone])
        columns = (
            channel / 2.0,
            (spare_db * (math.log(10.0) / 10.0)).clamp(-3.0, 0.0),
            power[LOOKUPS.index((2, 0.5))],
            power[alone],
            torch.log1p(rival),
            (gain > rival).double(),
            *torch.log1p(earned),
        )
        return torch.cat((self.slow, torch.stack(columns, dim=-1).float()), dim=-1)

    def announced(self, alone: Tensor) -> tuple[Tensor, Tensor]:
        """What each UE with a task tells the station, and the largest that it hears back of the others.

        Args:
            alone: QoE of offloading with all the band and the server to itself, (..., ues).

        Returns:
            Its gain over local execution, at least 0, and the largest of the others' (0 if there are none),
            (..., ues) each. The station broadcasts the two largest. Both 0 where nobody announces.
        """
        if not self.episode.announce:
            return torch.zeros_like(alone), torch.zeros_like(alone)
        gain = torch.where(self.queue > 0, (alone - self.local_qoe).clamp_min(0.0), 0.0)
        first, second = torch.nn.functional.pad(gain, (0, 1)).topk(2, dim=-1).values.split(1, dim=-1)
        return gain, torch.where(gain == first, second, first)

    def _channel(self, gain: Tensor) -> Tensor:
        """A gain as log10 of the SNR at p_max on a quarter of the band: of order 1 at any noise level."""
        system = self.system
        snr = gain * (system.power_max_w / (system.bandwidth_hz / 4 * system.noise_w_hz))
        return torch.log10(snr.clamp_min(1e-9))

"""What can be seen before a step, and what of it UE i observes: o_i of section IV-A."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from optimizer.world.config import MODALITIES, EpisodeConfig, SystemConfig
from optimizer.world.devices import Device
from optimizer.world.physics import (
    Actions,
    State,
    Transmission,
    best_clock,
    best_local_clock,
    best_power,
    level_of_each,
    levels_of_ues,
    local_qoe,
    needed_snr_db,
    offloading_qoe,
)
from optimizer.world.ranges import clock_to_share, power_levels_w, power_to_share
from optimizer.world.tasks import Tasks


class _Columns:
    """Base of dataclasses of columns, each of a shape that broadcasts against (..., ues)."""

    def stacked(self) -> Tensor:
        """float32, (..., ues, columns)."""
        return torch.stack(torch.broadcast_tensors(*vars(self).values()), dim=-1).float()


@dataclass(frozen=True, kw_only=True)
class SlowColumns(_Columns):
    """What UE i knows that |h|^2 does not decide."""

    x: Tensor
    """Place, as a share of the ring's outer radius."""
    y: Tensor
    battery: Tensor
    """As a share of B_max."""
    queue: Tensor
    """As a share of the queue at the start."""
    beta: Tensor
    last_latency: Tensor
    """In units of t_max, up to 2."""
    mean_channel: Tensor
    """Half of log10 of the mean SNR at p_max on a quarter of the band."""
    time: Tensor
    """Share of T."""
    clock: Tensor
    """Where in its range the best local clock lies, 0 to 1."""
    earned_locally: Tensor
    """log(1 + QoE)."""
    is_text: Tensor
    is_image: Tensor
    is_vqa: Tensor


@dataclass(frozen=True, kw_only=True)
class FastColumns(_Columns):
    """What |h|^2 decides, after the slow columns."""

    channel: Tensor
    """As `mean_channel`, now."""
    share: Tensor
    """Logarithm of the largest share of the band at which the UE meets epsilon_min at p_max, -3 to 0."""
    power_on_half: Tensor
    """Where in its range (in dBm) the best power lies with half of the band, 0 to 1."""
    power_alone: Tensor
    """The same with all of the band."""
    rival: Tensor
    """log(1 + the most that another UE announces)."""
    leads: Tensor
    """Whether this UE announces more, 0 or 1."""
    alone: Tensor
    """log(1 + QoE) of offloading as LOOKUPS says, and so the next four."""
    three_quarters: Tensor
    half: Tensor
    quarter: Tensor
    quarter_of_four: Tensor


LOOKUPS = {
    "alone": (1, 1.0), "three_quarters": (2, 0.75), "half": (2, 0.5), "quarter": (2, 0.25),
    "quarter_of_four": (4, 0.25),
}  # fmt: skip
"""By column: how many share the server, and the share of the band, at which a UE looks up what offloading
would earn it."""
LOOKUP_POWERS = 4
"""Powers it tries there, equal in dBm."""
POWER_LEVELS = 7
"""Powers a UE tries on the band it is granted, 1 dB apart in Table I's range."""

SLOW_SIZE = len(fields(SlowColumns))
COLUMN = {field.name: i for i, field in enumerate((*fields(SlowColumns), *fields(FastColumns)))}
"""Where each column is in an observation."""
OBSERVATION_SIZE = len(COLUMN)
CLOCK_COLUMN, SHARE_COLUMN, POWER_COLUMN = COLUMN["clock"], COLUMN["share"], COLUMN["power_on_half"]

HEARD = "the largest gain another announces"
"""What a UE is told of the others, in words."""


def observed(*, announce: bool) -> str:
    """The same in words, for the table of policies; `announce` as in `EpisodeConfig`."""
    alone = "own channel, queue, battery, beta, place, last latency"
    return f"{alone}; {HEARD}" if announce else alone


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
    state: State
    """Queues, batteries, preferences and channels, g |h|^2 with instantaneous CSI, g with statistical;
    (episodes, ues) each."""
    mean_gain: Tensor
    """g, (episodes, ues)."""
    battery_max_j: Tensor
    """B_max, (ues,)."""
    last_latency_s: Tensor
    """t of the step before, (episodes, ues)."""
    step: int
    """Steps played."""

    @property
    def queue(self) -> Tensor:
        """d, tasks left, (episodes, ues)."""
        return self.state.queue

    @property
    def channel_gain(self) -> Tensor:
        """g |h|^2 with instantaneous CSI, g with statistical, (episodes, ues)."""
        return self.state.channel_gain

    @property
    def battery_j(self) -> Tensor:
        """Energy left, (episodes, ues)."""
        return self.state.battery_j

    @property
    def beta(self) -> Tensor:
        """Preference this step, (episodes, ues)."""
        return self.state.beta

    @property
    def ue_device(self) -> Device:
        """Where the numbers of the UEs' devices are."""
        return self.tasks.device_in(self.system)

    @cached_property
    def clock_hz(self) -> Tensor:
        """Best local clock that t_max and the battery allow, (episodes, ues)."""
        return best_local_clock(self.system, self.tasks, self.state)

    @cached_property
    def encoding_clock_hz(self) -> Tensor:
        """Best clock for what an offloading UE runs itself (`--offload-cost split`), (episodes, ues): t_max
        asks less of it than of local execution."""
        return best_clock(self.ue_device, self.beta)

    def clock_for(self, offload: Tensor) -> Tensor:
        """The best clock of each UE; of `offload`'s shape."""
        return torch.where(offload, self.encoding_clock_hz, self.clock_hz)

    @cached_property
    def local_qoe(self) -> Tensor:
        """What each UE earns locally at its best clock, (episodes, ues)."""
        return local_qoe(self.system, self.tasks, self.state, clock_hz=self.clock_hz)

    def offers(
        self, lookups: Sequence[tuple[int, float]], powers_w: Sequence[float] | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What offloading would earn each UE at the best of some powers and of every k.

        Args:
            lookups: how many share the server and the UE's share of the band.
            powers_w: powers to try, of all UEs, or (levels, ues).

        Returns:
            QoE, power in W and index of k, (lookups, episodes, ues) each.
        """
        device = self.queue.device
        offloading, share = torch.tensor(lookups, dtype=torch.float64, device=device).T.view(
            2, -1, 1, 1, 1, 1
        )
        levels_w = levels_of_ues(powers_w, self.tasks.ues, device=device)
        sent = Transmission(
            power_w=levels_w.view(-1, 1, 1, self.tasks.ues),
            clock_hz=self.encoding_clock_hz,
            bandwidth_hz=self.system.bandwidth_hz * share,
            offloading=offloading,
            code=torch.arange(self.tasks.codes, device=device).view(-1, 1, 1),
        )
        earned = offloading_qoe(self.system, self.tasks, self.state, sent)
        best, at = earned.flatten(1, 2).max(dim=1)  # (lookups, powers * codes, episodes, ues)
        return best, level_of_each(levels_w, at // self.tasks.codes), at % self.tasks.codes

    def best_power(self, actions: Actions, levels: int = POWER_LEVELS) -> tuple[Tensor, Tensor]:
        """`physics.best_power` now, p in W and QoE; of `actions`' shape."""
        powers_w = power_levels_w(self.ue_device, levels)
        return best_power(self.system, self.tasks, actions, self.state, powers_w=powers_w)

    @cached_property
    def slow(self) -> Tensor:
        """`SlowColumns`, float32, (..., ues, SLOW_SIZE)."""
        x, y = (self.position_m / self.system.radius_max_m).unbind(dim=-1)
        return SlowColumns(
            x=x,
            y=y,
            battery=self.battery_j / self.battery_max_j,
            queue=self.queue / self.episode.queue_tasks,
            beta=self.beta,
            last_latency=(self.last_latency_s / self.system.latency_max_s).clamp_max(2.0),
            mean_channel=self._channel(self.mean_gain) / 2.0,
            time=torch.full_like(self.queue, self.step / self.episode.steps),
            clock=clock_to_share(self.ue_device, self.clock_hz),
            earned_locally=torch.log1p(self.local_qoe),
            **{
                f"is_{modality}": (self.tasks.modality == i).double() for i, modality in enumerate(MODALITIES)
            },
        ).stacked()

    @cached_property
    def observation(self) -> Tensor:
        """o_i, what UE i knows, float32, (episodes, ues, OBSERVATION_SIZE): `SlowColumns`, `FastColumns`. It
        holds its map and its FLOPs, so that it can look up what its channel would let it earn. Of the others
        it hears one number."""
        channel = self._channel(self.channel_gain)
        # with all the band the SNR is a quarter of that
        spare_db = 10.0 * (channel - math.log10(4.0)) - needed_snr_db(self.system, self.tasks)
        earned, power_w, _ = self.offers([*LOOKUPS.values()], power_levels_w(self.ue_device, LOOKUP_POWERS))
        offers = dict(zip(LOOKUPS, earned, strict=True))
        power = dict(zip(LOOKUPS, power_to_share(self.ue_device, power_w), strict=True))
        gain, rival = self.announced(offers["alone"])
        fast = FastColumns(
            channel=channel / 2.0,
            share=(spare_db * (math.log(10.0) / 10.0)).clamp(-3.0, 0.0),
            power_on_half=power["half"],
            power_alone=power["alone"],
            rival=torch.log1p(rival),
            leads=(gain > rival).double(),
            **{name: torch.log1p(offer) for name, offer in offers.items()},
        )
        return torch.cat((self.slow, fast.stacked()), dim=-1)

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
        snr = gain * (self.ue_device.power_max_w / (system.bandwidth_hz / 4 * system.noise_w_hz))
        return torch.log10(snr.clamp_min(1e-9))

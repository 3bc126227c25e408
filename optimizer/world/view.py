"""What can be seen before a step, and what of it UE i observes: o_i of section IV-A."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from optimizer.world.config import MODALITIES, EpisodeConfig, SystemConfig
from optimizer.world.devices import Device
from optimizer.world.history import History
from optimizer.world.physics import (
    Actions,
    State,
    Transmission,
    allocate_bandwidth,
    best_clock,
    best_local_clock,
    best_offer,
    best_power,
    level_of_each,
    levels_of_ues,
    local_qoe,
    needed_snr_db,
)
from optimizer.world.ranges import clock_to_share, power_levels_w, power_to_share
from optimizer.world.tasks import Tasks


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What a UE may know, each of a shape that broadcasts against (..., ues)."""

    x: Tensor
    """Place, as a share of the ring's outer radius."""
    y: Tensor
    battery: Tensor
    """As a share of B_max."""
    last_latency: Tensor
    """In units of t_max, up to 2."""
    queue: Tensor
    """As a share of the queue at the start."""
    beta: Tensor
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
    channel: Tensor
    """As `mean_channel`, now."""
    share: Tensor
    """Logarithm of the largest share of the band at which the UE meets epsilon_min at p_max, -3 to 0."""
    power_on_half: Tensor
    """Where in its range (in dBm) the best power lies with half of the band, 0 to 1."""
    power_alone: Tensor
    """The same with all of the band."""
    alone: Tensor
    """log(1 + QoE) of offloading as LOOKUPS says, and so the next four."""
    three_quarters: Tensor
    half: Tensor
    quarter: Tensor
    quarter_of_four: Tensor
    offloaded: Tensor
    """Whether it offloaded in the last step, 0 or 1."""
    granted: Tensor
    """Share of the band it was granted then."""
    sharing: Tensor
    """log(1 + the number that offloaded then), which its latency (5) tells it; 0 where it did not."""
    mean_offloaded: Tensor
    """The same three as means: over the steps before, the last two over those in which it offloaded."""
    mean_granted: Tensor
    mean_sharing: Tensor
    rival: Tensor
    """log(1 + the most that another UE announces, or that its bid's grant tells of the others)."""
    leads: Tensor
    """Whether the station names this UE, or its bid is granted more than half of the band, 0 or 1."""
    ues: Tensor
    """ln(I). The actor's heads start from it; no network sees it, so that a policy serves any number."""

    def stacked(self, names: Collection[str]) -> Tensor:
        """Those named, the others 0; float32, (..., ues, OBSERVATION_SIZE).

        In memory a column's numbers lie side by side: so they are written faster, and a matrix product reads
        either order.
        """
        columns = torch.empty(OBSERVATION_SIZE, *self.queue.shape, device=self.queue.device)
        for name, place in COLUMN.items():
            columns[place] = getattr(self, name) if name in names else 0.0
        return columns.movedim(0, -1)


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

BID_SCALE = 20.0
"""b-hat of a bid is this times the logarithm of the UE's gain: a tenth more gain is granted nearly seven
times the band."""

COLUMN = {field.name: i for i, field in enumerate(fields(Columns))}
"""Where each column is in an observation."""
OBSERVATION_SIZE = len(COLUMN)

_PRINTED = ("x", "y", "battery", "last_latency")
_HISTORY = ("offloaded", "granted", "sharing", "mean_offloaded", "mean_granted", "mean_sharing")
_HEARD = ("rival", "leads")
_LOOKUPS = tuple(name for name in COLUMN if name not in (*_HISTORY, *_HEARD, "ues"))
SEEN = {
    "printed": _PRINTED, "lookups": _LOOKUPS, "history": _LOOKUPS + _HISTORY, "bids": _LOOKUPS + _HEARD,
    "announced": _LOOKUPS + _HEARD,
}  # fmt: skip
"""Columns that a UE sees, by `EpisodeConfig.observation`; the others are 0."""
_OWN = "own channel, queue, battery, beta, place, last latency"
HEARD = "the largest gain another announces"
SEES = {
    "printed": "own place, battery, last latency", "lookups": _OWN, "history": f"{_OWN}, own grants so far",
    "bids": f"{_OWN}; what its bid would be granted", "announced": f"{_OWN}; {HEARD}",
}  # fmt: skip
"""The same in words, for the table of policies."""


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
    """Queues, batteries, preferences and channels, g |h|^2 with instantaneous CSI, g with statistical, g
    |h-hat|^2 where CSI is imperfect; (episodes, ues) each."""
    mean_gain: Tensor
    """g, (episodes, ues)."""
    battery_max_j: Tensor
    """B_max, (ues,)."""
    last_latency_s: Tensor
    """t of the step before, (episodes, ues)."""
    history: History
    """What each UE remembers of the episode."""
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
        self,
        lookups: Sequence[tuple[int, float]],
        powers_w: Sequence[float] | Tensor,
        *,
        dtype: torch.dtype = torch.float64,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What offloading would earn each UE at the best of some powers and of every k.

        Args:
            lookups: how many share the server and the UE's share of the band.
            powers_w: powers to try, of all UEs, or (levels, ues).
            dtype: as of `physics.best_offer`; QoE's, too.

        Returns:
            QoE, power in W and index of k, (lookups, episodes, ues) each.
        """
        device, codes = self.queue.device, self.tasks.codes
        offloading, share = torch.tensor(lookups, dtype=torch.float64, device=device).T.view(2, -1, 1, 1, 1)
        levels_w = levels_of_ues(powers_w, device=device)
        sent = Transmission(
            power_w=levels_w.view(-1, 1, 1, 1, levels_w.shape[-1]),
            clock_hz=self.encoding_clock_hz,
            bandwidth_hz=self.system.bandwidth_hz * share,
            offloading=offloading,
            code=None if codes == 1 else torch.arange(codes, device=device).view(-1, 1, 1),
        )
        # (lookups, codes, episodes, ues) each
        most, at = best_offer(self.system, self.tasks, self.state, sent, dtype=dtype)
        if codes == 1:
            most, at, code = most[:, 0], at[:, 0], at.new_zeros(()).expand_as(at[:, 0])
        else:
            most, code = most.max(dim=1)
            at = at.gather(1, code.unsqueeze(1))[:, 0]
        return most, level_of_each(levels_w, at), code

    def best_power(self, actions: Actions, levels: int = POWER_LEVELS) -> tuple[Tensor, Tensor]:
        """`physics.best_power` now, p in W and QoE; of `actions`' shape."""
        powers_w = power_levels_w(self.ue_device, levels)
        return best_power(self.system, self.tasks, actions, self.state, powers_w=powers_w)

    def settled(self, actions: Actions, *, under: float) -> Actions:
        """The same at the best power on the granted band, where it pays to stay.

        A UE withdraws if it would earn at most `under` times what it earns locally, and that is above 0: it
        computes at its best clock, and (12) shares the band among those who stay. They are granted more, and
        are not asked again. With 0 those withdraw whose every power fails.
        """
        power_w, earned = self.best_power(actions)
        withdraws = actions.offload & (earned <= under * self.local_qoe) & (self.local_qoe > 0)
        if withdraws.any():
            actions = replace(
                actions,
                offload=actions.offload & ~withdraws,
                clock_hz=torch.where(withdraws, self.clock_hz, actions.clock_hz),
            )
            power_w, _ = self.best_power(actions)
        return replace(actions, power_w=power_w)

    @cached_property
    def _lookups(self) -> tuple[dict[str, Tensor], ...]:
        """QoE, power in W and index of k of offloading as LOOKUPS says, (episodes, ues) each."""
        offers = self.offers(
            [*LOOKUPS.values()], power_levels_w(self.ue_device, LOOKUP_POWERS), dtype=torch.float32
        )
        return tuple(dict(zip(LOOKUPS, offer, strict=True)) for offer in offers)

    @property
    def code_alone(self) -> Tensor:
        """Index of the best k with all the band and the server, int64, (episodes, ues)."""
        return self._lookups[2]["alone"]

    @cached_property
    def gain(self) -> Tensor:
        """What each UE with a task would earn over local execution by offloading alone, with all the band and
        the server to itself, at least 0; 0 without a task. (episodes, ues)."""
        return (self._lookups[0]["alone"] - self.local_qoe).clamp_min_(0.0).masked_fill_(self.queue <= 0, 0.0)

    @cached_property
    def bid(self) -> Tensor:
        """b-hat by which a UE bids for the band, BID_SCALE ln(gain); means nothing where the gain is 0.
        (episodes, ues)."""
        return bid_of_gain(self.gain)

    @cached_property
    def announced(self) -> tuple[Tensor, Tensor]:
        """The largest gain of the others that each UE is told (0 if there is none), and whether the station
        names it as the one of the largest: of equal gains the first UE's. (episodes, ues) each; nobody is
        named where nobody gains."""
        gain = self.gain
        first, at = gain.max(dim=-1, keepdim=True)
        named = torch.zeros_like(gain, dtype=torch.bool).scatter_(-1, at, first > 0)
        second = gain.masked_fill(named, 0.0).amax(dim=-1, keepdim=True)
        return torch.where(named, second, first), named

    @cached_property
    def told_by_bids(self) -> tuple[Tensor, Tensor]:
        """The same as far as (12) tells it, if all who gain request `bid`: what it grants a UE says how
        strong the others' bids are together, and only the largest can have more than half of the band. Who
        does not gain bids nothing and is told nothing. (episodes, ues) each."""
        bids = self.gain > 0
        share = allocate_bandwidth(self.system, self.bid, bids) / self.system.bandwidth_hz
        odds = (1.0 - share).clamp_min(1e-12) / share.clamp_min(1e-12)
        rival = self.gain * odds ** (1.0 / BID_SCALE)
        return torch.where(bids & (share < 1.0), rival, 0.0), share > 0.5

    @property
    def _told(self) -> tuple[Tensor, Tensor]:
        """What `EpisodeConfig.observation` lets a UE hear of the others."""
        if self.episode.observation == "bids":
            return self.told_by_bids
        if self.episode.observation == "announced":
            return self.announced
        return torch.zeros_like(self.queue), torch.zeros_like(self.queue, dtype=torch.bool)

    @cached_property
    def known(self) -> Columns:
        """What a UE can know that holds its map and its FLOPs, so that it can look up what its channel would
        let it earn."""
        x, y = (self.position_m / self.system.radius_max_m).unbind(dim=-1)
        channel = self._channel(self.channel_gain)
        # with all the band the SNR is a quarter of that
        spare_db = 10.0 * (channel - math.log10(4.0)) - needed_snr_db(self.system, self.tasks)
        earned, power_w, _ = self._lookups
        power_on_half, power_alone = (
            power_to_share(self.ue_device, power_w[name]) for name in ("half", "alone")
        )
        rival, leads = self._told
        past, (offloads, granted, sharing) = self.history, self.history.sums
        times = offloads.clamp_min(1.0)
        return Columns(
            x=x,
            y=y,
            battery=self.battery_j / self.battery_max_j,
            last_latency=(self.last_latency_s / self.system.latency_max_s).clamp_max(2.0),
            queue=self.queue / self.episode.queue_tasks,
            beta=self.beta,
            mean_channel=self._channel(self.mean_gain) / 2.0,
            time=torch.full_like(self.queue, self.step / self.episode.steps),
            clock=clock_to_share(self.ue_device, self.clock_hz),
            earned_locally=log_of_1_and(self.local_qoe),
            **{
                f"is_{modality}": (self.tasks.modality == i).double() for i, modality in enumerate(MODALITIES)
            },
            channel=channel / 2.0,
            share=(spare_db * (math.log(10.0) / 10.0)).clamp(-3.0, 0.0),
            power_on_half=power_on_half,
            power_alone=power_alone,
            **{name: log_of_1_and(offer) for name, offer in earned.items()},
            offloaded=past.offloaded,
            granted=past.granted,
            sharing=log_of_1_and(past.sharing),
            mean_offloaded=offloads / max(self.step, 1),
            mean_granted=granted / times,
            mean_sharing=log_of_1_and(sharing / times),
            rival=log_of_1_and(rival),
            leads=leads.double(),
            ues=torch.full_like(self.queue, math.log(self.queue.shape[-1])),
        )

    @cached_property
    def columns(self) -> Tensor:
        """`known` as one tensor, float32, (episodes, ues, OBSERVATION_SIZE)."""
        return self.known.stacked(COLUMN)

    @cached_property
    def observation(self) -> Tensor:
        """o_i, what UE i knows, float32, (episodes, ues, OBSERVATION_SIZE): of `columns` those that
        `EpisodeConfig.observation` lets it see, the others 0."""
        return self.known.stacked(SEEN[self.episode.observation])

    def _channel(self, gain: Tensor) -> Tensor:
        """A gain as log10 of the SNR at p_max on a quarter of the band: of order 1 at any noise level."""
        system = self.system
        snr = gain * (self.ue_device.power_max_w / (system.bandwidth_hz / 4 * system.noise_w_hz))
        return torch.log10(snr.clamp_min(1e-9).float())


def log_of_1_and(value: Tensor) -> Tensor:
    """ln(1 + value) as float32: several times as fast as log1p, and as good where 1e-7 does not count."""
    return (value.float() + 1.0).log_()


def bid_of_gain(gain: Tensor) -> Tensor:
    """b-hat of a UE that gains so much by offloading, of `gain`'s shape; means nothing where that is 0."""
    return BID_SCALE * torch.log(gain.clamp_min(1e-9))

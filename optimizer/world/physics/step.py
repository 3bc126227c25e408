"""One step of all UEs, and what one of them earns by itself: eqs. (1)-(12) put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.physics.effort import (
    cost_weights,
    local_effort,
    meets_limits,
    offloading_effort,
    offloading_parts,
    standard_cost,
)
from optimizer.world.physics.precision import in_float64
from optimizer.world.physics.radio import (
    MapReader,
    allocate_bandwidth,
    map_accuracy,
    needed_snr_of_codes_db,
    snr_db,
)
from optimizer.world.physics.state import Actions, Outcome, State, Transmission
from optimizer.world.tasks import Tasks

_AT_ONCE = 50_000
"""Numbers in one tensor of offers, so that it stays in the cache; more powers are tried in turns."""
_ABOVE_DB = 1e-9
"""How far above an SNR a UE aims, so that rounding breaks no limit."""


def execute(system: SystemConfig, tasks: Tasks, actions: Actions, state: State) -> Outcome:
    """Run one step of all UEs: a pure function of its arguments.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        actions: what the UEs do; a UE with an empty queue does nothing, whatever its action.
        state: what the step starts from.

    Returns:
        Finite values throughout, `snr_db` of local UEs excepted.
    """
    active = state.queue > 0
    offload = actions.offload & active
    granted_hz, sent = _grant(system, actions, offload)
    sent = _used(system, tasks, state, sent)
    received_db, accuracy = _reception(system, tasks, state, sent)
    accuracy = torch.where(offload, accuracy, 1.0)

    remote_s, remote_j = offloading_effort(system, tasks, sent, queue=state.queue, accuracy=accuracy)
    local_s, local_j = local_effort(system, tasks, queue=state.queue, clock_hz=actions.clock_hz)
    latency_s = torch.where(offload, remote_s, local_s)
    energy_j = torch.where(offload, remote_j, local_j)

    cost = standard_cost(system, tasks, state, latency_s=latency_s, energy_j=energy_j)
    accurate, in_time, charged = meets_limits(
        system, accuracy=accuracy, latency_s=latency_s, energy_j=energy_j, battery_j=state.battery_j
    )
    zero = torch.zeros((), dtype=torch.float64, device=state.queue.device)
    return Outcome(
        offloaded=offload,
        bandwidth_hz=granted_hz,
        snr_db=torch.where(offload, received_db, torch.where(active, -torch.inf, zero)),
        accuracy=torch.where(active, accuracy, zero),
        latency_s=torch.where(active, latency_s, zero),
        energy_j=torch.where(active, energy_j, zero),
        cost=torch.where(active, cost, zero),
        qoe=torch.where(active, accuracy / cost, zero),  # (10)
        accurate=active & accurate,
        in_time=active & in_time,
        charged=active & charged,
    )


def _grant(system: SystemConfig, actions: Actions, offload: Tensor) -> tuple[Tensor, Transmission]:
    """The band that (12) gives each UE, 0 Hz to one that does not offload, and how it is used.

    In the second, 1 Hz stands in for 0 Hz, by which eqs. (1), (4) would divide.
    """
    granted_hz = allocate_bandwidth(system, actions.bandwidth_request, offload)
    sent = Transmission(
        power_w=actions.power_w,
        clock_hz=actions.clock_hz,
        bandwidth_hz=torch.where(offload, granted_hz, 1.0),
        offloading=offload.sum(dim=-1, keepdim=True),
        code=actions.code,
    )
    return granted_hz, sent


def _reception(system: SystemConfig, tasks: Tasks, state: State, sent: Transmission) -> tuple[Tensor, Tensor]:
    """SNR in dB (1) and epsilon / epsilon_0 of what is sent."""
    received_db = snr_db(
        system, power_w=sent.power_w, channel_gain=state.channel_gain, bandwidth_hz=sent.bandwidth_hz
    )
    return received_db, map_accuracy(tasks, received_db, sent.code)


def _used(system: SystemConfig, tasks: Tasks, state: State, sent: Transmission) -> Transmission:
    """What is sent on the part of the granted band that earns most; on all of it without `partial_band`.

    Tried are the whole grant and the parts on which the SNR (1) is that of the map's points, of the middles
    between them, and the least that meets (11b).
    """
    if not system.partial_band:
        return sent
    axis = tasks.map_snr_db
    needed_db = needed_snr_of_codes_db(system, tasks)
    ues = torch.arange(tasks.ues, device=axis.device)
    targets_db = [*torch.cat((axis, (axis[1:] + axis[:-1]) / 2.0))]
    targets_db.append(needed_db[:, 0] if sent.code is None else needed_db[ues, sent.code])
    on_1_hz = sent.power_w * state.channel_gain / system.noise_w_hz
    most, best_hz = _earned(system, tasks, state, sent), sent.bandwidth_hz
    for target_db in targets_db:
        part_hz = on_1_hz * 10.0 ** (-(target_db + _ABOVE_DB) / 10.0)
        part_hz = torch.minimum(part_hz.clamp_min(1.0), sent.bandwidth_hz)
        earned = _earned(system, tasks, state, replace(sent, bandwidth_hz=part_hz))
        best_hz = torch.where(earned > most, part_hz, best_hz)
        most = torch.maximum(earned, most)
    return replace(sent, bandwidth_hz=best_hz)


@in_float64
def local_qoe(system: SystemConfig, tasks: Tasks, state: State, *, clock_hz: Tensor) -> Tensor:
    """QoE a UE with a task earns locally, 0 where (11g) or (11h) fails; (..., ues).

    A queue of 0 counts as one of 1.
    """
    queue = state.queue.clamp_min(1)
    latency_s, energy_j = local_effort(system, tasks, queue=queue, clock_hz=clock_hz)
    cost = standard_cost(system, tasks, state, latency_s=latency_s, energy_j=energy_j)
    _, in_time, charged = meets_limits(
        system,
        accuracy=torch.ones_like(cost),
        latency_s=latency_s,
        energy_j=energy_j,
        battery_j=state.battery_j,
    )
    return torch.where(in_time & charged, 1.0 / cost, 0.0)


def offloading_qoe(system: SystemConfig, tasks: Tasks, state: State, sent: Transmission) -> Tensor:
    """QoE a UE with a task earns by offloading with its share of band and server, 0 where it fails;
    (..., ues). A queue of 0 counts as one of 1."""
    return _earned(system, tasks, state, _used(system, tasks, state, sent))


def _earned(system: SystemConfig, tasks: Tasks, state: State, sent: Transmission) -> Tensor:
    """`offloading_qoe` with exactly the band of `sent`."""
    return _Upload(system, tasks, state, sent).earned(sent.power_w)


class _Upload:
    """What offloading earns against the power, all else as it is.

    With accuracy a the upload (4) takes u / a, and the cost (9) is c + (v + w p) u / a, where c, v and w
    depend on neither p nor a. (11g) and (11h) ask for a least a. So little is left to do for each power. That
    may be done in float32, in half the memory.
    """

    def __init__(
        self,
        system: SystemConfig,
        tasks: Tasks,
        state: State,
        sent: Transmission,
        *,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        # the logarithm of each factor once, not of each product
        at_1_hz_db = 10.0 * torch.log10((state.channel_gain / system.noise_w_hz).to(dtype))
        self._at_1_w_db = at_1_hz_db - 10.0 * torch.log10(sent.bandwidth_hz.to(dtype))
        self._accuracy = MapReader(tasks, sent.code, shape=self._at_1_w_db.shape, dtype=dtype)
        shortest_s, rest_s, encode_j = offloading_parts(
            system, tasks, sent, queue=state.queue.clamp_min(1), dtype=dtype
        )
        of_energy, of_latency = cost_weights(system, tasks, state)
        static_w = tasks.device_in(system).circuit_power_w
        of_time, of_energy = (of_latency + of_energy * static_w).to(dtype), of_energy.to(dtype)
        self._static_w = static_w.to(dtype) if isinstance(static_w, Tensor) else static_w
        self._rest, spare_j = of_time * rest_s, state.battery_j.to(dtype) - rest_s * self._static_w
        if encode_j is not None:
            self._rest, spare_j = self._rest + of_energy * encode_j, spare_j - encode_j
        least = shortest_s / (system.latency_max_s - rest_s).clamp_min_(0.0)  # (11g)
        self._least = least.clamp_min_(system.accuracy_min)
        self._least_per_w = shortest_s / spare_j.clamp_min_(0.0)  # (11h)
        self._without, self._per_w = of_time * shortest_s, of_energy * shortest_s

    def earned(self, power_w: Tensor) -> Tensor:
        """QoE at some powers, 0 where it fails; the shapes broadcast."""
        power_w = power_w.to(self._at_1_w_db.dtype)
        accuracy = self._accuracy(10.0 * torch.log10(power_w) + self._at_1_w_db)
        cost_times_a = torch.addcmul(self._without, self._per_w, power_w).addcmul(self._rest, accuracy)
        least = torch.maximum(self._least, (power_w + self._static_w) * self._least_per_w)
        fails = _above(least, accuracy)
        earned = accuracy.square_().div_(cost_times_a)
        return earned.addcmul_(earned, fails, value=-1.0)

    @property
    def numel(self) -> int:
        """How many numbers each power makes."""
        return self._least.numel()


def best_offer(
    system: SystemConfig,
    tasks: Tasks,
    state: State,
    sent: Transmission,
    *,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """The most that the powers along the first axis of `sent` let each UE earn, and the first that does.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        state: what the step starts from.
        sent: its power has one axis more in front than all else.
        dtype: what powers are compared in. float32 is for what is only looked at: QoE to some 1e-6 of itself.
            With `partial_band` all is float64.

    Returns:
        QoE, 0 where every power fails, and the power's index, int64; `offloading_qoe`'s shape without that
        axis.
    """
    if system.partial_band:
        return first_largest(offloading_qoe(system, tasks, state, sent))
    upload = _Upload(system, tasks, state, sent, dtype=dtype)
    powers = sent.power_w.split(max(1, _AT_ONCE // upload.numel))
    return first_largest(value for power_w in powers for value in upload.earned(power_w))


def best_power(
    system: SystemConfig, tasks: Tasks, actions: Actions, state: State, *, powers_w: Sequence[float] | Tensor
) -> tuple[Tensor, Tensor]:
    """The power that earns each UE most on the band that (12) grants it, and what it earns.

    p_i enters UE i's own accuracy and energy alone, so that it can be chosen after the grant.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        actions: rho, f, b-hat and k, (..., ues); the power is not read.
        state: what the step starts from.
        powers_w: powers to try, of all UEs, or (levels, ues).

    Returns:
        p in W and QoE, (..., ues) each; the first of `powers_w` and 0 where every power fails. Means nothing
        where the UE does not offload.
    """
    offload = actions.offload & (state.queue > 0)
    _, sent = _grant(system, actions, offload)
    power_w = levels_of_ues(powers_w, device=state.queue.device)
    tried = replace(sent, power_w=power_w.view(-1, *[1] * (offload.dim() - 1), power_w.shape[-1]))
    most, at = best_offer(system, tasks, state, tried)
    return level_of_each(power_w, at), most


def levels_of_ues(levels: Sequence[float] | Tensor, *, device: torch.device) -> Tensor:
    """Levels of all UEs, or (levels, ues), as float64 of (levels, 1) or (levels, ues)."""
    values = torch.as_tensor(levels, dtype=torch.float64, device=device)
    return values.unsqueeze(-1) if values.dim() == 1 else values


def first_largest(values: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """The largest of some tensors of floats in each place, and the index of the first that has it, int64:
    `max` along an axis, several times as fast where that is short."""
    values = iter(values)
    best = next(values)
    at = torch.zeros_like(best)
    for index, value in enumerate(values, start=1):
        at.lerp_(torch.full_like(at, index), _above(value, best))
        best = torch.maximum(best, value)
    return best, at.long()


def _above(one: Tensor, other: Tensor) -> Tensor:
    """1 where `one` is above `other`, else 0, in their dtype; of two floats one must be finite. PyTorch
    compares and masks several times slower than it counts."""
    return (one - other).sign_().clamp_min_(0.0)


def level_of_each(levels: Tensor, index: Tensor) -> Tensor:
    """Each UE's level at its index.

    Args:
        levels: (levels, 1) where all UEs have the same, else (levels, ues).
        index: (..., ues).

    Returns:
        `index`'s shape.
    """
    if levels.shape[-1] == 1:
        return levels.flatten().index_select(0, index.flatten()).view(index.shape)
    return levels[index, torch.arange(levels.shape[-1], device=index.device)]

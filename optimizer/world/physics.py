"""The physics of one step: eqs. (1)-(10), (11b), (11g), (11h), (12) and (28) on batched tensors.

`execute` is one step of all UEs. It is put together from `allocate_bandwidth`, `snr_db`, `map_accuracy`,
`local_effort`, `offloading_effort` and `standard_cost`, which the bound and the look-ups call on their own;
nobody has formulas of their own. Shapes: `(..., ues)`, any number of leading axes; the last axis is what
eqs. (5), (6) and (12) sum over. Everything is computed in float64: numbers of another type are converted
first, since f^3 exceeds what int64 and float16 hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.precision import in_float64
from optimizer.world.tasks import Tasks

_CLOCK_MARGIN = 1e-12
"""Share by which a clock that a limit decides stays inside it, so that rounding breaks no constraint."""


@dataclass(frozen=True, kw_only=True)
class Actions:
    """a_i of section IV-A; every tensor (..., ues)."""

    offload: Tensor
    """rho, bool."""
    power_w: Tensor
    """p. Read where the UE offloads."""
    clock_hz: Tensor
    """f. Read where the UE computes."""
    bandwidth_request: Tensor
    """b-hat of eq. (12), any real number. Read where the UE offloads."""
    code: Tensor | None = None
    """Index of k among `Tasks.symbols`, int64; None is 0. Read where the UE offloads."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one step came to; every tensor (..., ues). All zero (False) for a UE whose queue is empty."""

    offloaded: Tensor
    """rho of the UEs that had a task, bool."""
    bandwidth_hz: Tensor
    """b of eq. (12); 0 for a local UE."""
    snr_db: Tensor
    """gamma of eq. (1) in dB, per complex symbol; -inf for a local UE."""
    accuracy: Tensor
    """epsilon / epsilon_0; 1 for a local UE."""
    latency_s: Tensor
    """t of eq. (7)."""
    energy_j: Tensor
    """E of eq. (8), UE side."""
    cost: Tensor
    """Eq. (9)."""
    qoe: Tensor
    """Eq. (10), whether or not the constraints hold."""
    accurate: Tensor
    """(11b) holds, bool."""
    in_time: Tensor
    """(11g) holds, bool."""
    charged: Tensor
    """(11h) holds, bool."""

    @property
    def success(self) -> Tensor:
        """All constraints hold: one task leaves the queue. bool, (..., ues)."""
        return self.accurate & self.in_time & self.charged

    @property
    def earned_qoe(self) -> Tensor:
        """QoE, 0 where the execution failed; (..., ues)."""
        return torch.where(self.success, self.qoe, 0.0)


@in_float64
def allocate_bandwidth(system: SystemConfig, request: Tensor, offload: Tensor) -> Tensor:
    """Eq. (12) over the UEs that offload; the others ask for none.

    Args:
        system: BW and the span of requests.
        request: b-hat, (..., ues), finite.
        offload: rho, bool, (..., ues).

    Returns:
        b in Hz, (..., ues), summing to BW, or to 0 where nobody offloads.
    """
    top = torch.where(offload, request, -torch.inf).amax(dim=-1, keepdim=True)
    behind = (request - torch.where(top.isfinite(), top, 0.0)).clamp(-system.bandwidth_request_span, 0.0)
    weight = torch.where(offload, torch.exp(behind), 0.0)
    return system.bandwidth_hz * weight / weight.sum(dim=-1, keepdim=True).clamp_min(1.0)


@in_float64
def snr_db(system: SystemConfig, *, power_w: Tensor, channel_gain: Tensor, bandwidth_hz: Tensor) -> Tensor:
    """gamma of eq. (1) in dB, where the UE offloads; any broadcastable shapes."""
    return 10.0 * torch.log10(power_w * channel_gain / (bandwidth_hz * system.noise_w_hz))


@in_float64
def map_accuracy(tasks: Tasks, snr_db: Tensor, code: Tensor | None = None) -> Tensor:
    """f^Q(k, SNR) of section III: linear in dB between the map's points, clamped to its ends.

    Args:
        tasks: each UE's rows of its map.
        snr_db: (..., ues); -inf reads the map's lower end, inf its upper one.
        code: index of k, (..., ues); None is 0.

    Returns:
        epsilon / epsilon_0 in [0, 1], (..., ues).
    """
    axis = tasks.map_snr_db
    snr = snr_db.clamp(axis[0], axis[-1])
    right = torch.searchsorted(axis, snr.contiguous()).clamp_(1, axis.numel() - 1)
    first = tasks.map_row_start if code is None else tasks.map_row_start + code * axis.numel()
    at = first + right
    table = tasks.map_ratio.flatten()
    low, high = table[at - 1], table[at]
    left_db = axis[right - 1]
    return low + (snr - left_db) / (axis[right] - left_db) * (high - low)


def needed_snr_db(system: SystemConfig, tasks: Tasks) -> Tensor:
    """Least SNR at which each UE's first k meets epsilon_min (11b), inf where none does; (ues,)."""
    axis, ratio = tasks.map_snr_db, tasks.map_ratio[:, 0]  # (points,), (ues, points)
    first = (ratio >= system.accuracy_min).to(torch.int64).argmax(dim=-1)  # 0 where none does
    reaches = ratio.gather(-1, first.unsqueeze(-1)).squeeze(-1) >= system.accuracy_min
    before = (first - 1).clamp_min(0)
    low, high = (ratio.gather(-1, at.unsqueeze(-1)).squeeze(-1) for at in (before, first))
    share = torch.where(high > low, (system.accuracy_min - low) / (high - low).clamp_min(1e-12), 1.0)
    needed = axis[before] + share * (axis[first] - axis[before])
    return torch.where(reaches, torch.where(first == 0, -torch.inf, needed), torch.inf)


@in_float64
def local_effort(
    system: SystemConfig, tasks: Tasks, *, queue: Tensor, clock_hz: Tensor
) -> tuple[Tensor, Tensor]:
    """Latency and energy of local execution, eqs. (3), (7), (8) at rho = 0.

    Returns:
        t in s and E in J, (..., ues).
    """
    latency_s = queue * tasks.flops / (system.local_flops_per_cycle * clock_hz)  # (3)
    return latency_s, latency_s * (
        system.local_energy_coefficient * clock_hz**3 + system.circuit_power_w
    )  # (8)


@in_float64
def offloading_effort(
    system: SystemConfig,
    tasks: Tasks,
    *,
    queue: Tensor,
    power_w: Tensor,
    clock_hz: Tensor,
    bandwidth_hz: Tensor,
    accuracy: Tensor,
    offloading: Tensor,
    code: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Latency and energy of offloading, eqs. (2), (4), (5), (7), (8) at rho = 1.

    Both fall with `bandwidth_hz` and `accuracy`, and rise with `offloading`; latency does not depend on
    `power_w`, energy rises with it. The bound rests on this.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        queue: d.
        power_w: p.
        clock_hz: f, at which the UE runs what it is charged of the encoder.
        bandwidth_hz: b, above 0.
        accuracy: epsilon / epsilon_0.
        offloading: number of UEs that share the server.
        code: index of k; None is 0.

    Returns:
        t in s and E in J, (..., ues).
    """
    encode_s = queue * tasks.ue_flops / (system.local_flops_per_cycle * clock_hz)
    rate = bandwidth_hz * accuracy.clamp_min(system.accuracy_floor) / tasks.symbols_of(code)  # (2) over A
    upload_s = queue / rate  # (4)
    remote_s = queue * tasks.server_flops * offloading / system.remote_capacity_flops  # (5)
    latency_s = encode_s + upload_s + remote_s + system.download_latency_s  # (7)
    compute_j = encode_s * system.local_energy_coefficient * clock_hz**3
    return latency_s, compute_j + power_w * upload_s + latency_s * system.circuit_power_w  # (8)


@in_float64
def local_reference(system: SystemConfig, tasks: Tasks, queue: Tensor) -> tuple[Tensor, Tensor]:
    """E_0 and t_0 of eq. (9): local execution of the same queue at f_max, static power included.

    Returns:
        Energy in J and latency in s, both of `queue`'s shape.
    """
    f_max = torch.full_like(queue, system.local_clock_max_hz)
    latency_s, energy_j = local_effort(system, tasks, queue=queue, clock_hz=f_max)
    return energy_j, latency_s


@in_float64
def standard_cost(
    system: SystemConfig, tasks: Tasks, *, queue: Tensor, beta: Tensor, latency_s: Tensor, energy_j: Tensor
) -> Tensor:
    """Eq. (9), (..., ues). A queue of 0 is judged as one of 1."""
    energy_0_j, latency_0_s = local_reference(system, tasks, queue.clamp_min(1))
    return beta * energy_j / energy_0_j + (1.0 - beta) * latency_s / latency_0_s


@in_float64
def battery_beta(battery_j: Tensor, battery_max_j: Tensor) -> Tensor:
    """beta^d of eq. (28): 0.5 on a full battery, 1 on an empty one."""
    return 1.0 - battery_j / (2.0 * battery_max_j)


@in_float64
def best_clock(system: SystemConfig, beta: Tensor) -> Tensor:
    """Clock within its range that minimises eq. (9) of whatever the UE computes.

    Eq. (9) goes as beta (alpha f^3 + p^c) / (P_0 f) + (1 - beta) / f with P_0 = alpha f_max^3 + p^c. Its
    derivative is 0 at f^3 = (beta p^c + (1 - beta) P_0) / (2 alpha beta), which without static power is
    f = ((1 - beta) / (2 beta))^(1/3) f_max; it falls before and rises after.

    Args:
        system: clock range, energy coefficient, static power.
        beta: any shape.

    Returns:
        f in Hz, of `beta`'s shape.
    """
    alpha, static_w = system.local_energy_coefficient, system.circuit_power_w
    full_w = alpha * system.local_clock_max_hz**3 + static_w
    beta = beta.clamp_min(1e-12)  # beta = 0 wants an infinite clock, which the range then cuts
    free = ((beta * static_w + (1.0 - beta) * full_w) / (2.0 * alpha * beta)) ** (1.0 / 3.0)
    return free.clamp(system.local_clock_min_hz, system.local_clock_max_hz)


@in_float64
def best_local_clock(
    system: SystemConfig, tasks: Tasks, queue: Tensor, beta: Tensor, battery_j: Tensor
) -> Tensor:
    """Clock that minimises eq. (9) of local execution among those that meet t_max (11g) and E^max (11h).

    Where no clock within its range meets both, it is the best one of those that meet (11g), or f_max.

    Args:
        system: clock range, energy coefficient, static power, t_max.
        tasks: l of each UE.
        queue: d, (..., ues).
        beta: (..., ues).
        battery_j: E^max, (..., ues); inf leaves (11h) out.

    Returns:
        f in Hz, (..., ues).
    """
    f_max = system.local_clock_max_hz
    cycles = queue * tasks.flops / system.local_flops_per_cycle
    least = (cycles / system.latency_max_s * (1.0 + _CLOCK_MARGIN)).clamp_max(f_max)
    clock_hz = torch.maximum(best_clock(system, beta), least)
    # (11h) allows a range of clocks around the thriftiest, which never lies above the best
    thriftiest = torch.maximum(best_clock(system, torch.ones_like(clock_hz)), least)
    most = _largest_clock(system, battery_j / cycles) * (1.0 - _CLOCK_MARGIN)
    slower = torch.minimum(clock_hz, torch.maximum(most, thriftiest))
    _, energy_j = local_effort(system, tasks, queue=queue, clock_hz=slower)
    return torch.where(energy_j <= battery_j, slower, clock_hz)


def _largest_clock(system: SystemConfig, cycle_j: Tensor) -> Tensor:
    """Largest f at which a cycle takes `cycle_j`, alpha f^2 + p^c / f: the largest root of a cubic.

    Means nothing where even the thriftiest clock takes more.
    """
    slope, static = (
        cycle_j / system.local_energy_coefficient,
        system.circuit_power_w / system.local_energy_coefficient,
    )
    third = slope / 3.0
    cosine = (-static / 2.0 / third**1.5).clamp(-1.0, 1.0)  # f^3 - slope f + static = 0
    return 2.0 * third.sqrt() * torch.cos(torch.arccos(cosine) / 3.0)


@in_float64
def meets_limits(
    system: SystemConfig, *, accuracy: Tensor, latency_s: Tensor, energy_j: Tensor, battery_j: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(11b), (11g), (11h): whether each holds, bool, (..., ues)."""
    return accuracy >= system.accuracy_min, latency_s <= system.latency_max_s, energy_j <= battery_j


@in_float64
def execute(
    system: SystemConfig,
    tasks: Tasks,
    actions: Actions,
    *,
    queue: Tensor,
    channel_gain: Tensor,
    battery_j: Tensor,
    beta: Tensor,
) -> Outcome:
    """Run one step of all UEs: a pure function of its arguments.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        actions: what the UEs do; a UE with an empty queue does nothing, whatever its action.
        queue: d, tasks left, (..., ues).
        channel_gain: g |h|^2 of eq. (1) with an AWGN map, g alone with a map over average SNR; (..., ues).
        battery_j: E^max of (11h), (..., ues).
        beta: preference of eq. (9), (..., ues).

    Returns:
        Finite values throughout, `snr_db` of local UEs excepted.
    """
    active = queue > 0
    offload = actions.offload & active
    offloading = offload.sum(dim=-1, keepdim=True)

    bandwidth_hz = allocate_bandwidth(system, actions.bandwidth_request, offload)  # (12)
    width = torch.where(offload, bandwidth_hz, 1.0)  # a stand-in where eqs. (1), (4) would divide by 0
    received_db = snr_db(
        system, power_w=actions.power_w, channel_gain=channel_gain, bandwidth_hz=width
    )  # (1)
    accuracy = torch.where(offload, map_accuracy(tasks, received_db, actions.code), 1.0)

    remote_s, remote_j = offloading_effort(
        system, tasks, queue=queue, power_w=actions.power_w, clock_hz=actions.clock_hz, bandwidth_hz=width,
        accuracy=accuracy, offloading=offloading, code=actions.code,
    )  # fmt: skip
    local_s, local_j = local_effort(system, tasks, queue=queue, clock_hz=actions.clock_hz)
    latency_s = torch.where(offload, remote_s, local_s)
    energy_j = torch.where(offload, remote_j, local_j)

    cost = standard_cost(system, tasks, queue=queue, beta=beta, latency_s=latency_s, energy_j=energy_j)
    accurate, in_time, charged = meets_limits(
        system, accuracy=accuracy, latency_s=latency_s, energy_j=energy_j, battery_j=battery_j
    )
    zero = torch.zeros((), dtype=queue.dtype, device=queue.device)
    return Outcome(
        offloaded=offload,
        bandwidth_hz=bandwidth_hz,
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


@in_float64
def local_qoe(
    system: SystemConfig, tasks: Tasks, *, queue: Tensor, battery_j: Tensor, beta: Tensor, clock_hz: Tensor
) -> Tensor:
    """QoE a UE with a task earns locally, 0 where (11g) or (11h) fails; (..., ues)."""
    latency_s, energy_j = local_effort(system, tasks, queue=queue, clock_hz=clock_hz)
    cost = standard_cost(system, tasks, queue=queue, beta=beta, latency_s=latency_s, energy_j=energy_j)
    _, in_time, charged = meets_limits(
        system, accuracy=torch.ones_like(cost), latency_s=latency_s, energy_j=energy_j, battery_j=battery_j
    )
    return torch.where(in_time & charged, 1.0 / cost, 0.0)


@in_float64
def offloading_qoe(
    system: SystemConfig,
    tasks: Tasks,
    *,
    queue: Tensor,
    channel_gain: Tensor,
    battery_j: Tensor,
    beta: Tensor,
    power_w: Tensor,
    clock_hz: Tensor,
    bandwidth_hz: Tensor,
    offloading: Tensor,
    code: Tensor | None = None,
) -> Tensor:
    """QoE a UE with a task earns by offloading, given its share b and how many offload; 0 where it fails.

    Arguments as `offloading_effort` and `execute`; (..., ues).
    """
    received_db = snr_db(system, power_w=power_w, channel_gain=channel_gain, bandwidth_hz=bandwidth_hz)
    accuracy = map_accuracy(tasks, received_db, code)
    latency_s, energy_j = offloading_effort(
        system, tasks, queue=queue, power_w=power_w, clock_hz=clock_hz, bandwidth_hz=bandwidth_hz,
        accuracy=accuracy, offloading=offloading, code=code,
    )  # fmt: skip
    cost = standard_cost(system, tasks, queue=queue, beta=beta, latency_s=latency_s, energy_j=energy_j)
    accurate, in_time, charged = meets_limits(
        system, accuracy=accuracy, latency_s=latency_s, energy_j=energy_j, battery_j=battery_j
    )
    return torch.where(accurate & in_time & charged, accuracy / cost, 0.0)


@in_float64
def best_power(
    system: SystemConfig,
    tasks: Tasks,
    actions: Actions,
    *,
    powers_w: Sequence[float],
    queue: Tensor,
    channel_gain: Tensor,
    battery_j: Tensor,
    beta: Tensor,
) -> tuple[Tensor, Tensor]:
    """The power that earns each UE most on the band that (12) grants it, and what it earns.

    p_i enters UE i's own accuracy and energy alone, so that it can be chosen after the grant.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        actions: rho, f, b-hat and k, (..., ues); the power is not read.
        powers_w: powers to try.
        queue: d, as `execute` and so on, (..., ues).

    Returns:
        p in W and QoE, (..., ues) each; the first of `powers_w` and 0 where every power fails. Means nothing
        where the UE does not offload.
    """
    offload = actions.offload & (queue > 0)
    bandwidth_hz = allocate_bandwidth(system, actions.bandwidth_request, offload)
    power_w = torch.tensor(powers_w, dtype=queue.dtype, device=queue.device)
    earned = offloading_qoe(
        system, tasks, queue=queue.clamp_min(1), channel_gain=channel_gain, battery_j=battery_j, beta=beta,
        power_w=power_w.view(-1, *[1] * offload.dim()), clock_hz=actions.clock_hz,
        bandwidth_hz=torch.where(offload, bandwidth_hz, 1.0),
        offloading=offload.sum(dim=-1, keepdim=True), code=actions.code,
    )  # fmt: skip
    most, at = earned.max(dim=0)
    return power_w[at], most


@in_float64
def server_energy_j(system: SystemConfig, tasks: Tasks, queue: Tensor, offloaded: Tensor) -> Tensor:
    """E^rc of eq. (6), (..., ues). Eq. (8) leaves it out of the cost, so that no decision depends on it."""
    rho = offloaded.to(queue.dtype)
    offloading = rho.sum(dim=-1, keepdim=True)
    remote_s = rho * queue * tasks.server_flops * offloading / system.remote_capacity_flops  # (5)
    clock_hz = system.remote_clock_hz / offloading.clamp_min(1.0)
    return system.remote_energy_coefficient * remote_s * clock_hz**3

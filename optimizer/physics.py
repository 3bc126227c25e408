"""The physics of one step: eqs. (1)-(10), (11b), (11g), (11h), (12) and (28) on batched tensors.

The environment, every policy, the exhaustive search and the bound call `execute`; none has formulas of its
own. Shapes: `(..., ues)`, any number of leading axes; the last axis is what eqs. (5), (6) and (12) sum over.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.config import SystemConfig
from optimizer.tasks import Tasks


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
    server_energy_j: Tensor
    """E^rc of eq. (6). Not part of the cost."""
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


def map_accuracy(tasks: Tasks, snr_db: Tensor) -> Tensor:
    """f^Q(k, SNR) of section III: linear in dB between the map's points, clamped to its ends.

    Args:
        tasks: each UE's row of its map.
        snr_db: (..., ues); -inf reads the map's lower end.

    Returns:
        epsilon / epsilon_0 in [0, 1], (..., ues).
    """
    axis = tasks.map_snr_db
    snr = snr_db.clamp(axis[0], axis[-1])
    right = torch.searchsorted(axis, snr.contiguous()).clamp(1, axis.numel() - 1)
    ue = torch.arange(tasks.ues).expand(snr.shape)
    low, high = tasks.map_ratio[ue, right - 1], tasks.map_ratio[ue, right]
    share = (snr - axis[right - 1]) / (axis[right] - axis[right - 1])
    return low + share * (high - low)


def local_reference(system: SystemConfig, tasks: Tasks, queue: Tensor) -> tuple[Tensor, Tensor]:
    """E_0 and t_0 of eq. (9): local execution of the same queue at f_max, static power included.

    Returns:
        Energy in J and latency in s, both of `queue`'s shape.
    """
    latency_s = queue * tasks.flops / (system.local_flops_per_cycle * system.local_clock_max_hz)
    power_w = system.local_energy_coefficient * system.local_clock_max_hz**3 + system.circuit_power_w
    return power_w * latency_s, latency_s


def battery_beta(battery_j: Tensor, battery_max_j: Tensor) -> Tensor:
    """beta^d of eq. (28): 0.5 on a full battery, 1 on an empty one."""
    return 1.0 - battery_j / (2.0 * battery_max_j)


def best_local_clock(system: SystemConfig, tasks: Tasks, queue: Tensor, beta: Tensor) -> Tensor:
    """Clock that minimises eq. (9) locally, within its range and, if that allows it, t_max.

    Eq. (9) goes as beta (alpha f^3 + p^c) / (P_0 f) + (1 - beta) / f with P_0 = alpha f_max^3 + p^c. Its
    derivative is 0 at f^3 = (beta p^c + (1 - beta) P_0) / (2 alpha beta), which without static power is
    f = ((1 - beta) / (2 beta))^(1/3) f_max.

    Args:
        system: clock range, energy coefficient, static power, t_max.
        tasks: l of each UE.
        queue: d, (..., ues).
        beta: (..., ues).

    Returns:
        f in Hz, (..., ues).
    """
    alpha, static_w = system.local_energy_coefficient, system.circuit_power_w
    full_w = alpha * system.local_clock_max_hz**3 + static_w
    beta = beta.clamp_min(1e-12)  # beta = 0 wants an infinite clock, which the range then cuts
    free = ((beta * static_w + (1.0 - beta) * full_w) / (2.0 * alpha * beta)) ** (1.0 / 3.0)
    needed = queue * tasks.flops / (system.local_flops_per_cycle * system.latency_max_s)
    return torch.maximum(free, needed).clamp(system.local_clock_min_hz, system.local_clock_max_hz)


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
    rho = offload.to(queue.dtype)
    offloading = rho.sum(dim=-1, keepdim=True)

    bandwidth_hz = allocate_bandwidth(system, actions.bandwidth_request, offload)  # (12)
    width = torch.where(offload, bandwidth_hz, 1.0)  # a stand-in where eqs. (1), (4) would divide 0 by 0
    snr = rho * actions.power_w * channel_gain / (width * system.noise_w_hz)  # (1)
    snr_db = 10.0 * torch.log10(snr)
    accuracy = torch.where(offload, map_accuracy(tasks, snr_db), 1.0)

    capacity = system.local_flops_per_cycle * actions.clock_hz  # c of (3), FLOP/s
    local_s = (1.0 - rho) * queue * tasks.flops / capacity  # (3)
    encode_s = rho * queue * tasks.ue_flops / capacity
    rate = width * accuracy.clamp_min(system.accuracy_floor) / tasks.symbols  # (2) over A: tasks a second
    upload_s = rho * queue / rate  # (4)
    remote_capacity = system.remote_flops_per_cycle * system.remote_clock_hz
    remote_s = rho * queue * tasks.server_flops * offloading / remote_capacity  # (5)
    latency_s = local_s + encode_s + upload_s + remote_s + rho * system.download_latency_s  # (7)

    compute_j = system.local_energy_coefficient * (local_s + encode_s) * actions.clock_hz**3
    energy_j = compute_j + actions.power_w * upload_s + latency_s * system.circuit_power_w  # (8)
    remote_clock = system.remote_clock_hz / offloading.clamp_min(1.0)
    server_j = system.remote_energy_coefficient * remote_s * remote_clock**3  # (6)

    energy_0_j, latency_0_s = local_reference(system, tasks, queue.clamp_min(1))
    cost = beta * energy_j / energy_0_j + (1.0 - beta) * latency_s / latency_0_s  # (9)
    qoe = accuracy / torch.where(active, cost, 1.0)  # (10)

    def mask(value: Tensor) -> Tensor:
        return torch.where(active, value, 0.0)

    return Outcome(
        offloaded=offload,
        bandwidth_hz=bandwidth_hz,
        snr_db=mask(snr_db),
        accuracy=mask(accuracy),
        latency_s=mask(latency_s),
        energy_j=mask(energy_j),
        server_energy_j=mask(server_j),
        cost=mask(cost),
        qoe=mask(qoe),
        accurate=active & (accuracy >= system.accuracy_min),
        in_time=active & (latency_s <= system.latency_max_s),
        charged=active & (energy_j <= battery_j),
    )

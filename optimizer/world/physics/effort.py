"""Latency and energy of an execution (2)-(8), what they cost (9) and whether they hold (11)."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.devices import filled
from optimizer.world.physics.precision import in_float64
from optimizer.world.physics.state import State, Transmission
from optimizer.world.tasks import Tasks


@in_float64
def local_effort(
    system: SystemConfig, tasks: Tasks, *, queue: Tensor, clock_hz: Tensor
) -> tuple[Tensor, Tensor]:
    """Latency and energy of local execution, eqs. (3), (7), (8) at rho = 0.

    Returns:
        t in s and E in J, (..., ues).
    """
    device = tasks.device_in(system)
    latency_s = queue * tasks.flops / (device.local_flops_per_cycle * clock_hz)  # (3)
    return latency_s, latency_s * (
        device.local_energy_coefficient * clock_hz**3 + device.circuit_power_w
    )  # (8)


@in_float64
def offloading_effort(
    system: SystemConfig, tasks: Tasks, sent: Transmission, *, queue: Tensor, accuracy: Tensor
) -> tuple[Tensor, Tensor]:
    """Latency and energy of offloading, eqs. (2), (4), (5), (7), (8) at rho = 1.

    Both fall with the bandwidth and `accuracy`, and rise with the number that offload; latency does not
    depend on the power, energy rises with it. The bound rests on this.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        sent: p, f, b, k and who shares the server.
        queue: d.
        accuracy: epsilon / epsilon_0.

    Returns:
        t in s and E in J, (..., ues).
    """
    shortest_s, rest_s, encode_j = offloading_parts(system, tasks, sent, queue=queue)
    upload_s = shortest_s / accuracy.clamp_min(system.accuracy_floor)  # (4)
    latency_s = rest_s + upload_s  # (7)
    energy_j = sent.power_w * upload_s + latency_s * tasks.device_in(system).circuit_power_w  # (8)
    return latency_s, energy_j if encode_j is None else energy_j + encode_j


@in_float64
def offloading_parts(
    system: SystemConfig,
    tasks: Tasks,
    sent: Transmission,
    *,
    queue: Tensor,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What of `offloading_effort` depends on neither power nor accuracy.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        sent: f, b, k and who shares the server.
        queue: d.
        dtype: of what is returned. What depends on a UE alone is computed in float64, what depends on its
            shares of band and server in this.

    Returns:
        Upload (4) at accuracy 1 in s, the rest of t (7) in s, and the energy of the UE's encoder in J, None
        where no UE is charged for it; (..., ues) each.
    """
    device = tasks.device_in(system)
    symbols = (queue * tasks.symbols_of(sent.code)).to(dtype)
    shortest_s = symbols / sent.bandwidth_hz.to(dtype)  # (2), (4)
    alone_s = (queue * (tasks.server_flops / system.remote_capacity_flops)).to(dtype)
    rest_s = alone_s * sent.offloading.to(dtype) + system.download_latency_s  # (5)
    if not tasks.ue_encodes:
        return shortest_s, rest_s, None
    encode_s = queue * tasks.ue_flops / (device.local_flops_per_cycle * sent.clock_hz)
    encode_j = encode_s * device.local_energy_coefficient * sent.clock_hz**3
    return shortest_s, rest_s + encode_s.to(dtype), encode_j.to(dtype)


@in_float64
def local_reference(system: SystemConfig, tasks: Tasks, queue: Tensor) -> tuple[Tensor, Tensor]:
    """E_0 and t_0 of eq. (9): local execution of the same queue at f_max, static power included.

    Returns:
        Energy in J and latency in s, both of `queue`'s shape.
    """
    one = torch.ones_like(tasks.flops)
    f_max = filled(one, tasks.device_in(system).local_clock_max_hz)
    latency_s, energy_j = local_effort(system, tasks, queue=one, clock_hz=f_max)
    return queue * energy_j, queue * latency_s


@in_float64
def standard_cost(
    system: SystemConfig, tasks: Tasks, state: State, *, latency_s: Tensor, energy_j: Tensor
) -> Tensor:
    """Eq. (9), (..., ues). A queue of 0 is judged as one of 1."""
    of_energy, of_latency = cost_weights(system, tasks, state)
    return of_energy * energy_j + of_latency * latency_s


@in_float64
def cost_weights(system: SystemConfig, tasks: Tasks, state: State) -> tuple[Tensor, Tensor]:
    """What a joule and a second cost in eq. (9), (..., ues) each. A queue of 0 is judged as one of 1."""
    energy_0_j, latency_0_s = local_reference(system, tasks, state.queue.clamp_min(1))
    return state.beta / energy_0_j, (1.0 - state.beta) / latency_0_s


@in_float64
def meets_limits(
    system: SystemConfig, *, accuracy: Tensor, latency_s: Tensor, energy_j: Tensor, battery_j: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(11b), (11g), (11h): whether each holds, bool, (..., ues)."""
    return accuracy >= system.accuracy_min, latency_s <= system.latency_max_s, energy_j <= battery_j


@in_float64
def server_energy_j(system: SystemConfig, tasks: Tasks, queue: Tensor, offloaded: Tensor) -> Tensor:
    """E^rc of eq. (6), (..., ues). Eq. (8) leaves it out of the cost, so that no decision depends on it."""
    rho = offloaded.to(queue.dtype)
    offloading = rho.sum(dim=-1, keepdim=True)
    remote_s = rho * queue * tasks.server_flops * offloading / system.remote_capacity_flops  # (5)
    clock_hz = system.remote_clock_hz / offloading.clamp_min(1.0)
    return system.remote_energy_coefficient * remote_s * clock_hz**3

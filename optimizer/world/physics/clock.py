"""The best clock, in closed form, and the preference that a battery makes (28)."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.devices import Device, Number, clamped
from optimizer.world.physics.effort import local_effort
from optimizer.world.physics.precision import in_float64
from optimizer.world.physics.state import State
from optimizer.world.tasks import Tasks

_CLOCK_MARGIN = 1e-12
"""Share by which a clock that a limit decides stays inside it, so that rounding breaks no constraint."""


@in_float64
def battery_beta(battery_j: Tensor, battery_max_j: Tensor) -> Tensor:
    """beta^d of eq. (28): 0.5 on a full battery, 1 on an empty one."""
    return 1.0 - battery_j / (2.0 * battery_max_j)


@in_float64
def best_clock(device: Device, beta: Tensor) -> Tensor:
    """Clock within its range that minimises eq. (9) of whatever the UE computes.

    Eq. (9) goes as beta (alpha f^3 + p^c) / (P_0 f) + (1 - beta) / f with P_0 = alpha f_max^3 + p^c. Its
    derivative is 0 at f^3 = (beta p^c + (1 - beta) P_0) / (2 alpha beta), which without static power is
    f = ((1 - beta) / (2 beta))^(1/3) f_max; it falls before and rises after.

    Args:
        device: clock range, energy coefficient, static power.
        beta: any shape; (..., ues) where the UEs' devices differ.

    Returns:
        f in Hz, of `beta`'s shape.
    """
    alpha, static_w = device.local_energy_coefficient, device.circuit_power_w
    full_w = alpha * device.local_clock_max_hz**3 + static_w
    beta = beta.clamp_min(1e-12)  # beta = 0 wants an infinite clock, which the range then cuts
    free = ((beta * static_w + (1.0 - beta) * full_w) / (2.0 * alpha * beta)) ** (1.0 / 3.0)
    return clamped(free, device.local_clock_min_hz, device.local_clock_max_hz)


def best_local_clock(system: SystemConfig, tasks: Tasks, state: State) -> Tensor:
    """Clock that minimises eq. (9) of local execution among those that meet t_max (11g) and E^max (11h).

    Where no clock within its range meets both, it is the best one of those that meet (11g), or f_max.

    Args:
        system: t_max, and the device of all UEs.
        tasks: l of each UE, and their devices where they differ.
        state: (..., ues).

    Returns:
        f in Hz, (..., ues).
    """
    device = tasks.device_in(system)
    f_max = device.local_clock_max_hz
    cycles = state.queue * tasks.flops / device.local_flops_per_cycle
    least = (cycles / system.latency_max_s * (1.0 + _CLOCK_MARGIN)).clamp_max(f_max)
    clock_hz = torch.maximum(best_clock(device, state.beta), least)
    _, energy_j = local_effort(system, tasks, queue=state.queue, clock_hz=clock_hz)
    if (energy_j <= state.battery_j * (1.0 - _CLOCK_MARGIN)).all():
        return clock_hz  # (11h) holds: no need of the cubic's root
    # (11h) allows a range of clocks around the thriftiest, which never lies above the best
    thriftiest = torch.maximum(best_clock(device, torch.ones_like(tasks.flops)), least)
    most = _largest_clock(device, state.battery_j / cycles) * (1.0 - _CLOCK_MARGIN)
    slower = torch.minimum(clock_hz, torch.maximum(most, thriftiest))
    _, energy_j = local_effort(system, tasks, queue=state.queue, clock_hz=slower)
    return torch.where(energy_j <= state.battery_j, slower, clock_hz)


def _largest_clock(device: Device, cycle_j: Tensor) -> Tensor:
    """Largest f at which a cycle takes `cycle_j`, alpha f^2 + p^c / f: the largest root of a cubic.

    Means nothing where even the thriftiest clock takes more.
    """
    alpha = device.local_energy_coefficient
    slope: Tensor = cycle_j / alpha
    static: Number = device.circuit_power_w / alpha
    third = slope / 3.0
    cosine = (-static / 2.0 / third**1.5).clamp(-1.0, 1.0)  # f^3 - slope f + static = 0
    return 2.0 * third.sqrt() * torch.cos(torch.arccos(cosine) / 3.0)

"""The most one UE can earn, locally or with a bandwidth in a cell: interval arithmetic on the physics."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.bound.states import Step
from optimizer.world.config import SystemConfig, dbm_to_watt
from optimizer.world.devices import filled
from optimizer.world.physics import (
    Transmission,
    best_clock,
    best_local_clock,
    local_effort,
    map_accuracy,
    meets_limits,
    offloading_effort,
    snr_db,
    standard_cost,
)
from optimizer.world.ranges import spread
from optimizer.world.tasks import Tasks

_CHUNK = 50_000
"""Numbers in one tensor of cells, so that it stays in the cache; more are done in turns."""
_ROUNDING = 1e-11
"""Relative; more than what `best_local_clock` keeps from its limits can cost."""


def local_upper(system: SystemConfig, tasks: Tasks, step: Step) -> Tensor:
    """Most a UE can earn locally, 0 where it has no task or must fail; (states, ues).

    At the best clock for either end of beta: the least cost over clocks is a minimum of lines in beta, so it
    is concave in beta and least at an end. The shortest queue and the fullest battery leave the most clocks.
    """
    best = torch.zeros_like(step.queue)
    for beta in (step.beta_min, step.beta_max):
        state = step.shortest(beta)
        clock_hz = best_local_clock(system, tasks, state)
        latency_s, energy_j = local_effort(system, tasks, queue=state.queue, clock_hz=clock_hz)
        cost = standard_cost(system, tasks, state, latency_s=latency_s, energy_j=energy_j)
        best = torch.maximum(best, (1.0 + _ROUNDING) / cost)
    fastest = filled(best, tasks.device_in(system).local_clock_max_hz)
    latency_s, _ = local_effort(system, tasks, queue=step.queue_min, clock_hz=fastest)
    possible = (latency_s <= system.latency_max_s) & (
        _least_local_energy(system, tasks, step.queue_min) * (1.0 - _ROUNDING) <= step.battery_j
    )
    return torch.where(possible & (step.queue > 0), (best - step.price).clamp_min(0.0), 0.0)


def _least_local_energy(system: SystemConfig, tasks: Tasks, queue: Tensor) -> Tensor:
    """Energy of local execution at beta = 1's best clock: the least there is."""
    clock_hz = best_clock(tasks.device_in(system), torch.ones_like(queue))
    return local_effort(system, tasks, queue=queue, clock_hz=clock_hz)[1]


def cell_upper(
    system: SystemConfig,
    tasks: Tasks,
    step: Step,
    *,
    offloading: int,
    low_hz: Tensor,
    high_hz: Tensor,
    powers: int,
) -> Tensor:
    """Most a UE can earn by offloading with a bandwidth in a cell, at any power, clock and k.

    Accuracy is read at the highest SNR of the cell (most power, least bandwidth; infinite at 0 Hz), latency
    and energy at that accuracy, most bandwidth and least power.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        step: (states, ues).
        offloading: n of eq. (5).
        low_hz: lower ends, (cells,), 0 allowed.
        high_hz: upper ends, (cells,), above 0.
        powers: cells of the power range.

    Returns:
        (cells, states, ues); 0 where no point of the cell can succeed.
    """
    states, ues = step.queue.shape
    device = tasks.device_in(system)
    edges_dbm = spread(device.power_min_dbm, device.power_max_dbm, powers + 1, step.queue.device)
    edges_w = dbm_to_watt(edges_dbm)  # (powers + 1, 1 or ues)
    edges_w[0], edges_w[-1] = device.power_min_w, device.power_max_w
    rows = max(1, _CHUNK // (powers * states * ues))
    pieces = []
    for low, high in zip(low_hz.split(rows), high_hz.split(rows), strict=True):
        best = torch.zeros((low.numel(), states, ues), dtype=torch.float64, device=step.queue.device)
        for code in range(tasks.codes):
            best = torch.maximum(
                best,
                _cells(
                    system, tasks, step, offloading=offloading, code=code,
                    low_hz=low.view(-1, 1, 1, 1), high_hz=high.view(-1, 1, 1, 1),
                    low_w=edges_w[:-1].unsqueeze(1), high_w=edges_w[1:].unsqueeze(1),
                ).amax(dim=1),
            )  # fmt: skip
        pieces.append(best)
    return torch.cat(pieces)


def _cells(
    system: SystemConfig,
    tasks: Tasks,
    step: Step,
    *,
    offloading: int,
    code: int,
    low_hz: Tensor,
    high_hz: Tensor,
    low_w: Tensor,
    high_w: Tensor,
) -> Tensor:
    """`cell_upper` of one k; the cells' ends broadcast against (states, ues)."""
    device = tasks.device_in(system)
    chosen = torch.full((tasks.ues,), code, dtype=torch.long, device=step.queue.device)
    received_db = snr_db(system, power_w=high_w, channel_gain=step.channel_gain, bandwidth_hz=low_hz)
    accuracy = map_accuracy(tasks, received_db, chosen)
    share = torch.tensor(float(offloading), dtype=torch.float64, device=step.queue.device)

    def effort(queue: Tensor, clock_hz: Tensor) -> tuple[Tensor, Tensor]:
        sent = Transmission(
            power_w=low_w, clock_hz=clock_hz, bandwidth_hz=high_hz, offloading=share, code=chosen
        )
        return offloading_effort(system, tasks, sent, queue=queue, accuracy=accuracy)

    best = torch.zeros((), dtype=torch.float64, device=step.queue.device)
    same = bool((step.beta_min == step.beta_max).all())
    for beta in (step.beta_min,) if same else (step.beta_min, step.beta_max):
        latency_s, energy_j = effort(step.queue, best_clock(device, beta))
        cost = standard_cost(system, tasks, step.longest(beta), latency_s=latency_s, energy_j=energy_j)
        best = torch.maximum(best, accuracy / cost)
    if step.queue_min is not step.queue or bool((tasks.ue_flops > 0).any()):  # else no clock or range matters
        latency_s, energy_j = effort(step.queue_min, filled(step.queue, device.local_clock_max_hz))
        thrifty_j = effort(step.queue_min, best_clock(device, torch.ones_like(step.queue)))[1]
        energy_j = torch.minimum(energy_j, thrifty_j)
    accurate, in_time, charged = meets_limits(
        system, accuracy=accuracy, latency_s=latency_s, energy_j=energy_j, battery_j=step.battery_j
    )
    possible = accurate & in_time & charged & (step.queue > 0)
    return torch.where(possible, (best - step.price).clamp_min(0.0), 0.0)

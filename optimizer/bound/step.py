"""A certified upper bound on problem (P0) of one step, and a feasible solution close below it.

docs/bound.md proves what is used here. Given how many UEs offload, n, the step's sum QoE separates per UE
once the bandwidth is given, because eq. (5) depends on n alone and the clock has a closed form. Each UE's
best QoE on a cell of bandwidth is bounded by interval arithmetic on `optimizer.world.physics`; dynamic
programming over cells bounds the sum. Both are tilted by a price of bandwidth, which leaves the bound valid
and makes the cells' width a second-order matter. A grid search, by contrast, is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.bound.count import count_upper
from optimizer.bound.grid import GRIDS, Grid
from optimizer.bound.search import Search
from optimizer.bound.states import Step
from optimizer.bound.upper import local_upper
from optimizer.world.config import SystemConfig
from optimizer.world.physics import Actions
from optimizer.world.tasks import Tasks

_STATES = 128
"""States done at once."""


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """The optimum of (P0) lies between `lower` and `upper`, (states,) each."""

    upper: Tensor
    lower: Tensor
    actions: Actions
    """Feasible actions that earn `lower`, (states, ues)."""


def bracket(
    system: SystemConfig,
    tasks: Tasks,
    step: Step,
    *,
    tolerance: float = 1e-3,
    grids: tuple[Grid, ...] = GRIDS,
    search: bool = True,
) -> Bracket:
    """Bounds on (P0), from above and, by feasible actions, from below.

    Where `step` holds ranges, the actions are tried at `queue` and `beta_min`, and `lower` is theirs.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        step: (states, ues).
        tolerance: relative gap at which refinement stops.
        grids: from coarse to fine; fewer are quicker and leave a wider gap.
        search: improve the feasible actions; `upper` gains nothing from it.
    """
    blocks = [
        _bracket(system, tasks, step.rows(index), tolerance, grids, search)
        for index in torch.arange(step.queue.shape[0], device=step.queue.device).split(_STATES)
    ]
    return Bracket(
        upper=torch.cat([block.upper for block in blocks]),
        lower=torch.cat([block.lower for block in blocks]),
        actions=Actions(
            **{
                name: torch.cat([getattr(block.actions, name) for block in blocks])
                for name in ("offload", "power_w", "clock_hz", "bandwidth_request", "code")
            }
        ),
    )


def _bracket(
    system: SystemConfig, tasks: Tasks, step: Step, tolerance: float, grids: tuple[Grid, ...], climb: bool
) -> Bracket:
    states, ues = step.queue.shape
    local = local_upper(system, tasks, step)
    search = Search(system, tasks, step, climbs=climb)
    value = torch.full((ues + 1, states), -torch.inf, dtype=torch.float64, device=step.queue.device)
    value[0] = local.sum(dim=-1)
    active = (step.queue > 0).sum(dim=-1)
    for level, grid in enumerate(grids):
        for n in range(1, ues + 1):
            open_ = active >= n if level == 0 else value[n] > search.value * (1.0 + tolerance)
            rows = open_.nonzero().squeeze(-1)
            if rows.numel() == 0 or (n == 1 and level > 0 and not system.partial_band):
                continue
            bound, shares_hz = count_upper(system, tasks, step.rows(rows), local[rows], n, grid)
            value[n, rows] = bound if level == 0 else torch.minimum(value[n, rows], bound)
            worth = bound > search.value[rows]
            search.improve(rows[worth], shares_hz[worth], n, anew=level == 0)
    return Bracket(upper=value.amax(dim=0), lower=search.value, actions=search.actions())

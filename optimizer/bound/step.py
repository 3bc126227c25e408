"""A certified upper bound on problem (P0) of one step, and a feasible solution close below it.

docs/bound.md proves what is used here. Given how many UEs offload, n, the step's sum QoE separates per UE
once the bandwidth is given, because eq. (5) depends on n alone and the clock has a closed form. Each UE's
best QoE on a cell of bandwidth is bounded by interval arithmetic on `optimizer.world.physics`; dynamic
programming over cells bounds the sum. Both are tilted by a price of bandwidth, which leaves the bound valid
and makes the cells' width a second-order matter. A grid search, by contrast, is a lower bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.physics import (
    Actions,
    best_clock,
    best_local_clock,
    local_effort,
    local_qoe,
    map_accuracy,
    meets_limits,
    offloading_effort,
    offloading_qoe,
    snr_db,
    standard_cost,
)
from optimizer.world.tasks import Tasks

_CHUNK = 50_000
"""Numbers in one tensor of cells, so that it stays in the cache; more are done in turns."""
_STATES = 128
"""States done at once."""
_POWERS_ALONE = 256
"""Power cells where one UE offloads, whose bandwidth is known."""
_POWER_LEVELS = 25
"""Powers a feasible solution tries."""
_COARSE_PRICES = tuple(2.0**exponent for exponent in range(-6, 4))
_FINE_PRICES = tuple(2.0 ** (step / 6) for step in (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5))
"""Prices of bandwidth tried, in units of the most a UE can gain over the whole band, then around the best."""
_ROUNDING = 1e-11
"""Relative; more than what `best_local_clock` keeps from its limits can cost."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How finely a bound is computed; any grid gives a valid one."""

    cells: int
    """Bandwidth cells of the dynamic programme."""
    parts: int
    """Parts each cell's bound is the maximum of."""
    powers: int
    """Cells of the power range, equal in dB."""


GRIDS = (
    Grid(cells=16, parts=4, powers=8),
    Grid(cells=32, parts=8, powers=32),
    Grid(cells=64, parts=12, powers=64),
)
"""From coarse to fine: only where a coarse bound leaves a gap is a finer one computed."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """States of one step, (states, ues) each; where a range is given, the bound holds for all of it."""

    queue: Tensor
    """Longest queue possible, over which the download latency is spread; 0 where the UE has no task."""
    queue_min: Tensor
    """Shortest queue possible, for (11g) and (11h)."""
    channel_gain: Tensor
    battery_j: Tensor
    """Fullest battery possible, for (11h)."""
    beta_min: Tensor
    beta_max: Tensor
    price: Tensor
    """Taken off every success; what is worth less is not done. 0 for (P0) itself."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, value.double())

    @classmethod
    def known(cls, *, queue: Tensor, channel_gain: Tensor, battery_j: Tensor, beta: Tensor) -> Step:
        """States that are known exactly, nothing priced."""
        queue, beta = queue.double(), beta.double()
        return cls(
            queue=queue, queue_min=queue, channel_gain=channel_gain, battery_j=battery_j,
            beta_min=beta, beta_max=beta, price=torch.zeros_like(queue),
        )  # fmt: skip

    def rows(self, index: Tensor | slice) -> Step:
        """Some of the states."""
        rows = {name: value[index] for name, value in vars(self).items()}
        if self.queue_min is self.queue:
            rows["queue_min"] = rows["queue"]
        return Step(**rows)


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """The optimum of (P0) lies between `lower` and `upper`, (states,) each."""

    upper: Tensor
    lower: Tensor
    actions: Actions
    """Feasible actions that earn `lower`, (states, ues)."""


def local_upper(system: SystemConfig, tasks: Tasks, step: Step) -> Tensor:
    """Most a UE can earn locally, 0 where it has no task or must fail; (states, ues).

    At the best clock for either end of beta: the least cost over clocks is a minimum of lines in beta, so it
    is concave in beta and least at an end. The shortest queue and the fullest battery leave the most clocks.
    """
    best = torch.zeros_like(step.queue)
    for beta in (step.beta_min, step.beta_max):
        clock_hz = best_local_clock(system, tasks, step.queue_min, beta, step.battery_j)
        latency_s, energy_j = local_effort(system, tasks, queue=step.queue_min, clock_hz=clock_hz)
        cost = standard_cost(
            system, tasks, queue=step.queue_min, beta=beta, latency_s=latency_s, energy_j=energy_j
        )
        best = torch.maximum(best, (1.0 + _ROUNDING) / cost)
    fastest = torch.full_like(best, system.local_clock_max_hz)
    latency_s, _ = local_effort(system, tasks, queue=step.queue_min, clock_hz=fastest)
    possible = (latency_s <= system.latency_max_s) & (
        _least_local_energy(system, tasks, step.queue_min) * (1.0 - _ROUNDING) <= step.battery_j
    )
    return torch.where(possible & (step.queue > 0), (best - step.price).clamp_min(0.0), 0.0)


def _least_local_energy(system: SystemConfig, tasks: Tasks, queue: Tensor) -> Tensor:
    """Energy of local execution at beta = 1's best clock: the least there is."""
    clock_hz = best_clock(system, torch.ones_like(queue))
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
    edges_dbm = torch.linspace(
        system.power_min_dbm, system.power_max_dbm, powers + 1, dtype=torch.float64, device=step.queue.device
    )
    edges_w = 10.0 ** ((edges_dbm - 30.0) / 10.0)
    edges_w[0], edges_w[-1] = system.power_min_w, system.power_max_w
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
                    low_w=edges_w[:-1].view(1, -1, 1, 1), high_w=edges_w[1:].view(1, -1, 1, 1),
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
    chosen = torch.full((tasks.ues,), code, dtype=torch.long, device=step.queue.device)
    received_db = snr_db(system, power_w=high_w, channel_gain=step.channel_gain, bandwidth_hz=low_hz)
    accuracy = map_accuracy(tasks, received_db, chosen)
    share = torch.tensor(float(offloading), dtype=torch.float64, device=step.queue.device)

    def effort(queue: Tensor, clock_hz: Tensor) -> tuple[Tensor, Tensor]:
        return offloading_effort(
            system, tasks, queue=queue, power_w=low_w, clock_hz=clock_hz, bandwidth_hz=high_hz,
            accuracy=accuracy, offloading=share, code=chosen,
        )  # fmt: skip

    best = torch.zeros((), dtype=torch.float64, device=step.queue.device)
    same = bool((step.beta_min == step.beta_max).all())
    for beta in (step.beta_min,) if same else (step.beta_min, step.beta_max):
        latency_s, energy_j = effort(step.queue, best_clock(system, beta))
        cost = standard_cost(
            system, tasks, queue=step.queue, beta=beta, latency_s=latency_s, energy_j=energy_j
        )
        best = torch.maximum(best, accuracy / cost)
    if step.queue_min is not step.queue or bool((tasks.ue_flops > 0).any()):  # else no clock or range matters
        latency_s, energy_j = effort(step.queue_min, torch.full_like(step.queue, system.local_clock_max_hz))
        thrifty_j = effort(step.queue_min, best_clock(system, torch.ones_like(step.queue)))[1]
        energy_j = torch.minimum(energy_j, thrifty_j)
    accurate, in_time, charged = meets_limits(
        system, accuracy=accuracy, latency_s=latency_s, energy_j=energy_j, battery_j=step.battery_j
    )
    possible = accurate & in_time & charged & (step.queue > 0)
    return torch.where(possible, (best - step.price).clamp_min(0.0), 0.0)


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
    search = _Search(system, tasks, step, halvings=range(2, 11) if climb else range(0))
    value = torch.full((ues + 1, states), -torch.inf, dtype=torch.float64, device=step.queue.device)
    value[0] = local.sum(dim=-1)
    active = (step.queue > 0).sum(dim=-1)
    for level, grid in enumerate(grids):
        for n in range(1, ues + 1):
            open_ = active >= n if level == 0 else value[n] > search.value * (1.0 + tolerance)
            rows = open_.nonzero().squeeze(-1)
            if rows.numel() == 0 or (n == 1 and level > 0):
                continue
            bound, shares_hz = _count_upper(system, tasks, step.rows(rows), local[rows], n, grid)
            value[n, rows] = bound if level == 0 else torch.minimum(value[n, rows], bound)
            search.improve(rows, shares_hz, n)
    return Bracket(upper=value.amax(dim=0), lower=search.value, actions=search.actions())


def _count_upper(
    system: SystemConfig, tasks: Tasks, step: Step, local: Tensor, n: int, grid: Grid
) -> tuple[Tensor, Tensor]:
    """Upper bound where exactly n UEs offload, (states,), and a guess of their bandwidths, (states, ues)."""
    states, ues = step.queue.shape
    total_hz, device = system.bandwidth_hz, step.queue.device
    idle = step.queue == 0
    if n == 1:  # eq. (12) gives the only one all the band
        all_hz = torch.full((1,), total_hz, dtype=torch.float64, device=device)
        earned = cell_upper(
            system, tasks, step, offloading=1, low_hz=all_hz, high_hz=all_hz, powers=_POWERS_ALONE
        )[0]
        gain, who = torch.where(idle, -torch.inf, earned - local).max(dim=-1)
        shares_hz = torch.zeros_like(local).scatter_(1, who.unsqueeze(-1), total_hz)
        return local.sum(dim=-1) + gain, shares_hz

    edges_hz = torch.linspace(0.0, total_hz, grid.cells * grid.parts + 1, dtype=torch.float64, device=device)
    low_hz = edges_hz[:-1].view(-1, 1, 1)
    earned = cell_upper(
        system, tasks, step, offloading=n, low_hz=edges_hz[:-1], high_hz=edges_hz[1:], powers=grid.powers
    )  # (cells * parts, states, ues)

    def dual(price: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weak duality at a price of bandwidth, (states,): the bound, who offloads, at which cell."""
        tilted, at = (earned - price.view(1, -1, 1) * low_hz).max(dim=0)
        gain, who = torch.where(idle, -torch.inf, tilted - local).topk(n, dim=-1)
        return price * total_hz + local.sum(dim=-1) + gain.sum(dim=-1), who, at

    scale = (earned.amax(dim=0) - local).clamp_min(1e-9).amax(dim=-1) / total_hz
    best_price = torch.zeros_like(scale)
    best, _, _ = dual(best_price)
    factor = torch.ones_like(scale)
    for ratios in (_COARSE_PRICES, _FINE_PRICES):
        around = factor
        for ratio in ratios:
            price = around * ratio * scale
            bound, _, _ = dual(price)
            better = bound < best
            best = torch.where(better, bound, best)
            best_price = torch.where(better, price, best_price)
            factor = torch.where(better, around * ratio, factor)

    _, who, at = dual(best_price)
    middle_hz = (edges_hz[:-1] + edges_hz[1:])[at] / 2.0
    shares_hz = torch.zeros_like(local).scatter(1, who, middle_hz.gather(1, who))

    tilted = (
        (earned - best_price.view(1, -1, 1) * low_hz).view(grid.cells, grid.parts, states, ues).amax(dim=1)
    )
    programme = _programme(torch.where(idle, -torch.inf, tilted), local, n)
    return torch.minimum(best, best_price * total_hz + programme), shares_hz


def _programme(tilted: Tensor, local: Tensor, n: int) -> Tensor:
    """Largest sum of one cell's bound each for n UEs and `local` for the rest, the cells together holding BW.

    n points of cells c_1 .. c_n can sum to BW only if the c_i sum to no more than the number of cells and no
    less than n below it.

    Args:
        tilted: (cells, states, ues).
        local: (states, ues).
        n: how many offload.

    Returns:
        (states,).
    """
    cells, states, ues = tilted.shape
    best = torch.full((states, n + 1, cells + 1), -torch.inf, dtype=local.dtype, device=local.device)
    best[:, 0, 0] = 0.0  # (states, UEs that offload so far, cells so far)
    for i in range(ues):
        stays = best + local[:, i].view(-1, 1, 1)
        for c in range(cells):
            goes = best[:, :-1, : cells + 1 - c] + tilted[c, :, i].view(-1, 1, 1)
            torch.maximum(stays[:, 1:, c:], goes, out=stays[:, 1:, c:])
        best = stays
    return best[:, n, max(cells - n, 0) :].amax(dim=-1)


class _Search:
    """Feasible actions, improved from guesses by moving bandwidth between two UEs at a time."""

    def __init__(self, system: SystemConfig, tasks: Tasks, step: Step, halvings: range) -> None:
        self._system, self._tasks, self._step, self._halvings = system, tasks, step, halvings
        self._local_clock_hz = best_local_clock(system, tasks, step.queue, step.beta_min, step.battery_j)
        self._clock_hz = best_clock(system, step.beta_min)
        earned = local_qoe(
            system, tasks, queue=step.queue.clamp_min(1), battery_j=step.battery_j, beta=step.beta_min,
            clock_hz=self._local_clock_hz,
        )  # fmt: skip
        self._local = torch.where(step.queue > 0, (earned - step.price).clamp_min(0.0), 0.0)
        self._shares_hz = torch.zeros_like(self._local)
        self._power_w = torch.full_like(self._local, system.power_max_w)
        self._code = torch.zeros_like(self._local, dtype=torch.long)
        self.value = self._local.sum(dim=-1)

    def actions(self) -> Actions:
        """The best found, (states, ues)."""
        offload = self._shares_hz > 0
        share = torch.where(offload, self._shares_hz / self._system.bandwidth_hz, 1.0)
        return Actions(
            offload=offload,
            power_w=self._power_w,
            clock_hz=torch.where(offload, self._clock_hz, self._local_clock_hz),
            bandwidth_request=torch.log(share),
            code=self._code,
        )

    def improve(self, rows: Tensor, shares_hz: Tensor, n: int) -> None:
        """Try n UEs offloading with about these bandwidths, (rows, ues), in these states; keep what is
        better.

        What the guess leaves of the band goes to all in proportion, or to the one with the least: a UE near
        its accuracy limit must not get more, and a UE that fails can be worth its place by taking band off
        others.
        """
        total_hz = self._system.bandwidth_hz
        held = shares_hz.sum(dim=-1, keepdim=True)
        self._climb(rows, shares_hz * (total_hz / held), n)
        if n > 1:
            least = torch.where(shares_hz > 0, shares_hz, torch.inf).argmin(dim=-1, keepdim=True)
            rest_hz = total_hz - held
            room = (rest_hz > 0).squeeze(-1)
            self._climb(rows[room], shares_hz.scatter_add(1, least, rest_hz)[room], n)

    def _climb(self, rows: Tensor, shares_hz: Tensor, n: int) -> None:
        if rows.numel() == 0:
            return
        step, total_hz = self._step.rows(rows), self._system.bandwidth_hz
        member = shares_hz > 0
        smallest = total_hz * math.exp(-self._system.bandwidth_request_span)
        local, clock_hz = self._local[rows], self._clock_hz[rows]
        earned, power_w, code = self._earn(step, clock_hz, shares_hz, n)
        for halving in self._halvings if n > 1 else ():
            move_hz = total_hz * 0.5**halving
            for _ in range(2):
                more, _, _ = self._earn(step, clock_hz, shares_hz + move_hz, n)
                less, _, _ = self._earn(step, clock_hz, (shares_hz - move_hz).clamp_min(smallest), n)
                take = torch.where(member, more - earned, -torch.inf)
                give = torch.where(member & (shares_hz - move_hz > smallest), less - earned, -torch.inf)
                pair = take.unsqueeze(-1) + give.unsqueeze(-2)
                pair = pair.masked_fill(
                    torch.eye(pair.shape[-1], dtype=torch.bool, device=pair.device), -torch.inf
                )
                gain, at = pair.flatten(1).max(dim=-1)
                moves = move_hz * (gain > 0).double().unsqueeze(-1)
                shares_hz = shares_hz.scatter_add(1, (at // pair.shape[-1]).unsqueeze(-1), moves)
                shares_hz = shares_hz.scatter_add(1, (at % pair.shape[-1]).unsqueeze(-1), -moves)
                earned, power_w, code = self._earn(step, clock_hz, shares_hz, n)
        value = torch.where(member, earned, local).sum(dim=-1)
        better = value > self.value[rows]
        kept = rows[better]
        self.value[kept] = value[better]
        self._shares_hz[kept] = torch.where(member, shares_hz, 0.0)[better]
        self._power_w[kept], self._code[kept] = power_w[better], code[better]

    def _earn(self, step: Step, clock_hz: Tensor, shares_hz: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """QoE at the best of some powers and of all k, that power and k; (rows, ues) each."""
        system, tasks = self._system, self._tasks
        dbm = torch.linspace(
            system.power_max_dbm,
            system.power_min_dbm,
            _POWER_LEVELS,
            dtype=torch.float64,
            device=clock_hz.device,
        )
        levels_w = (
            (10.0 ** ((dbm - 30.0) / 10.0)).clamp(system.power_min_w, system.power_max_w).view(-1, 1, 1)
        )
        shape = (_POWER_LEVELS, *shares_hz.shape)
        best = []
        for candidate in range(tasks.codes):
            earned = offloading_qoe(
                system, tasks, queue=step.queue.clamp_min(1), channel_gain=step.channel_gain,
                battery_j=step.battery_j, beta=step.beta_min, power_w=levels_w.expand(shape),
                clock_hz=clock_hz,
                bandwidth_hz=shares_hz.clamp_min(1.0), offloading=torch.full_like(shares_hz, n),
                code=torch.full(shape, candidate, dtype=torch.long, device=clock_hz.device),
            )  # fmt: skip
            best.append((earned - step.price).clamp_min(0.0).max(dim=0))
        earned, code = torch.stack([found.values for found in best]).max(dim=0)
        level = torch.stack([found.indices for found in best]).gather(0, code.unsqueeze(0))[0]
        return earned, levels_w.flatten()[level], code

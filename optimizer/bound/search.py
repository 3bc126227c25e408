"""Feasible actions close below the bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optimizer.bound.states import Step
from optimizer.world.config import SystemConfig, dbm_to_watt
from optimizer.world.devices import clamped, filled
from optimizer.world.physics import (
    Actions,
    Transmission,
    best_clock,
    best_local_clock,
    level_of_each,
    local_qoe,
    offloading_qoe,
)
from optimizer.world.ranges import spread
from optimizer.world.tasks import Tasks

_POWER_LEVELS = 25
"""Powers a feasible solution tries."""
_CLIMBS = 3
"""Times that all moves are tried, the later ones where a UE that offloads fails."""
_TIE = 1e-9
"""Share of what is earned by which a tie is broken."""


class Search:
    """Feasible actions, improved from guesses by moving bandwidth between two UEs at a time."""

    def __init__(self, system: SystemConfig, tasks: Tasks, step: Step, halvings: range) -> None:
        self._system, self._tasks, self._step, self._halvings = system, tasks, step, halvings
        state = step.longest(step.beta_min)
        self._local_clock_hz = best_local_clock(system, tasks, state)
        self._clock_hz = best_clock(tasks.device_in(system), step.beta_min)
        earned = local_qoe(system, tasks, state, clock_hz=self._local_clock_hz)
        self._local = torch.where(step.queue > 0, (earned - step.price).clamp_min(0.0), 0.0)
        self._shares_hz = torch.zeros_like(self._local)
        self._power_w = filled(self._local, tasks.device_in(system).power_max_w).clone()
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
        """Move band between UEs as long as that earns more, and keep what is better than what was found.

        Once more from the largest moves where a UE fails at the end: meanwhile another may have become the
        one that takes the rest of the band.
        """
        if rows.numel() == 0:
            return
        step, member = self._step.rows(rows), shares_hz > 0
        local, clock_hz = self._local[rows], self._clock_hz[rows]
        earned, power_w, code = self._earn(step, clock_hz, shares_hz, n)
        again = torch.arange(rows.numel(), device=rows.device)
        for _ in range(_CLIMBS if n > 1 and self._halvings else 0):
            before = earned[again]
            moved_hz = self._moved(
                step.rows(again), clock_hz[again], shares_hz[again], member[again], before, n
            )
            after, power, choice = self._earn(step.rows(again), clock_hz[again], moved_hz, n)
            shares_hz, earned = shares_hz.index_copy(0, again, moved_hz), earned.index_copy(0, again, after)
            power_w, code = power_w.index_copy(0, again, power), code.index_copy(0, again, choice)
            rises = after.sum(dim=-1) > before.sum(dim=-1)
            again = again[rises & (member[again] & (after == 0)).any(dim=-1)]
            if again.numel() == 0:
                break
        value = torch.where(member, earned, local).sum(dim=-1)
        better = value > self.value[rows]
        kept = rows[better]
        self.value[kept] = value[better]
        self._shares_hz[kept] = torch.where(member, shares_hz, 0.0)[better]
        self._power_w[kept], self._code[kept] = power_w[better], code[better]

    def _moved(
        self, step: Step, clock_hz: Tensor, shares_hz: Tensor, member: Tensor, earned: Tensor, n: int
    ) -> Tensor:
        """Bandwidths after moves between two UEs, from large to small, that earn more; (rows, ues).

        Of takers to whom more band is worth the same, as it is to all that fail, the one with the most takes
        it: any other may yet succeed with less.
        """
        total_hz = self._system.bandwidth_hz
        smallest = total_hz * math.exp(-self._system.bandwidth_request_span)
        itself = torch.eye(shares_hz.shape[-1], dtype=torch.bool, device=shares_hz.device)
        for halving in self._halvings:
            move_hz = total_hz * 0.5**halving
            for _ in range(2):
                more, _, _ = self._earn(step, clock_hz, shares_hz + move_hz, n)
                less, _, _ = self._earn(step, clock_hz, (shares_hz - move_hz).clamp_min(smallest), n)
                take = torch.where(member, more - earned, -torch.inf)
                give = torch.where(member & (shares_hz - move_hz > smallest), less - earned, -torch.inf)
                most = _TIE * earned.sum(dim=-1, keepdim=True) * shares_hz / total_hz
                pair = ((take + most).unsqueeze(-1) + give.unsqueeze(-2)).masked_fill(itself, -torch.inf)
                at = pair.flatten(1).argmax(dim=-1, keepdim=True)
                taker, giver = at // pair.shape[-1], at % pair.shape[-1]
                gain = take.gather(-1, taker) + give.gather(-1, giver)
                moves = move_hz * (gain > 0).double()
                shares_hz = shares_hz.scatter_add(1, taker, moves).scatter_add(1, giver, -moves)
                earned, _, _ = self._earn(step, clock_hz, shares_hz, n)
        return shares_hz

    def _earn(self, step: Step, clock_hz: Tensor, shares_hz: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """QoE at the best of some powers and of all k, that power and k; (rows, ues) each."""
        system, tasks = self._system, self._tasks
        device = tasks.device_in(system)
        dbm = spread(device.power_max_dbm, device.power_min_dbm, _POWER_LEVELS, clock_hz.device)
        levels_w = clamped(dbm_to_watt(dbm), device.power_min_w, device.power_max_w)
        shape = (_POWER_LEVELS, *shares_hz.shape)
        best = []
        for candidate in range(tasks.codes):
            sent = Transmission(
                power_w=levels_w.unsqueeze(1).expand(shape),
                clock_hz=clock_hz,
                bandwidth_hz=shares_hz.clamp_min(1.0),
                offloading=torch.full_like(shares_hz, n),
                code=torch.full(shape, candidate, dtype=torch.long, device=clock_hz.device),
            )
            earned = offloading_qoe(system, tasks, step.longest(step.beta_min), sent)
            best.append((earned - step.price).clamp_min(0.0).max(dim=0))
        earned, code = torch.stack([values for values, _ in best]).max(dim=0)
        level = torch.stack([indices for _, indices in best]).gather(0, code.unsqueeze(0))[0]
        return earned, level_of_each(levels_w.expand(-1, tasks.ues), level), code

"""Feasible actions close below the bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optimizer.bound.divide import divide
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
_PARTS = 60
"""Parts that the band is divided into at first."""
_DIVIDED_UES = 8
"""Most UEs that it is divided among so; the time goes by the number of them and of all UEs."""
_POINTS = 4
"""Bandwidths tried in each part."""
_DIVIDED_POWERS = 5
"""Powers tried meanwhile."""
_MOVES, _SMALL_MOVES = range(2, 13), range(6, 13)
"""Bandwidth moved between two UEs, as exponents of 1/2 of the whole: from a guess, and from a division into
parts."""
_CLIMBS = 3
"""Times that all moves are tried, the later ones where a UE that offloads fails."""
_TIE = 1e-9
"""Share of what is earned by which a tie is broken."""


class Search:
    """Feasible actions, improved from guesses by moving bandwidth between two UEs at a time."""

    def __init__(self, system: SystemConfig, tasks: Tasks, step: Step, *, climbs: bool) -> None:
        self._system, self._tasks, self._step, self._climbs = system, tasks, step, climbs
        state = step.longest(step.beta_min)
        self._local_clock_hz = best_local_clock(system, tasks, state)
        self._clock_hz = best_clock(tasks.device_in(system), step.beta_min)
        earned = local_qoe(system, tasks, state, clock_hz=self._local_clock_hz)
        self._local = torch.where((step.queue > 0) & (earned > 0), (earned - step.price).clamp_min(0.0), 0.0)
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

    def improve(self, rows: Tensor, shares_hz: Tensor, n: int, *, anew: bool) -> None:
        """Try n UEs offloading in these states; keep what is better.

        Args:
            rows: index of the states.
            shares_hz: about their bandwidths, (rows, ues). What they leave of the band goes to all in
                proportion.
            n: how many offload.
            anew: whether to start from the best division of the band into parts instead, where n allows.
        """
        if anew and self._climbs and n <= _DIVIDED_UES:
            self._climb(*self._divided(rows, n), n, _SMALL_MOVES)
        else:
            held_hz = shares_hz.sum(dim=-1, keepdim=True)
            self._climb(rows, shares_hz * (self._system.bandwidth_hz / held_hz), n, _MOVES)

    def _divided(self, rows: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """In which of the states n UEs can offload, and about the best bandwidths there.

        The band is divided into parts, and a UE uses the best of some points of its last part, since it may
        succeed on a narrow range alone. What is left goes to the UE with whom that earns most: (12) shares
        out the whole band, and a UE that fails can be worth its place by taking band off others.
        """
        step, clock_hz = self._step.rows(rows), self._clock_hz[rows]
        if n == 1:  # all the band
            earned, _, _ = self._earn(step, clock_hz, torch.full_like(clock_hz, self._system.bandwidth_hz), n)
            gain = torch.where(step.queue > 0, earned - self._local[rows], -torch.inf)
            first = torch.nn.functional.one_hot(gain.argmax(dim=-1), gain.shape[-1])
            return rows, first.double() * self._system.bandwidth_hz
        part_hz = self._system.bandwidth_hz / _PARTS
        points = torch.arange(1, _PARTS * _POINTS + 1, dtype=torch.float64, device=rows.device)
        shares_hz = (points * part_hz / _POINTS).view(-1, 1, 1)
        earned, _, _ = self._earn(
            step, clock_hz, shares_hz.expand(-1, *clock_hz.shape), n, levels=_DIVIDED_POWERS
        )
        earned, point = earned.view(_PARTS, _POINTS, *clock_hz.shape).max(dim=1)
        taken = divide(torch.where(step.queue > 0, earned, -torch.inf), self._local[rows], n)
        last = point.gather(0, (taken - 1).clamp_min(0).unsqueeze(0))[0].double()
        used_hz = (taken - (_POINTS - 1 - last) / _POINTS) * part_hz
        some = (taken > 0).any(dim=-1)
        return rows[some], self._filled_up(rows[some], torch.where(taken > 0, used_hz, 0.0)[some], n)

    def _filled_up(self, rows: Tensor, shares_hz: Tensor, n: int) -> Tensor:
        """Bandwidths, (rows, ues), with what they leave of the band given to the UE with whom that earns
        most."""
        step, clock_hz, member = self._step.rows(rows), self._clock_hz[rows], shares_hz > 0
        rest_hz = self._system.bandwidth_hz - shares_hz.sum(dim=-1, keepdim=True)
        more, _, _ = self._earn(step, clock_hz, shares_hz + rest_hz, n)
        as_is, _, _ = self._earn(step, clock_hz, shares_hz, n)
        taker = torch.where(member, more - as_is, -torch.inf).argmax(dim=-1, keepdim=True)
        return shares_hz.scatter_add(1, taker, rest_hz)

    def _climb(self, rows: Tensor, shares_hz: Tensor, n: int, moves: range) -> None:
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
        for _ in range(_CLIMBS if n > 1 and self._climbs else 0):
            before = earned[again]
            moved_hz = self._moved(
                step.rows(again), clock_hz[again], shares_hz[again], member[again], before, n, moves
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
        self,
        step: Step,
        clock_hz: Tensor,
        shares_hz: Tensor,
        member: Tensor,
        earned: Tensor,
        n: int,
        moves: range,
    ) -> Tensor:
        """Bandwidths after moves between two UEs, from large to small, that earn more; (rows, ues).

        Of takers to whom more band is worth the same, as it is to all that fail, the one with the most takes
        it: any other may yet succeed with less.
        """
        total_hz = self._system.bandwidth_hz
        smallest = total_hz * math.exp(-self._system.bandwidth_request_span)
        itself = torch.eye(shares_hz.shape[-1], dtype=torch.bool, device=shares_hz.device)
        for halving in moves:
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
                moved_hz = move_hz * (gain > 0).double()
                shares_hz = shares_hz.scatter_add(1, taker, moved_hz).scatter_add(1, giver, -moved_hz)
                earned, _, _ = self._earn(step, clock_hz, shares_hz, n)
        return shares_hz

    def _earn(
        self, step: Step, clock_hz: Tensor, shares_hz: Tensor, n: int, *, levels: int = _POWER_LEVELS
    ) -> tuple[Tensor, Tensor, Tensor]:
        """QoE at the best of some powers and of all k, that power and k; of `shares_hz`' shape,
        (.., rows, ues)."""
        system, tasks = self._system, self._tasks
        device = tasks.device_in(system)
        dbm = spread(device.power_max_dbm, device.power_min_dbm, levels, clock_hz.device)
        levels_w = clamped(dbm_to_watt(dbm), device.power_min_w, device.power_max_w)
        shape = (levels, *shares_hz.shape)
        best = []
        for candidate in range(tasks.codes):
            sent = Transmission(
                power_w=levels_w.view(levels, *[1] * (shares_hz.dim() - 1), -1).expand(shape),
                clock_hz=clock_hz,
                bandwidth_hz=shares_hz.clamp_min(1.0),
                offloading=torch.full_like(shares_hz, n),
                code=torch.full(shape, candidate, dtype=torch.long, device=clock_hz.device),
            )
            earned = offloading_qoe(system, tasks, step.longest(step.beta_min), sent)
            best.append(torch.where(earned > 0, (earned - step.price).clamp_min(0.0), 0.0).max(dim=0))
        earned, code = torch.stack([values for values, _ in best]).max(dim=0)
        level = torch.stack([indices for _, indices in best]).gather(0, code.unsqueeze(0))[0]
        return earned, level_of_each(levels_w, level), code

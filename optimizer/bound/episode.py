"""Certified upper bound on the QoE of whole episodes, for any policy whatever it knows, the future included.

An episode's QoE is all that is earned over the steps until every queue is empty (T if that never happens),
divided by the number of those steps. docs/bound.md has the proof of what `episode_bound` computes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from optimizer.bound.grid import GRIDS, Grid
from optimizer.bound.states import Step
from optimizer.bound.step import bracket
from optimizer.bound.upper import local_upper
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.devices import filled
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import Actions, battery_beta, local_effort
from optimizer.world.tasks import Tasks

ARRIVING_PRICES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""lambda_i that are tried where tasks arrive, in units of the most that UE i earns locally in a step."""


def episode_bound(
    *, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks, episodes: int, seed: int
) -> Tensor:
    """Bound of each of the episodes that `optimizer.study.evaluate.play` plays from the same seed.

    Either every UE succeeds in every step and the episode ends after D = `queue_tasks` steps, its queues
    known; then the steps' bounds average to one of the episode. Or it takes n > D steps, or ends unfinished
    after n = T, which may be D. Then no UE has more than D successes, and with lambda_i >= 0 the reward of
    each success is lambda_i and what it earns above that: all successes earn at most D sum_i lambda_i plus
    the sum of the steps' bounds with lambda_i taken off each success. Where tasks arrive, n is T, and no UE
    has more successes than tasks.

    Returns:
        (episodes,), on the CPU.
    """
    world = _World(system, episode, tasks, episodes, seed)
    if episode.tasks_arrive:
        return world.arriving().cpu()
    everyone = world.everyone
    bound = world.shortest()
    spare = episode.steps - episode.queue_tasks
    waits = range(min(1, spare), spare + 1)  # where T = D, of an unfinished episode alone
    left = world.longer(everyone, waits, GRIDS[:1])  # of what may still raise the bound
    grid = torch.zeros_like(left, dtype=torch.int64)
    while (doubtful := left.amax(dim=0) > bound).any():  # the most promising first: it spares the others
        chosen = left.argmax(dim=0)
        of_chosen = torch.stack((chosen, grid[chosen, everyone]))
        for pair in of_chosen[:, doubtful].unique(dim=1).T:
            at, finer = int(pair[0]), int(pair[1]) + 1
            rows = (doubtful & (of_chosen == pair.unsqueeze(1)).all(dim=0)).nonzero().squeeze(-1)
            value = world.longer(rows, waits[at : at + 1], GRIDS[: finer + 1])[0].minimum(left[at, rows])
            if finer + 1 == len(GRIDS):
                bound[rows] = bound[rows].maximum(value)
                value = torch.full_like(value, -torch.inf)
            left[at, rows], grid[at, rows] = value, finer
    return bound.cpu()


class _World:
    """What no policy has a hand in, of a set of episodes."""

    def __init__(
        self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks, episodes: int, seed: int
    ) -> None:
        environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=episodes,
            generator=tasks.generator(seed),
        )  # fmt: skip
        self._system, self._episode, self._tasks = system, episode, tasks
        self.everyone = torch.arange(episodes, device=tasks.device)
        """Indices of all episodes, (episodes,)."""
        first = environment.view()
        self._battery_max_j = environment.battery_max_j
        self._beta, self._battery_j = first.beta, first.battery_j
        nothing = Actions(
            offload=torch.zeros_like(first.queue, dtype=torch.bool),
            power_w=filled(first.queue, tasks.device_in(system).power_max_w),
            clock_hz=first.clock_hz,
            bandwidth_request=torch.zeros_like(first.queue),
        )
        gains, arrived = [], []
        for _ in range(episode.steps):
            gains.append(environment.state.channel_gain)
            arrived.append(environment.arrived)
            environment.step(nothing)
        self._gain, self._arrived = torch.stack(gains), torch.stack(arrived)  # (T, episodes, ues)

    def _step(self, t: int, rows: Tensor, *, queue: int | Tensor, queue_min: int | Tensor) -> Step:
        """States of step t (0 first) of some episodes; preference and battery in the range any policy
        keeps."""
        episode, whole = self._episode, self._battery_max_j
        idle_j = episode.idle_drain * whole * t / episode.steps
        fullest_j = (self._battery_j[rows] - idle_j).clamp_min(0.0)
        emptiest_j = (fullest_j - t * self._most_energy_j()).clamp_min(0.0)
        gain = self._gain[t, rows]
        dynamic = episode.preference == "dynamic"
        return Step(
            queue=torch.zeros_like(gain) + queue,
            queue_min=torch.zeros_like(gain) + queue_min,
            channel_gain=gain,
            battery_j=fullest_j,
            beta_min=battery_beta(fullest_j, whole) if dynamic else self._beta[rows],
            beta_max=battery_beta(emptiest_j, whole) if dynamic else self._beta[rows],
            price=torch.zeros_like(gain),
        )

    def _most_energy_j(self) -> Tensor:
        """Most that one step can drain besides idling, (ues,): the whole queue locally, or offloading up to
        t_max.

        Local energy is convex in the clock, so largest at an end of its range.
        """
        system, device = self._system, self._tasks.device_in(self._system)
        queue = torch.full_like(self._battery_max_j, self._episode.queue_tasks)
        ends = (device.local_clock_min_hz, device.local_clock_max_hz)
        most = [
            local_effort(system, self._tasks, queue=queue, clock_hz=filled(queue, clock))[1] for clock in ends
        ]
        encoding_w = device.local_energy_coefficient * device.local_clock_max_hz**3
        charged = (self._tasks.ue_flops > 0).double()
        offloading_j = system.latency_max_s * (
            device.power_max_w + device.circuit_power_w + charged * encoding_w
        )
        return torch.stack([*most, offloading_j]).amax(dim=0)

    def shortest(self) -> Tensor:
        """Bound on episodes of D steps, (episodes,)."""
        tasks_left = self._episode.queue_tasks
        rows = self.everyone
        steps = [
            self._step(t, rows, queue=tasks_left - t, queue_min=tasks_left - t) for t in range(tasks_left)
        ]
        return self._uppers(steps, GRIDS).mean(dim=0)

    def longer(self, rows: Tensor, waits: range, grids: tuple[Grid, ...]) -> Tensor:
        """Bound on episodes of D + wait steps, for each wait, (waits, rows).

        With n steps in all, a UE that is done by then has at most n + 1 - t tasks left before step t = 1 ..
        n; the last wait stands for unfinished episodes too, whose queues may have any length.
        """
        tasks_left, total = self._episode.queue_tasks, self._episode.steps
        price = self._most_locally([self._step(t, rows, queue=tasks_left, queue_min=1) for t in range(total)])
        wanted = []
        for wait in waits:
            steps = tasks_left + wait
            free = steps == total
            wanted += [(t, tasks_left if free else min(tasks_left, steps - t)) for t in range(steps)]
        keys = sorted(set(wanted))
        states = [
            replace(self._step(t, rows, queue=queue, queue_min=max(1, tasks_left - t)), price=price)
            for t, queue in keys
        ]
        upper = dict(zip(keys, self._uppers(states, grids), strict=True))
        result, at = [], 0
        for wait in waits:
            steps = tasks_left + wait
            earned = torch.stack([upper[key] for key in wanted[at : at + steps]]).sum(dim=0)
            at += steps
            result.append((earned + tasks_left * price.sum(dim=-1)) / steps)
        return torch.stack(result)

    def arriving(self) -> Tensor:
        """Bound on episodes of T steps in which tasks arrive, (episodes,).

        Before a step no UE has more tasks than have arrived, nor than wait at most; who has been given none
        has none.
        """
        episode, rows = self._episode, self.everyone
        longest = self._arrived.clamp_max(episode.queue_tasks)
        steps = [
            self._step(t, rows, queue=longest[t], queue_min=longest[t].clamp_max(1))
            for t in range(episode.steps)
        ]
        price = self._most_locally(steps)
        bounds = []
        for factor in ARRIVING_PRICES:
            priced = [replace(step, price=factor * price) for step in steps]
            most = (self._arrived[-1] * factor * price).sum(dim=-1)
            bounds.append((self._uppers(priced, GRIDS[:1]).sum(dim=0) + most) / episode.steps)
        return torch.stack(bounds).amin(dim=0)

    def _most_locally(self, steps: list[Step]) -> Tensor:
        """The most that each UE earns locally in any of the steps, (rows, ues)."""
        return torch.stack([local_upper(self._system, self._tasks, step) for step in steps]).amax(dim=0)

    def _uppers(self, steps: list[Step], grids: tuple[Grid, ...]) -> Tensor:
        """(steps, rows)."""
        joined = Step(**{name: torch.cat([getattr(step, name) for step in steps]) for name in vars(steps[0])})
        upper = bracket(self._system, self._tasks, joined, grids=grids, search=False).upper
        return upper.view(len(steps), -1)

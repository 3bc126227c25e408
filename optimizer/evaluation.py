"""Playing a policy over whole episodes, and what is counted meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.config import EpisodeConfig, SystemConfig
from optimizer.environment import OffloadingEnvironment
from optimizer.physics import Outcome
from optimizer.policies import Policy
from optimizer.tasks import Tasks


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over episodes with its 95 % interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Tensor) -> Interval:
        """Normal interval of the mean of independent values, at least two, shape (n,)."""
        mean = float(values.mean())
        half = 1.96 * float(values.std()) / math.sqrt(values.numel())
        return cls(mean=mean, low=mean - half, high=mean + half)


@dataclass(frozen=True, kw_only=True)
class Performance:
    """How a policy did over a set of episodes."""

    sees: str
    """What the policy reads of the world."""
    qoe: Interval
    """Sum over UEs of each UE's mean QoE over the steps in which it had a task, failures counting 0."""
    reward: Interval
    """Undiscounted sum of eqs. (13), (14) over an episode."""
    finished: float
    """Share of the queues emptied by T."""
    steps_to_finish: float | None
    """Mean over the queues that were emptied; None if none was."""
    offloaded: float
    """Share of executions that were offloaded."""
    violates_accuracy: float
    """Share of executions that broke (11b)."""
    violates_latency: float
    """Share of executions that broke (11g)."""
    violates_battery: float
    """Share of executions that broke (11h)."""


class Tally:
    """Adds up the steps of one set of episodes. Every count is over the steps in which a UE had a task."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._reward: Tensor = torch.zeros(())

    def add(self, queue: Tensor, outcome: Outcome, reward: Tensor) -> None:
        """Add a step.

        Args:
            queue: d before the step, (episodes, ues).
            outcome: what came of it.
            reward: (episodes,).
        """
        active = queue > 0
        counts = {
            "active": active,
            "qoe": outcome.earned_qoe,
            "offloaded": outcome.offloaded,
            "inaccurate": active & ~outcome.accurate,
            "late": active & ~outcome.in_time,
            "uncharged": active & ~outcome.charged,
            "done": outcome.success & (queue == 1),
        }
        for name, value in counts.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(queue)) + value
        self._reward = self._reward + reward

    @property
    def qoe(self) -> Tensor:
        """`Performance.qoe` of each episode, (episodes,)."""
        return (self._sums["qoe"] / self._sums["active"]).sum(dim=-1)

    @property
    def reward(self) -> Tensor:
        """Undiscounted reward of each episode, (episodes,)."""
        return self._reward

    @property
    def finished(self) -> Tensor:
        """Share of the UEs of each episode that emptied their queue, (episodes,)."""
        return self._sums["done"].mean(dim=-1)

    def performance(self, sees: str) -> Performance:
        """All of it."""
        sums = self._sums
        done = sums["done"] > 0
        executions = float(sums["active"].sum())
        return Performance(
            sees=sees,
            qoe=Interval.of(self.qoe),
            reward=Interval.of(self.reward),
            finished=float(self.finished.mean()),
            steps_to_finish=float(sums["active"][done].mean()) if bool(done.any()) else None,
            offloaded=float(sums["offloaded"].sum()) / executions,
            violates_accuracy=float(sums["inaccurate"].sum()) / executions,
            violates_latency=float(sums["late"].sum()) / executions,
            violates_battery=float(sums["uncharged"].sum()) / executions,
        )


def evaluate(
    policy: Policy, *, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks, episodes: int, seed: int
) -> Performance:
    """Play `episodes` episodes. The same seed gives every policy the same places, shadowing and fading.

    Args:
        policy: chooses the actions; its own draws cannot disturb the world's.
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        episodes: at least 2.
        seed: of the world; the policy's draws take the next one.
    """
    world, own = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    environment = OffloadingEnvironment(
        system=system, episode=episode, tasks=tasks, episodes=episodes, generator=world
    )
    tally = Tally()
    for _ in range(episode.steps):
        view = environment.view()
        outcome, reward = environment.step(policy.act(view, own))
        tally.add(view.queue, outcome, reward)
    return tally.performance(policy.sees)

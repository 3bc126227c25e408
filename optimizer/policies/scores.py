"""What a policy did in each episode: QoE, reward, queues, broken constraints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.physics import Outcome, local_reference
from optimizer.world.tasks import Tasks


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one policy did in each of one seed's test episodes, on the CPU."""

    qoe: Tensor
    """All QoE earned, failures counting 0, over the steps until every queue was empty (T if never, or where
    tasks arrive), (episodes,)."""
    reward: Tensor
    """Undiscounted sum of eqs. (13), (14), (episodes,)."""
    steps: Tensor
    """t_0 of eq. (14), or T, (episodes,)."""
    finished: Tensor
    """Every queue was empty at the end, bool, (episodes,)."""
    queue: Tensor
    """Mean over episodes of the tasks left before each step and at the end, (steps + 1, ues)."""
    executions: Tensor
    """UE-steps with a task, (episodes,). The counts below are of these."""
    offloaded: Tensor
    inaccurate: Tensor
    """(11b) broken."""
    late: Tensor
    """(11g) broken."""
    uncharged: Tensor
    """(11h) broken."""
    successes: Tensor
    """No constraint broken."""
    latency: Tensor
    """Sum of t / t_0 of eq. (9) over the successes, (episodes,)."""
    energy: Tensor
    """Sum of E / E_0 over the successes, (episodes,)."""
    lost: Tensor
    """Tasks that arrived at a full queue, all UEs', (episodes,)."""


class Tally:
    """Adds up the steps of one set of episodes.

    Args:
        system: constants of Table I.
        tasks: what each UE has to do.
        arrive: whether tasks arrive, so that every episode has T steps.
    """

    def __init__(self, system: SystemConfig, tasks: Tasks, *, arrive: bool = False) -> None:
        self._system, self._tasks, self._arrive = system, tasks, arrive
        self._sums: dict[str, Tensor] = {}
        self._queue: list[Tensor] = []
        self._last: Tensor | None = None

    def add(self, queue: Tensor, outcome: Outcome, reward: Tensor) -> None:
        """Add a step.

        Args:
            queue: d before the step, (episodes, ues).
            outcome: what came of it.
            reward: (episodes,).
        """
        active, success = queue > 0, outcome.success
        energy_0_j, latency_0_s = local_reference(self._system, self._tasks, queue.clamp_min(1))
        counts = {
            "qoe": outcome.earned_qoe.sum(dim=-1),
            "reward": reward,
            "steps": active.any(dim=-1) | self._arrive,
            "executions": active.sum(dim=-1),
            "offloaded": outcome.offloaded.sum(dim=-1),
            "inaccurate": (active & ~outcome.accurate).sum(dim=-1),
            "late": (active & ~outcome.in_time).sum(dim=-1),
            "uncharged": (active & ~outcome.charged).sum(dim=-1),
            "successes": success.sum(dim=-1),
            "latency": torch.where(success, outcome.latency_s / latency_0_s, 0.0).sum(dim=-1),
            "energy": torch.where(success, outcome.energy_j / energy_0_j, 0.0).sum(dim=-1),
        }
        for name, value in counts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.double()
        self._queue.append(queue.mean(dim=0))
        self._last = queue - success.to(queue.dtype)

    def rest(self) -> None:
        """Add a step after the end of all episodes, in which nothing happens."""
        assert self._last is not None
        self._queue.append(self._last.mean(dim=0))

    def scores(self, arrived: Tensor) -> Scores:
        """All of it, once every step is in.

        Args:
            arrived: `OffloadingEnvironment.arrived` at the end, (episodes, ues).
        """
        assert self._last is not None
        sums = dict(self._sums)
        sums["qoe"] = sums["qoe"] / sums["steps"]
        sums["lost"] = (arrived - self._last).sum(dim=-1) - sums["successes"]
        finished, queue = (self._last == 0).all(dim=-1), torch.stack([*self._queue, self._last.mean(dim=0)])
        sums |= {"finished": finished, "queue": queue}
        return Scores(**{name: value.cpu() for name, value in sums.items()})

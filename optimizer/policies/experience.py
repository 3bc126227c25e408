"""What learners learn from: MAPPO from played episodes, advantages (23) and returns, others from memories."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from data.files.errors import ToolkitError
from data.files.schema import typed
from optimizer.policies.distribution import RawActions
from optimizer.policies.learner import C, Learner, part_of

GRADIENT_NORM_MAX = 10.0
"""Of DQN and MATD3: gradients longer than this are shortened to it."""


class ValueNormaliser:
    """Running mean and deviation of the returns, so that the critic learns values of order 1.

    Exponential averages over updates, corrected for their start at zero.

    Args:
        decay: weight of the past at each update.
    """

    def __init__(
        self, weight: float = 0.0, mean: float = 0.0, square: float = 0.0, *, decay: float = 0.95
    ) -> None:
        self._weight, self._mean, self._square, self._decay = weight, mean, square, decay

    def state(self) -> tuple[float, float, float]:
        """What the constructor makes it again from."""
        return self._weight, self._mean, self._square

    def update(self, returns: Tensor) -> None:
        """Take in one update's returns, (n,)."""
        keep, new = self._decay, 1.0 - self._decay
        self._weight = keep * self._weight + new
        self._mean = keep * self._mean + new * float(returns.mean())
        self._square = keep * self._square + new * float((returns**2).mean())

    @property
    def _moments(self) -> tuple[float, float]:
        if self._weight == 0:
            return 0.0, 1.0
        mean = self._mean / self._weight
        return mean, max(self._square / self._weight - mean**2, 1e-6) ** 0.5

    def normalise(self, returns: Tensor) -> Tensor:
        """To mean 0 and deviation 1."""
        mean, deviation = self._moments
        return (returns - mean) / deviation

    def restore(self, values: Tensor) -> Tensor:
        """Back to the rewards' unit."""
        mean, deviation = self._moments
        return values * deviation + mean


@dataclass(frozen=True, kw_only=True)
class Experience:
    """One training episode in all its copies; leading axes (steps, copies), flattened to (n,) for the
    update."""

    observation: Tensor
    """(..., ues, OBSERVATION_SIZE)."""
    start: Tensor
    """Where the heads started, (..., ues, HEADS)."""
    actions: RawActions
    """(..., ues)."""
    log_prob: Tensor
    """Under the policy that acted, (..., ues)."""
    active: Tensor
    """The UE had a task, bool, (..., ues)."""
    running: Tensor
    """The episode was not over before the step, bool, (...)."""
    reward: Tensor
    """r_t over `reward_scale`, (...)."""
    value: Tensor
    """V before the step in the rewards' unit, (..., 1), or (..., ues) where each UE has its own."""

    def select(self, index: Tensor) -> Experience:
        """Rows of the flattened leading axes."""

        def pick(value: Tensor, own_axes: int) -> Tensor:
            return value.reshape(-1, *value.shape[value.dim() - own_axes :])[index]

        return Experience(
            observation=pick(self.observation, 2),
            start=pick(self.start, 2),
            actions=RawActions(**{name: pick(value, 1) for name, value in vars(self.actions).items()}),
            log_prob=pick(self.log_prob, 1),
            active=pick(self.active, 1),
            running=pick(self.running, 0),
            reward=pick(self.reward, 0),
            value=pick(self.value, 1),
        )


def advantages(
    reward: Tensor, value: Tensor, running: Tensor, *, discount: float, gae_lambda: float
) -> Tensor:
    """Eq. (23).

    Args:
        reward: r_t, (steps, ...).
        value: V(o_t), (steps, ...); the three broadcast.
        running: the episode was not over before step t, bool, (steps, ...). Nothing follows the last step:
            the horizon T ends the task, it is not cut off.
        discount: gamma.
        gae_lambda: lambda.

    Returns:
        A, `value`'s shape; 0 after an episode's end.
    """
    result = torch.zeros_like(value)
    next_value, next_advantage = torch.zeros_like(value[0]), torch.zeros_like(value[0])
    for t in reversed(range(reward.shape[0])):
        delta = reward[t] + discount * next_value - value[t]
        result[t] = torch.where(running[t], delta + discount * gae_lambda * next_advantage, 0.0)
        next_value, next_advantage = torch.where(running[t], value[t], 0.0), result[t]
    return result


def standardised(values: Tensor, among: Tensor) -> Tensor:
    """To mean 0 and deviation 1 over some of them; a single one has no deviation and comes out as 0.

    Args:
        values: any shape.
        among: which of them the mean and deviation are of, bool, of the same shape.
    """
    chosen = values[among]
    deviation = chosen.std() if chosen.numel() > 1 else torch.zeros_like(chosen.sum())
    return (values - chosen.mean()) / (deviation + 1e-8)


def stack(steps: list[Experience]) -> Experience:
    """One Experience with a leading axis of steps."""
    names = [name for name in vars(steps[0]) if name != "actions"]
    actions = {
        name: torch.stack([getattr(step.actions, name) for step in steps]) for name in vars(steps[0].actions)
    }
    return Experience(
        actions=RawActions(**actions),
        **{name: torch.stack([getattr(step, name) for step in steps]) for name in names},
    )


class Memory:
    """The last experiences, overwritten in turn.

    Args:
        size: rows there is room for.
        row: an experience's tensors by name, for their shapes, types and device.
    """

    def __init__(self, size: int, row: Mapping[str, Tensor]) -> None:
        self._size, self.next, self.count = size, 0, 0
        self.columns = {name: value.new_zeros((size, *value.shape)) for name, value in row.items()}

    def add(self, **columns: Tensor) -> None:
        """Add rows, (n, ...) each; of more than there is room for, the last."""
        columns = {name: value[-self._size :] for name, value in columns.items()}
        rows = columns["action"].shape[0]
        at = (torch.arange(rows, device=columns["action"].device) + self.next) % self._size
        for name, value in columns.items():
            self.columns[name][at] = value
        self.next = (self.next + rows) % self._size
        self.count = min(self.count + rows, self._size)

    def restore(self, columns: Mapping[str, Tensor], at: int, count: int) -> None:
        """Take back the columns, the row that is written next and the number of rows that are written.

        Raises:
            KeyError, ToolkitError: if they are of another memory.
        """
        for name, column in self.columns.items():
            if columns[name].shape != column.shape or columns[name].dtype != column.dtype:
                raise ToolkitError(f"memory.{name} is of another size or type")
            column.copy_(columns[name])
        if not (0 <= at < self._size and 0 <= count <= self._size):
            raise ToolkitError(
                f"memory of {count} rows, {at} the next, given, up to {self._size} are allowed"
            )
        self.next, self.count = at, count

    def draw(self, rows: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Some rows, with replacement."""
        at = torch.randint(self.count, (rows,), generator=generator, device=generator.device)
        return {name: value[at] for name, value in self.columns.items()}


class ReplayLearner(Learner[C]):
    """A learner of what it remembers, beside a target network; see `Learner`. `prepare` calls `remember`."""

    _target: nn.Module
    _memory: Memory
    _updated: int

    def remember(self, size: int, row: Mapping[str, Tensor]) -> None:
        """Begin with an empty `Memory`, the network as its own target, and no updates."""
        self._target = copy.deepcopy(self.network)
        self._memory = Memory(size, row)
        self._updated = 0

    @override
    def tensors(self) -> dict[str, Tensor]:
        target = {f"target.{name}": value for name, value in self._target.state_dict().items()}
        return target | {f"memory.{name}": value for name, value in self._memory.columns.items()}

    @override
    def head(self) -> dict[str, Any]:
        return {"memory": [self._memory.next, self._memory.count], "updated": self._updated}

    @override
    def restore_state(self, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
        self._target.load_state_dict(part_of(tensors, "target."))
        self._memory.restore(part_of(tensors, "memory."), *typed(head, "memory", tuple[int, int]))
        self._updated = typed(head, "updated", int)

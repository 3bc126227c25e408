"""What MAPPO learns from: a played episode, advantages (23), and the scale of returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.policies.distribution import RawActions


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

"""The states that a step's bound is of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from optimizer.world.physics import State
from optimizer.world.physics.precision import Float64


@dataclass(frozen=True, kw_only=True)
class Step(Float64):
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
    """Taken off every success, below 0 added to it; what is worth less than nothing is not done. 0 for (P0)
    itself."""

    @classmethod
    def known(cls, state: State) -> Step:
        """States that are known exactly, nothing priced."""
        return cls(
            queue=state.queue, queue_min=state.queue, channel_gain=state.channel_gain,
            battery_j=state.battery_j, beta_min=state.beta, beta_max=state.beta,
            price=torch.zeros_like(state.queue),
        )  # fmt: skip

    def longest(self, beta: Tensor) -> State:
        """With the longest queue, at one beta of the range."""
        return State(queue=self.queue, channel_gain=self.channel_gain, battery_j=self.battery_j, beta=beta)

    def shortest(self, beta: Tensor) -> State:
        """With the shortest queue, at one beta of the range."""
        return replace(self.longest(beta), queue=self.queue_min)

    def rows(self, index: Tensor | slice) -> Step:
        """Some of the states."""
        rows = {name: value[index] for name, value in vars(self).items()}
        if self.queue_min is self.queue:
            rows["queue_min"] = rows["queue"]
        return Step(**rows)

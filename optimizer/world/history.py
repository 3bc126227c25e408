"""What a UE remembers of an episode."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.physics import Outcome


@dataclass(frozen=True, kw_only=True)
class History:
    """What a UE remembers of an episode, (episodes, ues) each."""

    offloaded: Tensor
    """Whether it offloaded in the last step, float64 as all."""
    granted: Tensor
    """Share of the band it was granted then."""
    sharing: Tensor
    """How many offloaded then, itself included; 0 where it did not. Its own latency tells it: (5) goes by
    their number."""
    sums: tuple[Tensor, Tensor, Tensor]
    """Sums of the three over the episode."""

    @classmethod
    def empty(cls, like: Tensor) -> History:
        """Of an episode's start."""
        zero = torch.zeros_like(like)
        return cls(offloaded=zero, granted=zero, sharing=zero, sums=(zero, zero, zero))

    def after(self, system: SystemConfig, outcome: Outcome) -> History:
        """With one more step."""
        offloaded = outcome.offloaded.double()
        granted = outcome.bandwidth_hz / system.bandwidth_hz
        sharing = offloaded * offloaded.sum(dim=-1, keepdim=True)
        old = self.sums
        sums = (old[0] + offloaded, old[1] + granted, old[2] + sharing)
        return History(offloaded=offloaded, granted=granted, sharing=sharing, sums=sums)

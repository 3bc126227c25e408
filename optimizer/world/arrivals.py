"""Tasks that arrive while an episode runs, beside the queue that is full at its start."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.config import EpisodeConfig

BURST_SHARE = 0.25
"""Share of the time that a UE's burst takes: within one it is given four times its mean."""


class Arrivals:
    """Tasks that each UE is given before each step, independent of the others and of what a policy does.

    poisson: a Poisson number of mean `arrival_rate`. bursty: a UE is in a burst or in a pause, a Markov chain
    that stays in a burst for `burst_steps` steps in the mean and is in one for BURST_SHARE of the time; in a
    burst the number is Poisson of mean `arrival_rate` / BURST_SHARE, in a pause 0 (an interrupted Poisson
    process). The mean over time is `arrival_rate`.

    Args:
        episode: kind and rate.
        shape: (episodes, ues).
        generator: source of all draws; its device is where everything is computed.
    """

    def __init__(self, episode: EpisodeConfig, shape: tuple[int, int], generator: torch.Generator) -> None:
        self._episode, self._shape, self._generator = episode, shape, generator
        self._rate = torch.full(shape, episode.arrival_rate, dtype=torch.float64, device=generator.device)

    def first(self) -> Tensor:
        """Tasks before the first step of new episodes, float64, (episodes, ues)."""
        if self._episode.arrivals == "bursty":
            self._bursts = self._uniform() < BURST_SHARE
        return self._drawn()

    def next(self) -> Tensor:
        """Tasks before the next step, float64, (episodes, ues)."""
        if self._episode.arrivals == "bursty":
            ends = 1.0 / self._episode.burst_steps
            begins = ends * BURST_SHARE / (1.0 - BURST_SHARE)
            turns = self._uniform() < torch.where(self._bursts, ends, begins)
            self._bursts = self._bursts ^ turns
        return self._drawn()

    def _uniform(self) -> Tensor:
        device = self._generator.device
        return torch.rand(self._shape, generator=self._generator, dtype=torch.float64, device=device)

    def _drawn(self) -> Tensor:
        if self._episode.arrivals == "bursty":
            return torch.poisson(self._rate / BURST_SHARE, generator=self._generator) * self._bursts
        return torch.poisson(self._rate, generator=self._generator)

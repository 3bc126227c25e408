"""What the optimizer's benchmarks share: the setting of their flags, and shares of what `central` earns."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from optimizer.command import world_settings
from optimizer.policies.baselines import POLICIES
from optimizer.policies.learner import Learner
from optimizer.study.evaluate import play
from optimizer.world.inputs import load


def setting_of(options: argparse.Namespace) -> dict[str, Any]:
    """System, episode and tasks that the flags of `system_flags` describe; torch is left one thread.

    `options.seed` is a number afterwards.
    """
    torch.set_num_threads(1)
    world = world_settings(options)
    options.seed = world.seed
    loaded = load(world.inputs, system=world.system, episode=world.episode)
    return {"system": loaded.system, "episode": world.episode, "tasks": loaded.tasks}


class Comparison:
    """Trainings with the same --seeds, tested on the same --test-episodes as `central`.

    Args:
        options: --seed, --seeds and --test-episodes are read.
        setting: of `setting_of`.
    """

    def __init__(self, options: argparse.Namespace, setting: dict[str, Any]) -> None:
        self._setting = setting
        self._test = {**setting, "episodes": options.test_episodes, "seed": options.seed + 1}
        self._seeds = range(options.seed, options.seed + options.seeds)
        self._central = self._qoe(POLICIES["central"](setting["system"], setting["tasks"]))

    def of(self, trainer: Callable[..., Learner[Any]], **changes: Any) -> tuple[Tensor, float]:
        """Percentages of central, (seeds,), and CPU seconds of a training.

        Args:
            trainer: given the setting and a generator.
            changes: to the setting, for this learner alone.
        """
        spent = 0.0
        shares = []
        for seed in self._seeds:
            learner = trainer(**self._setting | changes, generator=torch.Generator().manual_seed(seed))
            started = time.process_time()
            learner.train()
            spent += time.process_time() - started
            shares.append(100 * self._qoe(learner.policy, **changes) / self._central)
        return torch.stack(shares), spent / len(shares)

    def of_policy(self, name: str) -> float:
        """Percentage of central of a policy that needs no training."""
        policy = POLICIES[name](self._setting["system"], self._setting["tasks"])
        return float(100 * self._qoe(policy) / self._central)

    def _qoe(self, policy: Any, **changes: Any) -> Tensor:
        return play(policy, **self._test | changes).qoe.mean()

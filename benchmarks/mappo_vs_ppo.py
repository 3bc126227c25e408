"""MAPPO beside Stable-Baselines3's PPO on the same environment, in one run: QoE reached against seconds.

    python benchmarks/mappo_vs_ppo.py --seconds 120 --text-map ... (the map and FLOPs flags of `optimize`)

PPO controls all UEs through the Gymnasium view: it sees all observations, as mappo-broadcast does. Both are
tested on the same episodes after equal shares of the CPU seconds given; the tests are not counted. Needs the
extra `rl`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from data.cli import Parser, positive_int, run_command
from optimizer.command import SHARED, make_parts, system_flags
from optimizer.environment import View
from optimizer.evaluation import play
from optimizer.inputs import load
from optimizer.mappo import MappoConfig, MappoTrainer
from optimizer.physics import Actions
from optimizer.views import ACTION_SIZE, CentralOffloading, to_actions

MARKS = (0.1, 0.25, 0.5, 1.0)
"""Shares of the seconds at which a learner is tested."""


class Clock:
    """Tests a policy at the marks, and stops the learner after the last."""

    def __init__(self, name: str, seconds: float, test: Callable[[object], float]) -> None:
        self._name, self._seconds, self._test = name, seconds, test
        self._started, self._paused, self._mark = time.process_time(), 0.0, 0

    def tick(self, policy: object) -> bool:
        """Whether to go on."""
        now = time.process_time()
        used = now - self._started - self._paused
        if self._mark < len(MARKS) and used >= MARKS[self._mark] * self._seconds:
            print(f"{self._name}: {used:.0f} CPU s, QoE {self._test(policy):.3f}", flush=True)
            self._paused += time.process_time() - now
            self._mark += 1
        return self._mark < len(MARKS)


class SpentError(Exception):
    """The seconds are spent."""


def main() -> None:
    flags = Parser(prog="mappo_vs_ppo.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--seconds", type=positive_int, default=120, help="CPU seconds for each")
    flags.add_argument("--test-episodes", type=positive_int, default=100)
    options = flags.parse_args()

    def body() -> None:
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.vec_env import DummyVecEnv

        torch.set_num_threads(1)
        parts = make_parts(options, *SHARED)
        system, episode = parts["system"], parts["episode"]
        tasks = load(parts["inputs"], system=system, episode=episode).tasks
        setting = {"system": system, "episode": episode, "tasks": tasks}

        def test(policy: object) -> float:
            scores = play(policy, **setting, episodes=options.test_episodes, seed=options.seed + 1)
            return float(scores.qoe.mean())

        clock = Clock("MAPPO", options.seconds, test)
        trainer = MappoTrainer(
            MappoConfig(broadcast=True), **setting, generator=torch.Generator().manual_seed(options.seed)
        )

        def watch(learner: MappoTrainer) -> None:
            if not clock.tick(learner.policy):
                raise SpentError

        try:
            trainer.train(watch=watch)
            print("MAPPO: all its episodes are done")
        except SpentError:
            pass

        model = PPO(
            "MlpPolicy", DummyVecEnv([lambda: CentralOffloading(**setting) for _ in range(8)]), gamma=0.95,
            seed=options.seed, device="cpu",
        )  # fmt: skip

        class Controller:
            sees = "all"

            def act(self, view: View, generator: torch.Generator) -> Actions:
                flat = view.observation.flatten(1).numpy()
                shares, _ = model.predict(flat, deterministic=True)
                return to_actions(system, np.reshape(shares, (*view.queue.shape, ACTION_SIZE)))

        other = Clock("PPO (Stable-Baselines3)", options.seconds, test)

        class Watch(BaseCallback):
            def _on_step(self) -> bool:
                return other.tick(Controller())

        model.learn(total_timesteps=10**9, callback=Watch())

    sys.exit(run_command("mappo_vs_ppo.py", body))


if __name__ == "__main__":
    main()

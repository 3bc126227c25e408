"""MAPPO beside Stable-Baselines3's PPO on the same environment, in one run: QoE reached against seconds.

    python benchmarks/mappo_vs_ppo.py --seconds 30 --text-map ... (the map and FLOPs flags of `optimize`)

PPO is one controller of all UEs: it sees all observations, as mappo-broadcast does, and decides the four
actions of each. Both have the same batched environment with the same copies, network width, minibatch,
epochs, discount, clip and entropy weight; PPO's observations are normalised, its reward is the scaled one
MAPPO learns from, and it is trained once with each of --learning-rates. All are tested on the same episodes
after equal shares of the CPU seconds given; the tests are not counted. Needs the extra `rl`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from data.cli import Parser, float_grid, positive_int, run_command
from optimizer.command import SHARED, make_parts, system_flags
from optimizer.config import EpisodeConfig, SystemConfig
from optimizer.environment import OffloadingEnvironment
from optimizer.evaluation import play
from optimizer.inputs import load
from optimizer.mappo import MappoConfig, MappoTrainer
from optimizer.observation import View
from optimizer.physics import Actions
from optimizer.tasks import Tasks
from optimizer.views import ACTION_SIZE, CentralOffloading, to_actions

MARKS = (0.1, 0.25, 0.5, 1.0)
"""Shares of the seconds at which a learner is tested."""


class Clock:
    """Tests a policy at the marks, and stops the learner after the last."""

    def __init__(self, name: str, seconds: float, test: Callable[[object], float]) -> None:
        self._name, self._seconds, self._test = name, seconds, test
        self._started, self._paused, self._mark = time.process_time(), 0.0, 0

    def tick(self, policy: object, steps: int) -> bool:
        """Whether to go on."""
        now = time.process_time()
        used = now - self._started - self._paused
        if self._mark < len(MARKS) and used >= MARKS[self._mark] * self._seconds:
            print(f"{self._name}: {used:.0f} CPU s, {steps} steps, QoE {self._test(policy):.3f}", flush=True)
            self._paused += time.process_time() - now
            self._mark += 1
        return self._mark < len(MARKS)


class SpentError(Exception):
    """The seconds are spent."""


class Batch(VecEnv):
    """All copies of the batched environment, played at once, for Stable-Baselines3.

    Copies start together; one that is over early waits for the last, with reward 0.
    """

    render_mode = None

    def __init__(self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks, copies: int, seed: int):
        one = CentralOffloading(system, episode, tasks)
        super().__init__(copies, one.observation_space, one.action_space)
        self._environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=copies,
            generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip

    def _observe(self) -> np.ndarray:
        return self._environment.view().observation.flatten(1).numpy()

    def reset(self) -> np.ndarray:
        self._environment.reset()
        return self._observe()

    def step_async(self, actions: np.ndarray) -> None:
        self._shares = np.reshape(actions, (self.num_envs, -1, ACTION_SIZE))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        environment = self._environment
        was_over, scale = environment.finished, environment.reward_scale
        _, reward = environment.step(to_actions(environment.system, self._shares))
        over = environment.finished & ~was_over
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if environment.finished.all():
            last = self._observe()
            for info, observation in zip(infos, last, strict=True):
                info["terminal_observation"] = observation
            environment.reset()
            over = torch.ones_like(over)
        observation = self._observe()
        for i in over.nonzero().flatten().tolist():
            infos[i].setdefault("terminal_observation", observation[i])
        return observation, (reward / scale).float().numpy(), over.numpy(), infos

    def close(self) -> None:
        pass

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **named: Any) -> list[Any]:
        raise NotImplementedError


def main() -> None:
    flags = Parser(prog="mappo_vs_ppo.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--seconds", type=positive_int, default=30, help="CPU seconds for each training")
    flags.add_argument("--learning-rates", type=float_grid, default=(3e-4, 1e-3, 3e-3), help="PPO's")
    flags.add_argument("--test-episodes", type=positive_int, default=100)
    options = flags.parse_args()

    def body() -> None:
        torch.set_num_threads(1)
        parts = make_parts(options, *SHARED)
        system, episode = parts["system"], parts["episode"]
        tasks = load(parts["inputs"], system=system, episode=episode).tasks
        setting: dict[str, Any] = {"system": system, "episode": episode, "tasks": tasks}

        def test(policy: Any) -> float:
            scores = play(policy, **setting, episodes=options.test_episodes, seed=options.seed + 1)
            return float(scores.qoe.mean())

        config = MappoConfig(broadcast=True)
        clock = Clock("MAPPO", options.seconds, test)
        trainer = MappoTrainer(config, **setting, generator=torch.Generator().manual_seed(options.seed))

        def watch(learner: MappoTrainer) -> None:
            if not clock.tick(learner.policy, len(learner.curve.qoe) * config.copies * episode.steps):
                raise SpentError

        try:
            trainer.train(watch=watch)
            print(f"MAPPO: all its episodes are done, QoE {test(trainer.policy):.3f}")
        except SpentError:
            pass

        for rate in options.learning_rates:
            world = VecNormalize(Batch(**setting, copies=config.copies, seed=options.seed), norm_reward=False)
            model = PPO(
                "MlpPolicy", world, learning_rate=rate, n_steps=episode.steps, batch_size=config.batch_steps,
                n_epochs=config.epochs, gamma=config.discount, gae_lambda=0.95, clip_range=config.clip,
                ent_coef=config.entropy_weight, vf_coef=config.critic_weight,
                max_grad_norm=config.gradient_norm_max, seed=options.seed, device="cpu",
                policy_kwargs={"net_arch": [config.hidden, config.hidden]},
            )  # fmt: skip
            _learn(model, world, Clock(f"PPO (Stable-Baselines3), rate {rate:g}", options.seconds, test))

    sys.exit(run_command("mappo_vs_ppo.py", body))


def _learn(model: PPO, world: VecNormalize, clock: Clock) -> None:
    class Controller:
        sees = "all"

        def act(self, view: View, generator: torch.Generator) -> Actions:
            flat = world.normalize_obs(view.observation.flatten(1).numpy())
            shares, _ = model.predict(flat, deterministic=True)
            return to_actions(view.system, np.reshape(shares, (*view.queue.shape, ACTION_SIZE)))

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            return clock.tick(Controller(), self.num_timesteps)

    model.learn(total_timesteps=10**9, callback=Watch())


if __name__ == "__main__":
    main()

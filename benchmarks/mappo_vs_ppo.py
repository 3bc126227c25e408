"""MAPPO beside Stable-Baselines3's PPO on the same environment, in one run: QoE reached against seconds, and
how soon MAPPO is near its last QoE.

    python benchmarks/mappo_vs_ppo.py --seconds 30 --text-map ... (the map and FLOPs flags of `optimize`)

PPO is one controller of all UEs: it sees all observations, which mappo does not, and decides the four
actions of each. Both have the same batched environment with the same copies, network width, minibatch,
epochs, discount, clip and entropy weight; PPO's observations are normalised, its reward is the scaled one
MAPPO learns from, and it is trained once with each of --learning-rates. MAPPO is trained for --updates and
tested after some of them, PPO for --seconds of CPU time and tested after shares of it, on the same episodes;
the tests are not counted. Needs the extra `rl`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from flag_types import positive_int
from setting import setting_of
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from data.settings.flags import float_grid
from data.terminal.command import Parser, run_command
from optimizer.command import system_flags
from optimizer.policies.baselines import POLICIES
from optimizer.policies.config import MappoConfig
from optimizer.policies.mappo import MappoTrainer
from optimizer.study.evaluate import play
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.gym import CentralOffloading, action_size, to_actions
from optimizer.world.physics import Actions
from optimizer.world.tasks import Tasks
from optimizer.world.view import View

UPDATES = (1, 2, 3, 5, 10, 15, 20, 30, 40, 50)
"""MAPPO's after which it is tested, beside the last."""
MARKS = (0.1, 0.25, 0.5, 1.0)
"""Shares of the seconds after which PPO is tested."""
Test = Callable[[Any], float]


class Clock:
    """CPU seconds without those of the tests."""

    def __init__(self, test: Test) -> None:
        self._test, self._started, self._paused = test, time.process_time(), 0.0

    @property
    def used_s(self) -> float:
        """Seconds so far."""
        return time.process_time() - self._started - self._paused

    def test(self, policy: Any) -> float:
        """The policy's QoE, off the clock."""
        now = time.process_time()
        qoe = self._test(policy)
        self._paused += time.process_time() - now
        return qoe


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
        self._shares = np.reshape(actions, (self.num_envs, -1, action_size(self._environment.tasks)))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        environment = self._environment
        was_over, scale = environment.finished, environment.reward_scale
        _, reward = environment.step(to_actions(environment.system, environment.tasks, self._shares))
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
    flags.add_argument("--updates", type=positive_int, default=60, help="MAPPO's training")
    flags.add_argument(
        "--seconds", type=positive_int, default=30, help="CPU seconds for each training of PPO"
    )
    flags.add_argument("--learning-rates", type=float_grid, default=(3e-4, 1e-3, 3e-3), help="PPO's")
    flags.add_argument("--test-episodes", type=positive_int, default=100)
    options = flags.parse_args()

    def body() -> None:
        setting = setting_of(options)
        system, episode, tasks = setting.values()

        def test(policy: Any) -> float:
            scores = play(policy, **setting, episodes=options.test_episodes, seed=options.seed + 1)
            return float(scores.qoe.mean())

        print("| learner | CPU s | environment steps | QoE |\n|---|--:|--:|--:|", flush=True)
        print(f"| central, no learner | | | {test(POLICIES['central'](system, tasks)):.3f} |", flush=True)
        config = MappoConfig(episodes=options.updates)
        _mappo(config, setting, options.seed, test)
        for rate in options.learning_rates:
            world = VecNormalize(Batch(**setting, copies=config.copies, seed=options.seed), norm_reward=False)
            model = PPO(
                "MlpPolicy", world, learning_rate=rate, n_steps=episode.steps, batch_size=config.batch_steps,
                n_epochs=config.epochs, gamma=config.discount, gae_lambda=0.95, clip_range=config.clip,
                ent_coef=config.entropy_weight, vf_coef=config.critic_weight,
                max_grad_norm=config.gradient_norm_max, seed=options.seed, device="cpu",
                policy_kwargs={"net_arch": [config.hidden, config.hidden]},
            )  # fmt: skip
            _ppo(f"PPO, learning rate {rate:g}", model, world, options.seconds, test)

    sys.exit(run_command("mappo_vs_ppo.py", body))


def _mappo(config: MappoConfig, setting: dict[str, Any], seed: int, test: Test) -> None:
    """Train, test after `UPDATES` and the last, print."""
    rows: list[tuple[int, float, float]] = []
    clock = Clock(test)

    def watch(learner: MappoTrainer) -> None:
        done = len(learner.curve.qoe)
        if done in UPDATES or done == config.episodes:
            rows.append((done, clock.used_s, clock.test(learner.policy)))

    MappoTrainer(config, **setting, generator=torch.Generator().manual_seed(seed)).train(watch=watch)
    for done, used_s, qoe in rows:
        most = done * config.copies * setting["episode"].steps  # an episode may be over early
        print(f"| MAPPO, updates: {done} | {used_s:.1f} | {most:,} | {qoe:.3f} |", flush=True)


def _ppo(name: str, model: PPO, world: VecNormalize, seconds: int, test: Test) -> None:
    """Train, test after `MARKS` of the seconds, print."""

    class Controller:
        sees = "all"

        def act(self, view: View, generator: torch.Generator) -> Actions:
            flat = world.normalize_obs(view.observation.flatten(1).numpy())
            shares, _ = model.predict(flat, deterministic=True)
            shape = (*view.queue.shape, action_size(view.tasks))
            return to_actions(view.system, view.tasks, np.reshape(shares, shape))

    marks = [share * seconds for share in MARKS]
    clock = Clock(test)

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            if marks and clock.used_s >= marks[0]:
                marks.pop(0)
                used_s, qoe = clock.used_s, clock.test(Controller())
                print(f"| {name} | {used_s:.1f} | {self.num_timesteps:,} | {qoe:.3f} |", flush=True)
            return bool(marks)

    model.learn(total_timesteps=10**9, callback=Watch())


if __name__ == "__main__":
    main()

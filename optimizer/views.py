"""The environment as PettingZoo's ParallelEnv and as a Gymnasium Env: one episode, numpy, for other
libraries.

Needs the extra `rl`. Actions are shares in [0, 1]: offload (yes above 1/2), power (in dBm), clock, a
bandwidth request b-hat of -3 to 3, and where UEs choose k (`Inputs.joint_k`) its place in `Tasks.symbols`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
import pettingzoo
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from optimizer.config import EpisodeConfig, SystemConfig
from optimizer.environment import OffloadingEnvironment
from optimizer.observation import OBSERVATION_SIZE, View
from optimizer.physics import Actions, Outcome
from optimizer.ranges import clock_from_share, power_from_share
from optimizer.tasks import Tasks

_REQUEST_SPAN = 3.0
Array = NDArray[np.float32]


def action_size(tasks: Tasks) -> int:
    """Numbers that are a UE's action."""
    return 4 if tasks.codes == 1 else 5


def to_actions(system: SystemConfig, tasks: Tasks, shares: NDArray[Any]) -> Actions:
    """Physical actions of shares in [0, 1], (..., ues, action_size); what lies outside counts as the end."""
    offload, power, clock, request, *code = (
        torch.as_tensor(shares, dtype=torch.float64).clamp(0.0, 1.0).unbind(dim=-1)
    )
    return Actions(
        offload=offload > 0.5,
        power_w=power_from_share(system, power),
        clock_hz=clock_from_share(system, clock),
        bandwidth_request=(2.0 * request - 1.0) * _REQUEST_SPAN,
        code=(code[0] * tasks.codes).long().clamp_max(tasks.codes - 1) if code else None,
    )


def _observation_space(shape: tuple[int, ...]) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape, np.float32)


class _Single:
    """One episode of the batched environment."""

    def __init__(self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks) -> None:
        self._system, self._tasks = system, tasks
        self._generator = torch.Generator()
        self.environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=1, generator=self._generator
        )

    def reset(self, seed: int | None) -> View:
        if seed is not None:
            self._generator.manual_seed(seed)
        return self.environment.reset()

    def step(self, shares: NDArray[Any]) -> tuple[View, Outcome, float, bool]:
        outcome, reward = self.environment.step(to_actions(self._system, self._tasks, shares[None]))
        over = bool(self.environment.finished[0])
        return self.environment.view(), outcome, float(reward / self.environment.reward_scale), over


class ParallelOffloading(pettingzoo.ParallelEnv):
    """Every UE an agent on its own observation; each is given the sum reward, over `reward_scale`.

    Args:
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "offloading_v0", "render_modes": []}

    def __init__(self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks) -> None:
        self._single = _Single(system, episode, tasks)
        self.possible_agents = [f"ue_{i}" for i in range(tasks.ues)]
        self.agents: list[str] = []
        self.observation_spaces = {
            name: _observation_space((OBSERVATION_SIZE,)) for name in self.possible_agents
        }
        self.action_spaces = {
            name: spaces.Box(0.0, 1.0, (action_size(tasks),), np.float32) for name in self.possible_agents
        }
        self.render_mode = None

    def observation_space(self, agent: str) -> spaces.Box:
        """Of one agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """Of one agent."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Start an episode."""
        self.agents = list(self.possible_agents)
        view = self._single.reset(seed)
        return self._observations(view), {name: {} for name in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[
        dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:
        """Play a step. Agents leave together, when the episode is over."""
        shares = np.stack([np.asarray(actions[name], dtype=np.float64) for name in self.possible_agents])
        view, outcome, reward, over = self._single.step(shares)
        names = self.agents
        earned = outcome.earned_qoe[0].tolist()
        result = (
            self._observations(view),
            dict.fromkeys(names, reward),
            dict.fromkeys(names, over),
            dict.fromkeys(names, False),
            {name: {"qoe": qoe} for name, qoe in zip(names, earned, strict=True)},
        )
        if over:
            self.agents = []
        return result

    def state(self) -> Array:
        """All observations, for a central critic."""
        return self._single.environment.view().observation[0].numpy().reshape(-1)

    def render(self) -> None:
        """Nothing to see."""

    def close(self) -> None:
        """Nothing to free."""

    def _observations(self, view: View) -> dict[str, Array]:
        return dict(zip(self.agents, view.observation[0].numpy(), strict=True))


class CentralOffloading(gymnasium.Env):
    """One controller that sees and decides for all UEs.

    Args:
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks) -> None:
        self._single = _Single(system, episode, tasks)
        self._shape = (tasks.ues, action_size(tasks))
        self.observation_space = _observation_space((tasks.ues * OBSERVATION_SIZE,))
        self.action_space = spaces.Box(0.0, 1.0, (tasks.ues * action_size(tasks),), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        return self._single.reset(seed).observation[0].numpy().reshape(-1), {}

    def step(self, action: NDArray[Any]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Play a step."""
        view, outcome, reward, over = self._single.step(np.asarray(action).reshape(self._shape))
        info = {"qoe": float(outcome.earned_qoe.sum())}
        return view.observation[0].numpy().reshape(-1), reward, over, False, info

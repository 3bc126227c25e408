"""The environment as PettingZoo's ParallelEnv and as a Gymnasium Env: one episode, numpy, for other
libraries.

Needs the extra `rl`. Actions are shares in [0, 1]: offload (yes above 1/2), power (in dBm), clock, a
bandwidth request b-hat of -3 to 3, and where UEs choose k (`Inputs.joint_k`) its place in `Tasks.symbols`.
An environment that is reset without a seed draws one from entropy, once; a copy of it draws another.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pettingzoo
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import Actions, Outcome
from optimizer.world.ranges import clock_from_share, power_from_share
from optimizer.world.tasks import Tasks
from optimizer.world.view import OBSERVATION_SIZE, View

_MODES = ("rgb_array",)
_REQUEST_SPAN = 3.0
_SHARES = ("offload", "power", "clock", "request", "code")
"""What the numbers of an action are."""
Array = NDArray[np.float32]


def action_size(tasks: Tasks) -> int:
    """Numbers that are a UE's action."""
    return 4 if tasks.codes == 1 else 5


def agent_names(tasks: Tasks) -> list[str]:
    """Names of the UEs, in the order of `Tasks`."""
    return [f"ue_{i}" for i in range(tasks.ues)]


def to_actions(system: SystemConfig, tasks: Tasks, shares: NDArray[Any]) -> Actions:
    """Physical actions of shares in [0, 1], (..., ues, action_size); what lies outside counts as the end.

    Raises:
        ValueError: if the shape is another, or a number is not finite.
    """
    size = (tasks.ues, action_size(tasks))
    if shares.shape[-2:] != size:
        raise ValueError(f"actions of shape {shares.shape} given, (..., {size[0]}, {size[1]}) is allowed")
    wrong = np.argwhere(~np.isfinite(shares))
    if len(wrong):
        *_, ue, share = (int(i) for i in wrong[0])
        raise _not_a_number(agent_names(tasks)[ue], _SHARES[share], shares[tuple(wrong[0])])
    offload, power, clock, request, *code = (
        torch.as_tensor(shares, dtype=torch.float64).clamp(0.0, 1.0).unbind(dim=-1)
    )
    return Actions(
        offload=offload > 0.5,
        power_w=power_from_share(tasks.device_in(system), power),
        clock_hz=clock_from_share(tasks.device_in(system), clock),
        bandwidth_request=(2.0 * request - 1.0) * _REQUEST_SPAN,
        code=(code[0] * tasks.codes).long().clamp_max(tasks.codes - 1) if code else None,
    )


def _not_a_number(agent: str, share: str, value: Any) -> ValueError:
    return ValueError(
        f"action of {agent}: {share} {str(value)[:40]!r} given, a finite number is allowed: 0 to 1"
    )


def _shares(action: Any, agents: list[str], size: int) -> NDArray[np.float64]:
    """The numbers of one or more agents' actions, one after the other, as (agents, size).

    Raises:
        ValueError: naming the agent, and the share that is no finite number.
    """
    whole = agents[0] if len(agents) == 1 else f"{agents[0]} to {agents[-1]}"
    try:
        values = np.asarray(action, dtype=object)
    except Exception as error:  # whatever an object's own conversion to an array raises
        raise ValueError(f"action of {whole}: {type(action).__name__} given, numbers are allowed") from error
    if values.shape not in ((len(agents) * size,), (len(agents), size)):
        raise ValueError(
            f"action of {whole}: {type(action).__name__} of shape {values.shape} given, "
            f"({len(agents) * size},) is allowed: {', '.join(_SHARES[:size])}"
            + (" of each" if len(agents) > 1 else "")
        )
    shares = np.array([_number(value) for value in values.ravel()], dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(shares))
    if len(wrong):
        agent, share = divmod(int(wrong[0]), size)
        raise _not_a_number(agents[agent], _SHARES[share], values.ravel()[wrong[0]])
    return shares.reshape(len(agents), size)


def _number(value: Any) -> float:
    """A value as float; NaN if it is no number."""
    if isinstance(value, (str, bytes)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan


def _observation_space(shape: tuple[int, ...]) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape, np.float32)


class _Single:
    """One episode of the batched environment."""

    def __init__(self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks) -> None:
        self._system, self._tasks = system, tasks
        self._generator = torch.Generator()
        self._seeded = False
        self._drawn_by: int | None = None
        self.started = False
        self.outcome: Outcome | None = None
        self.environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=1, generator=self._generator
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy draws a seed of its own at its next reset, unless somebody has seeded it."""
        self.__dict__.update(state)
        self._drawn_by = None

    def reset(self, seed: int | None) -> View:
        if seed is not None:
            self._generator.manual_seed(int(seed))
            self._seeded = True
        elif not self._seeded and self._drawn_by != os.getpid():  # a fork is a copy, too
            self._generator.seed()
            self._drawn_by = os.getpid()
        self.started, self.outcome = True, None
        return self.environment.reset()

    def step(self, shares: NDArray[Any]) -> tuple[View, Outcome, float, bool]:
        outcome, reward = self.environment.step(to_actions(self._system, self._tasks, shares[None]))
        self.outcome = outcome
        over = bool(self.environment.finished[0])
        return self.environment.view(), outcome, float(reward / self.environment.reward_scale), over

    def render(self, mode: str | None) -> NDArray[np.uint8] | None:
        """The step played last as RGB; None where no mode was asked for."""
        if mode is None:
            return None
        _require_reset(self)
        from optimizer.world.picture import draw_step  # matplotlib takes a second

        return draw_step(self.environment.view(), self.outcome)


def _require_mode(mode: str | None) -> None:
    """Refuse what cannot be rendered.

    Raises:
        ValueError: naming what can.
    """
    if mode not in (None, *_MODES):
        raise ValueError(f"render_mode: {mode!r} given, {', '.join(map(repr, _MODES))} or None is allowed")


def _require_reset(single: _Single) -> None:
    """Refuse an episode that nobody has started: it would be the same in every environment."""
    if not single.started:
        raise gymnasium.error.ResetNeeded("no episode has been started: call reset() first")


class ParallelOffloading(pettingzoo.ParallelEnv):
    """Every UE an agent on its own observation; each is given the sum reward, over `reward_scale`.

    Args:
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        render_mode: "rgb_array" for `render` to draw the last step.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "offloading_v0",
        "render_modes": [*_MODES],
        "render_fps": 2,
        "is_parallelizable": True,
    }

    def __init__(
        self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks, render_mode: str | None = None
    ) -> None:
        _require_mode(render_mode)
        self.render_mode = render_mode
        self._single = _Single(system, episode, tasks)
        self.possible_agents = agent_names(tasks)
        self._action_size = action_size(tasks)
        self.agents: list[str] = []
        self.observation_spaces = {
            name: _observation_space((OBSERVATION_SIZE,)) for name in self.possible_agents
        }
        self.action_spaces = {
            name: spaces.Box(0.0, 1.0, (action_size(tasks),), np.float32) for name in self.possible_agents
        }

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
        """Play a step. Agents leave together, when the episode is over.

        Raises:
            ValueError: if an agent's action is missing, holds what is no finite number or is of another
                length, or if an agent is unknown.
        """
        _require_reset(self._single)
        if not self.agents and not actions:
            return {}, {}, {}, {}, {}
        self._check_agents(actions)
        shares = np.concatenate([_shares(actions[name], [name], self._action_size) for name in self.agents])
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

    def _check_agents(self, actions: Any) -> None:
        if not isinstance(actions, Mapping):
            raise ValueError(f"{type(actions).__name__} given, a dict of actions by agent is allowed")
        if missing := [name for name in self.agents if name not in actions]:
            raise ValueError(f"no action of {', '.join(missing)} given, one of every agent is needed")
        if unknown := [str(name) for name in actions if name not in self.agents]:
            over = "" if self.agents else ": the episode is over, call reset()"
            raise ValueError(
                f"actions of {', '.join(unknown)} given, {', '.join(self.agents) or 'none'} are allowed{over}"
            )

    def state(self) -> Array:
        """All observations, for a central critic."""
        return self._single.environment.view().observation[0].numpy().reshape(-1)

    def render(self) -> NDArray[np.uint8] | None:
        """The step played last, RGB of (height, width, 3); None without a `render_mode`."""
        return self._single.render(self.render_mode)

    def _observations(self, view: View) -> dict[str, Array]:
        return dict(zip(self.agents, view.observation[0].numpy(), strict=True))


class CentralOffloading(gymnasium.Env):
    """One controller that sees and decides for all UEs.

    Args:
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        render_mode: "rgb_array" for `render` to draw the last step.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [*_MODES], "render_fps": 2}

    def __init__(
        self, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks, render_mode: str | None = None
    ) -> None:
        _require_mode(render_mode)
        self.render_mode = render_mode
        self._single = _Single(system, episode, tasks)
        self._agents, self._action_size = agent_names(tasks), action_size(tasks)
        self.observation_space = _observation_space((tasks.ues * OBSERVATION_SIZE,))
        self.action_space = spaces.Box(0.0, 1.0, (tasks.ues * action_size(tasks),), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        return self._single.reset(seed).observation[0].numpy().reshape(-1), {}

    def step(self, action: NDArray[Any]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Play a step.

        Raises:
            ValueError: if the action holds what is no finite number, naming the UE, or is of another length.
        """
        _require_reset(self._single)
        view, outcome, reward, over = self._single.step(_shares(action, self._agents, self._action_size))
        info = {"qoe": float(outcome.earned_qoe.sum())}
        return view.observation[0].numpy().reshape(-1), reward, over, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """The step played last, RGB of (height, width, 3); None without a `render_mode`."""
        return self._single.render(self.render_mode)

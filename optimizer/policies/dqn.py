"""Section V-A's DQN and double DQN: every UE a learner on discrete levels, with shared weights.

As in MAPPO a UE sees its own observation, and the reward is the sum (13) of all UEs.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from data.files.errors import ToolkitError, parsing
from data.files.schema import from_json
from data.files.tensors import read_tensors
from optimizer.policies.config import DqnConfig
from optimizer.policies.experience import GRADIENT_NORM_MAX, ReplayLearner
from optimizer.policies.networks import mlp
from optimizer.policies.policy_file import check_world, fill, sizes_in, world_of
from optimizer.policies.scores import Scores, Tally
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.devices import Device
from optimizer.world.physics import Actions, level_of_each
from optimizer.world.ranges import clock_from_share, power_from_share
from optimizer.world.tasks import Tasks
from optimizer.world.view import OBSERVATION_SIZE, SEES, View


def exploration_entropy(explore: float, count: int) -> float:
    """Entropy in nat of the best of `count` actions, but one drawn uniformly of all with probability
    `explore`."""
    other = explore / count
    best = 1.0 - explore + other
    return -sum(p * math.log(p) for p in (best, *[other] * (count - 1)) if p > 0)


@dataclass(frozen=True, kw_only=True)
class DqnSizes:
    """What a network of Q is made of."""

    hidden: int
    """Width of the hidden layers."""
    levels: int
    """Powers, and clocks."""
    requests: int
    """Requests b-hat."""
    codes: int
    """Choices of k."""

    @property
    def actions(self) -> int:
        """Number of discrete actions, local ones first."""
        return self.levels * (1 + self.requests * self.codes)

    def network(self, generator: torch.Generator) -> nn.Sequential:
        """Q of each action from a UE's observation."""
        return mlp((OBSERVATION_SIZE, self.hidden, self.hidden, self.actions), 0.01, generator)


class Levels:
    """The discrete actions: local at each clock; offloading at each power, request and k.

    Args:
        sizes: how many of each.
        ranges: of powers and clocks; those of each UE where devices differ.
        device: of the tables.
    """

    def __init__(self, sizes: DqnSizes, ranges: Device, device: torch.device) -> None:
        shares = torch.linspace(0.0, 1.0, sizes.levels, dtype=torch.float64, device="cpu").tolist()
        remote = list(itertools.product(shares, range(sizes.requests), range(sizes.codes)))
        local = sizes.levels

        def table(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        self.offload = torch.arange(local + len(remote), device=device) >= local
        power = table([1.0] * local + [share for share, _, _ in remote]).unsqueeze(-1)
        clock = table(shares + [1.0] * len(remote)).unsqueeze(-1)
        self.power_w = power_from_share(ranges, power)  # (actions, 1 or ues)
        self.clock_hz = clock_from_share(ranges, clock)
        self.request = table([0.0] * local + [math.log(3.0) * request for _, request, _ in remote])
        self.code = table([0.0] * local + [float(code) for _, _, code in remote]).long()

    def actions(self, index: Tensor) -> Actions:
        """Actions at indices, (..., ues)."""
        return Actions(
            offload=self.offload[index],
            power_w=level_of_each(self.power_w, index),
            clock_hz=level_of_each(self.clock_hz, index),
            bandwidth_request=self.request[index],
            code=self.code[index],
        )


class DqnPolicy:
    """The action of largest Q.

    Args:
        network: Q of each action from a UE's observation.
        levels: the actions.
        observation: what it reads, as in `EpisodeConfig`.
    """

    def __init__(self, network: nn.Module, levels: Levels, *, observation: str) -> None:
        self._network, self._levels = network, levels
        self.sees = SEES[observation]

    @torch.no_grad()
    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        return self._levels.actions(self._network(view.observation).argmax(dim=-1))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks
    ) -> DqnPolicy:
        """Read a policy file of DQN or DDQN; all as `optimizer.policies.networks.LearnedPolicy.load`."""
        weights, head = read_tensors(path)
        with parsing(path):
            sizes = from_json(DqnSizes, sizes_in(head, weights, ("dqn", "ddqn")))
            rows = max(tensor.numel() for tensor in weights.values())
            if min(sizes.levels, sizes.requests) < 1 or sizes.actions > rows:  # before memory is taken
                raise ToolkitError(f"weights do not fit the sizes the file gives: {sizes}")
            network = sizes.network(torch.Generator())
            fill(network, weights)
            check_world(head, world_of(system, episode, tasks), path)
            levels = Levels(sizes, tasks.device_in(system), tasks.device)
            return cls(network.to(tasks.device), levels, observation=episode.observation)


class DqnTrainer(ReplayLearner[DqnConfig]):
    """Learns Q by playing; see `Learner`."""

    network: nn.Sequential
    _target: nn.Sequential

    @override
    def build(self, tasks: Tasks, generator: torch.Generator) -> nn.Sequential:
        config, device = self.config, self._generator.device
        self._sizes = DqnSizes(
            hidden=config.hidden, levels=config.levels, requests=config.requests, codes=tasks.codes
        )
        self._levels = Levels(self._sizes, tasks.to(device).device_in(self.system), device)
        return self._sizes.network(generator)

    @override
    def prepare(self) -> None:
        self.name = "ddqn" if self.config.double else "dqn"
        observation = torch.zeros(OBSERVATION_SIZE, device=self._generator.device)
        number = torch.zeros((), device=self._generator.device)
        self.remember(
            self.config.memory,
            {
                "observation": observation, "action": number.long(), "reward": number,
                "following": observation, "goes_on": number.bool(),
            },
        )  # fmt: skip

    @property
    @override
    def policy(self) -> DqnPolicy:
        return DqnPolicy(self.network, self._levels, observation=self.episode.observation)

    @override
    def sizes(self) -> dict[str, Any]:
        return asdict(self._sizes)

    @override
    def restore_state(self, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
        super().restore_state(tensors, head)
        actions = self._memory.columns["action"]
        if (actions < 0).any() or (actions >= self._sizes.actions).any():
            raise ToolkitError(f"memory.action holds others than the {self._sizes.actions} actions")

    @override
    def learn(self, done: int) -> tuple[Scores, float]:
        config = self.config
        fallen = min(1.0, done / (config.explore_share * config.episodes))
        explore = 1.0 + fallen * (config.explore_min - 1.0)
        return self._play(explore), exploration_entropy(explore, self._sizes.actions)

    def _play(self, explore: float) -> Scores:
        environment, generator = self._environment, self._generator
        view = environment.reset()
        tally = Tally(environment.system, environment.tasks, arrive=environment.episode.tasks_arrive)
        for _ in range(self.episode.steps):
            with torch.no_grad():
                best = self.network(view.observation).argmax(dim=-1)
            options: dict[str, Any] = {"generator": generator, "device": generator.device}
            anything = torch.randint(self._sizes.actions, best.shape, **options)
            index = torch.where(torch.rand(best.shape, **options) < explore, anything, best)
            outcome, reward = environment.step(self._levels.actions(index))
            tally.add(view.queue, outcome, reward)
            after = environment.view()
            active = view.queue > 0
            scaled = (reward / environment.reward_scale).float().unsqueeze(-1).expand(active.shape)
            goes_on = (after.queue > 0) & ~environment.finished.unsqueeze(-1)
            self._memory.add(
                observation=view.observation[active], action=index[active], reward=scaled[active],
                following=after.observation[active], goes_on=goes_on[active],
            )  # fmt: skip
            view = after
            if self._memory.count >= self.config.batch:
                for _ in range(self.config.updates):
                    self._update()
        return tally.scores(environment.arrived)

    def _update(self) -> None:
        config = self.config
        part = self._memory.draw(config.batch, self._generator)
        with torch.no_grad():
            target = self._target(part["following"])
            chooser = self.network(part["following"]) if config.double else target
            following = target.gather(-1, chooser.argmax(dim=-1, keepdim=True)).squeeze(-1)
            wanted = part["reward"] + config.discount * torch.where(part["goes_on"], following, 0.0)
        value = self.network(part["observation"]).gather(-1, part["action"].unsqueeze(-1)).squeeze(-1)
        loss = nn.functional.smooth_l1_loss(value, wanted)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM_MAX)
        self._optimiser.step()
        self._updated += 1
        if self._updated % config.target_updates == 0:
            self._target.load_state_dict(self.network.state_dict())

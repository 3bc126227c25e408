"""Section V-A's DQN and double DQN: every UE a learner on discrete levels, with shared weights.

As in MAPPO a UE sees its own observation, and the reward is the sum (13) of all UEs.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.files.errors import raise_config_errors
from data.files.tensors import require_finite
from data.terminal.progress import Progress
from optimizer.policies.mappo import LearningCurve, draw_seed
from optimizer.policies.networks import mlp
from optimizer.study.evaluate import Scores, Tally
from optimizer.world.config import (
    EpisodeConfig,
    SystemConfig,
    config_errors,
    learning_rate_errors,
)
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import Actions
from optimizer.world.ranges import clock_from_share, power_from_share
from optimizer.world.tasks import Tasks
from optimizer.world.view import OBSERVATION_SIZE, View, observed


@dataclass(frozen=True, kw_only=True)
class DqnConfig:
    """Training of DQN and DDQN. The paper gives none of it but gamma.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    double: bool
    """Double DQN: the online network chooses the next action, the target network values it."""
    episodes: int = 1000
    """Training episodes. Flag --episodes."""
    copies: int = 128
    """Independent copies of each training episode, played at once: MAPPO's, so that both see as much."""
    batch: int = 512
    """Experiences of one UE in one update."""
    updates: int = 4
    """Updates after every step."""
    memory: int = 100_000
    """Experiences of one UE that are remembered."""
    learning_rate: float = 5e-4
    """Adam's."""
    discount: float = 0.95
    """gamma. Table I."""
    explore_share: float = 0.5
    """Share of the training over which the share of random actions falls from 1 to `explore_min`."""
    explore_min: float = 0.05
    """Share of random actions that remains."""
    target_updates: int = 200
    """Updates between two copies of the online network to the target network."""
    hidden: int = 64
    """Width of the hidden layers."""
    levels: int = 5
    """Powers, equal in dBm, and clocks."""
    requests: int = 3
    """Bandwidth requests b-hat, ln 3 apart."""

    def __post_init__(self) -> None:
        positive = (
            "episodes", "copies", "batch", "updates", "memory", "learning_rate", "explore_share",
            "target_updates", "hidden", "requests",
        )  # fmt: skip
        errors = config_errors(self, above_zero=positive, flags=("episodes",))
        for name in ("discount", "explore_min"):
            if not 0 < getattr(self, name) <= 1:
                errors.append(f"{name} {getattr(self, name)} given, above 0 up to 1 is allowed")
        if self.levels < 2:
            errors.append(f"levels {self.levels} given, at least 2 is allowed")
        if self.memory < self.batch:
            errors.append(f"memory {self.memory} given, at least batch {self.batch} is allowed")
        errors += learning_rate_errors(self.learning_rate)
        raise_config_errors(errors)


def exploration_entropy(explore: float, count: int) -> float:
    """Entropy in nat of the best of `count` actions, but one drawn uniformly of all with probability
    `explore`."""
    other = explore / count
    best = 1.0 - explore + other
    return -sum(p * math.log(p) for p in (best, *[other] * (count - 1)) if p > 0)


class Levels:
    """The discrete actions: local at each clock; offloading at each power, request and k.

    Args:
        config: how many of each.
        system: their ranges.
        codes: choices of k.
        device: of the tables.
    """

    def __init__(self, config: DqnConfig, system: SystemConfig, codes: int, device: torch.device) -> None:
        shares = torch.linspace(0.0, 1.0, config.levels, dtype=torch.float64, device="cpu").tolist()
        remote = list(itertools.product(shares, range(config.requests), range(codes)))
        local = config.levels

        def table(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        self.offload = torch.arange(local + len(remote), device=device) >= local
        self.power_w = power_from_share(system, table([1.0] * local + [share for share, _, _ in remote]))
        self.clock_hz = clock_from_share(system, table(shares + [1.0] * len(remote)))
        self.request = table([0.0] * local + [math.log(3.0) * request for _, request, _ in remote])
        self.code = table([0.0] * local + [float(code) for _, _, code in remote]).long()

    @property
    def count(self) -> int:
        """Number of actions."""
        return self.offload.numel()

    def actions(self, index: Tensor) -> Actions:
        """Actions at indices, (..., ues)."""
        return Actions(
            offload=self.offload[index],
            power_w=self.power_w[index],
            clock_hz=self.clock_hz[index],
            bandwidth_request=self.request[index],
            code=self.code[index],
        )


class DqnPolicy:
    """The action of largest Q.

    Args:
        network: Q of each action from a UE's observation.
        levels: the actions.
        announce: whether it hears what others announce; as in `EpisodeConfig`.
    """

    def __init__(self, network: nn.Module, levels: Levels, *, announce: bool) -> None:
        self._network, self._levels = network, levels
        self.sees = observed(announce=announce)

    @torch.no_grad()
    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        return self._levels.actions(self._network(view.observation).argmax(dim=-1))


class _Memory:
    """The last experiences of UEs that had a task, overwritten in turn."""

    def __init__(self, size: int, device: torch.device) -> None:
        self._size, self._next, self.count = size, 0, 0
        self._columns = {
            "observation": torch.zeros(size, OBSERVATION_SIZE, device=device),
            "action": torch.zeros(size, dtype=torch.long, device=device),
            "reward": torch.zeros(size, device=device),
            "following": torch.zeros(size, OBSERVATION_SIZE, device=device),
            "goes_on": torch.zeros(size, dtype=torch.bool, device=device),
        }

    def add(self, **columns: Tensor) -> None:
        """Add rows, (n, ...) each; of more than there is room for, the last."""
        columns = {name: value[-self._size :] for name, value in columns.items()}
        rows = columns["action"].shape[0]
        at = (torch.arange(rows, device=columns["action"].device) + self._next) % self._size
        for name, value in columns.items():
            self._columns[name][at] = value
        self._next = (self._next + rows) % self._size
        self.count = min(self.count + rows, self._size)

    def draw(self, rows: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Some rows, with replacement."""
        at = torch.randint(self.count, (rows,), generator=generator, device=generator.device)
        return {name: value[at] for name, value in self._columns.items()}


class DqnTrainer:
    """Learns Q by playing.

    Args:
        config: of the training.
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        generator: source of all draws; its device is used.
    """

    def __init__(
        self,
        config: DqnConfig,
        *,
        system: SystemConfig,
        episode: EpisodeConfig,
        tasks: Tasks,
        generator: torch.Generator,
    ) -> None:
        self.config, self._episode, self._generator = config, episode, generator
        device = generator.device
        first = torch.Generator().manual_seed(draw_seed(generator))
        self._levels = Levels(config, system, tasks.codes, device)
        sizes = (OBSERVATION_SIZE, config.hidden, config.hidden, self._levels.count)
        self.network = mlp(sizes, 0.01, first).to(device)
        self._target = copy.deepcopy(self.network)
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self._environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=config.copies, generator=generator
        )
        self._memory = _Memory(config.memory, device)
        self._updated = 0

    @property
    def policy(self) -> DqnPolicy:
        """The policy as trained so far, without exploration."""
        return DqnPolicy(self.network, self._levels, announce=self._episode.announce)

    def train(self) -> LearningCurve:
        """Play and update `config.episodes` times, with progress on stderr."""
        curve = LearningCurve(reward=[], qoe=[], finished=[], entropy=[])
        name = "DDQN" if self.config.double else "DQN"
        episodes = self.config.episodes
        with Progress(name, total=episodes, done=0, unit="episode") as progress:
            for done in range(episodes):
                fallen = min(1.0, done / (self.config.explore_share * episodes))
                explore = 1.0 + fallen * (self.config.explore_min - 1.0)
                scores = self._play(explore)
                require_finite(self.network.parameters(), self.config.learning_rate)
                curve.reward.append(float(scores.reward.mean()))
                curve.qoe.append(float(scores.qoe.mean()))
                curve.finished.append(float(scores.finished.double().mean()))
                curve.entropy.append(exploration_entropy(explore, self._levels.count))
                progress.update()
                progress.show(qoe=f"{curve.qoe[-1]:.2f}")
        return curve

    def _play(self, explore: float) -> Scores:
        environment, generator = self._environment, self._generator
        view, tally = environment.reset(), Tally(environment.system, environment.tasks)
        for _ in range(self._episode.steps):
            with torch.no_grad():
                best = self.network(view.observation).argmax(dim=-1)
            options: dict[str, Any] = {"generator": generator, "device": generator.device}
            anything = torch.randint(self._levels.count, best.shape, **options)
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
        return tally.scores()

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
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self._optimiser.step()
        self._updated += 1
        if self._updated % config.target_updates == 0:
            self._target.load_state_dict(self.network.state_dict())

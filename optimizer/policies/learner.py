"""What all learners share: the loop, progress, TensorBoard, checkpoints and exact resume."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from data.files.errors import ToolkitError, parsing
from data.files.paths import exists
from data.files.record import Record
from data.files.runs import Identity
from data.files.schema import from_json
from data.files.tensors import read_tensors, require_finite, require_head, write_tensors
from data.settings import named
from data.terminal.progress import Progress
from optimizer.policies.baselines import POLICIES, QUEUE_POLICIES, Policy
from optimizer.policies.config import LearnerConfig
from optimizer.policies.policy_file import world_of, write_policy
from optimizer.policies.registry import LEARNERS, LearnerEntry, add_learner, require_free
from optimizer.policies.scores import Scores
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.tasks import Tasks

CHECKPOINT_SCHEMA = 4
_SAVE_EVERY_S = 60.0

C = TypeVar("C", bound=LearnerConfig)


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One entry per training episode: means over its copies, exploration included."""

    reward: list[float]
    """Undiscounted sum of eqs. (13), (14)."""
    qoe: list[float]
    """As `Scores.qoe`."""
    finished: list[float]
    """Share of episodes in which every queue was emptied."""
    entropy: list[float]
    """Entropy of a UE's action, nat."""


class Learner(ABC, Generic[C]):
    """A policy that learns by playing.

    A learner of one's own gives `build`, `learn` and `policy`. What its training goes on from, besides the
    weights, Adam's moments and the generator, it makes in `prepare` and adds to `tensors`, `head` and
    `restore_state`.

    Args:
        config: of the training.
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        generator: source of all draws: first weights, world, exploration, batches. Its device is used.
    """

    name = "learner"
    """In checkpoints and progress."""
    adam_eps = 1e-8
    network: nn.Module

    def __init__(
        self,
        config: C,
        *,
        system: SystemConfig,
        episode: EpisodeConfig,
        tasks: Tasks,
        generator: torch.Generator,
    ) -> None:
        self.config, self.episode, self.system = config, episode, system
        self._generator = generator
        first = torch.Generator().manual_seed(draw_seed(generator))
        self.network = self.build(tasks, first).to(generator.device)
        self._environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=config.copies, generator=generator
        )
        self._optimiser: torch.optim.Optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, eps=self.adam_eps
        )
        self.curve = LearningCurve(reward=[], qoe=[], finished=[], entropy=[])
        self.prepare()

    @abstractmethod
    def build(self, tasks: Tasks, generator: torch.Generator) -> nn.Module:
        """The network, its first weights drawn from a generator on the CPU; nothing else is there yet."""

    def prepare(self) -> None:
        """Make what else the training needs; all of the constructor's is there."""

    @abstractmethod
    def learn(self, done: int) -> tuple[Scores, float]:
        """Play one training episode in all copies and learn from it.

        Args:
            done: episodes before it.

        Returns:
            What it came to, and the entropy of a UE's action in nat.
        """

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """The policy as trained so far, without exploration."""

    def sizes(self) -> dict[str, Any]:
        """What the network is made of, for the policy's file; a learner that gives none has no such file."""
        return {}

    def save_policy(self, path: Path) -> None:
        """Write the policy's file, with the world it was trained for, where the learner has one."""
        if sizes := self.sizes():
            world = world_of(self.system, self.episode, self._environment.tasks)
            write_policy(path, self.network, learner=self.name, sizes=sizes, world=world)

    def tensors(self) -> dict[str, Tensor]:
        """Further tensors of a checkpoint."""
        return {}

    def head(self) -> dict[str, Any]:
        """Further JSON values of a checkpoint."""
        return {}

    def restore_state(self, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
        """Take back what `tensors` and `head` gave."""

    def train(
        self,
        *,
        checkpoint: Path | None = None,
        log: Path | None = None,
        watch: Callable[[Self], None] | None = None,
    ) -> LearningCurve:
        """Play and update until `config.episodes` are done, with progress on stderr.

        Args:
            checkpoint: file to save to about every minute and at the end; where it holds a checkpoint of the
                same config and seed, training goes on from it, bit for bit as if it had not stopped.
            log: folder of a TensorBoard log.
            watch: called after every episode.

        Raises:
            ToolkitError: if the checkpoint is damaged, foreign or of another config, or if the training
                diverges.
        """
        if checkpoint is not None and exists(checkpoint):
            self.restore(checkpoint)
        saved = time.monotonic()
        before, episodes = len(self.curve.qoe), self.config.episodes
        record = None if log is None else Record(log, done=before)
        with Progress(self.name.upper(), total=episodes, done=before, unit="episode") as progress:
            for done in range(before, episodes):
                values = self._episode(done)
                if record is not None:
                    for name, value in values.items():
                        record.add(name, value, step=done + 1)
                progress.update()
                progress.show(qoe=f"{values['qoe']:.2f}", reward=f"{values['reward']:.1f}")
                if watch is not None:
                    watch(self)
                if checkpoint is not None and time.monotonic() - saved > _SAVE_EVERY_S:
                    self.save(checkpoint)
                    saved = time.monotonic()
        if checkpoint is not None:
            self.save(checkpoint)
        return self.curve

    def _episode(self, done: int) -> dict[str, float]:
        """Learn from one episode, and add it to the curve."""
        scores, entropy = self.learn(done)
        require_finite(self.network.parameters(), self.config.learning_rate)
        values = {
            "reward": float(scores.reward.mean()),
            "qoe": float(scores.qoe.mean()),
            "finished": float(scores.finished.double().mean()),
            "entropy": entropy,
        }
        for name, value in values.items():
            getattr(self.curve, name).append(value)
        return values

    def save(self, path: Path) -> None:
        """Write everything that training goes on from, atomically."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for name, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{name}.{key}": value for key, value in moments.items()}
        tensors["generator"] = self._generator.get_state()
        head = {
            "kind": f"{self.name}-checkpoint", "schema_version": CHECKPOINT_SCHEMA,
            "config": self._described(), "curve": asdict(self.curve),
        }  # fmt: skip
        write_tensors(path, tensors | self.tensors(), head | self.head())

    def restore(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            ToolkitError: if it is damaged, foreign or of another config.
        """
        tensors, head = read_tensors(path)
        with parsing(path):
            require_head(head, f"{self.name}-checkpoint", CHECKPOINT_SCHEMA)
            self._identity().require_same(
                Identity.of(head["config"]), where="the checkpoint", flag=named("output"),
                advice="remove it to start anew",
            )  # fmt: skip
            self.network.load_state_dict(part_of(tensors, "network."))
            self._restore_adam(tensors)
            self._generator.set_state(tensors["generator"])
            self.restore_state(tensors, head)
            self.curve = from_json(LearningCurve, head["curve"])
            if len({len(values) for values in asdict(self.curve).values()}) != 1:
                raise ToolkitError("the curve's figures differ in number")

    def _restore_adam(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back Adam's moments; before the first update there are none."""
        state: dict[int, dict[str, Tensor]] = {}
        if part_of(tensors, "adam."):
            for index, parameter in enumerate(self.network.parameters()):
                shapes = {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
                state[index] = {key: tensors[f"adam.{index}.{key}"] for key in shapes}
                if wrong := [key for key, shape in shapes.items() if state[index][key].shape != shape]:
                    raise ToolkitError(f"adam.{index}.{wrong[0]} is not of its parameter's shape")
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": state})

    def _described(self) -> dict[str, Any]:
        """What decides the training: settings, tasks, seed."""
        tasks = self._environment.tasks
        digest = sha256()
        for tensor in tasks.tensors():
            digest.update(tensor.cpu().numpy().tobytes())
        return {
            self.name: asdict(self.config), "system": asdict(self.system), "episode": asdict(self.episode),
            "tasks": digest.hexdigest(), "seed": self._generator.initial_seed(), "device": tasks.device.type,
        }  # fmt: skip

    def _identity(self) -> Identity:
        return Identity.of(self._described())

    @property
    def digest(self) -> str:
        """Short hash of the config, tasks and seed: tells one training's checkpoint from another's."""
        return self._identity().digest


def register_learner(name: str, make: type[Learner[C]], config: C) -> None:
    """Add a learner of one's own; `TrainConfig(learners=(name,))` trains it.

    Args:
        name: in the table and in names of files: letters, digits, "-" and "_".
        make: its class.
        config: what it trains with; a run replaces `episodes`.

    Raises:
        ToolkitError: if the name is taken or cannot be part of a file's name.
    """
    require_free(name, {*LEARNERS, *POLICIES, *QUEUE_POLICIES})
    add_learner(name, LearnerEntry(make, config))


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def draw_seed(generator: torch.Generator) -> int:
    """Seed of a generator of its own, wherever the first one lives."""
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))

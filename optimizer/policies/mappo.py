"""Multi-agent proximal policy optimisation, section IV, and its config.

Decentralised actors with shared weights, a central critic, the sum reward for every UE (section IV-A).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.files.errors import ToolkitError, parsing, raise_config_errors
from data.files.paths import exists
from data.files.record import Record
from data.files.schema import from_json, typed
from data.files.tensors import (
    read_tensors,
    require_finite,
    require_head,
    write_tensors,
)
from data.terminal.progress import Progress
from optimizer.policies.distribution import RawActions
from optimizer.policies.experience import (
    Experience,
    ValueNormaliser,
    advantages,
    stack,
    standardised,
    without_each,
)
from optimizer.policies.networks import ActorCritic, LearnedPolicy
from optimizer.study.evaluate import Scores, Tally
from optimizer.world.config import (
    EpisodeConfig,
    SystemConfig,
    config_errors,
    learning_rate_errors,
    plays_errors,
)
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.tasks import Tasks
from optimizer.world.view import CLOCK_COLUMN, SLOW_SIZE, View

CHECKPOINT_KIND = "mappo-checkpoint"
CHECKPOINT_SCHEMA = 3
_SAVE_EVERY_S = 60.0
_PLAYS_AT_ONCE = 2**19
"""Plays of a step for the baselines that are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class MappoConfig:
    """Training of MAPPO: Table I, and usual practice where it is silent.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    episodes: int = 1000
    """Training episodes, each followed by one update. Table I. Flag --episodes."""
    copies: int = 128
    """Independent copies of each training episode, played at once; the update learns from all of them."""
    batch_steps: int = 512
    """Environment steps in one minibatch. Table I's "batch step" is 256, of one copy."""
    epochs: int = 4
    """Passes over an episode's experience per update."""
    learning_rate: float = 3e-3
    """Adam's, falling to 0 over the training. Table I prints 2e-7, with which the weights do not move."""
    discount: float = 0.95
    """gamma of eq. (15). Table I."""
    gae_lambda: float = 0.98
    """lambda of eq. (23). Table I."""
    clip: float = 0.3
    """delta of eq. (25). Table I."""
    critic_weight: float = 0.5
    """c^CR of eq. (27). Table I."""
    entropy_weight: float = 0.005
    """c^E of eq. (27). Table I."""
    gradient_norm_max: float = 0.5
    """Gradients longer than this are shortened to it."""
    hidden: int = 64
    """Width of the hidden layers."""
    learn_clock: bool = False
    """f is an action, as in section IV. It moves a UE's local QoE by a few hundredths, far below the noise
    of the sum reward, and drifts; else the closed form is taken, which no action beats."""
    learn_power: bool = False
    """p is an action, as in section IV. It touches no other UE, so that once (12) has granted a UE its band
    the best p is a look-up in its own map; else that is taken."""

    def __post_init__(self) -> None:
        positive = (
            "episodes",
            "copies",
            "batch_steps",
            "epochs",
            "learning_rate",
            "clip",
            "gradient_norm_max",
            "hidden",
        )
        errors = config_errors(self, above_zero=positive, flags=("episodes",))
        for name in ("discount", "gae_lambda"):
            if not 0 < getattr(self, name) <= 1:
                errors.append(f"{name} {getattr(self, name)} given, above 0 up to 1 is allowed")
        for name in ("critic_weight", "entropy_weight"):
            if getattr(self, name) < 0:
                errors.append(f"{name} {getattr(self, name)} given, at least 0 is allowed")
        errors += learning_rate_errors(self.learning_rate)
        raise_config_errors(errors)


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One entry per training episode: means over its copies, exploration included."""

    reward: list[float]
    """Undiscounted sum of eqs. (13), (14)."""
    qoe: list[float]
    """As `evaluation.Scores.qoe`."""
    finished: list[float]
    """Share of episodes in which every queue was emptied."""
    entropy: list[float]
    """Entropy of a UE's action, nat."""


class MappoTrainer:
    """Learns a policy by playing.

    Args:
        config: of the training.
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        generator: source of all draws: first weights, world, exploration, minibatches. Its device is used.

    Raises:
        ToolkitError: from the constructor, if there are too many UEs for so many copies.
    """

    def __init__(
        self,
        config: MappoConfig,
        *,
        system: SystemConfig,
        episode: EpisodeConfig,
        tasks: Tasks,
        generator: torch.Generator,
    ) -> None:
        raise_config_errors(plays_errors(config.copies, tasks.ues))
        self.config, self.episode, self.system = config, episode, system
        self._generator = generator
        self.network = ActorCritic(
            hidden=config.hidden,
            codes=tasks.codes,
            clock_when_offloading=bool((tasks.ue_flops > 0).any()),
            learn_clock=config.learn_clock,
            learn_power=config.learn_power,
            generator=torch.Generator().manual_seed(draw_seed(generator)),
        ).to(generator.device)
        self._environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=config.copies, generator=generator
        )
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5)
        self._normaliser = ValueNormaliser()
        self.curve = LearningCurve(reward=[], qoe=[], finished=[], entropy=[])

    @property
    def policy(self) -> LearnedPolicy:
        """The actor as trained so far, without exploration."""
        return LearnedPolicy(self.network, announce=self.episode.announce)

    def train(
        self,
        *,
        checkpoint: Path | None = None,
        log: Path | None = None,
        watch: Callable[[MappoTrainer], None] | None = None,
    ) -> LearningCurve:
        """Play and update until `config.episodes` are done, with progress on stderr.

        Args:
            checkpoint: file to save to about every minute and at the end; where it holds a checkpoint of the
                same config and seed, training goes on from it, bit for bit as if it had not stopped.
            log: folder of a TensorBoard log.
            watch: called after every update.

        Raises:
            ToolkitError: if the checkpoint is damaged, foreign or of another config, or if the training
                diverges.
        """
        if checkpoint is not None and exists(checkpoint):
            self.restore(checkpoint)
        saved = time.monotonic()
        before = len(self.curve.qoe)
        record = None if log is None else Record(log, done=before)
        with Progress("MAPPO", total=self.config.episodes, done=before, unit="episode") as progress:
            for done in range(before, self.config.episodes):
                for group in self._optimiser.param_groups:
                    group["lr"] = self.config.learning_rate * (1.0 - done / self.config.episodes)
                experience, scores = self.play()
                entropy = self.update(experience)
                values = {
                    "reward": float(scores.reward.mean()),
                    "qoe": float(scores.qoe.mean()),
                    "finished": float(scores.finished.double().mean()),
                    "entropy": entropy,
                }
                for name, value in values.items():
                    getattr(self.curve, name).append(value)
                    if record is not None:
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

    def save(self, path: Path) -> None:
        """Write everything that training goes on from, atomically."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for name, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{name}.{key}": value for key, value in moments.items()}
        tensors["generator"] = self._generator.get_state()
        write_tensors(
            path,
            tensors,
            {
                "kind": CHECKPOINT_KIND, "schema_version": CHECKPOINT_SCHEMA, "config": self._identity(),
                "curve": asdict(self.curve), "normaliser": self._normaliser.state(),
            },
        )  # fmt: skip

    def restore(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            ToolkitError: if it is damaged, foreign or of another config.
        """
        tensors, head = read_tensors(path)
        with parsing(path):
            require_head(head, CHECKPOINT_KIND, CHECKPOINT_SCHEMA)
            if head["config"] != self._identity():
                differing = [
                    name for name, value in self._identity().items() if head["config"].get(name) != value
                ]
                raise ToolkitError(
                    f"is of another run: {', '.join(differing)} differ; remove it to start anew"
                )
            prefix = "network."
            self.network.load_state_dict(
                {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
            )
            state: dict[int, dict[str, Tensor]] = {}
            for index, parameter in enumerate(self.network.parameters()):
                shapes = {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
                state[index] = {key: tensors[f"adam.{index}.{key}"] for key in shapes}
                if wrong := [key for key, shape in shapes.items() if state[index][key].shape != shape]:
                    raise ToolkitError(f"adam.{index}.{wrong[0]} is not of its parameter's shape")
            self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": state})
            self._generator.set_state(tensors["generator"])
            self._normaliser = ValueNormaliser(*typed(head, "normaliser", tuple[float, float, float]))
            self.curve = from_json(LearningCurve, head["curve"])
            if len({len(values) for values in asdict(self.curve).values()}) != 1:
                raise ToolkitError("the curve's figures differ in number")

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on, as JSON gives it back."""
        tasks = self._environment.tasks
        digest = hashlib.sha256()
        for field in fields(tasks):
            digest.update(getattr(tasks, field.name).cpu().numpy().tobytes())
        parts: dict[str, Any] = {"mappo": self.config, "system": self.system, "episode": self.episode}
        whole: dict[str, Any] = {name: asdict(part) for name, part in parts.items()}
        whole |= {"tasks": digest.hexdigest(), "seed": self._generator.initial_seed()}
        return dict(json.loads(json.dumps(whole)))

    @property
    def digest(self) -> str:
        """Short hash of the config, tasks and seed: tells one training's checkpoint from another's."""
        return hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode()).hexdigest()[:8]

    @torch.no_grad()
    def play(self) -> tuple[Experience, Scores]:
        """Play one episode in all copies, exploring, until the last of them is over."""
        environment, network, restore = self._environment, self.network, self._normaliser.restore
        view, tally = environment.reset(), Tally(self.system, environment.tasks)
        scale = environment.reward_scale
        steps = []
        while not environment.finished.all():
            distribution = network.actions(view.observation)
            drawn = distribution.sample(self._generator)
            actions = network.physical(drawn, view)
            baseline = self._baseline(drawn, view)
            outcome, reward = environment.step(actions)
            tally.add(view.queue, outcome, reward)
            steps.append(
                Experience(
                    observation=view.observation,
                    actions=drawn,
                    log_prob=distribution.log_prob(drawn),
                    active=view.queue > 0,
                    reward=(reward / scale).float(),
                    value=restore(network.value(view.observation)),
                    value_ahead=restore(network.value_ahead(view.slow)),
                    baseline=baseline,
                )
            )
            view = environment.view()
        return stack(steps), tally.scores()

    def _baseline(self, drawn: RawActions, view: View) -> Tensor:
        """r + gamma V' had each UE alone not offloaded, in the rewards' unit, (copies, ues)."""
        environment, network = self._environment, self.network
        parts = []
        copies, ues = drawn.offload.shape
        everyone = torch.arange(ues, device=drawn.offload.device)
        for which in everyone.split(max(1, _PLAYS_AT_ONCE // (copies * ues))):
            others = without_each(drawn, view.observation[..., CLOCK_COLUMN], which)
            reward, after = environment.look_ahead(network.physical(others, view))
            over = (after.queue == 0).all(dim=-1) | (after.step >= self.episode.steps)
            follows = torch.where(over, 0.0, self._normaliser.restore(network.value_ahead(after.slow)))
            parts.append((reward / environment.reward_scale).float() + self.config.discount * follows)
        return torch.cat(parts).T

    def update(self, experience: Experience) -> float:
        """Improve the network on one episode's experience.

        Returns:
            Mean entropy of the policy that was updated.

        Raises:
            ToolkitError: if the weights are no numbers any more.
        """
        config = self.config
        running = experience.active.any(dim=-1)
        reward, value = experience.reward, experience.value
        factors = {"discount": config.discount, "gae_lambda": config.gae_lambda}
        rows = running.flatten().nonzero().squeeze(-1)
        advantage = advantages(reward, value, experience.value_ahead, running, **factors)
        # V(o_t), which (23) takes off, gives way to what the others would have earned without the UE: it does
        # not depend on the UE's action either, and takes their luck along
        advantage = (advantage + value).unsqueeze(-1) - experience.baseline
        # lambda-return, R_t of (26) with less variance; the fading is part of what the critic must predict
        returns = (advantages(reward, value, value, running, **factors) + value).flatten()
        self._normaliser.update(returns[rows])
        targets = self._normaliser.normalise(returns)
        advantage = standardised(advantage, experience.active).flatten(0, 1)

        entropies = []
        for index in self._minibatches(rows):
            part = experience.select(index)
            loss, entropy = self._loss(part, advantage[index], targets[index])
            self._optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_norm_max)
            self._optimiser.step()
            entropies.append(entropy)
        require_finite((*self.network.parameters(), self.network.log_scale.exp()), config.learning_rate)
        return sum(entropies) / len(entropies)

    def _minibatches(self, rows: Tensor) -> Iterator[Tensor]:
        for _ in range(self.config.epochs):
            order = torch.randperm(rows.numel(), generator=self._generator, device=rows.device)
            yield from rows[order].split(self.config.batch_steps)

    def _loss(self, part: Experience, advantage: Tensor, target: Tensor) -> tuple[Tensor, float]:
        """Eqs. (24)-(27), to be minimised; UEs that are done are masked out."""
        config = self.config
        distribution = self.network.actions(part.observation)
        weight = part.active / part.active.sum()
        ratio = torch.exp(distribution.log_prob(part.actions) - part.log_prob)
        clipped = torch.clamp(ratio, 1.0 - config.clip, 1.0 + config.clip) * advantage
        actor = (torch.minimum(ratio * advantage, clipped) * weight).sum()  # (24), (25)
        critic = ((self.network.value(part.observation) - target) ** 2).mean()  # (26)
        ahead = self.network.value_ahead(part.observation[..., :SLOW_SIZE])
        critic = critic + ((ahead - self._normaliser.normalise(part.value)) ** 2).mean()  # V' is V's mean
        entropy = (distribution.entropy() * weight).sum()
        loss = -(actor - config.critic_weight * critic + config.entropy_weight * entropy)  # (27)
        return loss, float(entropy.detach())


def draw_seed(generator: torch.Generator) -> int:
    """Seed of a generator of its own, wherever the first one lives."""
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))

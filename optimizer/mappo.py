"""Multi-agent proximal policy optimisation, section IV, and its config.

Decentralised actors with shared weights, a central critic, the sum reward for every UE (section IV-A).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from data.cli import raise_config_errors
from optimizer.config import EpisodeConfig, SystemConfig, config_errors
from optimizer.environment import OffloadingEnvironment
from optimizer.evaluation import Tally
from optimizer.networks import ActorCritic, LearnedPolicy, RawActions
from optimizer.tasks import Tasks


@dataclass(frozen=True, kw_only=True)
class MappoConfig:
    """Training of MAPPO: Table I, and usual practice where it is silent.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    episodes: int = 1000
    """Training episodes, each followed by one update. Table I. Flag --episodes."""
    copies: int = 32
    """Independent copies of each training episode, played at once; the update learns from all of them."""
    batch_steps: int = 256
    """Environment steps in one minibatch. Table I's "batch step"."""
    epochs: int = 4
    """Passes over an episode's experience per update."""
    learning_rate: float = 3e-4
    """Adam's. Table I prints 2e-7, with which the weights do not move."""
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
        raise_config_errors(errors)


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One entry per training episode: means over its copies, exploration included."""

    reward: list[float]
    """Undiscounted sum of eqs. (13), (14)."""
    qoe: list[float]
    """As `evaluation.Performance.qoe`."""
    finished: list[float]
    """Share of queues emptied."""
    entropy: list[float]
    """Entropy of a UE's action, nat."""


class ValueNormaliser:
    """Running mean and deviation of the returns, so that the critic learns values of order 1.

    Exponential averages over updates, corrected for their start at zero.

    Args:
        decay: weight of the past at each update.
    """

    def __init__(self, decay: float = 0.95) -> None:
        self._decay = decay
        self._weight = self._mean = self._square = 0.0

    def update(self, returns: Tensor) -> None:
        """Take in one update's returns, (n,)."""
        keep, new = self._decay, 1.0 - self._decay
        self._weight = keep * self._weight + new
        self._mean = keep * self._mean + new * float(returns.mean())
        self._square = keep * self._square + new * float((returns**2).mean())

    @property
    def _moments(self) -> tuple[float, float]:
        if self._weight == 0:
            return 0.0, 1.0
        mean = self._mean / self._weight
        return mean, max(self._square / self._weight - mean**2, 1e-6) ** 0.5

    def normalise(self, returns: Tensor) -> Tensor:
        """To mean 0 and deviation 1."""
        mean, deviation = self._moments
        return (returns - mean) / deviation

    def restore(self, values: Tensor) -> Tensor:
        """Back to the rewards' unit."""
        mean, deviation = self._moments
        return values * deviation + mean


@dataclass(frozen=True, kw_only=True)
class Experience:
    """One training episode in all its copies; leading axes (steps, copies), flattened to (n,) for the
    update."""

    observation: Tensor
    """(..., ues, OBSERVATION_SIZE)."""
    state: Tensor
    """(..., state_size)."""
    actions: RawActions
    """(..., ues)."""
    log_prob: Tensor
    """Under the policy that acted, (..., ues)."""
    active: Tensor
    """The UE had a task, bool, (..., ues)."""
    reward: Tensor
    """r_t, (...)."""
    value: Tensor
    """V before the step in the rewards' unit, (...)."""

    def select(self, index: Tensor) -> Experience:
        """Rows of the flattened leading axes."""

        def pick(value: Tensor, own_axes: int) -> Tensor:
            return value.reshape(-1, *value.shape[value.dim() - own_axes :])[index]

        return Experience(
            observation=pick(self.observation, 2),
            state=pick(self.state, 1),
            actions=RawActions(**{name: pick(value, 1) for name, value in vars(self.actions).items()}),
            log_prob=pick(self.log_prob, 1),
            active=pick(self.active, 1),
            reward=pick(self.reward, 0),
            value=pick(self.value, 0),
        )


def advantages(
    reward: Tensor, value: Tensor, running: Tensor, *, discount: float, gae_lambda: float
) -> Tensor:
    """Eq. (23).

    Args:
        reward: r_t, (steps, copies).
        value: V(o_t), (steps, copies).
        running: the episode was not over before step t, bool, (steps, copies). Nothing follows the last step:
            the horizon T ends the task, it is not cut off.
        discount: gamma.
        gae_lambda: lambda.

    Returns:
        A, (steps, copies); 0 after an episode's end.
    """
    result = torch.zeros_like(reward)
    next_value, next_advantage = torch.zeros_like(reward[0]), torch.zeros_like(reward[0])
    for t in reversed(range(reward.shape[0])):
        delta = reward[t] + discount * next_value - value[t]
        result[t] = torch.where(running[t], delta + discount * gae_lambda * next_advantage, 0.0)
        next_value, next_advantage = torch.where(running[t], value[t], 0.0), result[t]
    return result


class MappoTrainer:
    """Learns a policy by playing.

    Args:
        config: of the training.
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        generator: source of all draws: first weights, world, exploration, minibatches.
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
        self.config, self.episode, self.system = config, episode, system
        self._generator = generator
        self._environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=config.copies, generator=generator
        )
        self.network = ActorCritic(
            state_size=self._environment.state_size,
            hidden=config.hidden,
            clock_when_offloading=bool((tasks.ue_flops > 0).any()),
            generator=generator,
        )
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5)
        self._normaliser = ValueNormaliser()

    @property
    def policy(self) -> LearnedPolicy:
        """The actor as trained so far, without exploration."""
        return LearnedPolicy(self.network, self.system)

    def train(self) -> LearningCurve:
        """Play and update `config.episodes` times, with progress on stderr."""
        curve = LearningCurve(reward=[], qoe=[], finished=[], entropy=[])
        bar = tqdm(
            range(self.config.episodes), desc="MAPPO", unit="episode", dynamic_ncols=True, disable=None
        )
        for _ in bar:
            experience, tally = self.play()
            curve.entropy.append(self.update(experience))
            curve.reward.append(float(tally.reward.mean()))
            curve.qoe.append(float(tally.qoe.mean()))
            curve.finished.append(float(tally.finished.mean()))
            bar.set_postfix(qoe=f"{curve.qoe[-1]:.2f}", reward=f"{curve.reward[-1]:.1f}", refresh=False)
        return curve

    @torch.no_grad()
    def play(self) -> tuple[Experience, Tally]:
        """Play one episode in all copies, exploring."""
        view, tally = self._environment.reset(), Tally()
        steps = []
        for _ in range(self.episode.steps):
            distribution = self.network.actions(view.observation)
            actions = distribution.sample(self._generator)
            outcome, reward = self._environment.step(actions.to_physical(self.system))
            tally.add(view.queue, outcome, reward)
            steps.append(
                Experience(
                    observation=view.observation,
                    state=view.state,
                    actions=actions,
                    log_prob=distribution.log_prob(actions),
                    active=view.queue > 0,
                    reward=reward.float(),
                    value=self._normaliser.restore(self.network.value(view.state)),
                )
            )
            view = self._environment.view()
        return _stack(steps), tally

    def update(self, experience: Experience) -> float:
        """Improve the network on one episode's experience.

        Returns:
            Mean entropy of the policy that was updated.
        """
        config = self.config
        running = experience.active.any(dim=-1)
        advantage = advantages(
            experience.reward,
            experience.value,
            running,
            discount=config.discount,
            gae_lambda=config.gae_lambda,
        )
        rows = running.flatten().nonzero().squeeze(-1)
        flat_advantage = advantage.flatten()
        returns = flat_advantage + experience.value.flatten()  # lambda-return: R_t of (26) with less variance
        self._normaliser.update(returns[rows])
        targets = self._normaliser.normalise(returns)
        chosen = flat_advantage[rows]
        flat_advantage = (flat_advantage - chosen.mean()) / (chosen.std() + 1e-8)

        entropies = []
        for index in self._minibatches(rows):
            part = experience.select(index)
            loss, entropy = self._loss(part, flat_advantage[index], targets[index])
            self._optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_norm_max)
            self._optimiser.step()
            entropies.append(entropy)
        return sum(entropies) / len(entropies)

    def _minibatches(self, rows: Tensor) -> Iterator[Tensor]:
        for _ in range(self.config.epochs):
            order = torch.randperm(rows.numel(), generator=self._generator)
            yield from rows[order].split(self.config.batch_steps)

    def _loss(self, part: Experience, advantage: Tensor, target: Tensor) -> tuple[Tensor, float]:
        """Eqs. (24)-(27), to be minimised; UEs that are done are masked out."""
        config = self.config
        distribution = self.network.actions(part.observation)
        weight = part.active / part.active.sum()
        ratio = torch.exp(distribution.log_prob(part.actions) - part.log_prob)
        gain = advantage.unsqueeze(-1)  # the same for every UE: the reward is the sum
        clipped = torch.clamp(ratio, 1.0 - config.clip, 1.0 + config.clip) * gain
        actor = (torch.minimum(ratio * gain, clipped) * weight).sum()  # (24), (25)
        critic = ((self.network.value(part.state) - target) ** 2).mean()  # (26)
        entropy = (distribution.entropy() * weight).sum()
        loss = -(actor - config.critic_weight * critic + config.entropy_weight * entropy)  # (27)
        return loss, float(entropy.detach())


def _stack(steps: list[Experience]) -> Experience:
    """One Experience with a leading axis of steps."""
    names = [name for name in vars(steps[0]) if name != "actions"]
    actions = {
        name: torch.stack([getattr(step.actions, name) for step in steps]) for name in vars(steps[0].actions)
    }
    return Experience(
        actions=RawActions(**actions),
        **{name: torch.stack([getattr(step, name) for step in steps]) for name in names},
    )

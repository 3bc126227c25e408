"""Multi-agent proximal policy optimisation, section IV.

Decentralised actors with shared weights, a central critic, the sum reward for every UE (section IV-A).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from data.files.schema import typed
from data.files.tensors import require_finite
from optimizer.policies.config import MappoConfig
from optimizer.policies.experience import (
    Experience,
    ValueNormaliser,
    advantages,
    stack,
    standardised,
)
from optimizer.policies.learner import Learner
from optimizer.policies.networks import ActorCritic, ActorSizes, LearnedPolicy
from optimizer.policies.scores import Scores, Tally
from optimizer.world.tasks import Tasks


class MappoTrainer(Learner[MappoConfig]):
    """Learns a policy by playing; see `Learner`."""

    name = "mappo"
    adam_eps = 1e-5
    network: ActorCritic

    @override
    def build(self, tasks: Tasks, generator: torch.Generator) -> ActorCritic:
        config = self.config
        sizes = ActorSizes(
            hidden=config.hidden,
            codes=tasks.codes,
            clock_when_offloading=bool((tasks.ue_flops > 0).any()),
            learn_clock=config.learn_clock,
            learn_power=config.learn_power,
            critic=config.critic,
            heads=config.heads,
            withdraw_under=config.withdraw_under,
        )
        return ActorCritic(sizes, generator)

    @override
    def prepare(self) -> None:
        self._normaliser = ValueNormaliser()

    @property
    @override
    def policy(self) -> LearnedPolicy:
        return LearnedPolicy(self.network, observation=self.episode.observation)

    @override
    def sizes(self) -> dict[str, Any]:
        return asdict(self.network.sizes)

    @override
    def head(self) -> dict[str, Any]:
        return {"normaliser": self._normaliser.state()}

    @override
    def restore_state(self, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
        self._normaliser = ValueNormaliser(*typed(head, "normaliser", tuple[float, float, float]))

    @override
    def learn(self, done: int) -> tuple[Scores, float]:
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate * (1.0 - done / self.config.episodes)
        experience, scores = self.play()
        return scores, self.update(experience)

    @torch.no_grad()
    def play(self) -> tuple[Experience, Scores]:
        """Play one episode in all copies, exploring, until the last of them is over."""
        environment, network, restore = self._environment, self.network, self._normaliser.restore
        view = environment.reset()
        tally = Tally(self.system, environment.tasks, arrive=environment.episode.tasks_arrive)
        scale = environment.reward_scale
        steps = []
        while not environment.finished.all():
            start = network.start(view)
            distribution = network.actions(view.observation, start)
            drawn = distribution.sample(self._generator)
            running = ~environment.finished
            outcome, reward = environment.step(network.physical(drawn, view))
            tally.add(view.queue, outcome, reward)
            steps.append(
                Experience(
                    observation=view.observation,
                    start=start,
                    actions=drawn,
                    log_prob=distribution.log_prob(drawn),
                    active=view.queue > 0,
                    running=running,
                    reward=(reward / scale).float(),
                    value=restore(network.value(view.observation)),
                )
            )
            view = environment.view()
        return stack(steps), tally.scores(environment.arrived)

    def update(self, experience: Experience) -> float:
        """Improve the network on one episode's experience.

        Returns:
            Mean entropy of the policy that was updated.

        Raises:
            ToolkitError: if the weights are no numbers any more.
        """
        config = self.config
        running, value = experience.running, experience.value
        rows = running.flatten().nonzero().squeeze(-1)
        played = (experience.reward.unsqueeze(-1), value, running.unsqueeze(-1))
        advantage = advantages(*played, discount=config.discount, gae_lambda=config.gae_lambda)
        # with lambda = 1 the sum of (23) is R_t - V(o_t)
        returns = (advantages(*played, discount=config.discount, gae_lambda=1.0) + value).flatten(0, 1)
        self._normaliser.update(returns[rows])
        targets = self._normaliser.normalise(returns)
        of_each = advantage.expand(experience.active.shape)
        advantage = standardised(of_each, experience.active).flatten(0, 1)

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
        distribution = self.network.actions(part.observation, part.start)
        weight = part.active / part.active.sum().clamp_min(1)  # where tasks arrive nobody may have any
        ratio = torch.exp(distribution.log_prob(part.actions) - part.log_prob)
        clipped = torch.clamp(ratio, 1.0 - config.clip, 1.0 + config.clip) * advantage
        actor = (torch.minimum(ratio * advantage, clipped) * weight).sum()  # (24), (25)
        error = (self.network.value(part.observation) - target) ** 2  # (26)
        critic = error.mean() if config.critic == "all" else (error * weight).sum()
        entropy = (distribution.entropy() * weight).sum()
        loss = -(actor - config.critic_weight * critic + config.entropy_weight * entropy)  # (27)
        return loss, float(entropy.detach())


class IppoTrainer(MappoTrainer):
    """Independent PPO: MAPPO's loop with `MappoConfig.critic` "own", V of each UE's own observation.

    The reward is the sum, and all UEs share one network's weights, as in C. Schroeder de Witt et al., "Is
    independent learning all you need in the StarCraft multi-agent challenge?", 2020.
    """

    name = "ippo"

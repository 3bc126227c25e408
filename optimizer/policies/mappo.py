"""Multi-agent proximal policy optimisation, section IV.

Decentralised actors with shared weights, a central critic, the sum reward for every UE (section IV-A).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from data.files.schema import typed
from data.files.tensors import require_finite
from data.settings import SettingsError
from optimizer.policies.config import MappoConfig
from optimizer.policies.distribution import RawActions
from optimizer.policies.experience import (
    Experience,
    ValueNormaliser,
    advantages,
    stack,
    standardised,
    without_each,
)
from optimizer.policies.learner import Learner
from optimizer.policies.networks import ActorCritic, LearnedPolicy
from optimizer.policies.scores import Scores, Tally
from optimizer.world.environment import Transition
from optimizer.world.tasks import Tasks
from optimizer.world.view import CLOCK_COLUMN, SLOW_SIZE, View

_PLAYS_AT_ONCE = 2**19
"""Plays of a step for the baselines that are in memory at once."""


class MappoTrainer(Learner[MappoConfig]):
    """Learns a policy by playing; see `Learner`.

    Raises:
        ToolkitError: from the constructor, if there are too many UEs for so many copies.
    """

    name = "mappo"
    adam_eps = 1e-5
    network: ActorCritic

    @override
    def build(self, tasks: Tasks, generator: torch.Generator) -> ActorCritic:
        if problems := list(self.config.too_many(tasks.ues)):
            raise SettingsError(problems)
        return ActorCritic(
            hidden=self.config.hidden,
            codes=tasks.codes,
            clock_when_offloading=bool((tasks.ue_flops > 0).any()),
            learn_clock=self.config.learn_clock,
            learn_power=self.config.learn_power,
            generator=generator,
        )

    @override
    def prepare(self) -> None:
        self._normaliser = ValueNormaliser()

    @property
    @override
    def policy(self) -> LearnedPolicy:
        return LearnedPolicy(self.network, announce=self.episode.announce)

    @override
    def save_policy(self, path: Path) -> None:
        self.network.save(path)

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
        view, tally = environment.reset(), Tally(self.system, environment.tasks)
        scale = environment.reward_scale
        steps = []
        while not environment.finished.all():
            distribution = network.actions(view.observation)
            drawn = distribution.sample(self._generator)
            after, baseline = self._look_ahead(drawn, view)
            environment.enter(after)
            tally.add(view.queue, after.outcome, after.reward)
            steps.append(
                Experience(
                    observation=view.observation,
                    actions=drawn,
                    log_prob=distribution.log_prob(drawn),
                    active=view.queue > 0,
                    reward=(after.reward / scale).float(),
                    value=restore(network.value(view.observation)),
                    value_ahead=restore(network.value_ahead(view.slow)),
                    baseline=baseline,
                )
            )
            view = environment.view()
        return stack(steps), tally.scores()

    def _look_ahead(self, drawn: RawActions, view: View) -> tuple[Transition, Tensor]:
        """What is drawn comes to, and r + gamma V' had each UE alone not offloaded, in the rewards' unit,
        (copies, ues)."""
        environment, network = self._environment, self.network
        copies, ues = drawn.offload.shape
        parts, taken = [], None
        left_out = torch.arange(-1, ues, device=drawn.offload.device)  # first nobody: the step itself
        for which in left_out.split(max(1, _PLAYS_AT_ONCE // (copies * ues))):
            others = without_each(drawn, view.observation[..., CLOCK_COLUMN], which)
            after = environment.look_ahead(network.physical(others, view))
            taken = taken or after[0]
            seen = environment.view_after(after)
            over = (seen.queue == 0).all(dim=-1) | (seen.step >= self.episode.steps)
            follows = torch.where(over, 0.0, self._normaliser.restore(network.value_ahead(seen.slow)))
            parts.append((after.reward / environment.reward_scale).float() + self.config.discount * follows)
        assert taken is not None
        return taken, torch.cat(parts)[1:].T

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

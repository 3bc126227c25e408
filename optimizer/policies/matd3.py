"""MATD3: twin delayed deep deterministic policy gradients of several agents.

MADDPG (Lowe et al., 2017) with TD3's twin critics, delayed actor and smoothed targets (Fujimoto et al.,
2018), as Ackermann et al. (2019, arXiv 1910.01465) join them. A UE's discrete actions are drawn by the
straight-through Gumbel softmax (Jang et al., 2017), as in MADDPG. As in MAPPO all UEs share the actor's
weights and the sum reward (13), the critics read all UEs, p is looked up on the granted band and f is the
closed form.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from data.files.errors import parsing
from data.files.schema import from_json
from data.files.tensors import read_tensors
from optimizer.policies.config import Matd3Config
from optimizer.policies.distribution import gumbel
from optimizer.policies.experience import GRADIENT_NORM_MAX, ReplayLearner
from optimizer.policies.networks import mlp
from optimizer.policies.policy_file import check_world, fill, sizes_in, world_of
from optimizer.policies.scores import Scores, Tally
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.devices import filled
from optimizer.world.physics import Actions
from optimizer.world.tasks import Tasks
from optimizer.world.view import OBSERVATION_SIZE, SEES, View

REQUEST_MAX = 5.0
"""b-hat lies between minus this and this: the band may be shared as unequally as e^10 to 1."""
NOISE, TARGET_NOISE, TARGET_NOISE_MAX = 0.1, 0.2, 0.5
"""Of b-hat / REQUEST_MAX: in exploration, in the targets, and the most of it there. TD3's."""
DELAY, MIXED = 2, 0.005
"""Updates of the critics for one of the actor, and how much of the new weights the targets take. TD3's."""
LOGIT_WEIGHT = 1e-3
"""Of the squared logits in the actor's loss, so that choices stay uncertain. MADDPG's."""


@dataclass(frozen=True, kw_only=True)
class Matd3Sizes:
    """What actor and critics are made of."""

    hidden: int
    """Width of the hidden layers."""
    codes: int
    """Choices of k."""

    @property
    def actions(self) -> int:
        """Columns of a UE's action: rho, b-hat / REQUEST_MAX and, where k is chosen, one of each choice."""
        return 2 + (self.codes if self.codes > 1 else 0)


class JointCritic(nn.Module):
    """Q of all UEs' observations and actions, whatever their order and number.

    Args:
        sizes: of the layers.
        generator: draws the first weights.
    """

    def __init__(self, sizes: Matd3Sizes, generator: torch.Generator) -> None:
        super().__init__()
        hidden = sizes.hidden
        self.embed = mlp((OBSERVATION_SIZE + sizes.actions, hidden, hidden), 1.0, generator)
        self.head = mlp((2 * hidden, hidden, 1), 1.0, generator)

    def forward(self, observation: Tensor, actions: Tensor) -> Tensor:
        """(..., ues, OBSERVATION_SIZE) and (..., ues, actions) to (...)."""
        embedded = torch.tanh(self.embed(torch.cat((observation, actions), dim=-1)))
        return self.head(torch.cat((embedded.mean(dim=-2), embedded.amax(dim=-2)), dim=-1)).squeeze(-1)


class Matd3Network(nn.Module):
    """The actor that all UEs share, and two critics.

    Args:
        sizes: of the layers.
        generator: draws the first weights.
    """

    def __init__(self, sizes: Matd3Sizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        self.actor = mlp((OBSERVATION_SIZE, sizes.hidden, sizes.hidden, sizes.actions), 0.01, generator)
        self.critics = nn.ModuleList(JointCritic(sizes, generator) for _ in range(2))

    def act(
        self,
        observation: Tensor,
        active: Tensor,
        generator: torch.Generator | None = None,
        noise: Tensor | float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Each UE's action, and the logits it comes from.

        Args:
            observation: (..., ues, OBSERVATION_SIZE).
            active: who has a task, bool, (..., ues); the others do nothing.
            generator: of the Gumbel noise of rho and k; None: the most probable are taken.
            noise: added to b-hat / REQUEST_MAX.

        Returns:
            Columns of `Matd3Sizes.actions`, and logits of rho and of each k, of the same shape but for
            b-hat's. Where the action is discrete it is 0 or 1, with the gradient of the relaxed one.
        """
        heads = self.actor(observation)
        rho, request, codes = heads[..., :1], heads[..., 1:2], heads[..., 2:]
        offload = _straight_through(torch.cat((rho, torch.zeros_like(rho)), dim=-1), generator)[..., :1]
        chosen = [(torch.tanh(request) + noise).clamp(-1.0, 1.0)]
        if codes.shape[-1]:
            chosen.append(_straight_through(codes, generator))
        offload = offload * active.unsqueeze(-1)
        return torch.cat((offload, *(offload * one for one in chosen)), dim=-1), torch.cat(
            (rho, codes), dim=-1
        )

    def physical(self, actions: Tensor, view: View) -> Actions:
        """In W, Hz and float64, as the environment takes them: f in closed form, p by `View.settled`."""
        offload = actions[..., 0] > 0.5
        codes = actions[..., 2:]
        raw = Actions(
            offload=offload,
            power_w=filled(view.queue, view.ue_device.power_max_w),
            clock_hz=view.clock_for(offload),
            bandwidth_request=REQUEST_MAX * actions[..., 1].double(),
            code=codes.argmax(dim=-1) if codes.shape[-1] else None,
        )
        return view.settled(raw, under=0.0)


def _straight_through(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """One of the last axis' choices as 0 and 1, with the softmax's gradient (Jang et al., 2017)."""
    if generator is not None:
        logits = logits + gumbel(logits, generator)
    soft = torch.softmax(logits, dim=-1)
    hard = nn.functional.one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft.dtype)
    return hard + soft - soft.detach()


class Matd3Policy:
    """The actor without noise.

    Args:
        network: its actor is read.
        observation: what it reads, as in `EpisodeConfig`.
    """

    def __init__(self, network: Matd3Network, *, observation: str) -> None:
        self._network = network
        self.sees = f"{SEES[observation]}; granted band, how many offload"

    @torch.no_grad()
    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        actions, _ = self._network.act(view.observation, view.queue > 0)
        return self._network.physical(actions, view)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks
    ) -> Matd3Policy:
        """Read a policy file of MATD3; all as `optimizer.policies.networks.LearnedPolicy.load`."""
        weights, head = read_tensors(path)
        with parsing(path):
            network = Matd3Network(
                from_json(Matd3Sizes, sizes_in(head, weights, ("matd3",))), torch.Generator()
            )
            fill(network, weights)
            check_world(head, world_of(system, episode, tasks), path)
            return cls(network.to(tasks.device), observation=episode.observation)


class Matd3Trainer(ReplayLearner[Matd3Config]):
    """Learns a policy by playing; see `Learner`."""

    name = "matd3"
    network: Matd3Network
    _target: Matd3Network

    @override
    def build(self, tasks: Tasks, generator: torch.Generator) -> Matd3Network:
        return Matd3Network(Matd3Sizes(hidden=self.config.hidden, codes=tasks.codes), generator)

    @override
    def prepare(self) -> None:
        ues, device = self._environment.tasks.ues, self._generator.device
        self._batch = max(1, self.config.batch // ues)
        observation = torch.zeros(ues, OBSERVATION_SIZE, device=device)
        active = torch.zeros(ues, dtype=torch.bool, device=device)
        self.remember(
            max(self._batch, self.config.memory // ues),
            {
                "observation": observation, "following": observation,
                "active": active, "waits": active, "over": active[0],
                "action": torch.zeros(ues, self.network.sizes.actions, device=device),
                "reward": torch.zeros((), device=device),
            },
        )  # fmt: skip

    @property
    @override
    def policy(self) -> Matd3Policy:
        return Matd3Policy(self.network, observation=self.episode.observation)

    @override
    def sizes(self) -> dict[str, Any]:
        return asdict(self.network.sizes)

    @override
    def learn(self, done: int) -> tuple[Scores, float]:
        """Play, and update after each step. The entropy is that of rho and k, as they are drawn."""
        environment, generator = self._environment, self._generator
        view = environment.reset()
        tally = Tally(self.system, environment.tasks, arrive=environment.episode.tasks_arrive)
        entropies = []
        while not environment.finished.all():
            active, running = view.queue > 0, ~environment.finished
            with torch.no_grad():
                noise = NOISE * self._normal((*active.shape, 1))
                action, logits = self.network.act(view.observation, active, generator, noise)
            entropies.append(_entropy(logits)[active])
            outcome, reward = environment.step(self.network.physical(action, view))
            tally.add(view.queue, outcome, reward)
            after = environment.view()
            self._memory.add(
                observation=view.observation[running], following=after.observation[running],
                active=active[running], waits=(after.queue > 0)[running], over=environment.finished[running],
                action=action[running], reward=(reward / environment.reward_scale).float()[running],
            )  # fmt: skip
            view = after
            if self._memory.count >= self._batch:
                for _ in range(self.config.updates):
                    self._update()
        return tally.scores(environment.arrived), float(torch.cat(entropies).mean())

    def _update(self) -> None:
        """One step of the critics and, every DELAY-th, of the actor; the targets follow it."""
        part = self._memory.draw(self._batch, self._generator)
        observation, waits = part["observation"], part["waits"]
        with torch.no_grad():
            noise = TARGET_NOISE * self._normal((*waits.shape, 1))
            noise = noise.clamp(-TARGET_NOISE_MAX, TARGET_NOISE_MAX)
            following, _ = self._target.act(part["following"], waits, self._generator, noise)
            values = [critic(part["following"], following) for critic in self._target.critics]
            later = torch.where(part["over"], 0.0, torch.minimum(*values))
            wanted = part["reward"] + self.config.discount * later
        losses = [
            nn.functional.mse_loss(critic(observation, part["action"]), wanted)
            for critic in self.network.critics
        ]
        self._descend(losses[0] + losses[1], self.network.critics)
        if self._updated % DELAY == 0:
            action, logits = self.network.act(observation, part["active"], self._generator)
            value = self.network.critics[0](observation, action).mean()
            self._descend(LOGIT_WEIGHT * logits.square().mean() - value, self.network.actor)
            for old, new in zip(self._target.parameters(), self.network.parameters(), strict=True):
                old.data.lerp_(new.data, MIXED)
        self._updated += 1

    def _descend(self, loss: Tensor, part: nn.Module) -> None:
        """A step of Adam on one part of the network alone."""
        self._optimiser.zero_grad()
        parameters = list(part.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM_MAX)
        self._optimiser.step()

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._generator, device=self._generator.device)


def _entropy(logits: Tensor) -> Tensor:
    """Entropy in nat of rho and k, (..., ues), from the logits of `Matd3Network.act`."""
    rho, codes = logits[..., 0], torch.log_softmax(logits[..., 1:], dim=-1)
    share = torch.sigmoid(rho)
    coin = nn.functional.binary_cross_entropy_with_logits(rho, share, reduction="none")
    return coin - share * (codes.exp() * codes).sum(dim=-1)

"""The actor all UEs share and its critic. Any number of UEs may use the same weights."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from data.files.errors import ToolkitError, parsing
from data.files.schema import from_json
from data.files.tensors import read_tensors
from data.settings import Range, Settings, SettingsError
from optimizer.policies.config import CRITICS, HEADS_START
from optimizer.policies.distribution import (
    CLOCK_HEAD,
    HEADS,
    OFFLOAD_HEAD,
    POWER_HEAD,
    REQUEST_HEAD,
    ActionDistribution,
    RawActions,
    mode_logit,
)
from optimizer.policies.policy_file import check_world, fill, sizes_in, world_of
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.physics import Actions
from optimizer.world.tasks import Tasks
from optimizer.world.view import OBSERVATION_SIZE, SEES, View

STARTS = ("power_on_half", "clock", "share", "leads", "ues")
"""Columns that the heads start from."""
REQUEST_DEVIATION = 0.4
"""Standard deviation of b-hat at first."""


def mlp(sizes: tuple[int, ...], last_gain: float, generator: torch.Generator) -> nn.Sequential:
    """Tanh layers, orthogonal weights."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        last = i == len(sizes) - 2
        # skip_init: the usual constructor would draw from the global generator
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs, device=generator.device)
        nn.init.orthogonal_(layer.weight, last_gain if last else math.sqrt(2.0), generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*layers)


class Critic(nn.Module):
    """V of all UEs' observations, whatever their order and number.

    Args:
        hidden: width of the hidden layers.
        generator: draws the first weights.
    """

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.embed = mlp((OBSERVATION_SIZE, hidden, hidden), 1.0, generator)
        self.head = mlp((2 * hidden, hidden, 1), 1.0, generator)

    def forward(self, observation: Tensor) -> Tensor:
        """(..., ues, OBSERVATION_SIZE) to (..., 1)."""
        embedded = torch.tanh(self.embed(observation))
        return self.head(torch.cat((embedded.mean(dim=-2), embedded.amax(dim=-2)), dim=-1))


class OwnCritic(nn.Module):
    """V(o_i) of a UE's own observation, as eqs. (23) and (26) print it.

    Args:
        hidden: width of the hidden layers.
        generator: draws the first weights.
    """

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = mlp((OBSERVATION_SIZE, hidden, hidden, 1), 1.0, generator)

    def forward(self, observation: Tensor) -> Tensor:
        """(..., ues, OBSERVATION_SIZE) to (..., ues)."""
        return self.layers(observation).squeeze(-1)


@dataclass(frozen=True, kw_only=True)
class ActorSizes(Settings):
    """What an actor and critic are made of."""

    hidden: Annotated[int, Range(1)]
    """Width of the hidden layers of either network."""
    codes: Annotated[int, Range(1)]
    """Choices of k."""
    clock_when_offloading: bool
    """See `ActionDistribution`."""
    learn_clock: bool
    """f is an action; else the best clock is taken."""
    learn_power: bool
    """p is an action; else the best on the granted band is taken."""
    critic: Annotated[str, Range(choices=CRITICS)]
    """As in `MappoConfig`, and so the next two."""
    heads: Annotated[str, Range(choices=HEADS_START)]
    """Where the heads start."""
    withdraw_under: Annotated[float, Range(0)]
    """Who withdraws."""


class ActorCritic(nn.Module):
    """Actor with the same weights in every UE, and its critic.

    Args:
        sizes: what they are made of.
        generator: draws the first weights.
    """

    def __init__(self, sizes: ActorSizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        outputs = HEADS + (sizes.codes if sizes.codes > 1 else 0)
        hidden = sizes.hidden
        self.actor = mlp((OBSERVATION_SIZE, hidden, hidden, outputs), 0.01, generator)
        self.critic = (Critic if sizes.critic == "all" else OwnCritic)(hidden, generator)
        self.log_scale = nn.Parameter(torch.full((), math.log(REQUEST_DEVIATION), device=generator.device))

    def start(self, view: View) -> Tensor:
        """Where the heads start, (..., ues, HEADS): `MappoConfig.heads`."""
        bid = view.bid.float() if self.sizes.heads == "bids" else None
        known = view.known
        return self.start_from({name: getattr(known, name).float() for name in STARTS}, bid)

    def start_from(self, known: Mapping[str, Tensor], bid: Tensor | None) -> Tensor:
        """`start` of those of `Columns` that STARTS names, (..., ues) each.

        Args:
            known: the columns.
            bid: `View.bid`; read with heads "bids" alone.
        """
        start = [torch.zeros_like(known["clock"])] * HEADS
        if self.sizes.heads != "zero":
            # the UE that leads tosses a coin, of the others about one offloads
            start[OFFLOAD_HEAD] = known["ues"] * (known["leads"] - 1.0)
            start[POWER_HEAD], start[CLOCK_HEAD] = map(mode_logit, (known["power_on_half"], known["clock"]))
            start[REQUEST_HEAD] = known["share"] if bid is None else bid
        return torch.stack(start, dim=-1)

    def actions(self, observation: Tensor, start: Tensor) -> ActionDistribution:
        """pi_theta, over (..., ues).

        Args:
            observation: (..., ues, OBSERVATION_SIZE).
            start: of `start`, (..., ues, HEADS).
        """
        heads = self.actor(observation)
        heads = heads + nn.functional.pad(start, (0, heads.shape[-1] - HEADS))
        sizes = self.sizes
        return ActionDistribution(
            heads,
            self.log_scale,
            clock_when_offloading=sizes.clock_when_offloading,
            learn_clock=sizes.learn_clock,
            learn_power=sizes.learn_power,
        )

    def physical(self, drawn: RawActions, view: View) -> Actions:
        """In W, Hz and float64, as the environment takes them, (episodes, ues).

        Power that is not learned is looked up on the granted band, and who should not stay there withdraws:
        `View.settled`.
        """
        actions = drawn.to_physical(view.ue_device)
        if not self.sizes.learn_clock:
            actions = replace(actions, clock_hz=view.clock_for(actions.offload))
        if self.sizes.learn_power:
            return actions
        return view.settled(actions, under=self.sizes.withdraw_under)

    def value(self, observation: Tensor) -> Tensor:
        """V of eq. (26), normalised: (..., ues, OBSERVATION_SIZE) to (..., 1), or where each UE has its own
        to (..., ues)."""
        return self.critic(observation)


class LearnedPolicy:
    """A trained actor, without exploration.

    Args:
        network: its actor is read.
        observation: what it reads, as in `EpisodeConfig`.
    """

    def __init__(self, network: ActorCritic, *, observation: str) -> None:
        self._network = network
        looks_up = "" if network.sizes.learn_power else "; granted band, how many offload"
        counts = "" if network.sizes.heads == "zero" else "; number of UEs"
        self.sees = SEES[observation] + counts + looks_up

    @torch.no_grad()
    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions: rho is drawn, all else is the most probable."""
        network = self._network
        decided = network.actions(view.observation, network.start(view)).decided(generator)
        return network.physical(decided, view)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, system: SystemConfig, episode: EpisodeConfig, tasks: Tasks
    ) -> LearnedPolicy:
        """Read a policy file of MAPPO or IPPO; where it was trained for another world than this, a warning
        says so in one line.

        Args:
            path: of the file.
            system: of the world it is to play in, as the next two.
            episode: horizon, reward and what UEs observe.
            tasks: what each UE has to do.

        Raises:
            ToolkitError: if it is missing, truncated, foreign or of an older version, or was trained with
                other observations or choices of k.
        """
        network, head = read_network(path)
        with parsing(path):
            check_world(head, world_of(system, episode, tasks), path)
            return cls(network.to(tasks.device), observation=episode.observation)


def read_network(path: str | os.PathLike[str]) -> tuple[ActorCritic, dict[str, Any]]:
    """The network of a policy file of MAPPO or IPPO, and the file's head.

    Raises:
        ToolkitError: if it is missing, truncated, foreign or of an older version.
    """
    weights, head = read_tensors(path)
    with parsing(path):
        try:
            sizes = from_json(ActorSizes, sizes_in(head, weights, ("mappo", "ippo")))
        except SettingsError as error:
            raise ToolkitError(f"the sizes the file gives: {error}") from error
        network = ActorCritic(sizes, torch.Generator())
        fill(network, weights)
    return network, head

"""The actor all UEs share, the central critic and the policy file. Any number of UEs may use the same
weights."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import replace

import torch
from torch import Tensor, nn

from data.files.errors import ToolkitError, parsing
from data.files.schema import typed
from data.files.tensors import read_tensors, require_head, write_tensors
from optimizer.policies.distribution import (
    CLOCK_HEAD,
    HEADS,
    POWER_HEAD,
    REQUEST_HEAD,
    ActionDistribution,
    RawActions,
    mode_logit,
)
from optimizer.world.physics import Actions
from optimizer.world.view import (
    CLOCK_COLUMN,
    OBSERVATION_SIZE,
    POWER_COLUMN,
    SHARE_COLUMN,
    SLOW_SIZE,
    View,
    observed,
)

KIND = "offloading-policy"


SCHEMA_VERSION = 5


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
        columns: of a UE's observation that it reads.
        hidden: width of the hidden layers.
        generator: draws the first weights.
    """

    def __init__(self, columns: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.embed = mlp((columns, hidden, hidden), 1.0, generator)
        self.head = mlp((2 * hidden, hidden, 1), 1.0, generator)

    def forward(self, observation: Tensor) -> Tensor:
        """(..., ues, columns) to (...)."""
        own = torch.tanh(self.embed(observation))
        return self.head(torch.cat((own.mean(dim=-2), own.amax(dim=-2)), dim=-1)).squeeze(-1)


class ActorCritic(nn.Module):
    """Actor with the same weights in every UE, critic on the observations of all.

    Args:
        hidden: width of the hidden layers of either network.
        codes: choices of k.
        clock_when_offloading: see `ActionDistribution`.
        learn_clock: f is an action; else the best local clock is taken.
        learn_power: p is an action; else the best on the granted band is taken.
        generator: draws the first weights.
    """

    def __init__(
        self,
        *,
        hidden: int,
        codes: int,
        clock_when_offloading: bool,
        learn_clock: bool,
        learn_power: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.sizes = {
            "hidden": hidden, "codes": codes, "clock_when_offloading": clock_when_offloading,
            "learn_clock": learn_clock, "learn_power": learn_power,
        }  # fmt: skip
        self._clock_when_offloading = clock_when_offloading
        self._learn_clock, self._learn_power = learn_clock, learn_power
        outputs = HEADS + (codes if codes > 1 else 0)
        self.actor = mlp((OBSERVATION_SIZE, hidden, hidden, outputs), 0.01, generator)
        self.critic = Critic(OBSERVATION_SIZE, hidden, generator)
        self.critic_ahead = Critic(SLOW_SIZE, hidden, generator)
        self.log_scale = nn.Parameter(torch.full((), math.log(REQUEST_DEVIATION), device=generator.device))

    def actions(self, observation: Tensor) -> ActionDistribution:
        """pi_theta: (..., ues, OBSERVATION_SIZE) to a distribution over (..., ues)."""
        heads = self.actor(observation)
        # the heads start from what is known: the best power with half of the band, the best local clock, and
        # for b-hat the most of the band that the UE can use
        offset = torch.zeros_like(heads)
        offset[..., POWER_HEAD] = mode_logit(observation[..., POWER_COLUMN])
        offset[..., CLOCK_HEAD] = mode_logit(observation[..., CLOCK_COLUMN])
        offset[..., REQUEST_HEAD] = observation[..., SHARE_COLUMN]
        return ActionDistribution(
            heads + offset,
            self.log_scale,
            clock_when_offloading=self._clock_when_offloading,
            known_clock=None if self._learn_clock else observation[..., CLOCK_COLUMN],
            learn_power=self._learn_power,
        )

    def physical(self, drawn: RawActions, view: View) -> Actions:
        """In W, Hz and float64, as the environment takes them; of `drawn`'s shape, `view`'s or more.

        A UE that looks its power up (`learn_power` off) withdraws where its own map says that every power
        fails on the band that (12) grants it, and it can compute: it computes at its best clock, and (12)
        shares the band among those who stay. They are granted more, and are not asked again.
        """
        actions = drawn.to_physical(view.ue_device)
        if self._clock_when_offloading and not self._learn_clock:
            actions = replace(
                actions, clock_hz=torch.where(actions.offload, view.encoding_clock_hz, actions.clock_hz)
            )
        if self._learn_power:
            return actions
        power_w, earned = view.best_power(actions)
        withdraws = actions.offload & (earned == 0) & (view.local_qoe > 0)
        if withdraws.any():
            actions = replace(
                actions,
                offload=actions.offload & ~withdraws,
                clock_hz=torch.where(withdraws, view.clock_hz, actions.clock_hz),
            )
            power_w, _ = view.best_power(actions)
        return replace(actions, power_w=power_w)

    def value(self, observation: Tensor) -> Tensor:
        """V of eq. (26), normalised: (..., ues, OBSERVATION_SIZE) to (...)."""
        return self.critic(observation)

    def value_ahead(self, slow: Tensor) -> Tensor:
        """The same before |h|^2 is drawn, from what does not depend on it: (..., ues, SLOW_SIZE) to (...)."""
        return self.critic_ahead(slow)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and sizes as safetensors, atomically."""
        write_tensors(path, self.state_dict(), {"kind": KIND, "schema_version": SCHEMA_VERSION, **self.sizes})


class LearnedPolicy:
    """A trained actor, without exploration.

    Args:
        network: its actor is read.
        announce: whether it hears what others announce; as in `EpisodeConfig`.
    """

    def __init__(self, network: ActorCritic, *, announce: bool = True) -> None:
        self._network = network
        seen = observed(announce=announce)
        self.sees = seen if network.sizes["learn_power"] else f"{seen}; granted band"

    @torch.no_grad()
    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        return self._network.physical(self._network.actions(view.observation).mode(), view)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LearnedPolicy:
        """Read a policy file.

        Raises:
            ToolkitError: if it is missing, truncated or foreign.
        """
        weights, head = read_tensors(path)
        with parsing(path):
            require_head(head, KIND, SCHEMA_VERSION)
            sizes = {name: typed(head, name, int) for name in ("hidden", "codes")}
            # Before memory is taken: a layer is hidden x hidden, and each code has an output.
            if sizes["hidden"] ** 2 + sizes["codes"] > sum(tensor.numel() for tensor in weights.values()):
                raise ToolkitError(f"weights do not fit the sizes the file gives: {sizes}")
            network = ActorCritic(
                hidden=sizes["hidden"],
                codes=sizes["codes"],
                clock_when_offloading=typed(head, "clock_when_offloading", bool),
                learn_clock=typed(head, "learn_clock", bool),
                learn_power=typed(head, "learn_power", bool),
                generator=torch.Generator(),
            )
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                raise ToolkitError(f"weights do not fit the sizes the file gives: {error}") from error
            return cls(network)

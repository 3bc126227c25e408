"""The actor all UEs share, the central critic, the distribution of actions and the policy file."""

from __future__ import annotations

import itertools
import json
import math
import os
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from data.artifacts import ToolkitError, atomic_path, parsing
from optimizer.config import SystemConfig
from optimizer.environment import OBSERVATION_SIZE, View
from optimizer.physics import Actions
from optimizer.policies import clock_from_share, power_from_share

KIND = "offloading-policy"
SCHEMA_VERSION = 1
_MARGIN = 1e-5  # keeps Beta samples off 0 and 1, where the log-density may be infinite


@dataclass(frozen=True, kw_only=True)
class RawActions:
    """Actions as the heads draw them, all (..., ues)."""

    offload: Tensor
    """rho, bool."""
    power: Tensor
    """Share of the power range in dBm, (0, 1)."""
    clock: Tensor
    """Share of the clock range, (0, 1)."""
    request: Tensor
    """b-hat."""

    def to_physical(self, system: SystemConfig) -> Actions:
        """In W, Hz and float64, as the environment takes them."""
        return Actions(
            offload=self.offload,
            power_w=power_from_share(system, self.power.double()),
            clock_hz=clock_from_share(system, self.clock.double()),
            bandwidth_request=self.request.double(),
        )


class ActionDistribution:
    """rho ~ Bernoulli; p, f ~ Beta on their ranges; b-hat ~ Normal.

    p and b-hat belong to the action only where the UE offloads (section IV-A sets them to a negligible value
    elsewhere), and f only where it computes; what does not act has no part in log-density or entropy.

    Args:
        heads: the actor's output, (..., ues, 6).
        log_scale: log standard deviation of b-hat, scalar.
        clock_when_offloading: whether f also acts when offloading (the UE pays for its encoder).
    """

    def __init__(self, heads: Tensor, log_scale: Tensor, *, clock_when_offloading: bool) -> None:
        self._logit, self._mean = heads[..., 0], heads[..., 5]
        # concentrations above 1: one mode, inside the range
        shape = 1.0 + nn.functional.softplus(heads[..., 1:5])
        self._power_shape, self._clock_shape = shape[..., 0:2], shape[..., 2:4]
        self._log_scale = log_scale
        self._clock_when_offloading = clock_when_offloading

    def sample(self, generator: torch.Generator) -> RawActions:
        """Draw actions."""

        def beta(shape: Tensor) -> Tensor:
            # torch.distributions takes no generator; this is the sampler it calls
            draws = torch._standard_gamma(shape.detach(), generator=generator)
            return (draws[..., 0] / draws.sum(dim=-1)).clamp(_MARGIN, 1.0 - _MARGIN)

        coin = torch.rand(self._logit.shape, generator=generator)
        normal = torch.randn(self._mean.shape, generator=generator)
        return RawActions(
            offload=coin < torch.sigmoid(self._logit),
            power=beta(self._power_shape),
            clock=beta(self._clock_shape),
            request=self._mean + normal * self._log_scale.exp(),
        )

    def mode(self) -> RawActions:
        """Most probable rho, mean of the rest: the policy without exploration."""
        return RawActions(
            offload=self._logit > 0,
            power=self._power_shape[..., 0] / self._power_shape.sum(dim=-1),
            clock=self._clock_shape[..., 0] / self._clock_shape.sum(dim=-1),
            request=self._mean,
        )

    def log_prob(self, actions: RawActions) -> Tensor:
        """Log-density of what acts, (..., ues)."""
        rho = actions.offload.float()
        coin = -nn.functional.binary_cross_entropy_with_logits(self._logit, rho, reduction="none")
        power = _beta_log_density(self._power_shape, actions.power)
        clock = _beta_log_density(self._clock_shape, actions.clock)
        away = (actions.request - self._mean) * torch.exp(-self._log_scale)
        request = -0.5 * away**2 - self._log_scale - 0.5 * math.log(2.0 * math.pi)
        return coin + rho * (power + request) + self._clock_weight(rho) * clock

    def entropy(self) -> Tensor:
        """Entropy, (..., ues): E of eq. (27)."""
        rho = torch.sigmoid(self._logit)
        coin = nn.functional.binary_cross_entropy_with_logits(self._logit, rho, reduction="none")
        request = self._log_scale + 0.5 * math.log(2.0 * math.pi * math.e)
        remote = _beta_entropy(self._power_shape) + request
        return coin + rho * remote + self._clock_weight(rho) * _beta_entropy(self._clock_shape)

    def _clock_weight(self, rho: Tensor) -> Tensor:
        return torch.ones_like(rho) if self._clock_when_offloading else 1.0 - rho


def _log_beta(shape: Tensor) -> Tensor:
    return torch.lgamma(shape).sum(dim=-1) - torch.lgamma(shape.sum(dim=-1))


def _beta_log_density(shape: Tensor, value: Tensor) -> Tensor:
    a, b = shape.unbind(dim=-1)
    return (a - 1.0) * torch.log(value) + (b - 1.0) * torch.log1p(-value) - _log_beta(shape)


def _beta_entropy(shape: Tensor) -> Tensor:
    total = shape.sum(dim=-1)
    inner = ((shape - 1.0) * torch.digamma(shape)).sum(dim=-1)
    return _log_beta(shape) - inner + (total - 2.0) * torch.digamma(total)


def _mlp(sizes: tuple[int, ...], last_gain: float, generator: torch.Generator) -> nn.Sequential:
    """Tanh layers, orthogonal weights."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        last = i == len(sizes) - 2
        # skip_init: the usual constructor would draw from the global generator
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
        nn.init.orthogonal_(layer.weight, last_gain if last else math.sqrt(2.0), generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*layers)


class ActorCritic(nn.Module):
    """Actor on a UE's own observation, the same weights in every UE; critic on the state of all.

    Args:
        state_size: length of `View.state`.
        hidden: width of both hidden layers of either network.
        clock_when_offloading: see `ActionDistribution`.
        generator: draws the first weights.
    """

    def __init__(
        self, *, state_size: int, hidden: int, clock_when_offloading: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.state_size, self.hidden, self.clock_when_offloading = state_size, hidden, clock_when_offloading
        self.actor = _mlp((OBSERVATION_SIZE, hidden, hidden, 6), 0.01, generator)
        self.critic = _mlp((state_size, hidden, hidden, 1), 1.0, generator)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def actions(self, observation: Tensor) -> ActionDistribution:
        """pi_theta: (..., ues, OBSERVATION_SIZE) to a distribution over (..., ues)."""
        return ActionDistribution(
            self.actor(observation), self.log_scale, clock_when_offloading=self.clock_when_offloading
        )

    def value(self, state: Tensor) -> Tensor:
        """V of eq. (26), normalised: (..., state_size) to (...)."""
        return self.critic(state).squeeze(-1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and sizes as safetensors, atomically."""
        sizes = {name: getattr(self, name) for name in ("state_size", "hidden", "clock_when_offloading")}
        head = {"kind": KIND, "schema_version": SCHEMA_VERSION, **sizes}
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={"head": json.dumps(head)})


class LearnedPolicy:
    """A trained actor, without exploration.

    Args:
        network: its actor is read.
        system: gives the ranges of p and f.
    """

    sees = "own channel, queue, battery, place, last latency"

    def __init__(self, network: ActorCritic, system: SystemConfig) -> None:
        self._network, self._system = network, system

    @torch.no_grad()
    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions from each UE's own observation; nothing is drawn."""
        return self._network.actions(view.observation).mode().to_physical(self._system)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, system: SystemConfig) -> LearnedPolicy:
        """Read a policy file.

        Raises:
            ToolkitError: if it is missing, truncated or foreign.
        """
        try:
            with safe_open(path, framework="pt") as file:
                head_text = (file.metadata() or {}).get("head", "{}")
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        except FileNotFoundError as error:
            raise ToolkitError(f"{path}: no such file") from error
        except (SafetensorError, OSError) as error:
            raise ToolkitError(f"{path}: not a readable safetensors file ({error})") from error
        with parsing(path):
            head = json.loads(head_text)
            if (head.get("kind"), head.get("schema_version")) != (KIND, SCHEMA_VERSION):
                raise ToolkitError(
                    f"kind {head.get('kind')!r} given, {KIND!r} of schema {SCHEMA_VERSION} is allowed"
                )
            network = ActorCritic(
                state_size=int(head["state_size"]),
                hidden=int(head["hidden"]),
                clock_when_offloading=bool(head["clock_when_offloading"]),
                generator=torch.Generator(),
            )
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                raise ToolkitError(f"weights do not fit the sizes the file gives: {error}") from error
            return cls(network, system)

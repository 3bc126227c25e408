"""The distribution of a UE's action that the actor's heads describe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from optimizer.world.devices import Device
from optimizer.world.physics import Actions
from optimizer.world.ranges import clock_from_share, power_from_share

OFFLOAD_HEAD, POWER_HEAD, CLOCK_HEAD, REQUEST_HEAD = 0, 1, 3, 5
"""Where among the heads the logit of rho, the modes of p and f and the mean of b-hat are."""
HEADS = 6
"""Logit of rho; mode and concentration each of p and f; mean of b-hat."""
_STRETCH = 1.1  # the modes' sigmoid is stretched by this and cut, so that they reach 0 and 1
_MARGIN = 1e-5  # keeps Beta samples off 0 and 1, where the log-density may be infinite


def gumbel(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of the logits' shape: the largest of logits and noise is a draw of their softmax."""
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    return -torch.log(-torch.log(uniform.clamp(1e-12, 1.0 - 1e-7)))


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
    code: Tensor
    """Index of k, int64."""

    def to_physical(self, device: Device) -> Actions:
        """In W, Hz and float64, as the environment takes them."""
        return Actions(
            offload=self.offload,
            power_w=power_from_share(device, self.power.double()),
            clock_hz=clock_from_share(device, self.clock.double()),
            bandwidth_request=self.request.double(),
            code=self.code,
        )


class ActionDistribution:
    """rho ~ Bernoulli; p, f ~ Beta on their ranges; b-hat ~ Normal; k, where it is chosen, ~ Categorical.

    p, b-hat and k belong to the action only where the UE offloads (section IV-A sets them to a negligible
    value elsewhere), and f only where it computes; what does not act has no part in log-density or entropy.

    Args:
        heads: the actor's output, (..., ues, HEADS), and the logits of k after it where there is a choice.
        log_scale: log standard deviation of b-hat, scalar.
        clock_when_offloading: whether f also acts when offloading (the UE pays for its encoder).
        learn_power: whether p is part of the distribution; else it is 1/2, and somebody else's to choose.
        learn_clock: the same of f.
    """

    def __init__(
        self,
        heads: Tensor,
        log_scale: Tensor,
        *,
        clock_when_offloading: bool,
        learn_power: bool = True,
        learn_clock: bool = True,
    ) -> None:
        self._logit, self._mean = heads[..., OFFLOAD_HEAD], heads[..., REQUEST_HEAD]
        self.power_shape = _beta_shape(heads[..., POWER_HEAD : POWER_HEAD + 2])
        self.clock_shape = _beta_shape(heads[..., CLOCK_HEAD : CLOCK_HEAD + 2])
        self._log_scale = log_scale
        self._code = torch.log_softmax(heads[..., HEADS:], dim=-1) if heads.shape[-1] > HEADS else None
        self._learn_power, self._learn_clock = learn_power, learn_clock
        self._clock_when_offloading = clock_when_offloading

    def sample(self, generator: torch.Generator) -> RawActions:
        """Draw actions."""

        def beta(shape: Tensor) -> Tensor:
            # torch.distributions takes no generator; this is the sampler it calls
            draws = torch._standard_gamma(shape.detach(), generator=generator)
            return (draws[..., 0] / draws.sum(dim=-1)).clamp(_MARGIN, 1.0 - _MARGIN)

        offload = self._toss(generator)
        normal = torch.randn(self._mean.shape, generator=generator, device=self._mean.device)
        code = torch.zeros_like(self._logit, dtype=torch.long)
        if self._code is not None:
            code = (self._code + gumbel(self._code, generator)).argmax(dim=-1)
        return RawActions(
            offload=offload,
            power=self._share(self._learn_power, lambda: beta(self.power_shape)),
            clock=self._share(self._learn_clock, lambda: beta(self.clock_shape)),
            request=self._mean + normal * self._log_scale.exp(),
            code=code,
        )

    def decided(self, generator: torch.Generator) -> RawActions:
        """The policy without exploration: rho is drawn, all else the most probable.

        Of many UEs alike none is worth more than its share of the band, so that each offloads with a
        probability below 1/2; by the most probable rho none of them would.
        """
        return replace(self.mode(), offload=self._toss(generator))

    def mode(self) -> RawActions:
        """The most probable action. The modes of p and f reach their ends."""

        return RawActions(
            offload=self._logit > 0,
            power=self._share(self._learn_power, lambda: _mode(self.power_shape)),
            clock=self._share(self._learn_clock, lambda: _mode(self.clock_shape)),
            request=self._mean,
            code=torch.zeros_like(self._logit, dtype=torch.long)
            if self._code is None
            else self._code.argmax(dim=-1),
        )

    def log_prob(self, actions: RawActions) -> Tensor:
        """Log-density of what acts, (..., ues)."""
        rho = actions.offload.float()
        coin = -nn.functional.binary_cross_entropy_with_logits(self._logit, rho, reduction="none")
        away = (actions.request - self._mean) * torch.exp(-self._log_scale)
        request = -0.5 * away**2 - self._log_scale - 0.5 * math.log(2.0 * math.pi)
        chosen = request
        if self._learn_power:
            chosen = chosen + _beta_log_density(self.power_shape, actions.power)
        if self._code is not None:
            chosen = chosen + self._code.gather(-1, actions.code.unsqueeze(-1)).squeeze(-1)
        density = coin + rho * chosen
        if self._learn_clock:
            density = density + self._clock_weight(rho) * _beta_log_density(self.clock_shape, actions.clock)
        return density

    def entropy(self) -> Tensor:
        """Entropy, (..., ues): E of eq. (27)."""
        rho = torch.sigmoid(self._logit)
        coin = nn.functional.binary_cross_entropy_with_logits(self._logit, rho, reduction="none")
        request = self._log_scale + 0.5 * math.log(2.0 * math.pi * math.e)
        remote = request
        if self._learn_power:
            remote = remote + _beta_entropy(self.power_shape)
        if self._code is not None:
            remote = remote - (self._code.exp() * self._code).sum(dim=-1)
        entropy = coin + rho * remote
        if self._learn_clock:
            entropy = entropy + self._clock_weight(rho) * _beta_entropy(self.clock_shape)
        return entropy

    @property
    def offload_probability(self) -> Tensor:
        """That rho is 1, (..., ues)."""
        return torch.sigmoid(self._logit)

    def _toss(self, generator: torch.Generator) -> Tensor:
        """Draw rho."""
        coin = torch.rand(self._logit.shape, generator=generator, device=self._logit.device)
        return coin < self.offload_probability

    def _share(self, learned: bool, choose: Callable[[], Tensor]) -> Tensor:
        return choose() if learned else torch.full_like(self._logit, 0.5)

    def _clock_weight(self, rho: Tensor) -> Tensor:
        return torch.ones_like(rho) if self._clock_when_offloading else 1.0 - rho


def mode_logit(mode: Tensor) -> Tensor:
    """The head that makes a Beta's mode this, 0 to 1; of either shape."""
    return torch.logit((mode - 0.5) / _STRETCH + 0.5)


def _beta_shape(heads: Tensor) -> Tensor:
    """Both shapes, at least 1, from mode and concentration: (..., 2) to (..., 2)."""
    mode = ((torch.sigmoid(heads[..., 0]) - 0.5) * _STRETCH + 0.5).clamp(0.0, 1.0)
    concentration = 4.0 * nn.functional.softplus(heads[..., 1] + 1.0)
    return 1.0 + concentration.unsqueeze(-1) * torch.stack((mode, 1.0 - mode), dim=-1)


def _mode(shape: Tensor) -> Tensor:
    return ((shape[..., 0] - 1.0) / (shape.sum(dim=-1) - 2.0).clamp_min(1e-6)).clamp(0.0, 1.0)


def _log_beta(shape: Tensor) -> Tensor:
    return torch.lgamma(shape).sum(dim=-1) - torch.lgamma(shape.sum(dim=-1))


def _beta_log_density(shape: Tensor, value: Tensor) -> Tensor:
    a, b = shape.unbind(dim=-1)
    return (a - 1.0) * torch.log(value) + (b - 1.0) * torch.log1p(-value) - _log_beta(shape)


def _beta_entropy(shape: Tensor) -> Tensor:
    total = shape.sum(dim=-1)
    inner = ((shape - 1.0) * torch.digamma(shape)).sum(dim=-1)
    return _log_beta(shape) - inner + (total - 2.0) * torch.digamma(total)

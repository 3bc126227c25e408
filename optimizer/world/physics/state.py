"""What the physics is told of a step and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.world.physics.precision import Float64


@dataclass(frozen=True, kw_only=True)
class State(Float64):
    """What a step starts from; every tensor (..., ues), float64."""

    queue: Tensor
    """d, tasks left."""
    channel_gain: Tensor
    """g |h|^2 of eq. (1) with an AWGN map, g alone with a map over average SNR. Read where a UE offloads."""
    battery_j: Tensor
    """E^max of (11h), energy left; inf leaves (11h) out."""
    beta: Tensor
    """Preference of eq. (9)."""

    def expand(self, shape: tuple[int, ...]) -> State:
        """The same for more axes in front."""
        return State(**{name: value.expand(shape) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Transmission(Float64):
    """How UEs offload once (12) has granted them their bands; shapes that broadcast against (..., ues)."""

    power_w: Tensor
    """p."""
    clock_hz: Tensor
    """f, at which the UE runs what it is charged of the encoder."""
    bandwidth_hz: Tensor
    """b, above 0."""
    offloading: Tensor
    """Number of UEs that share the server."""
    code: Tensor | None = None
    """Index of k among `Tasks.symbols`, int64; None is 0."""


@dataclass(frozen=True, kw_only=True)
class Actions(Float64):
    """a_i of section IV-A; every tensor (..., ues)."""

    offload: Tensor
    """rho, bool."""
    power_w: Tensor
    """p. Read where the UE offloads."""
    clock_hz: Tensor
    """f. Read where the UE computes."""
    bandwidth_request: Tensor
    """b-hat of eq. (12), any real number. Read where the UE offloads."""
    code: Tensor | None = None
    """Index of k among `Tasks.symbols`, int64; None is 0. Read where the UE offloads."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one step came to; every tensor (..., ues). All zero (False) for a UE whose queue is empty."""

    offloaded: Tensor
    """rho of the UEs that had a task, bool."""
    bandwidth_hz: Tensor
    """b that (12) grants; 0 for a local UE."""
    snr_db: Tensor
    """gamma of eq. (1) in dB, per complex symbol, on the band that is used; -inf for a local UE."""
    accuracy: Tensor
    """epsilon / epsilon_0; 1 for a local UE."""
    latency_s: Tensor
    """t of eq. (7)."""
    energy_j: Tensor
    """E of eq. (8), UE side."""
    cost: Tensor
    """Eq. (9)."""
    qoe: Tensor
    """Eq. (10), whether or not the constraints hold."""
    accurate: Tensor
    """(11b) holds, bool."""
    in_time: Tensor
    """(11g) holds, bool."""
    charged: Tensor
    """(11h) holds, bool."""

    @property
    def success(self) -> Tensor:
        """All constraints hold: one task leaves the queue. bool, (..., ues)."""
        return self.accurate & self.in_time & self.charged

    @property
    def earned_qoe(self) -> Tensor:
        """QoE, 0 where the execution failed; (..., ues)."""
        return torch.where(self.success, self.qoe, 0.0)

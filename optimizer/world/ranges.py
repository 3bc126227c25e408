"""Powers and clocks as shares of their ranges, (11d) and (11e): power in dBm, clock in Hz."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig, dbm_to_watt


def power_from_share(system: SystemConfig, share: Tensor) -> Tensor:
    """Power in W at a share in [0, 1] of the range in dBm."""
    span = system.power_max_dbm - system.power_min_dbm
    return 10.0 ** ((system.power_min_dbm + span * share - 30.0) / 10.0)


def power_to_share(system: SystemConfig, power_w: Tensor) -> Tensor:
    """The inverse; 0 where the range is a point."""
    span = max(system.power_max_dbm - system.power_min_dbm, 1e-9)
    return ((10.0 * torch.log10(power_w) + 30.0 - system.power_min_dbm) / span).clamp(0.0, 1.0)


def power_levels_w(system: SystemConfig, levels: int) -> list[float]:
    """Powers from p_min to p_max in W, equally spaced in dBm."""
    levels_dbm = torch.linspace(
        system.power_min_dbm, system.power_max_dbm, levels, dtype=torch.float64, device="cpu"
    )
    return [dbm_to_watt(dbm) for dbm in levels_dbm.tolist()]


def clock_from_share(system: SystemConfig, share: Tensor) -> Tensor:
    """Clock in Hz at a share in [0, 1] of its range."""
    return system.local_clock_min_hz + (system.local_clock_max_hz - system.local_clock_min_hz) * share


def clock_to_share(system: SystemConfig, clock_hz: Tensor) -> Tensor:
    """The inverse; 0 where the range is a point."""
    span = max(system.local_clock_max_hz - system.local_clock_min_hz, 1e-9)
    return (clock_hz - system.local_clock_min_hz) / span

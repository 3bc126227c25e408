"""Powers and clocks as shares of their ranges, (11d) and (11e): power in dBm, clock in Hz.

`device` is the system where all UEs have the same device, else `Tasks.devices`; shares are then (..., ues).
"""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.config import dbm_to_watt
from optimizer.world.devices import Device, Number, above_zero, clamped


def power_from_share(device: Device, share: Tensor) -> Tensor:
    """Power in W at a share in [0, 1] of the range in dBm."""
    span = device.power_max_dbm - device.power_min_dbm
    return dbm_to_watt(device.power_min_dbm + span * share)


def power_to_share(device: Device, power_w: Tensor) -> Tensor:
    """The inverse; 0 where the range is a point."""
    span = above_zero(device.power_max_dbm - device.power_min_dbm)
    return ((10.0 * torch.log10(power_w) + 30.0 - device.power_min_dbm) / span).clamp(0.0, 1.0)


def power_levels_w(device: Device, levels: int) -> Tensor:
    """Powers from p_min to p_max in W, equally spaced in dBm, (levels, 1) or (levels, ues)."""
    levels_dbm = spread(device.power_min_dbm, device.power_max_dbm, levels)
    if isinstance(device.power_min_w, Tensor):
        return clamped(dbm_to_watt(levels_dbm), device.power_min_w, device.power_max_w)
    levels_w = [[dbm_to_watt(dbm)] for dbm in levels_dbm.flatten().tolist()]
    return torch.tensor(levels_w, dtype=torch.float64, device=levels_dbm.device)


def spread(first: Number, last: Number, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Numbers from `first` to `last`, equally spaced, float64, (count, 1) or (count, ues).

    They are on `device`, or where the two ends are.
    """
    if isinstance(first, Tensor):
        share = torch.linspace(0.0, 1.0, count, dtype=torch.float64, device=first.device).unsqueeze(-1)
        return first + (last - first) * share
    if isinstance(last, Tensor):
        raise TypeError("both ends are numbers, or both are of each UE")
    return torch.linspace(first, last, count, dtype=torch.float64, device=device).unsqueeze(-1)


def clock_from_share(device: Device, share: Tensor) -> Tensor:
    """Clock in Hz at a share in [0, 1] of its range."""
    return device.local_clock_min_hz + (device.local_clock_max_hz - device.local_clock_min_hz) * share


def clock_to_share(device: Device, clock_hz: Tensor) -> Tensor:
    """The inverse; 0 where the range is a point."""
    span = above_zero(device.local_clock_max_hz - device.local_clock_min_hz)
    return (clock_hz - device.local_clock_min_hz) / span

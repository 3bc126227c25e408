"""What each UE computes and sends with: the system's own device, or one of each UE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optimizer.world.config import UE_DEVICE_FIELDS, SystemConfig, dbm_to_watt
from profiling.device_file import DeviceFile

Number: TypeAlias = "float | Tensor"
"""One number for all UEs, or (ues,)."""


@dataclass(frozen=True, kw_only=True)
class UeDevices:
    """Devices that differ, float64, (ues,) each, under the names that `SystemConfig` has for one."""

    local_flops_per_cycle: Tensor
    """n of eq. (3)."""
    local_clock_min_hz: Tensor
    """Smallest clock f."""
    local_clock_max_hz: Tensor
    """f_max of (11e)."""
    local_energy_coefficient: Tensor
    """alpha^lc of eq. (8), W/Hz^3."""
    circuit_power_w: Tensor
    """p^c of eq. (8)."""
    power_min_dbm: Tensor
    """Smallest transmit power p."""
    power_max_dbm: Tensor
    """p_max of (11d)."""

    @property
    def power_min_w(self) -> Tensor:
        """Smallest transmit power in W."""
        return dbm_to_watt(self.power_min_dbm)

    @property
    def power_max_w(self) -> Tensor:
        """Largest transmit power in W."""
        return dbm_to_watt(self.power_max_dbm)

    def to(self, device: torch.device | str) -> UeDevices:
        """The same on another torch device."""
        return UeDevices(**{name: getattr(self, name).to(device) for name in UE_DEVICE_FIELDS})

    def pick(self, ues: Tensor) -> UeDevices:
        """Those of some UEs, by index, in that order."""
        return UeDevices(**{name: getattr(self, name)[ues] for name in UE_DEVICE_FIELDS})


Device: TypeAlias = "SystemConfig | UeDevices"
"""Where the numbers of the UEs' devices are: in the system where all have the same, else in `UeDevices`."""


def ue_fields(device: DeviceFile) -> dict[str, float]:
    """A UE's device file as UE_DEVICE_FIELDS."""
    return {
        "local_flops_per_cycle": device.number("flops_per_cycle"),
        "local_clock_min_hz": device.number("clock_min_hz"),
        "local_clock_max_hz": device.number("clock_max_hz"),
        "local_energy_coefficient": device.energy_coefficient,
        "circuit_power_w": device.number("static_power_w"),
        "power_min_dbm": device.number("transmit_min_dbm"),
        "power_max_dbm": device.number("transmit_max_dbm"),
    }


def server_fields(device: DeviceFile) -> dict[str, float]:
    """A server's device file as SERVER_DEVICE_FIELDS."""
    return {
        "remote_flops_per_cycle": device.number("flops_per_cycle"),
        "remote_clock_hz": device.number("clock_max_hz"),
        "remote_energy_coefficient": device.energy_coefficient,
    }


def with_devices(
    system: SystemConfig, ues: Sequence[DeviceFile | None], server: DeviceFile | None = None
) -> tuple[SystemConfig, UeDevices | None]:
    """The system of a run's devices, and the devices of its UEs where they differ.

    Args:
        system: its own numbers are those of a device that is None.
        ues: one for all UEs, or one a UE.
        server: of the station.
    """
    changes: dict[str, Any] = {} if server is None else server_fields(server)
    rows = [{} if device is None else ue_fields(device) for device in ues]
    if all(row == rows[0] for row in rows):
        return replace(system, **(changes | rows[0])), None
    columns = {
        name: torch.tensor([row.get(name, getattr(system, name)) for row in rows], dtype=torch.float64)
        for name in UE_DEVICE_FIELDS
    }
    return replace(system, **changes), UeDevices(**columns)


def filled(like: Tensor, value: Number) -> Tensor:
    """A number of each UE, of the shape of `like`, (..., ues); not to be written to."""
    return value.expand_as(like) if isinstance(value, Tensor) else torch.full_like(like, value)


def clamped(values: Tensor, low: Number, high: Number) -> Tensor:
    """`values`, (..., ues), cut to a range of all UEs or of each."""
    return torch.minimum(torch.maximum(values, filled(values, low)), filled(values, high))


def above_zero(value: Number) -> Number:
    """`value`, at least 1e-9: to divide by a range that may be a point."""
    return value.clamp_min(1e-9) if isinstance(value, Tensor) else max(value, 1e-9)

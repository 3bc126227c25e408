"""Large-scale channel gain: 3GPP TR 38.901 V16.1.0, UMi street canyon.

Pathloss and shadowing from Table 7.4.1-1, LOS probability from Table 7.4.2-1 (outdoor users).
"""

from __future__ import annotations

import functools
import logging
import math

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig

SPEED_OF_LIGHT_M_S = 3.0e8
"""As Table 7.4.1-1, note 1 has it."""
SHADOWING_LOS_DB = 4.0
SHADOWING_NLOS_DB = 7.82
RANGES = {
    "carrier_hz": (0.5e9, 100e9, "Hz"),
    "station_height_m": (10.0, 10.0, "m"),
    "ue_height_m": (1.5, 22.5, "m"),
    "environment_height_m": (1.0, 1.0, "m"),
    "radius_max_m": (10.0, 5000.0, "m"),
}
"""What Table 7.4.1-1 holds for in UMi street canyon, by field of `SystemConfig`; carriers by clause 7.1."""

logger = logging.getLogger(__name__)


@functools.cache
def warn_beyond_ranges(system: SystemConfig) -> None:
    """Say, once a system, which of its fields the model was not made for."""
    for name, (least, most, unit) in RANGES.items():
        value = getattr(system, name)
        if not least <= value <= most:
            allowed = f"{least:g} {unit}" if least == most else f"{least:g} {unit} to {most:g} {unit}"
            logger.warning("%s %g: TR 38.901 gives the UMi pathloss for %s", name, value, allowed)


def distance_3d_m(system: SystemConfig, distance_m: Tensor) -> Tensor:
    """Distance between the antennas.

    Args:
        system: gives the heights.
        distance_m: distance on the ground, any shape.
    """
    return torch.hypot(distance_m, torch.full_like(distance_m, system.station_height_m - system.ue_height_m))


def breakpoint_m(system: SystemConfig) -> float:
    """d'_BP of note 1: 4 h'_BS h'_UT f_c / c, with heights above the effective environment height."""
    station = system.station_height_m - system.environment_height_m
    ue = system.ue_height_m - system.environment_height_m
    return 4.0 * station * ue * system.carrier_hz / SPEED_OF_LIGHT_M_S


def pathloss_los_db(system: SystemConfig, distance_m: Tensor) -> Tensor:
    """LOS pathloss without shadowing, in dB; PL_1 up to the breakpoint and PL_2 beyond.

    Args:
        system: carrier and heights.
        distance_m: distance on the ground, 10 m to 5 km, any shape.
    """
    d3 = distance_3d_m(system, distance_m)
    carrier_db = 20.0 * math.log10(system.carrier_hz / 1e9)
    turn = breakpoint_m(system)
    height = system.station_height_m - system.ue_height_m
    near = 32.4 + 21.0 * torch.log10(d3) + carrier_db
    far = 32.4 + 40.0 * torch.log10(d3) + carrier_db - 9.5 * math.log10(turn**2 + height**2)
    return torch.where(distance_m <= turn, near, far)


def pathloss_nlos_db(system: SystemConfig, distance_m: Tensor) -> Tensor:
    """NLOS pathloss without shadowing, in dB: never below the LOS one.

    Args:
        system: carrier and heights.
        distance_m: distance on the ground, 10 m to 5 km, any shape.
    """
    d3 = distance_3d_m(system, distance_m)
    without_sight = (
        35.3 * torch.log10(d3)
        + 22.4
        + 21.3 * math.log10(system.carrier_hz / 1e9)
        - 0.3 * (system.ue_height_m - 1.5)
    )
    return torch.maximum(pathloss_los_db(system, distance_m), without_sight)


def los_probability(distance_m: Tensor) -> Tensor:
    """Probability of a line of sight at a distance on the ground, any shape."""
    near = 18.0 / distance_m.clamp_min(18.0)
    return near + torch.exp(-distance_m / 36.0) * (1.0 - near)


def draw_positions(system: SystemConfig, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw places in the ring, uniform in distance and in angle.

    Uniform in distance, not in area: with it the median SNR at 24 dBm on a quarter of the band is 16 dB.

    Returns:
        x and y in m, the station at the origin; shape (*shape, 2).
    """
    along, turn = torch.rand((2, *shape), generator=generator, dtype=torch.float64, device=generator.device)
    radius = system.radius_min_m + (system.radius_max_m - system.radius_min_m) * along
    angle = 2.0 * math.pi * turn
    return torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1)


def draw_gain(system: SystemConfig, position_m: Tensor, generator: torch.Generator) -> Tensor:
    """Draw g of eq. (1): LOS state and shadowing at each place, independent between places.

    Warns of a system that the model was not made for.

    Args:
        system: carrier and heights.
        position_m: (..., 2).
        generator: source of the draws.

    Returns:
        Large-scale power gain, linear, shape (...).
    """
    warn_beyond_ranges(system)
    distance_m = torch.linalg.vector_norm(position_m, dim=-1)
    shape = distance_m.shape
    sight = torch.rand(
        shape, generator=generator, dtype=torch.float64, device=generator.device
    ) < los_probability(distance_m)
    shadow = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
    los_db = pathloss_los_db(system, distance_m) + SHADOWING_LOS_DB * shadow
    nlos_db = pathloss_nlos_db(system, distance_m) + SHADOWING_NLOS_DB * shadow
    return 10.0 ** (-torch.where(sight, los_db, nlos_db) / 10.0)

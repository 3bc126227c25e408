"""Large-scale channel gain: 3GPP TR 38.901 V16.1.0, UMi street canyon, UMa and indoor office.

Pathloss and shadowing from Table 7.4.1-1, LOS probability from Table 7.4.2-1 (outdoor users, mixed office).
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig

SPEED_OF_LIGHT_M_S = 3.0e8
"""As Table 7.4.1-1, note 1 has it."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One scenario's rows of Table 7.4.1-1, d_3D in m, f_c in GHz, all in dB."""

    name: str
    los: tuple[float, float]
    """Constant and factor of log10 d_3D, up to the breakpoint."""
    breakpoint: float | None
    """Factor of log10(d'_BP^2 + (h_BS - h_UT)^2), taken off beyond it; None: there is no breakpoint."""
    nlos: tuple[float, float, float, float]
    """Constant, factors of log10 d_3D and log10 f_c, and what each m of h_UT above 1.5 m takes off."""
    shadowing_db: tuple[float, float]
    """Standard deviation with and without a line of sight."""
    shadowing_m: tuple[float, float]
    """Distance over which shadowing falls to a correlation of 1/e, with and without a line of sight: Table
    7.5-6."""
    los_state_m: float
    """The same of whether there is a line of sight: Table 7.6.3.1-2."""
    sight_m: float
    """By how many m the LOS probability falls to 1/e, far away."""
    ranges: Mapping[str, tuple[float, float, str]]
    """What the rows hold for, by field of `SystemConfig`; carriers by clause 7.1."""


_CARRIER = {"carrier_hz": (0.5e9, 100e9, "Hz")}
_STREET = {**_CARRIER, "environment_height_m": (1.0, 1.0, "m"), "radius_max_m": (10.0, 5000.0, "m")}
SCENARIOS: Mapping[str, Scenario] = {
    "umi": Scenario(
        name="UMi", los=(32.4, 21.0), breakpoint=9.5, nlos=(22.4, 35.3, 21.3, 0.3), shadowing_db=(4.0, 7.82),
        sight_m=36.0, shadowing_m=(10.0, 13.0), los_state_m=50.0,
        ranges={**_STREET, "station_height_m": (10.0, 10.0, "m"), "ue_height_m": (1.5, 22.5, "m")},
    ),
    "uma": Scenario(
        name="UMa", los=(28.0, 22.0), breakpoint=9.0, nlos=(13.54, 39.08, 20.0, 0.6), shadowing_db=(4.0, 6.0),
        sight_m=63.0, shadowing_m=(37.0, 50.0), los_state_m=50.0,
        # above 13 m h_E is drawn (note 1) and the LOS probability rises with the height
        ranges={**_STREET, "station_height_m": (25.0, 25.0, "m"), "ue_height_m": (1.5, 13.0, "m")},
    ),
    "indoor": Scenario(
        name="indoor office", los=(32.4, 17.3), breakpoint=None, nlos=(17.3, 38.3, 24.9, 0.0),
        shadowing_db=(3.0, 8.03), sight_m=32.6, shadowing_m=(10.0, 6.0), los_state_m=10.0,
        ranges={**_CARRIER, "radius_max_m": (1.0, 150.0, "m")},
    ),
}  # fmt: skip
"""By `SystemConfig.pathloss`."""

logger = logging.getLogger(__name__)


@functools.cache
def warn_beyond_ranges(system: SystemConfig) -> None:
    """Say, once a system, which of its fields the model was not made for."""
    scenario = SCENARIOS[system.pathloss]
    for name, (least, most, unit) in scenario.ranges.items():
        value = getattr(system, name)
        if not least <= value <= most:
            allowed = f"{least:g} {unit}" if least == most else f"{least:g} {unit} to {most:g} {unit}"
            logger.warning(
                "%s %g: TR 38.901 gives the %s pathloss for %s; change it, or the pathloss",
                name,
                value,
                scenario.name,
                allowed,
            )


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
        distance_m: distance on the ground, any shape.
    """
    scenario = SCENARIOS[system.pathloss]
    constant, slope = scenario.los
    d3 = distance_3d_m(system, distance_m)
    carrier_db = 20.0 * math.log10(system.carrier_hz / 1e9)
    near = constant + slope * torch.log10(d3) + carrier_db
    if scenario.breakpoint is None:
        return near
    turn = breakpoint_m(system)
    height = system.station_height_m - system.ue_height_m
    far = (
        constant + 40.0 * torch.log10(d3) + carrier_db - scenario.breakpoint * math.log10(turn**2 + height**2)
    )
    return torch.where(distance_m <= turn, near, far)


def pathloss_nlos_db(system: SystemConfig, distance_m: Tensor) -> Tensor:
    """NLOS pathloss without shadowing, in dB: never below the LOS one.

    Args:
        system: carrier and heights.
        distance_m: distance on the ground, any shape.
    """
    constant, slope, of_carrier, of_height = SCENARIOS[system.pathloss].nlos
    d3 = distance_3d_m(system, distance_m)
    without_sight = (
        slope * torch.log10(d3)
        + constant
        + of_carrier * math.log10(system.carrier_hz / 1e9)
        - of_height * (system.ue_height_m - 1.5)
    )
    return torch.maximum(pathloss_los_db(system, distance_m), without_sight)


def los_probability(system: SystemConfig, distance_m: Tensor) -> Tensor:
    """Probability of a line of sight at a distance on the ground, any shape."""
    reach_m = SCENARIOS[system.pathloss].sight_m
    if system.pathloss == "indoor":
        near = torch.exp(-(distance_m - 1.2).clamp_min(0.0) / 4.7)
        return torch.where(distance_m < 6.5, near, 0.32 * torch.exp(-(distance_m - 6.5) / reach_m))
    near = 18.0 / distance_m.clamp_min(18.0)
    return near + torch.exp(-distance_m / reach_m) * (1.0 - near)


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
    ) < los_probability(system, distance_m)
    shadow = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
    return gain_at(system, distance_m, sight=sight, shadow=shadow)


def gain_at(system: SystemConfig, distance_m: Tensor, *, sight: Tensor, shadow: Tensor) -> Tensor:
    """g of eq. (1), linear, of one shape with all the arguments.

    Args:
        system: carrier and heights.
        distance_m: distance on the ground.
        sight: whether there is a line of sight, bool.
        shadow: shadowing in standard deviations.
    """
    los_shadow, nlos_shadow = SCENARIOS[system.pathloss].shadowing_db
    los_db = pathloss_los_db(system, distance_m) + los_shadow * shadow
    nlos_db = pathloss_nlos_db(system, distance_m) + nlos_shadow * shadow
    return 10.0 ** (-torch.where(sight, los_db, nlos_db) / 10.0)

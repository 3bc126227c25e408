"""TR 38.901: UMi street canyon, UMa and indoor office against values worked out from its tables."""

import math

import pytest
import torch

from data.settings import SettingsError
from optimizer.world.channel.pathloss import (
    breakpoint_m,
    draw_gain,
    draw_positions,
    los_probability,
    pathloss_los_db,
    pathloss_nlos_db,
    warn_beyond_ranges,
)
from optimizer.world.config import SystemConfig

SYSTEM = SystemConfig()


def metres(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_breakpoint_is_360_m():
    assert breakpoint_m(SYSTEM) == pytest.approx(4 * 9 * 0.5 * 6e9 / 3e8) == 360.0


def test_los_at_100_m_by_hand():
    d3 = math.sqrt(100**2 + 8.5**2)
    expected = 32.4 + 21 * math.log10(d3) + 20 * math.log10(6)  # 89.995 dB
    assert expected == pytest.approx(89.995, abs=1e-3)
    assert pathloss_los_db(SYSTEM, metres(100.0)).item() == pytest.approx(expected)


def test_nlos_at_100_m_by_hand():
    d3 = math.sqrt(100**2 + 8.5**2)
    expected = 35.3 * math.log10(d3) + 22.4 + 21.3 * math.log10(6)  # 109.630 dB
    assert expected == pytest.approx(109.630, abs=1e-3)
    assert pathloss_nlos_db(SYSTEM, metres(100.0)).item() == pytest.approx(expected)


def test_beyond_the_breakpoint_by_hand():
    d3 = math.sqrt(500**2 + 8.5**2)
    expected = 32.4 + 40 * math.log10(d3) + 20 * math.log10(6) - 9.5 * math.log10(360**2 + 8.5**2)
    assert pathloss_los_db(SYSTEM, metres(500.0)).item() == pytest.approx(expected)


def test_los_is_continuous_at_the_breakpoint():
    near, far = pathloss_los_db(SYSTEM, metres(360.0, 360.001)).tolist()
    assert near == pytest.approx(far, abs=1e-2)


def test_nlos_is_never_below_los():
    """At 6 GHz and 1.5 m the table's maximum never binds; at 0.1 GHz and 30 m it does."""
    low, distance = SystemConfig(carrier_hz=1e8, ue_height_m=30.0), metres(10.0)
    own = 35.3 * math.log10(math.hypot(10, 20)) + 22.4 + 21.3 * math.log10(0.1) - 0.3 * (30 - 1.5)
    assert pathloss_nlos_db(low, distance).item() > own
    assert torch.equal(pathloss_nlos_db(low, distance), pathloss_los_db(low, distance))


def test_los_probability_by_hand():
    expected = 18 / 100 + math.exp(-100 / 36) * (1 - 18 / 100)
    assert los_probability(SYSTEM, metres(10.0, 18.0, 100.0)).tolist() == pytest.approx([1.0, 1.0, expected])


def test_positions_fill_the_ring():
    place = draw_positions(SYSTEM, (20_000,), torch.Generator().manual_seed(0))
    distance = torch.linalg.vector_norm(place, dim=-1)
    assert distance.min() >= 10
    assert distance.max() <= 200
    assert distance.mean().item() == pytest.approx(105, abs=1.5)  # 4 standard errors of 20 000 uniform draws
    assert place.mean(dim=0).abs().max() < 4


def test_drawn_gain_has_the_models_los_share_and_shadowing():
    place = metres(60.0, 0.0).expand(40_000, 2)
    loss_db = -10 * torch.log10(draw_gain(SYSTEM, place, torch.Generator().manual_seed(0)))
    share = los_probability(SYSTEM, metres(60.0)).item()
    los, nlos = pathloss_los_db(SYSTEM, metres(60.0)).item(), pathloss_nlos_db(SYSTEM, metres(60.0)).item()
    assert loss_db.mean().item() == pytest.approx(share * los + (1 - share) * nlos, abs=0.25)
    spread = (
        share * (4.0**2 + los**2)
        + (1 - share) * (7.82**2 + nlos**2)
        - (share * los + (1 - share) * nlos) ** 2
    )
    assert loss_db.std().item() == pytest.approx(math.sqrt(spread), rel=0.02)


def test_same_seed_same_gain():
    place = draw_positions(SYSTEM, (5, 4), torch.Generator().manual_seed(3))
    first, second = (draw_gain(SYSTEM, place, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)


def test_median_snr_is_16_db():
    """What the sketch in the design rests on: 24 dBm on a quarter of the band, fading included."""
    generator = torch.Generator().manual_seed(0)
    gain = draw_gain(SYSTEM, draw_positions(SYSTEM, (50_000,), generator), generator)
    fading = -torch.log(torch.rand(50_000, generator=generator))
    snr_db = 10 * torch.log10(
        SYSTEM.power_max_w * gain * fading / (SYSTEM.bandwidth_hz / 4 * SYSTEM.noise_w_hz)
    )
    assert snr_db.median().item() == pytest.approx(16, abs=0.5)


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({}, None), ({"radius_max_m": 5000.0, "carrier_hz": 1e11, "ue_height_m": 22.5}, None),
        ({"radius_max_m": 5001.0}, "radius_max_m 5001: TR 38.901 gives the UMi pathloss for 10 m to 5000 m"),
        ({"carrier_hz": 1e8}, "carrier_hz 1e+08: TR 38.901 gives the UMi pathloss for 5e+08 Hz to 1e+11 Hz"),
        ({"carrier_hz": 2e11}, "carrier_hz 2e+11"), ({"ue_height_m": 1.4}, "ue_height_m 1.4"),
        ({"ue_height_m": 23.0}, "ue_height_m 23"), ({"station_height_m": 25.0}, "for 10 m"),
        ({"environment_height_m": 0.5}, "for 1 m"),
    ],
)  # fmt: skip
def test_systems_the_model_was_not_made_for_are_said_once(caplog, change, warning):
    warn_beyond_ranges.cache_clear()
    system, generator = SystemConfig(**change), torch.Generator().manual_seed(0)
    for _ in range(2):
        assert draw_gain(system, metres(60.0, 0.0), generator).isfinite()
    assert len(caplog.messages) == (warning is not None)
    assert warning is None or warning in caplog.messages[0]


# the other scenarios --------------------------------------------------------------------------------------

UMA = SystemConfig(pathloss="uma", station_height_m=25.0)
INDOOR = SystemConfig(
    pathloss="indoor", station_height_m=3.0, ue_height_m=1.0, radius_min_m=1.0, radius_max_m=100.0
)


def test_uma_by_hand():
    """Breakpoint 4 * 24 * 0.5 * 6e9 / 3e8 = 960 m; PL_1 at 100 m, PL_2 at 2 km and NLOS at 100 m."""
    near, far = math.hypot(100, 23.5), math.hypot(2000, 23.5)
    beyond = 28 + 40 * math.log10(far) + 20 * math.log10(6) - 9 * math.log10(960**2 + 23.5**2)
    expected = [28 + 22 * math.log10(near) + 20 * math.log10(6), beyond]
    assert expected == pytest.approx([87.82, 121.93], abs=0.01)
    assert breakpoint_m(UMA) == pytest.approx(960.0)
    assert pathloss_los_db(UMA, metres(100.0, 2000.0)).tolist() == pytest.approx(expected)
    nlos = 13.54 + 39.08 * math.log10(near) + 20 * math.log10(6)
    assert nlos == pytest.approx(107.72, abs=0.01)
    assert pathloss_nlos_db(UMA, metres(100.0)).item() == pytest.approx(nlos)
    expected = 18 / 100 + math.exp(-100 / 63) * (1 - 18 / 100)
    assert los_probability(UMA, metres(18.0, 100.0)).tolist() == pytest.approx([1.0, expected])
    at_turn = pathloss_los_db(UMA, metres(960.0, 960.001)).tolist()
    assert at_turn[0] == pytest.approx(at_turn[1], abs=1e-2)


def test_indoor_by_hand():
    d3 = math.hypot(30, 2)
    los = 32.4 + 17.3 * math.log10(d3) + 20 * math.log10(6)
    nlos = 17.3 + 38.3 * math.log10(d3) + 24.9 * math.log10(6)
    assert (los, nlos) == pytest.approx((73.53, 93.29), abs=0.01)
    assert pathloss_los_db(INDOOR, metres(30.0)).item() == pytest.approx(los)
    assert pathloss_nlos_db(INDOOR, metres(30.0)).item() == pytest.approx(nlos)
    close = metres(1.0)
    assert torch.equal(pathloss_nlos_db(INDOOR, close), pathloss_los_db(INDOOR, close)), "never below LOS"
    expected = [1.0, math.exp(-2.8 / 4.7), 0.32, 0.32 * math.exp(-43.5 / 32.6)]
    assert los_probability(INDOOR, metres(1.2, 4.0, 6.5, 50.0)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("system", "deviations"), [(UMA, (4.0, 6.0)), (INDOOR, (3.0, 8.03))])
def test_each_scenario_has_its_own_shadowing(system, deviations):
    """Of the two states in the mixture, whose means are those without shadowing."""
    place = metres(20.0, 0.0).expand(40_000, 2)
    loss_db = -10 * torch.log10(draw_gain(system, place, torch.Generator().manual_seed(0)))
    share = los_probability(system, metres(20.0)).item()
    los, nlos = (model(system, metres(20.0)).item() for model in (pathloss_los_db, pathloss_nlos_db))
    mean = share * los + (1 - share) * nlos
    assert loss_db.mean().item() == pytest.approx(mean, abs=0.25)
    square = share * (deviations[0] ** 2 + los**2) + (1 - share) * (deviations[1] ** 2 + nlos**2)
    assert loss_db.std().item() == pytest.approx(math.sqrt(square - mean**2), rel=0.02)


def test_heights_of_another_scenario_are_said(caplog):
    warn_beyond_ranges.cache_clear()
    warn_beyond_ranges(UMA)
    warn_beyond_ranges(INDOOR)
    assert not caplog.messages
    warn_beyond_ranges(SystemConfig(pathloss="uma"))
    warn_beyond_ranges(SystemConfig(pathloss="indoor"))
    assert caplog.messages == [
        "station_height_m 10: TR 38.901 gives the UMa pathloss for 25 m; change it, or the pathloss",
        "radius_max_m 200: TR 38.901 gives the indoor office pathloss for 1 m to 150 m; change it, or the "
        "pathloss",
    ]


def test_a_street_starts_at_10_m():
    with pytest.raises(
        SettingsError, match=r"radius_min_m: 5\.0 given, at least 10 is allowed with pathloss uma"
    ):
        SystemConfig(pathloss="uma", radius_min_m=5.0)

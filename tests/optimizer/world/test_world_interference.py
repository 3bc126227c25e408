"""Other cells' interference: where they are, what theory says it comes to, and that the bound holds."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
import torch

from data.settings import SettingsError
from optimizer.bound import episode_bound
from optimizer.policies.baselines import POLICIES
from optimizer.study.evaluate import play
from optimizer.world.channel.interference import OtherCells, stations_m
from optimizer.world.channel.pathloss import SCENARIOS, los_probability, pathloss_los_db, pathloss_nlos_db
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import Actions

SYSTEM = SystemConfig()
CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_stations_stand_on_a_hexagonal_grid():
    """TR 38.901's 19 sites: 6 neighbours at the distance d, then 6 at sqrt(3) d and 6 at 2 d."""
    places = stations_m(SYSTEM, CPU)
    apart = math.sqrt(3) * SYSTEM.radius_max_m
    distance = (torch.linalg.vector_norm(places, dim=-1) / apart).tolist()
    assert distance == pytest.approx([1.0] * 6 + [math.sqrt(3)] * 6 + [2.0] * 6)
    between = torch.cdist(places, places) / apart
    assert between.fill_diagonal_(9).min().item() == pytest.approx(1.0)
    angles = torch.atan2(places[:6, 1], places[:6, 0]).sort().values.diff()
    assert angles.tolist() == pytest.approx([math.pi / 3] * 5)


@pytest.mark.parametrize("cells", [1, 7, 18])
def test_interference_is_what_theory_says(cells):
    """E[I_0] integrates the mean gain over the ring of each cell: shadowing is lognormal."""
    system = replace(SYSTEM, radius_min_m=20.0, radius_max_m=120.0)
    expected = sum(mean_gain(system, place) for place in stations_m(system, CPU)[:cells].tolist())
    expected *= system.power_max_w / system.bandwidth_hz / system.noise_w_hz
    drawn = OtherCells(system, EpisodeConfig(other_cells=cells), 400_000, generator()).noise_rise() - 1.0
    error = drawn.std().item() / math.sqrt(drawn.numel())
    assert error < 0.03 * expected
    assert drawn.mean().item() == pytest.approx(expected, abs=4 * error)


def mean_gain(system: SystemConfig, station_m: list[float]) -> float:
    """Mean g of a UE around a station, heard at the origin."""

    def at(turn: float, radius_m: float) -> float:
        place = np.array(station_m) + radius_m * np.array([math.cos(turn), math.sin(turn)])
        distance = torch.tensor(np.linalg.norm(place))
        sight = los_probability(system, distance).item()
        losses = pathloss_los_db(system, distance).item(), pathloss_nlos_db(system, distance).item()
        shares = sight, 1.0 - sight
        spread = [math.exp((sigma * math.log(10) / 10) ** 2 / 2) for sigma in SCENARIOS["umi"].shadowing_db]
        return sum(
            share * 10 ** (-loss / 10) * factor
            for share, loss, factor in zip(shares, losses, spread, strict=True)
        )

    least, most = system.radius_min_m, system.radius_max_m
    total, _ = scipy.integrate.dblquad(at, least, most, 0.0, 2 * math.pi, epsabs=0, epsrel=1e-3)
    return total / (2 * math.pi * (most - least))


@pytest.fixture
def make_environment(make_tasks):
    def make(*, system=SYSTEM, cells, episodes=6, **episode):
        config = EpisodeConfig(mix=("text", "image"), other_cells=cells, **episode)
        return OffloadingEnvironment(
            system=system, episode=config, tasks=make_tasks(mix=config.mix, csi=config.csi),
            episodes=episodes, generator=generator(3),
        )  # fmt: skip

    return make


def offloading(environment: OffloadingEnvironment) -> Actions:
    ones = torch.ones(environment.episodes, environment.tasks.ues, dtype=torch.float64)
    return Actions(
        offload=ones.bool(), power_w=ones * SYSTEM.power_max_w, clock_hz=ones * SYSTEM.local_clock_max_hz,
        bandwidth_request=ones,
    )  # fmt: skip


@pytest.mark.parametrize("csi", ["instantaneous", "statistical"])
def test_all_ues_of_a_step_lose_as_many_db(make_environment, csi):
    """The first step's own channels are drawn before the interference, so they are the same without it."""
    alone, among = (make_environment(cells=cells, csi=csi) for cells in (0, 6))
    assert torch.equal(alone.view().mean_gain, among.view().mean_gain)
    seen_db = 10 * torch.log10(alone.view().channel_gain / among.view().channel_gain)
    quiet, loud = (world.step(offloading(world))[0].snr_db for world in (alone, among))
    lost_db = quiet - loud
    assert (lost_db > 0).all()
    assert torch.allclose(lost_db, lost_db[:, :1].expand_as(lost_db))
    assert torch.allclose(lost_db, seen_db)
    assert len(lost_db[:, 0].unique()) == 6


def test_interference_is_new_in_each_step(make_environment):
    """Seen by UEs that stand still, whose own channel is that of the first step."""
    world = make_environment(cells=6, ue_speed_m_s=0.0)
    first = world.view().channel_gain
    world.step(offloading(world))
    change = world.view().channel_gain / first
    assert torch.allclose(change, change[:, :1].expand_as(change))
    assert (change[:, 0] - 1).abs().min() > 1e-9


def test_a_louder_noise_drowns_the_interference(make_environment):
    quiet = make_environment(cells=6, system=replace(SYSTEM, noise_dbm_hz=-60.0))
    assert torch.allclose(quiet.view().channel_gain, make_environment(cells=0).view().channel_gain, rtol=1e-6)


def test_the_bound_holds_and_interference_costs(make_tasks):
    earned = {}
    for cells in (0, 18):
        config = EpisodeConfig(mix=("text", "image", "text"), other_cells=cells)
        tasks = make_tasks(mix=config.mix)
        setting = {"system": SYSTEM, "episode": config, "tasks": tasks, "episodes": 12, "seed": 1}
        bound = episode_bound(**setting)
        for name in ("central", "greedy", "announced", "random"):
            qoe = play(POLICIES[name](SYSTEM, tasks), **setting).qoe
            assert (qoe <= bound * (1 + 1e-9)).all(), name
            earned[name, cells] = qoe.mean().item()
        assert earned["central", cells] > 0.8 * bound.mean()
    assert earned["central", 18] < earned["central", 0]


@pytest.mark.parametrize("cells", [-1, 19])
def test_more_than_two_rings_are_refused(cells):
    with pytest.raises(SettingsError, match="other_cells"):
        EpisodeConfig(other_cells=cells)

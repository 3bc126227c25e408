"""Random waypoints and ways of a file: how far UEs walk, where, and what changes on the way."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.settings import SettingsError
from optimizer.bound import episode_bound
from optimizer.policies.baselines import POLICIES
from optimizer.study.config import TrainConfig
from optimizer.study.evaluate import play
from optimizer.world.channel import Channels, GainTable, draw_positions, read_gains
from optimizer.world.channel.pathloss import los_probability, pathloss_los_db, pathloss_nlos_db
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig

SYSTEM, MIX = SystemConfig(), ("text", "vqa", "image")


def walk(
    steps: int, *, system=SYSTEM, episodes=2000, gains=None, **episode
) -> tuple[torch.Tensor, torch.Tensor]:
    """Places, (steps, episodes, 2 UEs, 2), and g, (steps, episodes, 2 UEs)."""
    mobility = "still" if gains else "waypoint"
    config = EpisodeConfig(**{"mobility": mobility, "fading": "none"} | episode)
    channels = Channels(
        system=system,
        episode=config,
        gains=gains,
        shape=(episodes, 2),
        generator=torch.Generator().manual_seed(0),
    )
    channels.place()
    places, gains = [channels.position_m], [channels.mean_gain]
    channels.fade()
    for _ in range(steps - 1):
        channels.advance()
        places.append(channels.position_m)
        gains.append(channels.gain)
    return torch.stack(places), torch.stack(gains)


def test_ues_walk_at_their_speed_within_the_ring():
    places, _ = walk(60, ue_speed_m_s=2.0, step_s=3.0)
    moved = torch.linalg.vector_norm(places.diff(dim=0), dim=-1)
    assert moved.max() <= 6.0 + 1e-9
    full = moved > 6.0 - 1e-9
    # a leg between two places of this ring has some 130 m: one step in 22 is cut short by an arrival
    assert 0.93 < full.double().mean() < 0.97
    turns = full[:-1] & full[1:]
    heading = torch.atan2(places.diff(dim=0)[..., 1], places.diff(dim=0)[..., 0])
    assert (heading.diff(dim=0)[turns].abs() < 1e-6).double().mean() > 0.99, "straight between waypoints"
    assert torch.linalg.vector_norm(places, dim=-1).max() <= SYSTEM.radius_max_m + 1e-9


def test_shadowing_is_correlated_over_distance():
    """Far out nobody has a line of sight: g without the pathloss has 7.82 dB, and e^(-moved / 13 m)."""
    system = SystemConfig(radius_min_m=4000.0, radius_max_m=5000.0)
    places, gain = walk(4, system=system, episodes=10_000, ue_speed_m_s=4.0)
    distance = torch.linalg.vector_norm(places, dim=-1).clamp_min(4000.0)
    shadow_db = (-10 * torch.log10(gain) - pathloss_nlos_db(system, distance)).flatten(1)
    assert shadow_db.std(dim=-1).tolist() == pytest.approx([7.82] * 4, rel=0.03)
    expected = [math.exp(-4.0 * n / 13.0) for n in range(4)]
    assert torch.corrcoef(shadow_db)[0].tolist() == pytest.approx(expected, abs=0.03)


def test_line_of_sight_keeps_its_probability_and_lasts():
    """At a place: of a UE that hardly moves the state hardly changes; after 10 km it is drawn anew."""

    def sights(speed: float) -> tuple[torch.Tensor, torch.Tensor]:
        places, gain = walk(2, episodes=10_000, ue_speed_m_s=speed)
        distance = torch.linalg.vector_norm(places, dim=-1).clamp_min(10.0)
        loss_db = -10 * torch.log10(gain)
        # nearer to the one than to the other, in deviations: right for most of them beyond 60 m
        los = (loss_db - pathloss_los_db(SYSTEM, distance)).abs() / 4.0
        nlos = (loss_db - pathloss_nlos_db(SYSTEM, distance)).abs() / 7.82
        return los < nlos, los_probability(SYSTEM, distance)

    seen, chance = sights(0.1)
    assert (seen[0] == seen[1]).double().mean() > 0.97
    again, chance = sights(1e4)
    assert (again[0] == again[1]).double().mean() < 0.8
    for state, probability in zip((*seen, *again), (*chance, *chance), strict=True):
        assert state.double().mean().item() == pytest.approx(probability.mean().item(), abs=0.05)


def test_g_within_the_inner_radius_is_that_of_the_radius():
    system = SystemConfig(radius_min_m=50.0, radius_max_m=60.0)
    places, gain = walk(20, system=system, episodes=500, ue_speed_m_s=5.0)
    near = torch.linalg.vector_norm(places, dim=-1) < 20.0
    assert near.sum() > 50
    least_db = pathloss_los_db(system, torch.tensor([50.0], dtype=torch.float64)).item() - 5 * 4.0
    assert (-10 * torch.log10(gain[near]) > least_db).all()


def ways(*positions_m: list[tuple[float, float]]) -> GainTable:
    return GainTable(position_m=torch.tensor(positions_m, dtype=torch.float64), gain=None)


def test_ues_walk_the_ways_of_a_file():
    """Each of them alike often; of a longer one a window of T steps."""
    east, north = [(10.0 + i, 0.0) for i in range(23)], [(0.0, 20.0 + 2.0 * i) for i in range(23)]
    places, _ = walk(20, gains=ways(east, north))
    stride = places.diff(dim=0)
    of_east = places[0, ..., 1] == 0.0
    assert of_east.double().mean().item() == pytest.approx(0.5, abs=0.032)  # 4 standard errors of 4000
    assert (stride[:, of_east] == torch.tensor([1.0, 0.0])).all()
    assert (stride[:, ~of_east] == torch.tensor([0.0, 2.0])).all()
    assert places[0, of_east][:, 0].unique().tolist() == [10.0, 11.0, 12.0, 13.0]


def test_shadowing_goes_along_the_way_of_a_file():
    """Far out as above: a UE that stands keeps its shadowing, one that walks 4 m a step loses it."""
    system = SystemConfig(radius_min_m=4000.0, radius_max_m=5000.0)
    still, walking = [(4500.0, 0.0)] * 20, [(0.0, 4500.0 + 4.0 * i) for i in range(20)]
    places, gain = walk(20, system=system, episodes=10_000, gains=ways(still, walking))
    distance = torch.linalg.vector_norm(places, dim=-1)
    shadow_db = -10 * torch.log10(gain[1:]) - pathloss_nlos_db(system, distance[1:])
    stands = places[0, ..., 1] == 0.0
    assert (shadow_db[:, stands].std(dim=0) < 1e-9).all()
    assert shadow_db[:, stands].std().item() == pytest.approx(7.82, rel=0.03)
    expected = [math.exp(-4.0 * n / 13.0) for n in range(4)]
    assert torch.corrcoef(shadow_db[:4, ~stands])[0].tolist() == pytest.approx(expected, abs=0.04)


def test_places_without_gains_are_read(tmp_path):
    path = tmp_path / "ways.csv"
    path.write_text("place,x_m,y_m\n" + "".join(f"a,{10 + i},5\n" for i in range(20)))
    table = read_gains(path, steps=20)
    assert table.gain is None
    assert table.position_m[0, :2].tolist() == [[10.0, 5.0], [11.0, 5.0]]


def test_the_bound_holds_on_the_ways_of_a_file(make_tasks):
    generator = torch.Generator().manual_seed(0)
    ring = draw_positions(SYSTEM, (3, 1), generator)
    table = GainTable(position_m=ring + torch.arange(20.0).view(1, 20, 1), gain=None)
    tasks = replace(make_tasks(mix=MIX), gains=table)
    setting = {"system": SYSTEM, "episode": EpisodeConfig(mix=MIX), "tasks": tasks, "episodes": 3, "seed": 1}
    bound = episode_bound(**setting)
    for name in ("central", "announced"):
        qoe = play(POLICIES[name](SYSTEM, tasks), **setting).qoe
        assert (qoe <= bound * (1 + 1e-9)).all(), name


def test_the_bound_holds_where_ues_walk(make_tasks):
    for csi in ("instantaneous", "statistical"):
        tasks = make_tasks(mix=MIX, csi=csi)
        episode = EpisodeConfig(mix=MIX, mobility="waypoint", ue_speed_m_s=3.0, csi=csi)
        setting = {"system": SYSTEM, "episode": episode, "tasks": tasks, "episodes": 3, "seed": 1}
        bound = episode_bound(**setting)
        for name in ("central", "greedy", "announced"):
            qoe = play(POLICIES[name](SYSTEM, tasks), **setting).qoe
            assert (qoe <= bound * (1 + 1e-9)).all(), name


def test_who_walks_needs_a_speed_and_no_file_of_places():
    with pytest.raises(SettingsError, match="ue_speed_m_s: None given with mobility waypoint, above 0"):
        EpisodeConfig(mobility="waypoint")
    walking = EpisodeConfig(mobility="waypoint", ue_speed_m_s=1.0)
    with pytest.raises(SettingsError, match=r"episode\.mobility: waypoint given, gains says where UEs are"):
        TrainConfig(inputs=Inputs(gains=Path("gains.csv")), episode=walking)

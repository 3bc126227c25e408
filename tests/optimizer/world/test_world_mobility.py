"""Random waypoints: how far UEs walk, where, and what changes on the way."""

import math
from pathlib import Path

import pytest
import torch

from data.settings import SettingsError
from optimizer.bound import episode_bound
from optimizer.policies.baselines import POLICIES
from optimizer.study.config import TrainConfig
from optimizer.study.evaluate import play
from optimizer.world.channel import Channels
from optimizer.world.channel.pathloss import los_probability, pathloss_los_db, pathloss_nlos_db
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig

SYSTEM, MIX = SystemConfig(), ("text", "vqa", "image")


def walk(steps: int, *, system=SYSTEM, episodes=2000, **episode) -> tuple[torch.Tensor, torch.Tensor]:
    """Places, (steps, episodes, 2 UEs, 2), and g, (steps, episodes, 2 UEs)."""
    config = EpisodeConfig(**{"mobility": "waypoint", "fading": "none"} | episode)
    channels = Channels(
        system=system,
        episode=config,
        gains=None,
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

"""The views pass their libraries' own tests and are the environment."""

import numpy as np
import pytest
import torch
from needed import need

need("pettingzoo", extra="rl")  # before what imports it

from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from optimizer.config import EpisodeConfig, SystemConfig
from optimizer.environment import OffloadingEnvironment
from optimizer.views import CentralOffloading, ParallelOffloading, action_size, to_actions

MIX = ("text", "image", "vqa", "vqa")
SYSTEM, EPISODE = SystemConfig(), EpisodeConfig(mix=MIX)


@pytest.mark.filterwarnings("ignore")
def test_pettingzoos_own_tests(make_tasks):
    tasks = make_tasks(mix=MIX)
    parallel_api_test(ParallelOffloading(SYSTEM, EPISODE, tasks), num_cycles=60)
    parallel_seed_test(lambda: ParallelOffloading(SYSTEM, EPISODE, tasks), num_cycles=25)


def test_where_ues_choose_k_it_is_a_fifth_share(make_tasks):
    tasks = make_tasks(mix=("text",) * 2, k=(16, 8))
    assert (tasks.codes, action_size(tasks)) == (2, 5)
    shares = np.array([[1, 1, 1, 0.5, 0.0], [1, 1, 1, 0.5, 1.0]])
    assert to_actions(SYSTEM, tasks, shares).code.tolist() == [0, 1]
    central = CentralOffloading(SYSTEM, EpisodeConfig(mix=("text",) * 2), tasks)
    assert central.action_space.shape == (10,)
    central.reset(seed=0)
    central.step(central.action_space.high)


@pytest.mark.filterwarnings("ignore")
def test_gymnasiums_own_checker(make_tasks):
    check_env(CentralOffloading(SYSTEM, EPISODE, make_tasks(mix=MIX)), skip_render_check=True)


def test_both_views_are_the_environment(make_tasks):
    tasks = make_tasks(mix=MIX)
    parallel, central = ParallelOffloading(SYSTEM, EPISODE, tasks), CentralOffloading(SYSTEM, EPISODE, tasks)
    generator = torch.Generator()
    environment = OffloadingEnvironment(
        system=SYSTEM, episode=EPISODE, tasks=tasks, episodes=1, generator=generator
    )
    generator.manual_seed(5)
    expected = environment.reset().observation[0].numpy()
    observations, _ = parallel.reset(seed=5)
    assert np.array_equal(np.stack(list(observations.values())), expected)
    assert np.array_equal(central.reset(seed=5)[0], expected.ravel())
    shares = np.random.default_rng(0).random((4, action_size(tasks)), dtype=np.float32)
    outcome, reward = environment.step(to_actions(SYSTEM, tasks, shares[None]))
    observations, rewards, *_, infos = parallel.step({f"ue_{i}": row for i, row in enumerate(shares)})
    scaled = (reward / environment.reward_scale).item()
    assert set(rewards.values()) == {scaled}
    assert [info["qoe"] for info in infos.values()] == outcome.earned_qoe[0].tolist()
    observation, own, over, _, info = central.step(shares.ravel())
    assert (own, over) == (scaled, False)
    assert info["qoe"] == pytest.approx(outcome.earned_qoe.sum().item())
    after = environment.view().observation[0].numpy()
    assert np.array_equal(observation, after.ravel())
    assert np.array_equal(parallel.state(), after.ravel())

"""The views pass their libraries' own tests and are the environment."""

import copy
import functools
import math
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from support.needed import need

need("pettingzoo", extra="rl")  # before what imports it

import gymnasium
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.gym import (
    CentralOffloading,
    ParallelOffloading,
    action_size,
    to_actions,
)

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


VIEWS = [ParallelOffloading, CentralOffloading]


def first_seen(view, seed=None) -> np.ndarray:
    """The observation after a reset, whichever view it is."""
    observation, _ = view.reset(seed=seed)
    return np.concatenate(list(observation.values())) if isinstance(observation, dict) else observation


def different(seen: list[np.ndarray]) -> int:
    return len(np.unique(np.stack(seen), axis=0))


@pytest.mark.parametrize("view", VIEWS)
def test_nobodys_seed_is_drawn_from_entropy_once(make_tasks, view):
    make = functools.partial(view, SYSTEM, EPISODE, make_tasks(mix=MIX))
    assert different([first_seen(make()) for _ in range(4)]) == 4
    one = make()
    assert different([first_seen(one) for _ in range(3)]) == 3  # another episode each
    seeded = [make(), make()]
    assert different([first_seen(each, seed=5) for each in seeded]) == 1
    assert different([first_seen(each) for each in seeded]) == 1  # goes on from the seed that was given


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("replica", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_of_what_nobody_seeded_play_other_episodes(make_tasks, view, replica):
    original = view(SYSTEM, EPISODE, make_tasks(mix=MIX))
    assert different([first_seen(replica(original)) for _ in range(3)]) == 3
    first_seen(original)
    replicas = [replica(original) for _ in range(3)]
    assert different([first_seen(one) for one in (original, *replicas)]) == 4
    first_seen(original, seed=1)
    assert different([first_seen(replica(original)) for _ in range(3)]) == 1


def test_a_copy_goes_on_with_the_episode(make_tasks):
    """Its fading, too, is the original's until somebody resets it."""
    original = CentralOffloading(SYSTEM, EPISODE, make_tasks(mix=MIX))
    original.reset()
    replica = copy.deepcopy(original)
    for _ in range(3):
        seen = [one.step(one.action_space.high)[0] for one in (original, replica)]
        assert np.array_equal(*seen)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["SyncVectorEnv", "AsyncVectorEnv"])
@pytest.mark.parametrize("shared", [False, True])
def test_workers_that_nobody_seeded_play_other_episodes(make_tasks, kind, shared):
    """Each makes an environment of its own, or all are given one that has been looked at before."""
    make = functools.partial(CentralOffloading, SYSTEM, EPISODE, make_tasks(mix=MIX))
    if shared:
        original = make()
        original.reset()
        make = functools.partial(copy.deepcopy, original)
    workers = getattr(gymnasium.vector, kind)([make] * 3)
    try:
        assert different(list(workers.reset()[0])) == 3
        repeated = [workers.reset(seed=7)[0] for _ in range(2)]
        assert np.array_equal(*repeated)
    finally:
        workers.close()


def test_a_fork_is_a_copy(make_tasks):
    original = CentralOffloading(SYSTEM, EPISODE, make_tasks(mix=MIX))
    original.reset()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    forks = [context.Process(target=lambda: queue.put(first_seen(original))) for _ in range(2)]
    for fork in forks:
        fork.start()
    seen = [queue.get() for _ in forks]
    for fork in forks:
        fork.join()
    assert different([first_seen(original), *seen]) == 3


@pytest.mark.parametrize("view", VIEWS)
def test_a_step_before_a_reset_is_refused(make_tasks, view):
    one = view(SYSTEM, EPISODE, make_tasks(mix=MIX))
    action = np.full(4, 0.5, np.float32)
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"call reset\(\) first"):
        one.step(
            np.tile(action, 4) if view is CentralOffloading else dict.fromkeys(one.possible_agents, action)
        )


SHARES = ("offload", "power", "clock", "request", "code")
NO_NUMBERS = (math.nan, math.inf, -math.inf, "0.5", b"1", None, 1j, [0.5], 10**400)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("wrong", NO_NUMBERS)
def test_what_is_no_number_is_named_with_its_agent_and_share(make_tasks, place, wrong):
    mix = ("text",) * 2
    tasks, episode = make_tasks(mix=mix, k=(16, 8)), EpisodeConfig(mix=mix)
    parallel, central = (view(SYSTEM, episode, tasks) for view in VIEWS)
    parallel.reset(seed=0)
    central.reset(seed=0)
    good, bad = [1, 0.5, 0.5, 0.5, 0.5], [1, 0.5, 0.5, 0.5, 0.5]
    bad[place] = wrong
    named = f"action of ue_1: {SHARES[place]} .* given, a finite number is allowed: 0 to 1"
    for action in (bad, np.array(bad, np.float32)) if isinstance(wrong, float) else (bad,):
        with pytest.raises(ValueError, match=named):
            parallel.step({"ue_0": good, "ue_1": action})
        with pytest.raises(ValueError, match=named):
            central.step([*good, *action])
    assert parallel.agents == ["ue_0", "ue_1"]
    parallel.step({"ue_0": good, "ue_1": torch.tensor(good)})  # nothing has been played
    central.step(np.array([good, good]))
    shares = np.full((1, 2, 5), 0.5)
    shares[0, 1, place] = math.nan
    with pytest.raises(ValueError, match=f"ue_1: {SHARES[place]}"):
        to_actions(SYSTEM, tasks, shares)


@pytest.mark.parametrize(
    "wrong", [[], [0.5] * 3, [0.5] * 5, 0.5, None, "abcd", {"power": 1}, np.zeros((4, 2)), [[1, 2], [3]],
              torch.zeros(4, requires_grad=True)],
)  # fmt: skip
def test_actions_of_another_length_are_refused_by_name(make_tasks, wrong):
    parallel, central = (view(SYSTEM, EPISODE, make_tasks(mix=MIX)) for view in VIEWS)
    parallel.reset(seed=0)
    central.reset(seed=0)
    good = np.full(4, 0.5)
    with pytest.raises(ValueError, match=r"action of ue_2: .* given, (\(4,\) is|numbers are) allowed"):
        parallel.step({"ue_0": good, "ue_1": good, "ue_2": wrong, "ue_3": good})
    with pytest.raises(
        ValueError, match=r"action of ue_0 to ue_3: .* given, (\(16,\) is|numbers are) allowed"
    ):
        central.step(wrong)


def test_actions_outside_the_range_count_as_its_end(make_tasks):
    tasks = make_tasks(mix=MIX)
    ends = [to_actions(SYSTEM, tasks, np.full((1, 4, 4), share)) for share in (7.0, 1.0)]
    assert all(
        torch.equal(value, vars(ends[1])[name]) for name, value in vars(ends[0]).items() if name != "code"
    )
    with pytest.raises(ValueError, match="shape"):
        to_actions(SYSTEM, tasks, np.full((1, 4, 3), 0.5))


def test_agents_are_all_there_and_no_others(make_tasks):
    parallel = ParallelOffloading(SYSTEM, EPISODE, make_tasks(mix=MIX))
    parallel.reset(seed=0)
    actions = dict.fromkeys(parallel.agents, np.full(4, 0.5))
    with pytest.raises(ValueError, match="no action of ue_1, ue_3 given"):
        parallel.step({name: actions[name] for name in ("ue_0", "ue_2")})
    with pytest.raises(ValueError, match="actions of ue_9 given, ue_0, ue_1, ue_2, ue_3 are allowed"):
        parallel.step(actions | {"ue_9": actions["ue_0"]})
    with pytest.raises(ValueError, match="list given, a dict of actions by agent is allowed"):
        parallel.step([actions["ue_0"]] * 4)
    while parallel.agents:
        parallel.step(actions)
    assert parallel.step({}) == ({}, {}, {}, {}, {})
    with pytest.raises(ValueError, match=r"the episode is over, call reset\(\)"):
        parallel.step(actions)

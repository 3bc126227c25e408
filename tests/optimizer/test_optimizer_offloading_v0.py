"""The environment by name, and the picture of its steps."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.house import ROOT
from support.needed import need

need("pettingzoo", extra="rl")  # before what imports it

import gymnasium
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from data.files.errors import ToolkitError
from optimizer import EpisodeConfig, Inputs, SystemConfig, offloading_v0
from optimizer.world.gym import CentralOffloading

TWO = EpisodeConfig(mix=("text", "text"))
STAY, SEND = [0.0, 0.5, 1.0, 0.5], [1.0, 1.0, 1.0, 0.5]


def test_the_name_is_there_once_the_module_is_imported() -> None:
    code = (
        "import gymnasium, optimizer\n"
        "assert 'deepsc/CentralOffloading-v0' not in gymnasium.registry\n"
        "env = gymnasium.make('optimizer.offloading_v0:deepsc/CentralOffloading-v0')\n"
        "print(env.reset(seed=0)[0].shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == f"{gymnasium.make(offloading_v0.CENTRAL).observation_space.shape}\n"


@pytest.mark.filterwarnings("ignore")
def test_the_libraries_own_tests_pass_pictures_included() -> None:
    env = gymnasium.make(offloading_v0.CENTRAL, render_mode="rgb_array", disable_env_checker=True)
    check_env(env.unwrapped)
    parallel_api_test(offloading_v0.parallel_env(render_mode="rgb_array"), num_cycles=60)
    parallel_seed_test(offloading_v0.parallel_env, num_cycles=25)


def test_settings_reach_the_environment() -> None:
    slow = Inputs(ue_device=("raspberry-pi-4",))
    env = gymnasium.make(offloading_v0.CENTRAL, episode=TWO, inputs=slow)
    assert isinstance(env.unwrapped, CentralOffloading)
    assert env.action_space.shape == (8,)
    parallel = offloading_v0.parallel_env(episode=TWO, inputs=slow)
    observations, _ = parallel.reset(seed=4)
    assert np.array_equal(env.reset(seed=4)[0], np.concatenate(list(observations.values())))
    other, _ = gymnasium.make(offloading_v0.CENTRAL, episode=TWO).reset(seed=4)
    assert not np.array_equal(other, env.reset(seed=4)[0]), "the device counts"
    with pytest.raises(ToolkitError, match=r"missing\.json"):
        gymnasium.make(offloading_v0.CENTRAL, inputs=Inputs(text_map=Path("missing.json")))


def picture(env: gymnasium.Env, *actions: list[float]) -> np.ndarray:
    """After these steps of the episode of seed 1."""
    env.reset(seed=1)
    for action in actions:
        env.step(np.array(action, np.float32))
    drawn = env.render()
    assert isinstance(drawn, np.ndarray)
    assert (drawn.dtype, drawn.ndim, drawn.shape[2]) == (np.uint8, 3, 3)
    return drawn


def test_the_picture_shows_the_step() -> None:
    """What is drawn follows from the step, and who offloads can be told from it."""
    env = gymnasium.make(offloading_v0.CENTRAL, episode=TWO, render_mode="rgb_array")
    local, first = picture(env, STAY + STAY), picture(env, SEND + STAY)
    assert np.array_equal(first, picture(env, SEND + STAY))
    start = picture(env)
    others = [picture(env, STAY + SEND), local, start]
    assert all((first != other).any() for other in others)
    ring = np.s_[:, : first.shape[1] // 3]  # nothing but the line to the server
    assert np.array_equal(local[ring], start[ring])
    assert (first[ring] != local[ring]).any()
    assert (picture(env, SEND + SEND)[ring] != first[ring]).any()


def test_without_a_mode_nothing_is_drawn_and_other_modes_are_refused() -> None:
    parallel = offloading_v0.parallel_env(episode=TWO)
    parallel.reset(seed=0)
    assert parallel.render() is None
    for make in (offloading_v0.parallel_env, offloading_v0.central_env):
        with pytest.raises(ValueError, match="render_mode: 'human' given, 'rgb_array' or None is allowed"):
            make(render_mode="human")
    drawing = offloading_v0.parallel_env(system=SystemConfig(), render_mode="rgb_array")
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"call reset\(\) first"):
        drawing.render()

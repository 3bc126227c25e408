"""All that is played, learned and bounded makes its tensors where the tasks are, and nowhere else.

Without a GPU: whatever is made without naming a device lands on torch's default one, which here is the device
without data; the first use of it beside the generator's tensors is an error.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import optimizer
from optimizer.bound import GRIDS, episode_bound
from optimizer.bound.states import Step
from optimizer.bound.step import bracket
from optimizer.policies.baselines import POLICIES, QUEUE_POLICIES
from optimizer.policies.config import DqnConfig, MappoConfig, Matd3Config
from optimizer.policies.dqn import DqnPolicy, DqnTrainer
from optimizer.policies.mappo import MappoTrainer
from optimizer.policies.matd3 import Matd3Policy, Matd3Trainer
from optimizer.policies.networks import LearnedPolicy
from optimizer.study.evaluate import play
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.tasks import Tasks

MIX = ("text", "vqa")


@pytest.fixture
def elsewhere(make_tasks) -> Iterator[dict]:
    """A setting whose generator is not on the default device."""
    setting = {
        "system": SystemConfig(), "tasks": make_tasks(mix=MIX, k=(16, 8)),
        "generator": torch.Generator(device="cpu").manual_seed(0),
    }  # fmt: skip
    with torch.device("meta"):
        yield setting


def plain_optimiser(network: torch.nn.Module) -> torch.optim.Optimizer:
    """Adam counts its steps on the default device."""
    return torch.optim.SGD(network.parameters(), lr=1e-3)


def test_the_default_device_would_be_noticed(elsewhere):
    with pytest.raises(RuntimeError):
        elsewhere["tasks"].flops + torch.zeros(2)


@pytest.mark.parametrize("preference", ["fixed", "dynamic", "drawn"])
def test_environment_and_observation(elsewhere, preference):
    environment = OffloadingEnvironment(
        **elsewhere, episode=EpisodeConfig(mix=MIX, preference=preference), episodes=3
    )
    assert environment.view().observation.device.type == "cpu"


@pytest.mark.parametrize("learned", [False, True])
def test_mappo(elsewhere, learned):
    config = MappoConfig(episodes=1, copies=2, hidden=8, learn_clock=learned, learn_power=learned)
    trainer = MappoTrainer(config, **elsewhere, episode=EpisodeConfig(mix=MIX))
    trainer._optimiser = plain_optimiser(trainer.network)
    assert len(trainer.train().qoe) == 1
    actions = trainer.policy.act(trainer._environment.view(), elsewhere["generator"])
    assert {value.device.type for value in vars(actions).values()} == {"cpu"}


@pytest.mark.parametrize("double", [False, True])
def test_dqn(elsewhere, double):
    config = DqnConfig(double=double, episodes=1, copies=2, batch=8, hidden=8, target_updates=2)
    trainer = DqnTrainer(config, **elsewhere, episode=EpisodeConfig(mix=MIX))
    trainer._optimiser = plain_optimiser(trainer.network)
    assert len(trainer.train().qoe) == 1


def test_matd3(elsewhere):
    config = Matd3Config(episodes=1, copies=2, batch=8, hidden=8)
    trainer = Matd3Trainer(config, **elsewhere, episode=EpisodeConfig(mix=MIX))
    for name, optimiser in vars(trainer).items():
        if isinstance(optimiser, torch.optim.Optimizer):
            setattr(trainer, name, plain_optimiser(trainer.network))
    assert len(trainer.train().qoe) == 1


@pytest.fixture
def tested(elsewhere) -> dict:
    """What `play` and `episode_bound` take; both make their generator themselves."""
    return {"system": elsewhere["system"], "tasks": elsewhere["tasks"], "episodes": 3, "seed": 1}


@pytest.mark.parametrize("name", [*POLICIES, *QUEUE_POLICIES])
def test_policies_that_learn_nothing(tested, name):
    policy = {**POLICIES, **QUEUE_POLICIES}[name](tested["system"], tested["tasks"])
    scores = play(policy, **tested, episode=EpisodeConfig(mix=MIX, other_cells=2))
    assert {value.device.type for value in vars(scores).values()} == {"cpu"}


WORLDS = [
    {"preference": "dynamic"}, {"arrivals": "bursty"}, {"csi_error": 0.5, "ue_speed_m_s": 1.0},
    {"mobility": "waypoint", "ue_speed_m_s": 1.0, "step_s": 0.1}, {"csi": "statistical", "other_cells": 6},
]  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_worlds_and_their_bound(tested, world):
    episode = EpisodeConfig(mix=MIX, queue_tasks=2, steps=3, **world)
    bound = episode_bound(**tested, episode=episode)
    earned = play(POLICIES["central"](tested["system"], tested["tasks"]), **tested, episode=episode).qoe
    assert (earned <= bound * (1 + 1e-9)).all()


def test_the_bracket_of_a_step(elsewhere):
    environment = OffloadingEnvironment(**elsewhere, episode=EpisodeConfig(mix=MIX), episodes=3)
    ends = bracket(elsewhere["system"], elsewhere["tasks"], Step.known(environment.state), grids=GRIDS[:2])
    assert (ends.lower <= ends.upper * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    ("trainer", "config", "policy"),
    [
        (MappoTrainer, MappoConfig(episodes=1, copies=2, hidden=8), LearnedPolicy),
        (DqnTrainer, DqnConfig(double=False, episodes=1, copies=2, batch=8, hidden=8), DqnPolicy),
        (Matd3Trainer, Matd3Config(episodes=1, copies=2, batch=8, hidden=8), Matd3Policy),
    ],
)
def test_a_policy_of_a_file_goes_where_the_tasks_are(
    make_tasks, tmp_path, monkeypatch, trainer, config, policy
):
    episode, tasks = EpisodeConfig(mix=MIX), make_tasks(mix=MIX, k=(16, 8))
    setting = {"system": SystemConfig(), "episode": episode}
    made = trainer(config, **setting, tasks=tasks, generator=tasks.generator(0))
    made.save_policy(tmp_path / "policy.safetensors")
    monkeypatch.setattr(Tasks, "device", torch.device("meta"))
    loaded = policy.load(tmp_path / "policy.safetensors", **setting, tasks=tasks)
    assert {parameter.device.type for parameter in loaded._network.parameters()} == {"meta"}


def test_no_generator_is_made_without_its_device():
    """A generator is on the CPU whatever the default device is: the tests above cannot see one."""
    allowed = {
        "world/gym.py": 1,  # the views that other libraries read
        # first weights
        "policies/dqn.py": 1, "policies/matd3.py": 1, "policies/networks.py": 1, "policies/learner.py": 1,
        "study/evaluate.py": 2, "study/train.py": 1, "study/pareto.py": 1,  # resampling, seeds
    }  # fmt: skip
    root = Path(optimizer.__file__).parent
    found = {
        path.relative_to(root).as_posix(): count
        for path in root.rglob("*.py")
        if (count := len(re.findall(r"""torch\.Generator\((?:(?:device=)?["'].*?)?\)""", path.read_text())))
    }
    assert found == allowed

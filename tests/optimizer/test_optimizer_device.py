"""Environment and learners make their tensors where their generator lives, and nowhere else.

Without a GPU: whatever is made without naming a device lands on torch's default one, which here is the device
without data; the first use of it beside the generator's tensors is an error.
"""

from collections.abc import Iterator

import pytest
import torch

from optimizer.policies.config import DqnConfig, MappoConfig
from optimizer.policies.dqn import DqnTrainer
from optimizer.policies.mappo import MappoTrainer
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment

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

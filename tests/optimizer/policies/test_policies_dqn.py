"""DQN's pieces by hand, and that both variants learn."""

import pytest
import torch

from data.files.errors import ToolkitError
from optimizer.policies.baselines import POLICIES
from optimizer.policies.config import DqnConfig
from optimizer.policies.dqn import DqnSizes, DqnTrainer, Levels, exploration_entropy
from optimizer.study.evaluate import play
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.view import OBSERVATION_SIZE

SYSTEM = SystemConfig()


def trainer(tasks, *, seed=0, **config) -> DqnTrainer:
    return DqnTrainer(
        DqnConfig(**config), system=SYSTEM, episode=EpisodeConfig(mix=("text",) * 4), tasks=tasks,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def test_levels_cover_the_ranges():
    sizes = DqnSizes(hidden=8, levels=5, requests=3, codes=2)
    levels = Levels(sizes, SYSTEM, torch.device("cpu"))
    assert sizes.actions == 5 + 5 * 3 * 2
    chosen = levels.actions(torch.arange(sizes.actions))
    assert chosen.offload.sum() == 30
    assert chosen.clock_hz[:5].tolist() == pytest.approx([0.64e9, 0.8e9, 0.96e9, 1.12e9, 1.28e9])
    assert chosen.power_w.min().item() == pytest.approx(10**-1.2)
    assert chosen.power_w.max().item() == pytest.approx(10**-0.6)
    assert chosen.code.unique().tolist() == [0, 1]
    assert chosen.bandwidth_request.unique().numel() == 3


@pytest.mark.parametrize("double", [False, True])
def test_targets_are_the_networks(make_tasks, double):
    """The online network prefers action 0, the target network action 1: DDQN values the former's choice."""
    learner = trainer(make_tasks(), double=double, batch=4, copies=1, learning_rate=1e-9)
    count = learner._sizes.actions

    def constant(values):
        return lambda observation: values.expand(*observation.shape[:-1], count)

    online = torch.nn.Parameter(torch.zeros(count))
    with torch.no_grad():
        online[0] = 1.0
    target = torch.zeros(count)
    target[1] = 7.0
    learner.network.forward = constant(online)
    learner._target.forward = constant(target)
    wanted = []
    original = torch.nn.functional.smooth_l1_loss
    torch.nn.functional.smooth_l1_loss = lambda value, goal: wanted.append(goal) or original(value, goal)
    try:
        learner._memory.add(
            observation=torch.zeros(2, OBSERVATION_SIZE), action=torch.zeros(2, dtype=torch.long),
            reward=torch.tensor([1.0, 1.0]), following=torch.zeros(2, OBSERVATION_SIZE),
            goes_on=torch.tensor([True, False]),
        )  # fmt: skip
        learner._update()
    finally:
        torch.nn.functional.smooth_l1_loss = original
    values = sorted(set(wanted[0].tolist()))
    assert values == pytest.approx([1.0] if double else [1.0, 1.0 + 0.95 * 7.0])


@pytest.mark.parametrize("double", [False, True])
def test_dqn_learns(make_tasks, double):
    tasks = make_tasks()
    learner = trainer(tasks, double=double, episodes=60, copies=16, batch=256, updates=1)
    curve = learner.train()
    assert curve.entropy[-1] < curve.entropy[0]
    setting = {"system": SYSTEM, "episode": EpisodeConfig(mix=("text",) * 4), "tasks": tasks}
    tested = play(learner.policy, **setting, episodes=60, seed=9).qoe.mean()
    assert tested > 1.2 * play(POLICIES["random"](SYSTEM, tasks), **setting, episodes=60, seed=9).qoe.mean()


@pytest.mark.parametrize("explore", [1.0, 0.3, 0.05])
def test_the_curves_entropy_is_that_of_the_actions(explore):
    chances = torch.full((20,), explore / 20)
    chances[7] += 1.0 - explore
    expected = torch.distributions.Categorical(chances).entropy().item()
    assert exploration_entropy(explore, 20) == pytest.approx(expected, rel=1e-5)


def test_training_repeats_from_its_seed(make_tasks):
    curves = [trainer(make_tasks(), double=True, seed=1, episodes=2, copies=4).train() for _ in range(2)]
    assert curves[0] == curves[1]


def test_configs_list_all_their_errors():
    with pytest.raises(ToolkitError) as caught:
        DqnConfig(double=True, episodes=0, discount=2.0, levels=1)
    assert all(part in str(caught.value) for part in ("episodes: 0", "discount: 2.0", "levels: 1"))


def test_a_memory_of_less_than_a_batch_would_learn_nothing():
    with pytest.raises(ToolkitError, match="memory: 10 given, at least batch 512 is allowed"):
        DqnConfig(double=True, memory=10)


def test_more_than_there_is_room_for_leaves_the_last(make_tasks):
    learner = trainer(make_tasks(), double=False, batch=4, memory=4, copies=1)
    for rows in (torch.arange(3), torch.arange(3, 10)):
        observation = rows.float().unsqueeze(-1).expand(-1, OBSERVATION_SIZE)
        learner._memory.add(
            observation=observation, action=rows, reward=rows.float(), following=observation,
            goes_on=rows > 0,
        )  # fmt: skip
    columns = learner._memory.columns
    assert sorted(columns["action"].tolist()) == [6, 7, 8, 9]
    assert torch.equal(columns["action"].float(), columns["reward"])
    assert torch.equal(columns["action"].float(), columns["observation"][:, 0])


@pytest.mark.parametrize("change", [{"queue_tasks": 1}, {"queue_tasks": 1, "steps": 1}])
def test_the_smallest_experience_leaves_the_weights_finite(make_tasks, change):
    learner = DqnTrainer(
        DqnConfig(double=True, episodes=3, copies=1, batch=1, memory=1), system=SYSTEM,
        episode=EpisodeConfig(mix=("text",), **change), tasks=make_tasks(mix=("text",)),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    learner.train()
    assert all(weight.isfinite().all() for weight in learner.network.parameters())

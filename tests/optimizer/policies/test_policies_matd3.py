"""MATD3: what its pieces do by hand, that it learns, and that a run trains, saves and resumes it."""

import pytest
import torch

from data.files.errors import ToolkitError
from optimizer.command import main
from optimizer.policies.baselines import POLICIES
from optimizer.policies.config import Matd3Config
from optimizer.policies.matd3 import (
    DELAY,
    MIXED,
    REQUEST_MAX,
    JointCritic,
    Matd3Policy,
    Matd3Sizes,
    Matd3Trainer,
    _entropy,
    _straight_through,
)
from optimizer.policies.registry import LEARNERS, USUAL
from optimizer.study.evaluate import play
from optimizer.study.results import read_results
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.view import OBSERVATION_SIZE

SYSTEM = SystemConfig()
SMALL = {"episodes": 2, "copies": 4, "hidden": 8, "batch": 16, "updates": 1, "memory": 200}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trainer(tasks, *, seed=0, episode=None, **config) -> Matd3Trainer:
    return Matd3Trainer(
        Matd3Config(**config), system=SYSTEM, episode=episode or EpisodeConfig(mix=("text",) * tasks.ues),
        tasks=tasks, generator=generator(seed),
    )  # fmt: skip


def test_a_choice_is_0_or_1_drawn_by_its_chances_with_a_gradient():
    logits = torch.log(torch.tensor([0.7, 0.2, 0.1])).expand(20_000, 3).clone().requires_grad_()
    drawn = _straight_through(logits, generator())
    assert set(drawn.detach().round(decimals=5).unique().tolist()) == {0.0, 1.0}
    assert drawn.mean(dim=0).tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.015)
    best = _straight_through(logits, None)
    assert (best.argmax(dim=-1) == 0).all()
    drawn[:, 2].sum().backward()
    assert (logits.grad[:, 2] > 0).all(), "more of a choice's logit is more of the choice"
    assert (logits.grad[:, 0] < 0).all()


def test_the_critic_knows_no_order_of_the_ues():
    sizes = Matd3Sizes(hidden=8, codes=3)
    critic = JointCritic(sizes, generator())
    observation = torch.randn(5, 4, OBSERVATION_SIZE, generator=generator(1))
    actions = torch.rand(5, 4, sizes.actions, generator=generator(2))
    order = torch.tensor([2, 0, 3, 1])
    value = critic(observation, actions)
    assert value.shape == (5,)
    assert torch.allclose(value, critic(observation[:, order], actions[:, order]), atol=1e-6)
    assert not torch.allclose(value, critic(observation, actions[:, order]), atol=1e-4)


def test_who_has_no_task_does_nothing_and_requests_stay_in_range(make_tasks):
    learner = trainer(make_tasks(k=(16, 8)), **SMALL)
    view = learner._environment.view()
    active = torch.ones_like(view.queue, dtype=torch.bool)
    active[:, 1] = False
    actions, logits = learner.network.act(view.observation, active, generator(1), 3.0)
    assert not actions[:, 1].any()
    assert logits.shape[-1] == 3
    physical = learner.network.physical(actions, view)
    assert not physical.offload[:, 1].any()
    assert physical.bandwidth_request.abs().max() <= REQUEST_MAX
    assert (actions[..., 0] > 0.5).any()
    assert torch.allclose(actions[..., 2:].sum(dim=-1), actions[..., 0]), "k is chosen where it is sent"
    assert _entropy(torch.zeros(1, 3)).item() == pytest.approx(1.5 * torch.tensor(2.0).log().item())


def test_targets_take_the_lesser_critic_and_none_after_the_end(make_tasks):
    learner = trainer(make_tasks(), **SMALL | {"batch": 4 * 64, "memory": 4 * 64})
    ues = 4

    def constant(value):
        return lambda observation, actions: torch.full(observation.shape[:-2], value)

    for critic, value in zip(learner._target.critics, (7.0, 5.0), strict=True):
        critic.forward = constant(value)
    row = {"observation": torch.zeros(2, ues, OBSERVATION_SIZE), "active": torch.ones(2, ues) > 0}
    learner._memory.add(
        **row, following=row["observation"], waits=row["active"], over=torch.tensor([False, True]),
        action=torch.zeros(2, ues, 2), reward=torch.ones(2),
    )  # fmt: skip
    wanted, original = [], torch.nn.functional.mse_loss
    torch.nn.functional.mse_loss = lambda value, goal: wanted.append(goal) or original(value, goal)
    try:
        learner._update()
    finally:
        torch.nn.functional.mse_loss = original
    assert sorted(set(wanted[0].tolist())) == pytest.approx([1.0, 1.0 + 0.95 * 5.0])


def test_the_actor_moves_every_second_time_and_the_targets_follow(make_tasks):
    learner = trainer(make_tasks(), **SMALL)
    learner.learn(0)

    def weights(network):
        return torch.cat([weight.detach().flatten() for weight in network.parameters()])

    moved = []
    for _ in range(2 * DELAY):
        actor, critics = weights(learner.network.actor), weights(learner.network.critics)
        target = weights(learner._target)
        learner._update()
        moved.append(not torch.equal(actor, weights(learner.network.actor)))
        assert not torch.equal(critics, weights(learner.network.critics))
        expected = target.lerp(weights(learner.network), MIXED) if moved[-1] else target
        assert torch.allclose(weights(learner._target), expected)
    assert sum(moved) == 2
    assert moved[0] != moved[1]


def test_it_learns_more_than_computing_locally(make_tasks):
    tasks = make_tasks(mix=("text",) * 2)
    episode = EpisodeConfig(mix=("text",) * 2)
    learner = trainer(tasks, episode=episode, episodes=20, copies=16, batch=128, updates=2, hidden=32)
    curve = learner.train()
    assert curve.entropy[-1] < curve.entropy[0]
    test = {"system": SYSTEM, "episode": episode, "tasks": tasks, "episodes": 60, "seed": 9}
    earned = {name: play(POLICIES[name](SYSTEM, tasks), **test).qoe.mean() for name in ("local", "random")}
    tested = play(learner.policy, **test).qoe.mean()
    assert tested > 1.2 * max(earned.values())


@pytest.mark.parametrize(
    "change", [{}, {"arrivals": "poisson", "arrival_rate": 0.1}, {"queue_tasks": 1, "steps": 1}]
)
def test_training_repeats_and_resumes_bit_for_bit(make_tasks, tmp_path, change):
    tasks = make_tasks(k=(16, 8))
    made = [
        trainer(tasks, episode=EpisodeConfig(mix=("text",) * 4, **change), **SMALL | {"episodes": 4})
        for _ in range(2)
    ]
    whole = made[0].train()
    for done in range(2):
        made[1]._episode(done)
    made[1].save(tmp_path / "half.safetensors")
    again = trainer(tasks, episode=EpisodeConfig(mix=("text",) * 4, **change), **SMALL | {"episodes": 4})
    assert again.train(checkpoint=tmp_path / "half.safetensors") == whole
    for one, other in zip(made[0].network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.isfinite().all()


def test_its_policy_is_read_again(make_tasks, tmp_path):
    tasks = make_tasks(k=(16, 8))
    learner, path = trainer(tasks, **SMALL), tmp_path / "matd3.safetensors"
    learner.train()
    learner.save_policy(path)
    world = {"system": SYSTEM, "episode": EpisodeConfig(mix=("text",) * 4), "tasks": tasks}
    loaded, view = Matd3Policy.load(path, **world), learner._environment.view()
    first, second = (policy.act(view, generator()) for policy in (learner.policy, loaded))
    assert torch.equal(first.offload, second.offload)
    assert torch.equal(first.bandwidth_request, second.bandwidth_request)
    with pytest.raises(ToolkitError, match="observation"):
        Matd3Policy.load(path, **world | {"episode": EpisodeConfig(mix=("text",) * 4, observation="printed")})


def test_a_run_trains_it_by_its_name(tmp_path):
    assert "matd3" not in USUAL
    assert LEARNERS["matd3"].config == Matd3Config()
    config = tmp_path / "matd3.yaml"
    config.write_text("matd3: {hidden: 8, copies: 4, batch: 16, memory: 200}\n")
    flags = ["--config", str(config), "--learners", "matd3", "--ues", "text:2", "--episodes", "2"]
    flags += ["--test-episodes", "16", "--seeds", "1", "--no-bound", "--output", str(tmp_path / "run")]
    assert main(["train", *flags]) == 0
    assert "matd3" in read_results(tmp_path / "run")["policies"]
    assert (tmp_path / "run" / "matd3-0.safetensors").exists()


def test_a_memory_of_less_than_a_batch_would_learn_nothing():
    with pytest.raises(ToolkitError, match="memory: 10 given, at least batch 1024 is allowed"):
        Matd3Config(memory=10)

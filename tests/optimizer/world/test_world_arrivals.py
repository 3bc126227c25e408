"""Tasks that arrive while an episode runs: their law, the queues, the rewards, the bound."""

import math
from dataclasses import replace

import pytest
import torch

from data.settings import SettingsError
from optimizer.bound import episode_bound
from optimizer.policies.baselines import POLICIES, LocalPolicy, RandomPolicy
from optimizer.policies.config import DqnConfig, MappoConfig
from optimizer.policies.dqn import DqnTrainer
from optimizer.policies.mappo import MappoTrainer
from optimizer.study.evaluate import play, summarise
from optimizer.world.arrivals import BURST_SHARE, Arrivals
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment

SYSTEM, MIX = SystemConfig(), ("text", "vqa", "image")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def make_environment(make_tasks):
    def make(*, system=SYSTEM, episodes=50, seed=0, **episode):
        config = EpisodeConfig(**{"mix": MIX, "arrivals": "poisson"} | episode)
        return OffloadingEnvironment(
            system=system, episode=config, tasks=make_tasks(mix=config.mix), episodes=episodes,
            generator=generator(seed),
        )  # fmt: skip

    return make


def drawn(steps: int, **episode) -> torch.Tensor:
    """Tasks by step, (steps, 4000 episodes, 2 UEs)."""
    arrivals = Arrivals(EpisodeConfig(mix=("text",) * 2, **episode), (4000, 2), generator())
    return torch.stack([arrivals.first(), *(arrivals.next() for _ in range(steps - 1))])


def test_poisson_arrivals_are_poisson():
    tasks = drawn(20, arrivals="poisson", arrival_rate=0.7)
    assert tasks.mean().item() == pytest.approx(0.7, abs=0.009)  # 4 standard errors of 160 000 draws
    assert tasks.var().item() == pytest.approx(0.7, abs=0.02)
    assert (tasks == 0).double().mean().item() == pytest.approx(math.exp(-0.7), abs=0.005)
    after = torch.stack((tasks[:-1].flatten(), tasks[1:].flatten()))
    assert abs(torch.corrcoef(after)[0, 1].item()) < 0.011, "each step is independent of the last"


@pytest.mark.parametrize("burst_steps", [2.0, 8.0])
def test_bursts_come_and_go(burst_steps):
    """Of an interrupted Poisson process: the mean, the variance r + r^2 (1 - s) / s at a time, and the
    correlation over n steps, the chain's (1 - 1/b - s / ((1 - s) b))^n."""
    rate, share = 0.5, BURST_SHARE
    tasks = drawn(30, arrivals="bursty", arrival_rate=rate, burst_steps=burst_steps)
    for step in (tasks[0], tasks[-1]):
        assert step.mean().item() == pytest.approx(rate, abs=0.05)
    assert tasks.mean().item() == pytest.approx(rate, abs=0.025)
    spread = rate**2 * (1 - share) / share
    assert tasks.var().item() == pytest.approx(rate + spread, abs=0.1)
    stays = 1 - 1 / burst_steps - share / ((1 - share) * burst_steps)
    for steps in (1, 3):
        pairs = torch.stack((tasks[:-steps].flatten(), tasks[steps:].flatten()))
        expected = spread / (rate + spread) * stays**steps
        assert torch.corrcoef(pairs)[0, 1].item() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("arrivals", ["poisson", "bursty"])
def test_no_task_comes_from_nowhere(make_environment, arrivals):
    """What has arrived waits, is done or was lost for want of room; an episode lasts T steps."""
    environment = make_environment(arrivals=arrivals, arrival_rate=1.5, queue_tasks=3, steps=15)
    policy, done = RandomPolicy(SYSTEM, environment.tasks), 0.0
    lost_before, lost_some = torch.zeros(()), False
    for step in range(15):
        view = environment.view()
        assert not environment.finished.any()
        assert (view.queue <= 3).all()
        assert (view.observation <= 10).all()
        lost = environment.arrived - view.queue - done
        assert (lost >= lost_before).all()
        assert (view.queue[lost > lost_before] == 3).all(), "only a full queue loses"
        lost_some |= bool((lost > lost_before).any())
        lost_before = lost
        outcome, _ = environment.step(policy.act(view, generator(step)))
        done = done + outcome.success.double()
    assert lost_some
    assert environment.finished.all()
    left = environment.view().queue
    assert torch.equal(left, environment.arrived - lost_before - done), "after T nothing arrives"


def test_what_arrives_does_not_depend_on_the_policy(make_environment):
    one, other = make_environment(arrivals="bursty", seed=3), make_environment(arrivals="bursty", seed=3)
    for step in range(20):
        assert torch.equal(one.arrived, other.arrived)
        assert torch.equal(one.state.channel_gain, other.state.channel_gain)
        one.step(RandomPolicy(SYSTEM, one.tasks).act(one.view(), generator(step)))
        other.step(LocalPolicy(SYSTEM, other.tasks).act(other.view(), generator()))


def test_a_lost_task_costs_as_much_as_one_left(make_environment):
    """Nobody is understood, so that no task leaves a queue."""
    environment = make_environment(
        system=SystemConfig(noise_dbm_hz=-40.0), mix=("text",), arrival_rate=4.0, queue_tasks=2, steps=5
    )
    policy = POLICIES["remote"](SYSTEM, environment.tasks)
    lost_before = environment.arrived - environment.view().queue
    for step in range(5):
        view = environment.view()
        outcome, reward = environment.step(policy.act(view, generator()))
        lost = environment.arrived - environment.view().queue
        charged = lost - lost_before
        if step == 4:
            charged = environment.view().queue
        punished = environment._reward(outcome, view.queue, view.battery_j)  # eq. (13)
        expected = (punished - charged * environment.failure_penalty).sum(dim=-1)
        assert torch.allclose(reward, expected)
        lost_before = lost
    assert lost_before.sum() > 100


def test_qoe_is_over_all_steps(make_tasks):
    """What is earned in an episode is divided by T, whenever the tasks come."""
    setting = {
        "system": SYSTEM, "episode": EpisodeConfig(mix=MIX, arrivals="poisson", arrival_rate=0.3),
        "tasks": make_tasks(mix=MIX), "episodes": 60, "seed": 2,
    }  # fmt: skip
    scores = play(LocalPolicy(SYSTEM, setting["tasks"]), **setting)
    assert scores.steps.tolist() == [20.0] * 60
    earned = scores.qoe * 20 / scores.successes  # its best clock earns 1 a task or a little more
    assert ((earned > 1 - 1e-9) & (earned < 1.12)).all()
    assert scores.queue.shape == (21, 3)


def test_what_is_lost_and_what_waits_is_counted(make_tasks):
    """Nobody is understood, so that no task leaves a queue of two: all beyond two of each UE are lost."""
    system = SystemConfig(noise_dbm_hz=-40.0)
    episode = EpisodeConfig(mix=MIX, arrivals="poisson", arrival_rate=1.5, queue_tasks=2, steps=6)
    setting = {"system": system, "episode": episode, "tasks": make_tasks(mix=MIX), "episodes": 40}
    scores = play(POLICIES["remote"](system, setting["tasks"]), **setting, seed=5)
    world = OffloadingEnvironment(**setting, generator=generator(5))
    waiting = []
    for _ in range(episode.steps):
        waiting.append(world.view().queue)
        world.step(POLICIES["remote"](system, world.tasks).act(world.view(), generator()))
    assert torch.equal(scores.lost, (world.arrived - 2).clamp_min(0).sum(dim=-1))
    assert scores.lost.min() >= 3
    found = summarise([scores], None, sees="", arrive=True)
    assert found.lost == pytest.approx(scores.lost.mean().item())
    assert found.waiting == pytest.approx(torch.stack(waiting).mean().item())
    full = replace(episode, arrivals="none")
    scores = play(POLICIES["local"](SYSTEM, setting["tasks"]), **setting | {"episode": full}, seed=5)
    assert scores.lost.tolist() == [0.0] * 40
    assert summarise([scores], None, sees="").lost is None


def check_bound(setting: dict, names: tuple[str, ...]) -> dict[str, float]:
    """Shares of the bound, which no policy exceeds in any episode."""
    bound, shares = episode_bound(**setting), {}
    for name in names:
        qoe = play(POLICIES[name](setting["system"], setting["tasks"]), **setting).qoe
        assert (qoe <= bound * (1 + 1e-9) + 1e-12).all(), name
        shares[name] = float(qoe.mean() / bound.mean())
    return shares


@pytest.mark.parametrize("preference", ["fixed", "dynamic"])
@pytest.mark.parametrize(("arrivals", "rate"), [("poisson", 0.1), ("poisson", 2.0), ("bursty", 0.5)])
def test_the_bound_holds_with_arrivals(make_tasks, slow_devices, arrivals, rate, preference):
    tasks = replace(make_tasks(mix=MIX), devices=slow_devices(3))
    episode = EpisodeConfig(
        mix=MIX, arrivals=arrivals, arrival_rate=rate, queue_tasks=6, steps=12, preference=preference
    )
    setting = {"system": SYSTEM, "episode": episode, "tasks": tasks, "episodes": 12, "seed": 4}
    shares = check_bound(setting, ("central", "local", "announced", "greedy", "remote", "random"))
    assert max(shares.values()) > (0.15 if rate < 1 else 0.8), shares


def test_the_bound_is_0_where_nothing_arrives(make_tasks):
    episode = EpisodeConfig(mix=MIX, arrivals="poisson", arrival_rate=1e-9)
    bound = episode_bound(system=SYSTEM, episode=episode, tasks=make_tasks(mix=MIX), episodes=3, seed=0)
    assert bound.tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (MappoTrainer, MappoConfig(episodes=3, copies=4, hidden=8, batch_steps=8, epochs=1)),
        (DqnTrainer, DqnConfig(double=True, episodes=3, copies=4, hidden=8, batch=16, updates=1)),
    ],
)
def test_learners_train_where_nobody_may_have_a_task(make_tasks, make, config):
    episode = EpisodeConfig(mix=MIX, arrivals="poisson", arrival_rate=0.05)
    trainer = make(config, system=SYSTEM, episode=episode, tasks=make_tasks(mix=MIX), generator=generator())
    curve = trainer.train()
    assert all(math.isfinite(value) for values in vars(curve).values() for value in values)


def test_settings_of_arrivals_are_checked():
    with pytest.raises(SettingsError, match=r"arrivals: .*allowed: none, poisson, bursty"):
        EpisodeConfig(arrivals="often")
    with pytest.raises(SettingsError, match="arrival_rate"):
        EpisodeConfig(arrivals="poisson", arrival_rate=0.0)
    with pytest.raises(SettingsError, match="burst_steps"):
        EpisodeConfig(arrivals="bursty", burst_steps=0.5)
    assert EpisodeConfig(arrivals="poisson", steps=5).queue_tasks == 10

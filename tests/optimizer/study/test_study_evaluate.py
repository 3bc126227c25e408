"""The figures of a comparison by hand."""

import pytest
import torch

from optimizer.policies.baselines import POLICIES, LocalPolicy
from optimizer.study.evaluate import (
    Scores,
    play,
    queues_by_modality,
    summarise,
)
from optimizer.world.config import EpisodeConfig, SystemConfig


def scores(qoe: list[float], **changes) -> Scores:
    one = torch.ones(len(qoe), dtype=torch.float64)
    names = "reward steps executions offloaded inaccurate late uncharged successes latency energy lost"
    counts = dict.fromkeys(names.split(), one)
    fields = {
        **counts, "qoe": torch.tensor(qoe, dtype=torch.float64), "finished": one > 0,
        "queue": torch.zeros(3, 2),
    }  # fmt: skip
    return Scores(**fields | changes)


def test_intervals_are_of_seeds_and_episodes_and_the_share_is_paired():
    qoe = torch.randn(2, 400, generator=torch.Generator().manual_seed(0)).double() + 10
    both = [scores(row.tolist()) for row in qoe]
    found = summarise(both, [2 * row for row in qoe], sees="")
    assert found.qoe.value == pytest.approx(qoe.mean().item())
    assert found.qoe_over_seeds is None
    assert found.of_bound.value == pytest.approx(0.5)
    assert found.of_bound.high - found.of_bound.low < 1e-9  # resampled together with its bound
    error = (found.qoe.high - found.qoe.low) / 2 / 1.96
    assert error == pytest.approx(1 / 800**0.5, rel=0.15)


def test_the_worst_episodes_count_and_no_policy_passes_the_bound():
    """A quarter of the episodes earns nothing: the mean, as the bound is one, falls by a quarter."""
    qoe = torch.tensor([0.0, 4.0, 4.0, 4.0] * 4, dtype=torch.float64)
    found = summarise([scores(qoe.tolist())], [qoe], sees="")
    assert found.qoe.value == 3.0
    assert found.of_bound.value == 1.0


def test_trainings_have_an_interval_of_their_own():
    """Five trainings without spread over episodes: all of it is over trainings."""
    trainings = [scores([value] * 8) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]
    found = summarise(trainings, None, sees="", trained=True)
    assert found.qoe.low == found.qoe.high == found.qoe.value == found.qoe_over_seeds.value == 3.0
    assert found.qoe_over_seeds.low < 2.0
    assert found.qoe_over_seeds.high > 4.0
    assert summarise(trainings[:1], None, sees="", trained=True).qoe_over_seeds is None


def test_strata_are_resampled_by_themselves():
    """Two seeds that differ, each without spread: nothing to be uncertain about."""
    found = summarise([scores([1.0] * 8), scores([3.0] * 8)], None, sees="")
    assert found.qoe.low == found.qoe.high == found.qoe.value == 2.0


@pytest.mark.parametrize(("arrivals", "steps"), [("none", 3), ("poisson", 2)])
def test_queues_are_means_of_a_modalitys_ues(arrivals, steps):
    """What is left after the last step counts where no tasks arrive."""
    episode = EpisodeConfig(mix=("text", "image", "text"), arrivals=arrivals)
    policies = {"local": {"queue": [[4, 7, 2], [3, 6, 1], [2, 5, 0]]}}
    queues = queues_by_modality(policies, episode)
    assert queues == {"text": {"local": [3, 2, 1][:steps]}, "image": {"local": [7, 6, 5][:steps]}}


def test_shares_are_of_executions():
    found = summarise(
        [scores([1.0] * 4, executions=torch.full((4,), 8.0), inaccurate=torch.tensor([0.0, 4.0, 0.0, 4.0]))],
        None,
        sees="",
    )
    assert found.violates_accuracy == 0.25
    assert found.violates_latency == 0.125


def test_an_episodes_qoe_is_over_the_steps_it_took(make_tasks):
    """Locally ten steps, whose queues fall by one each; where nothing succeeds, twenty that earn nothing."""
    tasks, episode = make_tasks(), EpisodeConfig(mix=("text",) * 4)
    local = play(
        POLICIES["local"](SystemConfig(), tasks), system=SystemConfig(), episode=episode, tasks=tasks,
        episodes=4, seed=0,
    )  # fmt: skip
    assert local.steps.tolist() == [10.0] * 4
    assert local.finished.all()
    assert local.queue[:, 0].tolist() == [max(10.0 - t, 0.0) for t in range(21)]
    assert local.successes.tolist() == [40.0] * 4
    dynamic_w = 4.77e-27 * 1.28e9**3
    clock = ((0.05 + 0.5 * (dynamic_w + 0.1)) / dynamic_w) ** (1 / 3)  # best at beta 0.5, over f_max
    energy = (dynamic_w * clock**3 + 0.1) / (dynamic_w + 0.1) / clock
    assert (local.energy / 40).numpy() == pytest.approx(energy)
    deaf = SystemConfig(noise_dbm_hz=-40.0)
    remote = play(
        POLICIES["remote"](deaf, tasks), system=deaf, episode=episode, tasks=tasks, episodes=4, seed=0
    )
    assert remote.steps.tolist() == [20.0] * 4
    assert not remote.qoe.any()
    assert not remote.finished.any()


def test_a_policy_is_asked_until_all_episodes_are_over(make_tasks):
    """Ten times of twenty; queues stay as they were then."""
    tasks, asked = make_tasks(), []

    class Counted(LocalPolicy):
        def act(self, view, generator):
            asked.append(view.step)
            return super().act(view, generator)

    steps = []
    played = play(
        Counted(SystemConfig(), tasks), system=SystemConfig(), episode=EpisodeConfig(mix=("text",) * 4),
        tasks=tasks, episodes=4, seed=0, watch=lambda: steps.append(1),
    )  # fmt: skip
    assert asked == list(range(10))
    assert len(steps) == 20
    assert played.queue.shape == (21, 4)
    assert not played.queue[10:].any()


def test_where_nobody_can_succeed_there_is_no_share_of_the_bound():
    nobody = [scores([0.0] * 4)]
    assert summarise(nobody, [torch.zeros(4, dtype=torch.float64)], sees="").of_bound is None


def test_episodes_that_nobody_can_win_leave_the_share_a_number():
    """One episode of four can be won: a third of all resamples have none."""
    found = summarise([scores([0.0, 0.0, 0.0, 1.0])], [torch.tensor([0.0, 0.0, 0.0, 2.0])], sees="")
    assert (found.of_bound.low, found.of_bound.value, found.of_bound.high) == (0.5, 0.5, 0.5)

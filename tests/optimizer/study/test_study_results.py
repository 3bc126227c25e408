"""The table that `optimize` prints and the lines under it."""

import pytest
import torch

from optimizer.policies.scores import Scores
from optimizer.study.evaluate import summarise
from optimizer.study.results import best_policy, format_table, meaning, notes


def performance_of(qoe: float, sees: str, *, bound: float = 20.0, seeds: int = 1):
    one = torch.ones(16, dtype=torch.float64)
    names = "reward steps executions offloaded inaccurate late uncharged successes latency energy lost"
    scores = [
        Scores(
            **dict.fromkeys(names.split(), one), qoe=(qoe + 0.001 * seed) * one, finished=one > 0,
            queue=torch.zeros(3, 2),
        )
        for seed in range(seeds)
    ]  # fmt: skip
    return summarise(scores, [bound * one] * seeds, sees=sees, trained=seeds > 1)


@pytest.fixture
def performance():
    return {
        "mappo": performance_of(15.0, "own channel; granted band, how many offload", seeds=2),
        "central": performance_of(19.0, "all channels"), "exhaustive": performance_of(18.0, "all channels"),
        "local": performance_of(10.0, "own queue, beta"), "greedy": performance_of(2.0, "own queue, beta"),
    }  # fmt: skip


def test_the_table_fits_100_columns_and_marks_the_best_that_a_ue_can_follow(performance):
    large = {name: performance_of(1000.0 * (rank + 1), "") for rank, name in enumerate(performance)}
    for some in (performance, large):
        assert max(map(len, format_table(some, 9999.0).splitlines())) <= 100
    lines = format_table(performance, 20.0).splitlines()
    assert [line.split()[0] for line in lines] == [
        "policy", "bound", "central", "exhaustive", "mappo", "local", "greedy",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines if " * " in line] == ["mappo"]
    assert best_policy({"central": performance["central"]}) is None


def test_the_lines_below_say_what_it_means_and_who_sees_what(performance):
    lines = list(notes(performance, 20.0))
    assert lines[0] == (
        "* mappo earns 50% more than computing locally and is within 25.0% of the bound on what is possible"
    )
    assert lines[1] == "mappo: 95 % interval over trainings 15.000 to 15.001"
    assert "central, exhaustive (a lower bound) see: all channels" in lines
    assert "local, greedy see: own queue, beta" in lines
    assert max(map(len, lines)) <= 100
    assert "has 79.0% of what central earns" in meaning(performance, "mappo", None)
    assert "less than computing locally" in meaning(performance, "greedy", 20.0)
    assert meaning({"mine": performance["mappo"]}, "mine", None) == "mine earns 15.000"

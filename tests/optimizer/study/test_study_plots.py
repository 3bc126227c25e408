"""What the plots of runs show: names, groups, ticks."""

import csv
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from optimizer.policies.learner import LearningCurve
from optimizer.study.evaluate import Interval, Performance
from optimizer.study.figures import _sweep
from optimizer.study.pareto import _draw
from optimizer.study.plots import coincident, plot_learning_curve


def performance(qoe: float, latency: float = 1.0, energy: float = 1.0) -> Performance:
    numbers = dict.fromkeys(
        ("reward", "finished", "steps", "offloaded", "violates_accuracy", "violates_latency",
         "violates_battery"), 1.0,
    )  # fmt: skip
    return Performance(
        sees="", qoe=Interval(value=qoe, low=qoe - 0.1, high=qoe + 0.1), qoe_over_seeds=None, of_bound=None,
        steps_most=10, latency=latency, energy=energy, queue=[[1.0]], **numbers,
    )  # fmt: skip


def test_lines_coincide_where_no_eye_could_tell_them_apart() -> None:
    nan = float("nan")
    lines = {"a": [0.0, 10.0], "b": [0.01, 10.0], "c": [0.2, 10.0], "d": [nan, 10.0], "e": [nan, 10.01]}
    assert coincident(lines) == {"a": ["a", "b"], "c": ["c"], "d": ["d", "e"]}
    assert coincident({"a": [1.0], "b": [1.0]}) == {"a": ["a", "b"]}
    assert coincident({"a": [nan], "b": [nan]}) == {"a": ["a", "b"]}


def test_policies_of_one_qoe_are_one_line_of_the_learning_curve(tmp_path: Path, drawn: list[Figure]) -> None:
    curve = LearningCurve(qoe=[1.0, 2.0], reward=[1.0, 2.0], entropy=[1.0, 0.5], finished=[1.0, 1.0])
    tested = {"mappo": performance(4.0), "central": performance(5.0), "local": performance(4.0),
              "greedy": performance(4.001)}  # fmt: skip
    plot_learning_curve(tmp_path / "curve.png", {"mappo": curve}, tested, 5.0, title="four UEs")
    upper = drawn[0].axes[0]
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert labels == ["mappo, exploring", "tested: central", "tested: local,\ngreedy", "certified bound"]
    assert upper.get_legend().get_window_extent().x0 > upper.get_window_extent().x1


def test_a_sweep_shows_every_policy_at_the_values_played(tmp_path: Path, drawn: list[Figure]) -> None:
    def of(qoe: float) -> dict[str, object]:
        return {"qoe": {"value": qoe, "low": qoe - 1, "high": qoe + 1}, "of_bound": None}

    documents = {
        float(k): {
            "bound": None,
            "policies": {"mappo": of(k), "central": of(k + 1), "local": of(2), "bids": of(2)},
        }
        for k in (1, 4, 16)
    }
    written = _sweep(documents, tmp_path / "fig5", "$k^T$ (symbols per token)", synthetic=("vqa",))
    (axes,) = drawn[0].axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["mappo", "central", "local, bids"]
    assert list(axes.get_xticks()) == [1, 4, 16]
    assert drawn[0].get_suptitle().startswith("QoE against $k^T$, dynamic preference\n")
    assert "synthetic" in drawn[0].get_suptitle()
    rows = list(csv.DictReader(written[2].open()))
    assert {row["policy"] for row in rows} == {"mappo", "central", "local", "bids"}


def test_a_front_names_beta_at_its_points_and_shows_what_they_earn(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    by_beta = {0.0: performance(4.0), 0.4: performance(5.0, 1.3, 0.7), 0.5: performance(6.0, 1.31, 0.7),
               1.0: performance(9.0, 2.0, 0.2)}  # fmt: skip
    never = {beta: replace(one, latency=float("nan"), energy=float("nan")) for beta, one in by_beta.items()}
    _draw({"mappo": by_beta, "remote": never}, tmp_path / "front", synthetic=())
    front, earned = drawn[0].axes
    assert [text.get_text() for text in front.texts] == ["0", "0.4", "1"], "0.5 lies where 0.4 does"
    line = next(one for one in earned.lines if one.get_label() == "mappo")
    assert list(line.get_xdata()) == [0.0, 0.4, 0.5, 1.0]
    assert list(line.get_ydata()) == [4.0, 5.0, 6.0, 9.0]

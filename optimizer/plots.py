"""Plot of a training run."""

from __future__ import annotations

import os
from collections.abc import Mapping

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data.artifacts import atomic_path
from optimizer.evaluation import Performance
from optimizer.mappo import LearningCurve


def plot_learning_curve(
    path: str | os.PathLike[str], curve: LearningCurve, performance: Mapping[str, Performance], *, title: str
) -> None:
    """Write a PNG, atomically: QoE and reward over training episodes.

    Args:
        path: of the PNG.
        curve: of the policy in training, exploration included.
        performance: policies tested; each is a horizontal line in the QoE panel with its 95 % interval as a
        band. title: above the plot.
    """
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    episodes = range(1, len(curve.qoe) + 1)
    upper.plot(episodes, curve.qoe, color="black", linewidth=0.8, label="MAPPO in training, exploring")
    for i, (name, tested) in enumerate(performance.items()):
        color = f"C{i}"
        upper.axhline(tested.qoe.mean, color=color, linestyle="--", linewidth=1.2, label=f"{name}, tested")
        upper.axhspan(tested.qoe.low, tested.qoe.high, color=color, alpha=0.15, linewidth=0)
    upper.set_ylabel("sum QoE of the UEs per step")
    upper.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    upper.set_title(title, fontsize="medium")
    lower.plot(episodes, curve.reward, color="black", linewidth=0.8)
    lower.set_ylabel("reward per episode")
    lower.set_xlabel("training episode")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)

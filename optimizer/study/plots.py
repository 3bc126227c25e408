"""Plots of runs. Every figure is written as PNG and, where it is one of the paper's, as PDF and CSV too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data.files.atomic import atomic_path, write_text
from data.files.printable import csv_text
from optimizer.policies.baselines import shown
from optimizer.policies.learner import LearningCurve
from optimizer.study.evaluate import Performance


def new_figure(width: float = 7.0, height: float = 4.5) -> Figure:
    """A figure that no window knows of."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write in the format of the suffix, atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)


def save_with_data(
    figure: Figure,
    stem: Path,
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    synthetic: bool,
) -> list[Path]:
    """Write a figure as PNG and PDF, and what it shows as CSV.

    Args:
        figure: what is drawn.
        stem: of the three paths.
        header: the CSV's columns; "synthetic", 0 or 1, is added.
        rows: its lines.
        synthetic: whether any map was measured on generated data; the figure says so.

    Returns:
        The three paths.
    """
    if synthetic:
        figure.suptitle("accuracy maps of synthetic data", fontsize="x-small")
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".pdf", ".csv")]
    for path in paths[:2]:
        save(figure, path)
    table = ((*header, "synthetic"), *((*row, int(synthetic)) for row in rows))
    write_text(paths[2], csv_text(table))
    return paths


def plot_learning_curve(
    path: Path,
    curves: Mapping[str, LearningCurve],
    performance: Mapping[str, Performance],
    bound: float | None,
    *,
    title: str,
) -> None:
    """Write a PNG, atomically: QoE and reward over training episodes.

    Args:
        path: of the PNG.
        curves: of the learners in training, exploration included.
        performance: policies tested; those that are not learned are horizontal lines in the QoE panel.
        bound: mean certified bound.
        title: above the plot.
    """
    figure = new_figure(9.0, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for i, (name, curve) in enumerate(curves.items()):
        episodes = range(1, len(curve.qoe) + 1)
        upper.plot(episodes, curve.qoe, color=f"C{i}", linewidth=0.8, label=f"{name}, exploring")
        lower.plot(episodes, curve.reward, color=f"C{i}", linewidth=0.8)
    for i, (name, tested) in enumerate(performance.items()):
        if name not in curves:
            upper.axhline(
                tested.qoe.value,
                color=f"C{i % 10}",
                linestyle="--",
                linewidth=1.0,
                label=f"{shown(name)}, tested",
            )
    if bound is not None:
        upper.axhline(bound, color="black", linewidth=1.2, label="certified bound")
    upper.set_ylabel("sum QoE of the UEs per step, mean")
    upper.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    upper.set_title(title, fontsize="small")
    lower.set_ylabel("reward per episode")
    lower.set_xlabel("training episode")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    save(figure, path)

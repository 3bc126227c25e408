"""Plots of runs. Every figure is written as PNG and, where it is one of the paper's, as PDF and CSV too."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data.files.atomic import atomic_path, write_text
from data.files.printable import csv_text
from optimizer.policies.baselines import shown
from optimizer.policies.learner import LearningCurve
from optimizer.study.evaluate import Performance

_COLOURS = (*(f"C{i}" for i in range(10)), "black")
"""As many as policies that come with the package."""
_TOLD_APART = 0.003
"""Of the height of a plot: what lines nearer than this look like is one line."""


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
    title: str,
    synthetic: Sequence[str],
) -> list[Path]:
    """Write a figure as PNG and PDF, and what it shows as CSV.

    Args:
        figure: what is drawn.
        title: above it.
        stem: of the three paths.
        header: the CSV's columns; "synthetic", 0 or 1, is added.
        rows: its lines.
        synthetic: modalities whose map was measured on generated data; the figure names them.

    Returns:
        The three paths.
    """
    note = f"\naccuracy measured on synthetic data: {', '.join(synthetic)}" if synthetic else ""
    figure.suptitle(f"{title}{note}", fontsize="medium")
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".pdf", ".csv")]
    for path in paths[:2]:
        save(figure, path)
    table = ((*header, "synthetic"), *((*row, int(bool(synthetic))) for row in rows))
    write_text(paths[2], csv_text(table))
    return paths


def look(place: int) -> dict[str, str]:
    """Colour and dashes of the line at a place among many, no two of the first 22 alike."""
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "linestyle": "-" if place % (2 * len(_COLOURS)) < len(_COLOURS) else ":",
    }


def typeset(text: str) -> str:
    """Symbols as a page or a plot shows them, for those of a terminal."""
    for plain, symbol in (("beta^d", "βᵈ"), ("beta", "β"), ("|h|^2", "|h|²"), ("k^T", "kᵀ"), ("k^I", "kᴵ")):
        text = text.replace(plain, symbol)
    return text


def legend_beside(axes: Axes) -> None:
    """A legend right of a plot, where it hides no curve."""
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)


def coincident(lines: Mapping[str, Sequence[float]]) -> dict[str, list[str]]:
    """Names of the lines that no eye could tell apart: one stands for each group.

    Args:
        lines: values by name, all of one length; NaN is equal to NaN.

    Returns:
        By the name of the first line of each group, the names of all in it.
    """
    values = {name: np.array(line, dtype=float) for name, line in lines.items()}
    everything = np.concatenate([line[np.isfinite(line)] for line in values.values()] or [np.zeros(0)])
    apart = _TOLD_APART * float(np.ptp(everything)) if everything.size else 0.0
    groups: dict[str, list[str]] = {}
    for name, line in values.items():
        like = (one for one in groups if np.allclose(values[one], line, rtol=0.0, atol=apart, equal_nan=True))
        groups.setdefault(next(like, name), []).append(name)
    return groups


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
        performance: policies tested; those that are not learned are horizontal lines in the QoE panel, one
            line for those of the same QoE.
        bound: mean certified bound.
        title: above the plot.
    """
    figure = new_figure(9.0, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for i, (name, curve) in enumerate(curves.items()):
        episodes = range(1, len(curve.qoe) + 1)
        upper.plot(episodes, curve.qoe, color=f"C{i}", linewidth=0.8, label=f"{name}, exploring")
        lower.plot(episodes, curve.reward, color=f"C{i}", linewidth=0.8)
    rules = {name: [tested.qoe.value] for name, tested in performance.items() if name not in curves}
    places = {name: place for place, name in enumerate(performance)}
    for name, names in coincident(rules).items():
        label = "tested: " + ",\n".join(map(shown, names))
        colour = look(places[name])["color"]
        upper.axhline(rules[name][0], color=colour, linestyle="--", linewidth=1.0, label=label)
    if bound is not None:
        upper.axhline(bound, color="black", linewidth=1.2, label="certified bound")
    upper.set_ylabel("sum QoE of the UEs per step, mean")
    legend_beside(upper)
    upper.set_title(textwrap.fill(typeset(title), 100), fontsize="small")
    lower.set_ylabel("reward per episode")
    lower.set_xlabel("training episode")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    save(figure, path)

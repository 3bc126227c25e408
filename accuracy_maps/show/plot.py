"""Plots of accuracy maps: ratio against SNR, one line per k."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from accuracy_maps.bimodal import BimodalMap
from accuracy_maps.envelope import Array
from accuracy_maps.grid import MeasuredGrid, axis_start
from accuracy_maps.map import AccuracyMap
from accuracy_maps.show.compare import LEVEL, is_baseline, symbols_per_word, thresholds, who
from data.files.atomic import atomic_path
from data.files.printable import plot_text

Colour = tuple[float, float, float, float]
LINES = ("--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
"""Of the maps beside one."""
_MOST_TICKS, _MOST_TICKS_NARROW = 16, 10


def plot_map(
    accuracy_map: AccuracyMap, path: str | os.PathLike[str], *, beside: Sequence[AccuracyMap] = ()
) -> None:
    """Write a PNG of measured ratios with their 95 % intervals, and of the monotone envelope, dotted.

    Args:
        accuracy_map: what to draw.
        path: where.
        beside: maps to compare with, their measured ratios drawn dashed in the colours of their k. A codec
            among them changes places with a baseline: solid lines are a codec's wherever there is one.
    """
    accuracy_map, *beside = sorted((accuracy_map, *beside), key=is_baseline)
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    colours = _colours(len(accuracy_map.k))
    grids, words = _grids(accuracy_map), symbols_per_word(accuracy_map)
    for i in reversed(range(len(accuracy_map.k))):  # legend in the order of the lines
        lines = [grid[i] for grid in grids]
        name = str(accuracy_map.k[i])
        label = f"$k = {name}$" + (f" ({words[name]} per word)" if words else "")
        _draw(axes, accuracy_map.snr_db, lines, colours[i], label=label, markersize=4)
        for style, other in zip(itertools.cycle(LINES), beside):
            if accuracy_map.k[i] in other.k:
                row = other.ratio[other.k.index(accuracy_map.k[i])]
                axes.plot(other.snr_db, row, color=colours[i], linestyle=style, linewidth=1.2)
    axes.plot([], [], color="0.4", linestyle=":", linewidth=1, label="monotone envelope")
    for style, other in [("-", accuracy_map), *zip(itertools.cycle(LINES), beside)]:
        at = ", ".join(thresholds(other).values())  # by rising k
        label = f"{plot_text(who(other))}:\n{LEVEL} at {at} dB, $k$ rising"
        axes.plot([], [], color="0.4", linestyle=style, label=label)
    _dress(axes, accuracy_map, *(one.ratio_low for one in (accuracy_map, *beside)))
    _legend(axes, title="symbols per token")
    axes.set_title(_title(accuracy_map), fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160)


def plot_bimodal(accuracy_map: BimodalMap, path: str | os.PathLike[str]) -> None:
    """Write a PNG, a column for each k^T: above, f^B against the SNR that both transmissions see, a line per
    k^I with its 95 % interval and the envelope, dotted; below, the ratio over both SNRs at the largest k^I.
    """
    count = len(accuracy_map.k_text)
    figure = Figure(figsize=(3.1 * count + 1.6, 6.2), layout="constrained")
    grid = figure.subplots(2, count, squeeze=False)
    colours = _colours(len(accuracy_map.k_image))
    grids = [accuracy_map.on_diagonal(values) for values in _grids(accuracy_map)]
    heat = accuracy_map.ratio[:, -1]  # at the largest k^I
    image = None
    for column, k_text in enumerate(accuracy_map.k_text):
        axes = grid[0, column]
        for i in reversed(range(len(accuracy_map.k_image))):
            label, lines = f"$k^I = {accuracy_map.k_image[i]}$", [grid[column, i] for grid in grids]
            _draw(axes, accuracy_map.snr_db, lines, colours[i], label=label, markersize=3)
        _dress(axes, accuracy_map, grids[1], most_ticks=_MOST_TICKS_NARROW)
        axes.set_title(f"$k^T = {k_text}$, both at one SNR", fontsize=9)
        axes.tick_params(labelsize=8)
        below = grid[1, column]
        image = below.pcolormesh(
            accuracy_map.snr_image_db,
            accuracy_map.snr_text_db,
            heat[column],
            vmin=heat.min(),
            vmax=heat.max(),
            cmap="viridis",
            shading="nearest",
        )
        below.set_xlabel("image SNR (dB)")
        below.set_xticks(_ticks(accuracy_map.snr_image_db, most=_MOST_TICKS_NARROW))
        below.set_yticks(_ticks(accuracy_map.snr_text_db, most=_MOST_TICKS_NARROW))
        below.tick_params(labelsize=8)
        below.set_title(f"$k^T = {k_text}$, $k^I = {accuracy_map.k_image[-1]}$", fontsize=9)
        if column:
            axes.set_ylabel("")
    _legend(grid[0, -1], title="symbols per\nimage token")
    grid[1, 0].set_ylabel("question SNR (dB)")
    if image is not None:
        figure.colorbar(image, cax=grid[1, -1].inset_axes((1.04, 0.0, 0.05, 1.0)), label="ratio measured")
    figure.suptitle(_title(accuracy_map), fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160)


def _grids(accuracy_map: MeasuredGrid) -> tuple[Array, Array, Array, Array]:
    return accuracy_map.ratio, accuracy_map.ratio_low, accuracy_map.ratio_high, accuracy_map.envelope


def _draw(
    axes: Axes,
    snr_db: Sequence[float],
    lines: Sequence[Array],
    colour: Colour,
    *,
    label: str,
    markersize: float,
) -> None:
    """Lines of `_grids`: ratio, its interval as a band, envelope."""
    ratio, low, high, envelope = lines
    axes.plot(snr_db, ratio, marker="o", markersize=markersize, color=colour, label=label)
    axes.fill_between(snr_db, low, high, color=colour, alpha=0.15, lw=0)
    axes.plot(snr_db, envelope, color=colour, linestyle=":", linewidth=1)


def _colours(count: int) -> list[Colour]:
    colours = matplotlib.colormaps["viridis_r"]
    return [colours(0.15 + 0.85 * i / max(1, count - 1)) for i in range(count)]


def _dress(axes: Axes, accuracy_map: MeasuredGrid, *lows: Array, most_ticks: int = _MOST_TICKS) -> None:
    axes.axhline(1.0, color="0.4", linewidth=0.8)
    axes.set_xlabel("SNR $E_s/N_0$ (dB)")
    axes.set_xticks(_ticks(accuracy_map.axes[-1], most=most_ticks))
    axes.set_ylabel(plot_text(f"{accuracy_map.metric_name} over the channel / local"))
    axes.set_ylim(bottom=axis_start(*lows))
    axes.grid(alpha=0.25)


def _legend(axes: Axes, *, title: str) -> None:
    """Beside the curves, which it would hide."""
    axes.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, title=title,
        fontsize=8, title_fontsize=8,
    )  # fmt: skip


def _ticks(values: Sequence[float], *, most: int) -> list[float]:
    """The values measured, every other one and so on where they are more than an axis has room for."""
    return list(values[:: 1 + (len(values) - 1) // most])


def _title(accuracy_map: MeasuredGrid) -> str:
    synthetic = "; synthetic data" if accuracy_map.synthetic else ""
    return plot_text(
        f"{accuracy_map.provenance.get('dataset', accuracy_map.task)}, {accuracy_map.channel.upper()}, "
        f"{accuracy_map.model.get('preset', '')} model; "
        f"local {accuracy_map.metric_name} {accuracy_map.local_accuracy:.1f}{synthetic}"
    )

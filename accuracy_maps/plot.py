"""Plot of an accuracy map: ratio against SNR, one line per k."""

from __future__ import annotations

import os

import matplotlib
from matplotlib.figure import Figure

from accuracy_maps.map import AccuracyMap
from data.artifacts import atomic_path


def plot_map(accuracy_map: AccuracyMap, path: str | os.PathLike[str]) -> None:
    """Write a PNG of measured ratios with their 95 % intervals, and of the monotone envelope, dotted."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["viridis_r"]
    count = len(accuracy_map.k)
    ratio, envelope = accuracy_map.ratio, accuracy_map.envelope
    for i in reversed(range(count)):  # legend in the order of the lines
        colour = colours(0.15 + 0.85 * i / max(1, count - 1))
        axes.plot(
            accuracy_map.snr_db,
            ratio[i],
            marker="o",
            markersize=4,
            color=colour,
            label=f"k = {accuracy_map.k[i]}",
        )
        axes.fill_between(
            accuracy_map.snr_db,
            accuracy_map.ratio_low[i],
            accuracy_map.ratio_high[i],
            color=colour,
            alpha=0.15,
            lw=0,
        )
        axes.plot(accuracy_map.snr_db, envelope[i], color=colour, linestyle=":", linewidth=1)
    axes.axhline(1.0, color="0.4", linewidth=0.8)
    axes.set_xlabel("SNR $E_s/N_0$ (dB)")
    metric = accuracy_map.metric.split()[0]
    axes.set_ylabel(f"{metric} over the channel / local")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right", title="symbols per token")
    axes.set_title(
        f"{accuracy_map.provenance.get('dataset', accuracy_map.task)}, {accuracy_map.channel.upper()}, "
        f"{accuracy_map.model.get('preset', '')} model; local {metric} {accuracy_map.local_accuracy:.1f}",
        fontsize=10,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160)

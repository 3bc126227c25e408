"""A step of an episode as a picture: who is where, who offloads with which band, what is left and earned."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from optimizer.world.config import MODALITIES
from optimizer.world.physics import Outcome
from optimizer.world.view import View

SIZE_INCHES, DPI = (9.0, 4.5), 80
_COLOURS = dict(zip(MODALITIES, ("tab:blue", "tab:orange", "tab:green"), strict=True))
_OFFLOADS, _FAILED = "black", "tab:red"
_THICKEST = 9.0
"""Points: a line to the server that has the whole band."""


def draw_step(view: View, outcome: Outcome | None) -> NDArray[np.uint8]:
    """Draw the first episode.

    Left is the ring of the UEs around the server. A line to the server is a UE that has just offloaded, as
    thick as its share of the band, red where the execution failed; a filled marker has tasks left. Right are
    the band, the queue and the QoE (10) that each UE earned.

    Args:
        view: what can be seen now, after the step.
        outcome: of the step, (episodes, ues); None before the first.

    Returns:
        RGB, (height, width, 3), 0 to 255.
    """
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    ring, bars = figure.subplots(1, 2, width_ratios=(1, 1.1))
    _draw_ring(ring, view, outcome)
    _draw_bars(bars, view, outcome)
    earned = "" if outcome is None else f", QoE {outcome.earned_qoe[0].sum():.2f}"
    figure.suptitle(f"step {view.step} of {view.episode.steps}{earned}")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _kinds(view: View) -> list[str]:
    return [MODALITIES[i] for i in view.tasks.modality.tolist()]


def _draw_ring(axes: Axes, view: View, outcome: Outcome | None) -> None:
    radius = view.system.radius_max_m
    for radius_m in (view.system.radius_min_m, radius):
        axes.add_patch(Circle((0, 0), radius_m, fill=False, color="lightgrey"))
    axes.plot(0, 0, marker="^", markersize=12, color="black", zorder=3)
    places = view.position_m[0].tolist()
    for ue, ((x, y), kind, left) in enumerate(zip(places, _kinds(view), view.queue[0].tolist(), strict=True)):
        if outcome is not None and outcome.offloaded[0, ue]:
            axes.plot(
                (0, x),
                (0, y),
                color=_OFFLOADS if outcome.success[0, ue] else _FAILED,
                linewidth=max(1.0, _THICKEST * _band_share(view, outcome)[ue]),
                alpha=0.6,
                zorder=1,
            )
        axes.plot(
            x,
            y,
            marker="o",
            markersize=11,
            color=_COLOURS[kind],
            fillstyle="full" if left else "none",
            zorder=2,
        )
        axes.annotate(f"ue_{ue}", (x, y), xytext=(8, 8), textcoords="offset points")
    handles = [
        Line2D([], [], linestyle="", marker="o", color=_COLOURS[kind], label=kind)
        for kind in dict.fromkeys(_kinds(view))
    ]
    handles += [
        Line2D([], [], linestyle="", marker="^", color="black", label="server"),
        Line2D([], [], color=_OFFLOADS, linewidth=3, alpha=0.6, label="offloads"),
        Line2D([], [], color=_FAILED, linewidth=3, alpha=0.6, label="offloads, fails"),
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, frameon=False)
    axes.set(xlim=(-1.15 * radius, 1.15 * radius), ylim=(-1.15 * radius, 1.15 * radius), aspect="equal")
    axes.set_axis_off()


def _band_share(view: View, outcome: Outcome) -> list[float]:
    shares: list[float] = (outcome.bandwidth_hz[0] / view.system.bandwidth_hz).tolist()
    return shares


def _draw_bars(axes: Axes, view: View, outcome: Outcome | None) -> None:
    """Three bars a UE with their numbers, in shares: of the band, the queue at the start, the largest QoE."""
    ues = view.tasks.ues
    queue = view.queue[0].tolist()
    band = [0.0] * ues if outcome is None else _band_share(view, outcome)
    qoe = [0.0] * ues if outcome is None else outcome.earned_qoe[0].tolist()
    most = max(qoe) or 1.0
    rows = (
        ("band", "tab:gray", band, [f"{share:.0%}" if share else "" for share in band]),
        ("tasks left", "tab:olive", [left / view.episode.queue_tasks for left in queue],
         [f"{left:.0f}" for left in queue]),
        ("QoE", "tab:purple", [earned / most for earned in qoe], [f"{earned:.2f}" for earned in qoe]),
    )  # fmt: skip
    for offset, (label, colour, lengths, words) in zip((-0.27, 0.0, 0.27), rows, strict=True):
        drawn = axes.barh(np.arange(ues) + offset, lengths, height=0.25, color=colour, label=label)
        if ues <= 8:  # else they overlap
            axes.bar_label(drawn, words, padding=3, fontsize="small")
    axes.set_yticks(np.arange(ues), [f"ue_{ue}" for ue in range(ues)])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, frameon=False)

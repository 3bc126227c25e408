"""Stacked bars: what a task costs locally, at the UE and at the server, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.files.atomic import atomic_path
from data.files.printable import plot_text
from profiling.closed.parts import SHARES, Part, belongs
from profiling.tables import require_suffix

SUFFIXES = (".png", ".pdf", ".svg")
MARK = "profile-flops"
"""What a plot's metadata say of its maker."""


def plot_split(path: str, parts: Sequence[Part], *, title: str) -> None:
    """Draw the split, Appendix A as printed (hatched) beside the corrected count.

    Args:
        path: file to write, atomically; its suffix names the format.
        parts: every part of one codec.
        title: what was counted.

    Raises:
        ToolkitError: on another suffix, or if writing fails.
    """
    require_suffix(path, SUFFIXES, flag="plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colors = [f"C{i}" for i in range(len(parts))]
    for bar, share in enumerate(SHARES):
        for printed in (False, True):
            bottom = 0.0
            for part, color in zip(parts, colors, strict=True):
                flops = part.as_printed if printed else part.corrected
                if flops is None or not belongs(part, share):
                    continue
                axes.bar(
                    bar + (-0.2 if printed else 0.2),
                    flops.count / 1e9,
                    bottom=bottom,
                    width=0.36,
                    color=color,
                    alpha=0.55 if printed else 1.0,
                    hatch="///" if printed else None,
                    edgecolor="white",
                    linewidth=0.4,
                )
                bottom += flops.count / 1e9
    axes.set_xticks(range(len(SHARES)), list(SHARES.values()))
    axes.set_ylabel("GFLOP a task (1 multiply-add = 2 FLOP)")
    axes.set_title(plot_text(title), fontsize="medium")
    legend = [Patch(color=color, label=part.name) for part, color in zip(parts, colors, strict=True)]
    legend.append(
        Patch(facecolor="lightgrey", edgecolor="white", hatch="///", label="as printed (Appendix A)")
    )
    figure.legend(handles=legend, fontsize="small", loc="outside right upper")
    axes.spines[["top", "right"]].set_visible(False)
    suffix = Path(path).suffix
    metadata = {"Software" if suffix == ".png" else "Creator": MARK}
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=150, metadata=metadata)

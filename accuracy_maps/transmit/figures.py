"""Figures of the page: the constellation of one transmission, and the maps' curves at one k."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from accuracy_maps.bimodal import BimodalMap
from accuracy_maps.grid import MeasuredGrid
from accuracy_maps.map import AccuracyMap
from accuracy_maps.show.compare import LEVEL, is_baseline, who
from data.files.printable import plot_text

_SIZE = (4.6, 4.0)
_SENT, _RECEIVED = "#1f2937", "#f59e0b"


def constellation(sent: NDArray[np.complex64], received: NDArray[np.complex64]) -> Figure:
    """In-phase and quadrature part of each symbol as sent, joined to what the equaliser makes of it.

    Args:
        sent: (symbols,).
        received: (symbols,).
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    pairs = np.stack((sent, received))  # (2, symbols)
    axes.plot(pairs.real, pairs.imag, color=_RECEIVED, linewidth=0.4, alpha=0.4, zorder=1)
    axes.scatter(received.real, received.imag, s=9, color=_RECEIVED, label="received, equalised", zorder=2)
    axes.scatter(sent.real, sent.imag, s=7, color=_SENT, marker="x", linewidth=0.8, label="sent", zorder=3)
    reach = max(2.5, 1.05 * float(np.abs(np.concatenate((pairs.real, pairs.imag))).max(initial=0)))
    axes.set(
        xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="in-phase", ylabel="quadrature"
    )
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", fontsize=7)
    axes.set_title(f"{len(sent)} complex channel symbols", fontsize=10)
    return figure


def curves(
    maps: Mapping[str, MeasuredGrid], k: tuple[int, ...], snr_db: float, channel: str
) -> Figure | None:
    """Envelope of each map of a channel against SNR at one k, separate coding dashed, with a line at the SNR.

    Returns:
        None if no map is of this channel and k.
    """
    shown = [
        (one, row) for one in maps.values() if one.channel == channel and (row := _row(one, k)) is not None
    ]
    if not shown:
        return None
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    for one, (snrs, ratios) in shown:
        axes.plot(snrs, ratios, "--" if is_baseline(one) else "o-", markersize=4, label=plot_text(who(one)))
    axes.axvline(snr_db, color="0.4", linewidth=1)
    axes.axhline(LEVEL, color="0.7", linewidth=0.8, linestyle=":")
    metric = plot_text(shown[0][0].metric_name)
    axes.set(xlabel="SNR $E_s/N_0$ (dB)", ylabel=f"{metric} over the channel / local", ylim=(0, 1.05))
    axes.set_xticks(shown[0][1][0])
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    axes.set_title(f"measured on test data, k = {', '.join(map(str, k))}", fontsize=10)
    return figure


def _row(one: MeasuredGrid, k: tuple[int, ...]) -> tuple[tuple[float, ...], NDArray[np.float64]] | None:
    """SNRs and envelope of a map at one k, where it was measured."""
    if isinstance(one, AccuracyMap) and len(k) == 1 and k[0] in one.k:
        return one.snr_db, one.row(k[0])
    if isinstance(one, BimodalMap) and len(k) == 2 and k[0] in one.k_text and k[1] in one.k_image:
        return one.snr_db, one.row(*k)
    return None

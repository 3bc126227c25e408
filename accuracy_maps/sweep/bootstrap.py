"""From counts to maps: scores, ratios, and the bootstrap intervals of both."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accuracy_maps.bimodal import BimodalMap
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.cells import Cell
from data.files.errors import ToolkitError
from data.intervals import INTERVAL_ITEMS_MIN
from data.settings import named

if TYPE_CHECKING:
    from deepsc.modality import Evaluator

BOOTSTRAP_RESAMPLES = 1000
NEAR_ZERO = 5.0
"""Score of a local model below which more test items help less than a longer training."""
CONFIDENCE = 0.95


def assemble_map(
    cells: Mapping[tuple[Any, Any], Cell],
    evaluator: type[Evaluator],
    *,
    ks: Sequence[Any],
    snr_db: tuple[float, ...],
    seed: int,
    **fields: Any,
) -> AccuracyMap | BimodalMap:
    """Map from counts; see `score_cells`.

    Args:
        cells: by (k, SNR), or ((k^T, k^I), (SNR_T, SNR_I)), and the local model at (0, 0.0).
        evaluator: scores summed counts.
        ks: every k, or pair (k^T, k^I), rising.
        snr_db: rising, of each transmission.
        seed: of the bootstrap.
        fields: the map's other fields.
    """
    snrs: list[Any] = list(snr_db)
    kind: type[AccuracyMap | BimodalMap] = AccuracyMap
    axes: dict[str, Any] = {"k": tuple(ks), "snr_db": snr_db}
    if isinstance(ks[0], tuple):
        k_text, k_image = (tuple(sorted(set(axis))) for axis in zip(*ks, strict=True))
        kind, snrs = BimodalMap, list(itertools.product(snr_db, snr_db))
        axes = {"k_text": k_text, "k_image": k_image, "snr_text_db": snr_db, "snr_image_db": snr_db}
    shape = tuple(map(len, axes.values()))
    scores = score_cells(cells, evaluator, list(itertools.product(ks, snrs)), shape=shape, seed=seed)
    return kind(**axes, **scores, **fields)


def require_items(items: int) -> None:
    """Check that test items are enough for an interval over them.

    Raises:
        ToolkitError: if they are not.
    """
    if items < INTERVAL_ITEMS_MIN:
        raise ToolkitError(
            f"{items} test items are too few for an interval, at least {INTERVAL_ITEMS_MIN} are needed; use "
            "a larger test set"
        )


def require_interval(local: Cell, evaluator: type[Evaluator], *, seed: int) -> NDArray[np.float64]:
    """Scores of the local model on each bootstrap resample of the items, (R,): what ratios are divided by.

    Raises:
        ToolkitError: if it answers nothing right, or the items are too few for an interval.
    """
    items, score = len(local.counts), evaluator.score(local.counts.sum(axis=0))
    if score <= 0:
        raise ToolkitError(
            "the local model answers nothing right, so no ratio to it exists; train it longer (train-deepsc "
            "--channel none --epochs ...)"
        )
    require_items(items)
    scores = _resampled(local, evaluator, _resamples(items, seed))
    if scores.min() <= 0:
        longer = "train it longer (train-deepsc --channel none --epochs ...)"
        more = f"use more test items: a larger {named('limit')} or none, or a larger test set"
        raise ToolkitError(
            f"{items} test items are too few for an interval: some resamples of them hold none that the "
            f"local model, which scores {score:.2f}, answers right; {longer if score < NEAR_ZERO else more}"
        )
    return scores


def _resamples(items: int, seed: int) -> NDArray[np.float64]:
    """How often each item is in each resample, (R, items)."""
    draw = np.random.default_rng(seed)
    weights = draw.multinomial(items, np.full(items, 1 / items), size=BOOTSTRAP_RESAMPLES)
    return weights.astype(np.float64)  # matrix products of integers are slow, and these are exact


def _resampled(cell: Cell, evaluator: type[Evaluator], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([evaluator.score(row) for row in weights @ cell.counts])  # (R,)


def score_cells(
    cells: Mapping[tuple[Any, Any], Cell],
    evaluator: type[Evaluator],
    points: Sequence[tuple[Any, Any]],
    *,
    shape: tuple[int, ...],
    seed: int,
) -> dict[str, Any]:
    """Scores, ratios and their intervals from counts.

    The bootstrap resamples test items with all their noise draws (a cluster bootstrap), the same items for
    the codec and the local model, so that the ratio's interval is paired.

    Args:
        cells: by point, and the local model at (0, 0.0).
        evaluator: scores summed counts.
        points: of the grid, in row-major order.
        shape: of the grid.
        seed: of the bootstrap.

    Returns:
        Fields of a map.

    Raises:
        ToolkitError: if the local model answers nothing right, or the items are too few for an interval.
    """
    local = cells[0, 0.0]
    weights = _resamples(len(local.counts), seed)
    local_scores = require_interval(local, evaluator, seed=seed)
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    names = ("accuracy", "accuracy_low", "accuracy_high", "ratio_low", "ratio_high")
    grids = {name: np.zeros(len(points)) for name in names}
    figures = [name for name in local.figures if name in cells[points[0]].figures]
    others = {name: np.zeros(len(points)) for name in figures}
    for number, point in enumerate(points):
        cell = cells[point]
        scores = _resampled(cell, evaluator, weights)
        grids["accuracy"][number] = evaluator.score(cell.counts.sum(axis=0))
        grids["accuracy_low"][number], grids["accuracy_high"][number] = np.percentile(scores, tails)
        ratios = scores / local_scores
        grids["ratio_low"][number], grids["ratio_high"][number] = np.percentile(ratios, tails)
        for name, grid in others.items():
            grid[number] = cell.figures[name]
    local_low, local_high = (float(value) for value in np.percentile(local_scores, tails))
    return {
        **{name: grid.reshape(shape) for name, grid in grids.items()},
        "metric": f"{evaluator.metric} {evaluator.signature()}",
        "local_accuracy": evaluator.score(local.counts.sum(axis=0)),
        "local_low": local_low,
        "local_high": local_high,
        "other_metrics": {
            name: {"local": local.figures[name], "cells": grid.reshape(shape).tolist()}
            for name, grid in others.items()
        },
    }

"""The accuracy map f^Q(k, SNR) of section III: type, monotone envelope, interpolation and file format."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import isotonic_regression

from data.artifacts import ToolkitError, parsing, read_document, write_json, write_text

KIND = "accuracy-map"
SCHEMA_VERSION = 1
UNITS = {"k": "complex channel symbols per token", "snr_db": "dB, E_s/N_0 per complex symbol"}
CHANNELS = ("awgn", "rayleigh", "rician")
GRIDS = ("accuracy", "accuracy_low", "accuracy_high", "ratio_low", "ratio_high")

logger = logging.getLogger(__name__)
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AccuracyMap:
    """Accuracy measured on a (k, SNR) grid, with the local accuracy it is divided by.

    All grids have shape (K, N) for K values of k and N SNRs, both rising. The raw means are kept; a consumer
    reads `envelope` or calls `lookup`.

    Raises:
        ToolkitError: from the constructor, if shapes, order, finiteness or intervals are wrong.
    """

    modality: str
    """What crosses the channel: "text"."""
    task: str
    """What the receiver answers: "translate" or "reconstruct"."""
    channel: str
    """"awgn" maps are read at the instantaneous SNR, fading maps at the average SNR."""
    metric: str
    """Name of the accuracy, such as "sacreBLEU", with its signature after a space where it has one."""
    model: Mapping[str, Any]
    """Names the model: "name" and whatever tells it from another. A FLOPs file carries the same."""
    synthetic: bool
    """True if the test data are generated, not real."""
    k: tuple[int, ...]
    snr_db: tuple[float, ...]
    accuracy: Array
    """Mean accuracy per cell, in the metric's unit."""
    accuracy_low: Array
    """Lower end of the 95 % interval of `accuracy` over test items and noise draws."""
    accuracy_high: Array
    ratio_low: Array
    """Lower end of the 95 % interval of accuracy / local accuracy, paired by test item."""
    ratio_high: Array
    local_accuracy: float
    local_low: float
    local_high: float
    other_metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further figures by name, for reading: {"local": value, "cells": (K, N)}."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        errors = []
        shape = (len(self.k), len(self.snr_db))
        steps = np.diff(np.asarray(self.k, dtype=np.float64))
        if 0 in shape or any(k % 1 != 0 for k in self.k) or any(steps <= 0) or self.k[0] < 1:
            errors.append(f"k must be rising positive integers, found {list(self.k)}")
        if 0 in shape or not np.all(np.isfinite(self.snr_db)) or any(np.diff(self.snr_db) <= 0):
            errors.append(f"snr_db must be rising finite numbers, found {list(self.snr_db)}")
        if self.channel not in CHANNELS:
            errors.append(f"channel is {self.channel!r}, allowed: {', '.join(CHANNELS)}")
        for name in GRIDS:
            grid = np.asarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, grid)
            if grid.shape != shape:
                errors.append(f"{name} has shape {grid.shape}, the axes say {shape}")
            elif not np.all(np.isfinite(grid)) or np.any(grid < 0):
                errors.append(f"{name} must be finite and at least 0")
        if not (np.isfinite(self.local_accuracy) and self.local_accuracy > 0):
            errors.append(f"local_accuracy must be above 0, found {self.local_accuracy}")
        elif not -np.inf < self.local_low <= self.local_high < np.inf:
            errors.append(f"local interval is [{self.local_low}, {self.local_high}]")
        if not errors:
            errors += [
                f"{name}_low lies above {name}_high"
                for name in ("accuracy", "ratio")
                if np.any(getattr(self, f"{name}_low") > getattr(self, f"{name}_high"))
            ]
        if errors:
            raise ToolkitError("accuracy map: " + "; ".join(errors))

    @property
    def ratio(self) -> Array:
        """Accuracy over the channel / local accuracy, raw; shape (K, N). Eq. (10)'s epsilon / epsilon_0."""
        return self.accuracy / self.local_accuracy

    @property
    def envelope(self) -> Array:
        """`ratio` made non-decreasing in k and SNR, clipped to [0, 1]; shape (K, N)."""
        return monotone_envelope(self.ratio)

    def row(self, k: int) -> Array:
        """Envelope against `snr_db` at one k, interpolated linearly in k, clamped outside; shape (N,).

        Args:
            k: complex channel symbols per token.
        """
        if not self.k[0] <= k <= self.k[-1]:
            logger.warning(
                "k = %s lies outside the map's %s..%s: clamped to its edge", k, self.k[0], self.k[-1]
            )
        envelope = self.envelope
        return np.array([np.interp(k, self.k, envelope[:, n]) for n in range(len(self.snr_db))])

    def lookup(self, k: int, snr_db: ArrayLike) -> Array:
        """f(k, SNR): bilinear in k and dB between grid points, clamped outside the grid (logged).

        Args:
            k: complex channel symbols per token.
            snr_db: E_s/N_0 in dB, any shape.

        Returns:
            Ratio in [0, 1], of `snr_db`'s shape.

        Raises:
            ToolkitError: if an SNR is nan.
        """
        snr = np.asarray(snr_db, dtype=np.float64)
        if np.any(np.isnan(snr)):
            raise ToolkitError("lookup: an SNR is nan")
        if np.any(snr < self.snr_db[0]) or np.any(snr > self.snr_db[-1]):
            logger.warning(
                "SNR outside the map's %g..%g dB: clamped to its edge", self.snr_db[0], self.snr_db[-1]
            )
        return np.interp(snr, self.snr_db, self.row(k))

    def to_document(self) -> dict[str, Any]:
        """The JSON document that `save` writes."""
        return {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "modality": self.modality,
            "task": self.task,
            "channel": self.channel,
            "metric": self.metric,
            "model": dict(self.model),
            "synthetic": self.synthetic,
            "units": UNITS,
            "k": list(self.k),
            "snr_db": list(self.snr_db),
            "accuracy": self.accuracy.tolist(),
            "accuracy_low": self.accuracy_low.tolist(),
            "accuracy_high": self.accuracy_high.tolist(),
            "ratio_low": self.ratio_low.tolist(),
            "ratio_high": self.ratio_high.tolist(),
            "local_accuracy": self.local_accuracy,
            "local_low": self.local_low,
            "local_high": self.local_high,
            "other_metrics": {name: dict(values) for name, values in self.other_metrics.items()},
            "provenance": dict(self.provenance),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as JSON, atomically."""
        write_json(path, self.to_document())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AccuracyMap:
        """Read a map.

        Raises:
            ToolkitError: if the file is missing, truncated, of another kind, schema or unit, or inconsistent.
        """
        document = read_document(path, kind=KIND, schema_version=SCHEMA_VERSION)
        with parsing(path):
            if document["units"] != UNITS:
                raise ToolkitError(f"units are {document['units']}, expected {UNITS}")
            fields: dict[str, Any] = {
                **{name: str(document[name]) for name in ("modality", "task", "channel", "metric")},
                **{name: np.array(document[name], dtype=np.float64) for name in GRIDS},
                **{name: float(document[name]) for name in ("local_accuracy", "local_low", "local_high")},
                **{name: dict(document[name]) for name in ("model", "other_metrics", "provenance")},
                "synthetic": bool(document["synthetic"]),
                "k": tuple(document["k"]),
                "snr_db": tuple(float(snr) for snr in document["snr_db"]),
            }
            return cls(**fields)

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line a cell: k, SNR, accuracy and ratio with their intervals, envelope."""
        stream = io.StringIO()
        columns = (*GRIDS[:3], "ratio", *GRIDS[3:], "envelope")
        grids = [getattr(self, name) for name in columns]
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("k", "snr_db", *columns))
        for i, k in enumerate(self.k):
            for j, snr in enumerate(self.snr_db):
                writer.writerow((k, f"{snr:g}", *(f"{grid[i, j]:.6g}" for grid in grids)))
        write_text(Path(path), stream.getvalue())


def monotone_envelope(ratio: ArrayLike, *, tolerance: float = 1e-9, max_sweeps: int = 10_000) -> Array:
    """Least-squares fit of `ratio` that does not decrease along any axis, clipped to [0, 1].

    Isotonic regression on a grid: Dykstra's alternating projections between the cones "monotone along axis
    a", each projected onto by scikit-learn's one-dimensional isotonic regression.

    Args:
        ratio: measured ratios, any number of axes, each in rising order of its variable.
        tolerance: largest change in one sweep at which the projections have converged.
        max_sweeps: sweeps after which to stop in any case.

    Returns:
        Array of `ratio`'s shape.
    """
    fit = np.array(ratio, dtype=np.float64)
    corrections = [np.zeros_like(fit) for _ in range(fit.ndim)]
    for _ in range(max_sweeps):
        before = fit.copy()
        for axis, correction in enumerate(corrections):
            moved = fit + correction
            fit = np.apply_along_axis(isotonic_regression, axis, moved)
            corrections[axis] = moved - fit
        if np.max(np.abs(fit - before), initial=0.0) <= tolerance:
            break
    for axis in range(fit.ndim):  # what is left of the tolerance
        fit = np.maximum.accumulate(fit, axis=axis)
    return np.clip(fit, 0.0, 1.0)

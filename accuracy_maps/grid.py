"""What maps of every shape share: measured grids over named axes, monotone envelope, file format."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from accuracy_maps.envelope import Array, monotone_envelope
from data.files.atomic import write_text
from data.files.documents import read_document, write_json
from data.files.errors import ToolkitError, parsing
from data.files.printable import csv_text
from data.files.schema import numbers, typed
from data.settings import named

KIND = "accuracy-map"
_K_UNIT = "complex channel symbols per token"
_SNR_UNIT = "dB, E_s/N_0 per complex symbol"
CHANNELS = ("awgn", "rayleigh", "rician")
"""Those that a map may be of. Not asked of `deepsc`: whoever reads a map loads no codec."""
GRIDS = ("accuracy", "accuracy_low", "accuracy_high", "ratio_low", "ratio_high")


class Table(NamedTuple):
    """A grid by row."""

    heads: list[str]
    """Each k, or pair of k."""
    snr_db: tuple[float, ...]
    values: Array
    """(heads, SNRs)."""


@dataclass(frozen=True, kw_only=True)
class MeasuredGrid(ABC):
    """Accuracy measured on a grid, with the local accuracy it is divided by.

    A subclass names the axes: fields k... of symbols per token, then fields snr... in dB, all rising. All
    grids have the axes' shape. The raw means are kept; a consumer reads `envelope` or looks up.

    Raises:
        ToolkitError: from the constructor, if shapes, order, finiteness or intervals are wrong.
    """

    axis_names: ClassVar[tuple[str, ...]]
    rows_name: ClassVar[str]
    """What the rows of `as_table` are, for a heading."""
    schema_version: ClassVar[int]

    modality: str
    """What crosses the channel: "text", "image" or "vqa"."""
    task: str
    """What the receiver answers, such as "translate"."""
    channel: str
    """"awgn" maps are read at the instantaneous SNR, fading maps at the average SNR."""
    metric: str
    """Name of the accuracy, such as "sacreBLEU", with its signature after a space where it has one."""
    model: Mapping[str, Any]
    """Names the model: "name" and whatever tells it from another. A FLOPs file carries the same."""
    synthetic: bool
    """True if the test data are generated, not real."""
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
    """Further figures by name, for reading: {"local": value, "cells": grid}."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        errors = []
        shape = tuple(len(axis) for axis in self.axes)
        for name, axis in zip(self.axis_names, self.axes, strict=True):
            values = np.asarray(axis, dtype=np.float64)
            wrong = not len(axis) or not np.all(np.isfinite(values)) or np.any(np.diff(values) <= 0)
            if name.startswith("k"):
                if wrong or any(k % 1 != 0 for k in axis) or axis[0] < 1:
                    errors.append(f"{name} must be rising positive integers, found {list(axis)}")
            elif wrong:
                errors.append(f"{name} must be rising finite numbers, found {list(axis)}")
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
        if not errors and not np.all(np.isfinite(self.ratio)):
            errors.append(f"accuracy over local_accuracy {self.local_accuracy} must be finite")
        if not errors:
            errors += [
                f"{name}_low lies above {name}_high"
                for name in ("accuracy", "ratio")
                if np.any(getattr(self, f"{name}_low") > getattr(self, f"{name}_high"))
            ]
        if errors:
            raise ToolkitError("accuracy map: " + "; ".join(errors))

    @property
    def axes(self) -> tuple[tuple[Any, ...], ...]:
        """Values along each axis of the grids, in their order."""
        return tuple(getattr(self, name) for name in self.axis_names)

    @abstractmethod
    def as_table(self, grid: Array) -> Table:
        """A grid of the map's shape; of several transmissions where all see one SNR."""

    @property
    def ratio(self) -> Array:
        """Accuracy over the channel / local accuracy, raw. Eq. (10)'s epsilon / epsilon_0."""
        with np.errstate(over="ignore"):
            return self.accuracy / self.local_accuracy

    @property
    def metric_name(self) -> str:
        """`metric` without its signature."""
        return self.metric.partition(" ")[0]

    @property
    def local_note(self) -> str:
        """What local accuracy is to be compared with: the language prior, where there are questions."""
        prior = self.provenance.get("language_prior")
        return f"two words of the question alone: {prior:.2f}" if isinstance(prior, float) else ""

    @cached_property
    def envelope(self) -> Array:
        """`ratio` made non-decreasing in every k and SNR, clipped to [0, 1]."""
        return monotone_envelope(self.ratio)

    @classmethod
    def units(cls) -> dict[str, str]:
        """Unit of each axis."""
        return {name: _K_UNIT if name.startswith("k") else _SNR_UNIT for name in cls.axis_names}

    def to_document(self) -> dict[str, Any]:
        """The JSON document that `save` writes."""
        return {
            "kind": KIND,
            "schema_version": self.schema_version,
            "modality": self.modality,
            "task": self.task,
            "channel": self.channel,
            "metric": self.metric,
            "model": dict(self.model),
            "synthetic": self.synthetic,
            "units": self.units(),
            **{name: list(axis) for name, axis in zip(self.axis_names, self.axes, strict=True)},
            **{name: getattr(self, name).tolist() for name in GRIDS},
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
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a map.

        Raises:
            ToolkitError: if the file is missing, truncated, of another kind, schema or unit, or inconsistent.
        """
        document = read_document(path, kind=KIND, schema_version=cls.schema_version)
        with parsing(path):
            if document["units"] != cls.units():
                raise ToolkitError(f"units are {document['units']}, expected {cls.units()}")
            fields: dict[str, Any] = {
                **{name: typed(document, name, str) for name in ("modality", "task", "channel", "metric")},
                **{name: numbers(document, name) for name in GRIDS},
                **{
                    name: typed(document, name, float)
                    for name in ("local_accuracy", "local_low", "local_high")
                },
                **{name: typed(document, name, dict) for name in ("model", "other_metrics", "provenance")},
                "synthetic": typed(document, "synthetic", bool),
            }
            for name in fields["other_metrics"]:
                typed(fields["other_metrics"], name, dict)
            for name in cls.axis_names:
                kind = int if name.startswith("k") else float
                fields[name] = typed(document, name, tuple[kind, ...])  # type: ignore[valid-type]
            return cls(**fields)

    def require(self, setting: str, path: str, wanted: Mapping[str, str]) -> None:
        """Check that a map belongs to what it is to be compared with.

        Args:
            setting: that names it, such as "beside".
            path: of its file.
            wanted: what its fields must be, of `modality`, `task` and `channel`.

        Raises:
            ToolkitError: if one is another.
        """
        for name, value in wanted.items():
            if (stored := getattr(self, name)) != value:
                raise ToolkitError(
                    f"{named(setting)}: {path} is of {name} {stored}, one of {value} is allowed"
                )

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line a cell: its place on the axes, accuracy and ratio with intervals, envelope, and
        whether the data are synthetic (0 or 1).
        """
        columns = (*GRIDS[:3], "ratio", *GRIDS[3:], "envelope")
        grids = [getattr(self, name) for name in columns]
        rows: list[tuple[object, ...]] = [(*self.axis_names, *columns, "synthetic")]
        for cell in np.ndindex(self.accuracy.shape):
            place = (shortest(axis[i]) for axis, i in zip(self.axes, cell, strict=True))
            rows.append((*place, *(f"{grid[cell]:.6g}" for grid in grids), int(self.synthetic)))
        write_text(Path(path), csv_text(rows))


def shortest(value: float) -> str:
    """A number as a file's name or table shows it: six digits where they are exact, else all of them."""
    text = f"{value:g}"
    return text if float(text) == value else str(value)


def axis_start(*lows: Array) -> float:
    """Where a plot's axis of ratios begins: at the last tenth that is 0.05 below all values, or at 0."""
    return max(0.0, float(np.floor(10 * min(low.min() for low in lows) - 0.5)) / 10)

"""`build-accuracy-map report`: a map as one HTML page to look at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy_maps.bimodal import BimodalMap, load_map
from accuracy_maps.grid import MeasuredGrid, axis_start
from accuracy_maps.map import AccuracyMap
from accuracy_maps.show.compare import LEVEL, symbols_per_word, thresholds, who
from data.files.errors import ToolkitError, parsing
from data.files.provenance import sha256_of
from data.files.schema import numbers, typed
from data.page.html import check_html, provenance_rows, write_page
from data.settings import named

TEMPLATES = Path(__file__).parent / "templates"
AXIS_LABELS = {
    "k": "k, symbols per token",
    "snr_db": "SNR, dB",
    "k_text": "kᵀ, symbols per question token",
    "k_image": "kᴵ, symbols per image token",
    "snr_text_db": "SNR of the question, dB",
    "snr_image_db": "SNR of the image, dB",
}


def write_report(
    map_path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    digital: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
) -> Path:
    """Write one self-contained HTML page of a map: plots, sliders that read it, tables, provenance.

    Args:
        map_path: the map, of either shape.
        output: where; None: beside the map, with its name.
        digital: map of the digital baseline to show beside it, or several.

    Returns:
        Where the page is.

    Raises:
        ToolkitError: if a file cannot be read, or the two maps are not of the same thing.
    """
    path = check_html(Path(map_path).with_suffix(".html") if output is None else output)
    accuracy_map = load_map(map_path)
    sources: list[tuple[str | os.PathLike[str], AccuracyMap | BimodalMap]] = [(map_path, accuracy_map)]
    paths = [digital] if isinstance(digital, (str, os.PathLike)) else digital or []
    baselines = [_baseline(accuracy_map, one) for one in paths]
    sources += zip(paths, baselines, strict=True)
    with parsing(map_path):
        context = _context(accuracy_map)
    files = []
    for source, shown in sources:
        with parsing(source):
            rows = [
                ("file", Path(source).name),
                ("SHA-256 of the file", sha256_of(source)),
                ("synthetic data", "yes" if shown.synthetic else "no"),
                ("metric", shown.metric),
                ("model", ", ".join(f"{name} {value}" for name, value in shown.model.items())),
            ]
            files.append(rows + provenance_rows(shown.provenance))
    write_page(
        path,
        templates=TEMPLATES,
        scripts=["report.js"],
        data={
            **_numbers(accuracy_map),
            "digital": [{"name": who(one), **_numbers(one)} for one in baselines],
            "axis_start": axis_start(*(shown.ratio_low for _, shown in sources)),
        },
        files=files,
        digital_synthetic=any(one.synthetic for one in baselines),
        digital_names=[who(one) for one in baselines],
        level=LEVEL,
        thresholds=_thresholds([accuracy_map, *baselines]),
        **context,
    )
    return path


def _baseline(accuracy_map: MeasuredGrid, path: str | os.PathLike[str]) -> AccuracyMap:
    baseline = load_map(path)
    if baseline.model.get("baseline") != "digital" or not isinstance(baseline, AccuracyMap):
        raise ToolkitError(
            f"{named('digital')}: {path} is the map of a codec, one of build-accuracy-map --baseline digital "
            "is allowed"
        )
    wanted = {name: getattr(accuracy_map, name) for name in ("modality", "task", "channel")}
    baseline.require("digital", str(path), wanted)
    return baseline


def _thresholds(maps: Sequence[AccuracyMap | BimodalMap]) -> dict[str, Any]:
    """The table of the SNRs at which maps reach `LEVEL`: a row per k of the first, a column per map."""
    columns, words = [thresholds(one) for one in maps], symbols_per_word(maps[0])
    names = {head: f"{head} ({words[head]} per word)" if words else head for head in columns[0]}
    return {
        "heads": [who(one) for one in maps],
        "rows": [(name, [column.get(head, "–") for column in columns]) for head, name in names.items()],
    }


def _numbers(accuracy_map: MeasuredGrid) -> dict[str, Any]:
    """What the page's script reads: axes, and grids as flat lists, last axis fastest."""
    grids = ("envelope", "ratio", "ratio_low", "ratio_high")
    return {
        "axes": [
            {"id": name, "values": list(axis)}
            for name, axis in zip(accuracy_map.axis_names, accuracy_map.axes, strict=True)
        ],
        **{name: getattr(accuracy_map, name).ravel().tolist() for name in grids},
        "local_accuracy": accuracy_map.local_accuracy,
        "metric": accuracy_map.metric_name,
    }


def _context(accuracy_map: AccuracyMap | BimodalMap) -> dict[str, Any]:
    """What the template reads."""
    shape = " × ".join(str(len(axis)) for axis in accuracy_map.axes)
    dataset = str(accuracy_map.provenance.get("dataset", ""))
    metric = accuracy_map.metric_name
    half_width = float((accuracy_map.ratio_high - accuracy_map.ratio_low).max()) / 2
    sliders = []
    for name, axis in zip(accuracy_map.axis_names, accuracy_map.axes, strict=True):
        whole = name.startswith("k")
        middle = axis[len(axis) // 2]
        sliders.append((name, AXIS_LABELS[name], axis[0], axis[-1], 1 if whole else 0.1, middle))
    others = []
    number: Any = float | None
    for name, values in accuracy_map.other_metrics.items():
        cells = numbers(values, "cells")
        local = typed({"local": None, **values}, "local", number)
        others.append(
            (name, "–" if local is None else f"{local:.4g}", f"{cells.min():.4g}", f"{cells.max():.4g}")
        )
    return {
        "title": f"Accuracy map: {accuracy_map.modality}, {accuracy_map.task}, {accuracy_map.channel}"
        + (" (synthetic data)" if accuracy_map.synthetic else ""),
        "accuracy_map": accuracy_map,
        "metric": metric,
        "dataset": dataset,
        "shape": shape,
        "best": f"{float(accuracy_map.ratio.max()):.3f}",
        "half_width": f"{half_width:.3f}",
        "sliders": sliders,
        "bimodal": isinstance(accuracy_map, BimodalMap),
        "others": others,
        **_table(accuracy_map),
    }


def _table(accuracy_map: MeasuredGrid) -> dict[str, Any]:
    """Measured ratios with intervals: a row per k, or per pair of k where both SNRs are one."""
    corner = accuracy_map.rows_name.replace("^T", "ᵀ").replace("^I", "ᴵ") + " \\ SNR dB"
    names = ("ratio", "ratio_low", "ratio_high")
    tables = [accuracy_map.as_table(getattr(accuracy_map, name)) for name in names]
    heads, columns, _ = tables[0]
    flat = [table.values for table in tables]
    rows = [
        (head, [tuple(float(grid[row, column]) for grid in flat) for column in range(len(columns))])
        for row, head in enumerate(heads)
    ]
    return {
        "corner": corner,
        "columns": [f"{snr:g}".replace("-", "−") for snr in columns],
        "rows": rows,
        "lowest": float(flat[0].min()),
        "highest": float(flat[0].max()),
    }

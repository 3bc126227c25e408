"""`optimize report`: a run of `optimize train` as one HTML page to look at."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from accuracy_maps import BimodalMap
from data.files.errors import ToolkitError, parsing
from data.files.paths import exists, is_file
from data.files.printable import listed
from data.files.schema import from_json, typed
from data.page.html import check_html, provenance_rows, write_page
from optimizer.policies.baselines import sees_all
from optimizer.study.evaluate import Performance, queues_by_modality
from optimizer.study.plots import typeset
from optimizer.study.results import describe, meaning, read_results
from optimizer.world.channel.pathloss import SCENARIOS
from optimizer.world.config import UE_DEVICE_FIELDS, EpisodeConfig, Inputs, SystemConfig
from optimizer.world.inputs import Loaded, choices_of_k, copied_inputs, load
from optimizer.world.tasks import token_counts

TEMPLATES = Path(__file__).parent / "templates"
CURVES = ("qoe", "reward", "entropy")

logger = logging.getLogger(__name__)


def write_report(folder: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> Path:
    """Write one self-contained HTML page of a run: policies, learning curves, queues, what-if, provenance.

    The what-if panel needs the run's maps and FLOPs files. It reads the copies in the folder, or where there
    are none, as in a run of an earlier release, the files themselves. Where they are gone or have changed
    since, the page says so instead.

    Args:
        folder: what `optimize train` wrote.
        output: where; None: report.html in the folder.

    Returns:
        Where the page is.

    Raises:
        ToolkitError: if the results are missing, damaged or foreign.
    """
    folder = Path(folder)
    _require_run(folder)
    path = check_html(folder / "report.html" if output is None else output)
    document = read_results(folder)
    with parsing(folder / "results.json"):
        if not document["policies"]:
            raise ToolkitError("there is no policy in it")
        config = document["provenance"]["config"]
        inputs = from_json(Inputs, config["inputs"])
        system = from_json(SystemConfig, config["system"])
        episode = from_json(EpisodeConfig, config["episode"])
        context = _context(document, inputs, episode) | {"system": system, "episode": episode}
        data: dict[str, Any] = {
            "policies": [
                {key: row[key] for key in ("name", "qoe", "of_bound")} for row in context["policies"]
            ],
            "order": list(document["policies"]),
            "bound": context["bound"],
            "curves": _curves(document),
            "queues": queues_by_modality(document["policies"], episode),
        }
        json.dumps(data, allow_nan=False)  # a page of nan would show nothing
        checksums = set(document["provenance"]["data_sha256"].values())
    try:
        loaded = _read_again(folder, inputs, system, episode, checksums)
        data["what_if"], missing = _what_if(loaded, inputs, episode), None
        context["system"] = loaded.system
    except ToolkitError as error:
        logger.warning("the what-if panel is left out: %s", error)
        data["what_if"], missing = None, str(error)
    write_page(
        path, templates=TEMPLATES, scripts=["physics.js", "report.js"], data=data,
        title="Offloading policies", missing=missing, what_if=data["what_if"], **context,
    )  # fmt: skip
    return path


def _require_run(folder: Path) -> None:
    """Check that a folder is one of a run.

    Raises:
        ToolkitError: if it is a file, or is not there, or has no results.
    """
    allowed = "a folder that `optimize train` wrote is allowed"
    if is_file(folder):
        raise ToolkitError(f"RUN_FOLDER: '{folder}' given, {allowed}, such as '{folder.parent}'")
    if not exists(folder):
        raise ToolkitError(f"RUN_FOLDER: '{folder}' given, no such file or folder; {allowed}")
    if not exists(folder / "results.json"):
        raise ToolkitError(f"RUN_FOLDER: '{folder}' given, it has no results.json; {allowed}")


def _context(document: Mapping[str, Any], inputs: Inputs, episode: EpisodeConfig) -> dict[str, Any]:
    """What the page's text and tables say."""
    config = document["provenance"]["config"]
    maps = typed(dict(document), "accuracy_maps", dict)
    synthetic = sorted(name for name, described in maps.items() if typed(described, "synthetic", bool))
    learners, rows = list(document["learning_curves"]), _policies(document["policies"])
    bound = None if document["bound"] is None else float(document["bound"])
    performance = {name: from_json(Performance, tested) for name, tested in document["policies"].items()}
    headline = _headline(rows, learners)
    return {
        "headline": headline,
        "learned": headline["name"] in learners,
        "meaning": meaning(performance, headline["name"], bound).replace("%", " %"),
        "learners": learners,
        "curve_seeds": 1 + min(map(len, document.get("other_learning_curves", {}).values()), default=0),
        "setting": typeset(describe(inputs, episode, synthetic=synthetic)),
        "synthetic": synthetic,
        "named": listed(synthetic),
        "policies": rows,
        "arrive": any(tested.lost is not None for tested in performance.values()),
        "bound": bound,
        "shares": any(tested["of_bound"] for tested in document["policies"].values()),
        "seeds": typed(config, "seeds", int),
        "test_episodes": typed(config, "test_episodes", int),
        "modalities": list(dict.fromkeys(episode.mix)),
        "files": _files(document),
        "provenance_rows": provenance_rows(document["provenance"]),
    }


def _headline(rows: Sequence[dict[str, Any]], learners: Sequence[str]) -> dict[str, Any]:
    """The row the page begins with: the best learned policy, else the best that a UE can follow."""
    learned = [row for row in rows if row["name"] in learners]
    return [*learned, *(row for row in rows if not sees_all(row["name"])), *rows][0]


def _read_again(
    folder: Path, inputs: Inputs, system: SystemConfig, episode: EpisodeConfig, checksums: set[str]
) -> Loaded:
    """The run's maps, FLOPs files and devices: its copies, else the files themselves.

    Raises:
        ToolkitError: if they cannot be read or are others than they were.
    """
    loaded = load(copied_inputs(inputs, folder, episode.mix), system=system, episode=episode)
    if set(loaded.sha256.values()) != checksums:
        raise ToolkitError("a map, FLOPs or device file has changed since the run")
    return loaded


def _policies(policies: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Figures of each policy, best QoE first."""
    numbers = (
        "reward", "finished", "steps", "offloaded", "violates_accuracy", "violates_latency",
        "violates_battery", "latency", "energy",
    )  # fmt: skip
    rows = []
    for name, tested in policies.items():
        row: dict[str, Any] = {key: float(tested[key]) for key in numbers}
        for key in ("qoe", "qoe_over_seeds", "of_bound"):
            interval = tested[key]
            row[key] = interval and {end: float(interval[end]) for end in ("value", "low", "high")}
        row |= {key: tested.get(key) for key in ("waiting", "lost")}
        rows.append(row | {"name": str(name), "sees": typeset(str(tested["sees"]))})
    return sorted(rows, key=lambda row: -row["qoe"]["value"])


def _curves(document: Mapping[str, Any]) -> dict[str, Any]:
    """Mean over the seeds of each learning curve, with their range where there are several."""
    others = document.get("other_learning_curves", {})
    curves: dict[str, Any] = {}
    for name, first in document["learning_curves"].items():
        seeds = [first, *others.get(name, [])]
        curves[name] = {key: _mean(np.array([seed[key] for seed in seeds], dtype=float)) for key in CURVES}
    return curves


def _mean(values: NDArray[np.float64]) -> dict[str, list[float]]:
    """Mean over the first axis and, of two rows or more, the least and the most: too few for an interval."""
    lines = {"mean": values.mean(axis=0)}
    if len(values) > 1:
        lines["low"], lines["high"] = values.min(axis=0), values.max(axis=0)
    # six digits are more than a screen shows, and a third of the bytes
    return {end: [float(f"{value:.6g}") for value in line] for end, line in lines.items()}


def _files(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the run says of its maps and FLOPs files, by modality."""
    rows = []
    for modality, measured in document["accuracy_maps"].items():
        flops = document["flops"][modality]
        rows.append(
            {
                "modality": modality, "task": measured["task"], "channel": measured["channel"],
                "metric": str(measured["metric"]).partition(" ")[0], "synthetic": bool(measured["synthetic"]),
                "model": ", ".join(f"{name} {value}" for name, value in measured["model"].items()),
                "flops": typed(flops, "local_flops", float), "decoding": flops["decoding"],
                "same_model": measured["model"] == flops["model"],
            }
        )  # fmt: skip
    return rows


def _what_if(loaded: Loaded, inputs: Inputs, episode: EpisodeConfig) -> dict[str, Any]:
    """What physics.js reads: Table I, and the task, map and device of each modality's first UE.

    Raises:
        ToolkitError: of a system that the panel does not compute.
    """
    if loaded.system.partial_band:
        raise ToolkitError(
            "system.partial_band is true: the panel has UEs use all of the band they are granted"
        )
    tasks: dict[str, dict[str, Any]] = {}
    device = loaded.tasks.device_in(loaded.system)
    numbers = {name: getattr(device, name) for name in UE_DEVICE_FIELDS}
    rows = {
        name: torch.as_tensor(number, dtype=torch.float64).expand(episode.ues)
        for name, number in numbers.items()
    }
    for modality in dict.fromkeys(episode.mix):
        accuracy_map, ue = loaded.maps[modality], episode.mix.index(modality)
        if isinstance(accuracy_map, BimodalMap):
            axes, ratio = (
                [accuracy_map.k_text, accuracy_map.k_image],
                accuracy_map.on_diagonal(accuracy_map.envelope),
            )
        else:
            axes, ratio = [accuracy_map.k], accuracy_map.envelope
        lengths = token_counts(loaded.flops[modality], modality)
        if len(lengths) > len(axes):  # a VQA map with one axis of k is read at k^I
            axes.insert(0, (inputs.k_text,))
        tasks[modality] = {
            **{
                name: float(getattr(loaded.tasks, name)[ue]) for name in ("flops", "ue_flops", "server_flops")
            },
            "device": {name: float(row[ue]) for name, row in rows.items()},
            "repeats": episode.repeats(modality),
            "lengths": lengths,
            "k": choices_of_k(inputs, modality, accuracy_map)[0],
            "axes": [*axes, accuracy_map.snr_db],
            "ratio": ratio.ravel().tolist(),
        }
    power_dbm = [float(rows["power_min_dbm"].min()), float(rows["power_max_dbm"].max())]
    system = asdict(loaded.system) | {"scenario": asdict(SCENARIOS[loaded.system.pathloss])}
    return {"system": system, "tasks": tasks, "power_dbm": power_dbm}

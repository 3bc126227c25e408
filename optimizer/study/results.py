"""The results of `optimize train`: document, table, CSV; written, and read again."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.files.atomic import write_text
from data.files.documents import read_document, write_json
from data.files.errors import parsing
from data.files.printable import csv_text, one_line
from data.files.provenance import provenance
from data.files.schema import from_json, typed
from data.terminal.table import align
from optimizer.devices.find import PAPER
from optimizer.policies.baselines import sees_all, shown
from optimizer.policies.learner import LearningCurve
from optimizer.study.config import TrainConfig
from optimizer.study.evaluate import Performance
from optimizer.study.resume import described
from optimizer.world.config import EpisodeConfig, Inputs, sends
from optimizer.world.inputs import Loaded

KIND = "optimize-results"
SCHEMA_VERSION = 3


def write_results(
    config: TrainConfig,
    loaded: Loaded,
    performance: Mapping[str, Performance],
    bound: float | None,
    curves: Mapping[str, Sequence[LearningCurve]],
    wall_s: float,
) -> list[Path]:
    """Write results.json, results.csv and the learners' plot.

    Args:
        config: of the run; its `output` is the folder.
        loaded: the files it read.
        performance: by policy.
        bound: mean certified bound.
        curves: of every learner's seeds.
        wall_s: seconds it took.

    Returns:
        What is written.
    """
    setting = describe(config.inputs, config.episode, synthetic=loaded.synthetic_maps)
    document = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "synthetic": loaded.synthetic,
        "bound": bound,
        "policies": {name: asdict(tested) for name, tested in performance.items()},
        "learning_curves": {name: asdict(seeds[0]) for name, seeds in curves.items()},
        "other_learning_curves": {
            name: [asdict(curve) for curve in seeds[1:]] for name, seeds in curves.items()
        },
        "accuracy_maps": {
            modality: {
                name: getattr(measured, name) for name in ("task", "channel", "metric", "model", "synthetic")
            }
            for modality, measured in loaded.maps.items()
        },
        "flops": {
            modality: {name: getattr(counted, name) for name in ("model", "decoding", "local_flops", "k")}
            for modality, counted in loaded.flops.items()
        },
        "provenance": provenance(
            config=described(config), seed=config.seed, data_sha256=loaded.sha256, wall_s=round(wall_s, 1)
        ),
    }
    csv_path, results = config.output / "results.csv", config.output / "results.json"
    written = [csv_path, results]
    write_text(csv_path, results_csv(performance, synthetic=loaded.synthetic))
    if curves:
        from optimizer.study.plots import plot_learning_curve  # matplotlib takes a second

        written.append(config.output / "learning_curve.png")
        first = {name: seeds[0] for name, seeds in curves.items()}
        plot_learning_curve(written[-1], first, performance, bound, title=setting)
    write_json(results, document)
    return written


def describe(inputs: Inputs, episode: EpisodeConfig, *, synthetic: Sequence[str]) -> str:
    """The setting in a line, with the modalities whose map is of synthetic data."""
    counts = ", ".join(f"{episode.mix.count(modality)} {modality}" for modality in dict.fromkeys(episode.mix))
    beta = {
        "fixed": f"beta {episode.beta:g}", "dynamic": "beta^d of the battery", "drawn": "beta drawn",
    }[episode.preference]  # fmt: skip
    channel = "g|h|^2" if episode.csi == "instantaneous" else "g"
    if episode.csi_error:
        channel += f" with an estimate of h of error variance {episode.csi_error:g}"
    if episode.other_cells:
        channel += f"; other cells that interfere: {episode.other_cells}"
    arrive = "" if not episode.tasks_arrive else (
        f"; {episode.arrivals} arrivals of {episode.arrival_rate:g} tasks a step and UE"
    )  # fmt: skip
    sent = {"k^T": ("text", inputs.k_text), "k^I": ("image", inputs.k_image)}
    k = ", ".join(f"{name} = {value}" for name, (what, value) in sent.items() if sends(episode.mix, what))
    k = "k chosen by the UEs" if inputs.joint_k else k
    maps = f"; synthetic: {', '.join(synthetic)}" if synthetic else ""
    devices = [Path(device).stem for device in (*inputs.ue_device, inputs.server_device)]
    if set(devices) != {PAPER}:
        maps = f"; UEs {', '.join(devices[:-1])}, server {devices[-1]}{maps}"
    return f"{episode.ues} UEs ({counts}); {k}; {beta}; a UE's channel is {channel}{arrive}{maps}"


def read_results(folder: Path) -> dict[str, Any]:
    """The results document of a run's folder.

    Raises:
        ToolkitError: if it is missing, damaged or foreign.
    """
    path = folder / "results.json"
    document = read_document(path, kind=KIND, schema_version=SCHEMA_VERSION)
    number: Any = float | None
    with parsing(path):
        for tested in typed(document, "policies", dict).values():
            from_json(Performance, tested)
        others = document.get("other_learning_curves", {})
        for curve in typed(document, "learning_curves", dict).values():
            from_json(LearningCurve, curve)
        for curve in itertools.chain.from_iterable(others.values()):
            from_json(LearningCurve, curve)
        typed(typed(document, "provenance", dict), "config", dict)
        typed(document, "bound", number)
    return document


def results_csv(performance: Mapping[str, Performance], *, synthetic: bool) -> str:
    """One line a policy, intervals spread over three columns.

    Args:
        performance: by policy.
        synthetic: whether any map was measured on generated data, the last column.
    """
    rows = []
    for name, tested in performance.items():
        row: dict[str, Any] = {"policy": name}
        for key, value in asdict(tested).items():
            if key == "queue":
                continue
            row |= (
                {f"{key}_{end}": number for end, number in value.items()}
                if isinstance(value, dict)
                else {key: value}
            )
        rows.append(row | {"synthetic": int(synthetic)})
    head = list(rows[0])
    return csv_text((head, *([row.get(name, "") for name in head] for row in rows)))


def format_table(performance: Mapping[str, Performance], bound: float | None) -> str:
    """The table `optimize` prints: a line a policy, best QoE first; 100 columns hold it."""
    best = best_policy(performance)
    arrive = any(tested.lost is not None for tested in performance.values())
    two = ("waiting", "lost") if arrive else ("finished", "steps")
    rows: list[tuple[str, ...]] = [
        ("policy", "QoE", "95 % interval", "of bound", *two, "offloaded", "(11b)", "(11g)", "(11h)")
    ]
    for name, tested in _ranked(performance):
        rows.append(
            (
                f"{name} *" if name == best else name,
                _number(tested.qoe.value),
                f"{_number(tested.qoe.low)} to {_number(tested.qoe.high)}",
                "-" if tested.of_bound is None else f"{tested.of_bound.value:.1%}",
                *_of_queue(tested),
                f"{tested.offloaded:.1%}",
                f"{tested.violates_accuracy:.1%}",
                f"{tested.violates_latency:.1%}",
                f"{tested.violates_battery:.1%}",
            )
        )
    if bound is not None:
        share = "100.0%" if bound else "-"  # of 0 there is none
        rows.insert(1, ("bound", _number(bound), "", share, *[""] * 6))
    return align(rows)


def _of_queue(tested: Performance) -> tuple[str, str]:
    """Two cells of the table: how far the queues were emptied, or where tasks arrive how full they were."""
    if tested.waiting is None or tested.lost is None:
        return f"{tested.finished:.1%}", f"{tested.steps:.1f}"
    return f"{tested.waiting:.2f}", f"{tested.lost:.2f}"


def _ranked(performance: Mapping[str, Performance]) -> list[tuple[str, Performance]]:
    return sorted(performance.items(), key=lambda item: -item[1].qoe.value)


def _number(qoe: float) -> str:
    return f"{qoe:.3f}" if abs(qoe) < 100 else f"{qoe:.1f}"


def best_policy(performance: Mapping[str, Performance]) -> str | None:
    """The policy of the largest QoE of those that do not see all UEs' channels; None where there is none."""
    able = {name: tested for name, tested in performance.items() if not sees_all(name)}
    return max(able, key=lambda name: able[name].qoe.value, default=None)


def notes(performance: Mapping[str, Performance], bound: float | None) -> Iterator[str]:
    """Lines under the table, at most 100 columns: what the best policy earns, intervals over trainings, and
    what each policy sees."""
    best = best_policy(performance)
    lines = []
    if best is not None:
        lines.append(f"* {meaning(performance, best, bound)}")
    ranked = _ranked(performance)
    for name, tested in ranked:
        if (over := tested.qoe_over_seeds) is not None:
            lines.append(f"{name}: 95 % interval over trainings {_number(over.low)} to {_number(over.high)}")
    by_sight: dict[str, list[str]] = {}
    for name, tested in ranked:
        by_sight.setdefault(tested.sees, []).append(shown(name))
    lines += [
        f"{', '.join(names)} {'see' if len(names) > 1 else 'sees'}: {sight}"
        for sight, names in by_sight.items()
    ]
    for line in lines:
        yield from textwrap.wrap(one_line(line), 100, subsequent_indent="  ")


def meaning(performance: Mapping[str, Performance], name: str, bound: float | None) -> str:
    """What a policy's QoE means, in words: against computing locally, and against what is possible."""
    qoe, parts = performance[name].qoe.value, []
    local = performance["local"].qoe.value if "local" in performance and name != "local" else 0.0
    if local > 0:
        more = qoe / local - 1.0
        parts.append(
            f"earns {qoe / local:.0f} times what computing locally does" if more > 9
            else f"earns {abs(more):.0%} {'more' if more >= 0 else 'less'} than computing locally"
        )  # fmt: skip
    if bound:
        parts.append(f"is within {max(1 - qoe / bound, 0):.1%} of the bound on what is possible")
    elif "central" in performance and performance["central"].qoe.value > 0:
        parts.append(f"has {qoe / performance['central'].qoe.value:.1%} of what central earns")
    return f"{name} {' and '.join(parts) or f'earns {qoe:.3f}'}"

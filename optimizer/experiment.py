"""The library call behind `optimize`: train MAPPO, test every policy on the same episodes, write the
results."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from accuracy_maps import AccuracyMap
from data.artifacts import ToolkitError, provenance, write_json, write_text
from optimizer.config import EpisodeConfig, RunFiles, SystemConfig
from optimizer.evaluation import Performance, evaluate
from optimizer.mappo import LearningCurve, MappoConfig, MappoTrainer
from optimizer.policies import POLICIES, Policy
from optimizer.tasks import Tasks, load_text_tasks

KIND = "optimize-results"
SCHEMA_VERSION = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OptimizeConfig:
    """Everything a run of `optimize` depends on. Each part checks itself."""

    files: RunFiles
    """Inputs, output, k, seed, test size."""
    system: SystemConfig = field(default_factory=SystemConfig)
    """Table I."""
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    """UEs, horizon, reward, preference."""
    mappo: MappoConfig = field(default_factory=MappoConfig)
    """Training."""


@dataclass(frozen=True, kw_only=True)
class OptimizeResult:
    """What a run found."""

    performance: Mapping[str, Performance]
    """By policy, in the table's order."""
    curve: LearningCurve
    """Of MAPPO's training."""
    accuracy_map: AccuracyMap
    """The map that was read."""
    written: tuple[Path, ...]
    """Files of the run."""


def optimize(config: OptimizeConfig) -> OptimizeResult:
    """Train MAPPO, test it beside every policy of the registry, write results, table, plot and policy.

    Raises:
        ToolkitError: if an input cannot be used or the output folder cannot be written; no file is
            written then.
    """
    started = time.monotonic()
    files, system, episode = config.files, config.system, config.episode
    tasks, accuracy_map, flops = load_text_tasks(files.text_map, files.flops, episode=episode, k=files.k)
    _report_map(tasks, accuracy_map, system)
    _check_writable(files.output)  # before training, not after
    hashes = {str(path): _sha256(path) for path in (files.text_map, files.flops)}
    train_seed, test_seed = torch.randint(
        2**31, (2,), generator=torch.Generator().manual_seed(files.seed)
    ).tolist()

    trainer = MappoTrainer(
        config.mappo,
        system=system,
        episode=episode,
        tasks=tasks,
        generator=torch.Generator().manual_seed(train_seed),
    )
    logger.info("training MAPPO: %d episodes in %d copies", config.mappo.episodes, config.mappo.copies)
    curve = trainer.train()
    policies: dict[str, Policy] = {"mappo": trainer.policy}
    policies |= {name: make(system, tasks) for name, make in POLICIES.items()}
    performance = {
        name: evaluate(
            policy, system=system, episode=episode, tasks=tasks, episodes=files.test_episodes, seed=test_seed
        )
        for name, policy in policies.items()
    }

    document = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "policies": {name: asdict(tested) for name, tested in performance.items()},
        "learning_curve": asdict(curve),
        "accuracy_map": {
            name: getattr(accuracy_map, name) for name in ("task", "channel", "metric", "model", "synthetic")
        },
        "flops": {name: getattr(flops, name) for name in ("model", "decoding", "local_flops", "k")},
        "provenance": provenance(
            config=_plain(asdict(config)),
            seed=files.seed,
            data_sha256=hashes,
            wall_s=round(time.monotonic() - started, 1),
        ),
    }
    written = {
        name: files.output / name for name in ("policy.safetensors", "learning_curve.png", "results.csv")
    }
    trainer.network.save(written["policy.safetensors"])
    from optimizer.plots import plot_learning_curve  # matplotlib takes a second, and only this step needs it

    plot_learning_curve(
        written["learning_curve.png"],
        curve,
        performance,
        title=f"{episode.ues} UEs, text, k = {files.k}, {episode.preference} preference, {episode.csi} CSI",
    )
    write_text(written["results.csv"], results_csv(performance))
    results = files.output / "results.json"
    write_json(results, document)
    return OptimizeResult(
        performance=performance, curve=curve, accuracy_map=accuracy_map, written=(*written.values(), results)
    )


def results_csv(performance: Mapping[str, Performance]) -> str:
    """One line a policy, intervals spread over three columns."""
    rows = []
    for name, tested in performance.items():
        row: dict[str, Any] = {"policy": name}
        for key, value in asdict(tested).items():
            row |= (
                {f"{key}_{end}": number for end, number in value.items()}
                if isinstance(value, dict)
                else {key: value}
            )
        rows.append(row)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def format_table(performance: Mapping[str, Performance]) -> str:
    """The table `optimize` prints: a line a policy, best QoE first."""
    head = (
        "policy",
        "QoE",
        "95 % interval",
        "finished",
        "steps",
        "offloaded",
        "(11b)",
        "(11g)",
        "(11h)",
        "sees",
    )
    rows = [head]
    for name, tested in sorted(performance.items(), key=lambda item: -item[1].qoe.mean):
        rows.append(
            (
                name,
                f"{tested.qoe.mean:.3f}",
                f"{tested.qoe.low:.3f} to {tested.qoe.high:.3f}",
                f"{tested.finished:.1%}",
                "-" if tested.steps_to_finish is None else f"{tested.steps_to_finish:.1f}",
                f"{tested.offloaded:.1%}",
                f"{tested.violates_accuracy:.1%}",
                f"{tested.violates_latency:.1%}",
                f"{tested.violates_battery:.1%}",
                tested.sees,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    right = range(1, len(head) - 1)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _report_map(tasks: Tasks, accuracy_map: AccuracyMap, system: SystemConfig) -> None:
    """Say what the map cannot tell: outside its SNRs the ends are read, and they may decide everything."""
    low, high = accuracy_map.snr_db[0], accuracy_map.snr_db[-1]
    logger.info("the map spans %g to %g dB; SNRs outside read its ends", low, high)
    worst, best = float(tasks.map_ratio.min()), float(tasks.map_ratio.max())
    if worst >= system.accuracy_min:
        logger.warning(
            "ratio %.3f at %g dB meets epsilon_min: the map is silent on the SNRs that fail", worst, low
        )
    if best < system.accuracy_min:
        logger.warning("the map's best ratio %.3f is below epsilon_min: offloading can never succeed", best)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ToolkitError(f"--output {folder}: cannot write there ({error.strerror or error})") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """Paths as text, for JSON."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return str(value) if isinstance(value, Path) else value

"""Building an accuracy map: sweep k and SNR, bootstrap the intervals, resume after a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from accuracy_maps.map import CHANNELS, AccuracyMap
from data.artifacts import ToolkitError, atomic_path, parsing, provenance, read_json, write_json
from data.cli import raise_config_errors

if TYPE_CHECKING:
    from deepsc.checkpoint import Checkpoint

logger = logging.getLogger(__name__)
Counts = NDArray[np.int64]

MAX_SEED = 10**9  # the seed of a batch's noise is up to 10^10 times as large, and torch takes 64 bits
BOOTSTRAP_RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class MapConfig:
    """What `build-accuracy-map` does.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    codecs: tuple[str, ...]
    """Checkpoint folders; together they must be trained for every k."""
    local: str
    """Checkpoint folder of the local model, the map's denominator."""
    output: str
    k: tuple[int, ...] | None = None
    """Complex symbols per token; None: all that the codecs are trained for."""
    snr_db: tuple[float, ...] = tuple(float(snr) for snr in range(-6, 19, 3))
    channel: str | None = None
    """None: the channel the codecs are trained on."""
    draws: int = 1
    """Noise draws per test item and cell."""
    beams: int = 1
    limit: int | None = None
    """Measure on the first so many test items; None: on all."""
    data_dir: str | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        errors = []
        if not self.codecs:
            errors.append("--codec: none given, at least one checkpoint is needed")
        if self.k is not None and (not self.k or self.k[0] < 1 or not _rises(self.k)):
            errors.append(f"--k: {self.k} given, rising whole numbers of at least 1 are allowed")
        if not self.snr_db or not all(map(math.isfinite, self.snr_db)) or not _rises(self.snr_db):
            errors.append(f"--snr-db: {self.snr_db} given, rising finite numbers are allowed")
        if self.channel is not None and self.channel not in CHANNELS:
            errors.append(f"--channel: {self.channel!r} given, allowed: {', '.join(CHANNELS)}")
        for name in ("draws", "beams", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                errors.append(f"--{name}: {value} given, at least 1 is allowed")
        if not 0 <= self.seed <= MAX_SEED:
            errors.append(f"--seed: {self.seed} given, 0 to {MAX_SEED} is allowed")
        raise_config_errors(errors)


def _rises(values: Sequence[float]) -> bool:
    return all(before < after for before, after in pairwise(values))


class Evaluator(Protocol):
    """What the sweep needs of a modality; `deepsc.evaluation.TextEvaluator` is one."""

    metric: str

    def measure(self, *, k: int, snr_db: float, seed: int) -> tuple[Counts, dict[str, float]]:
        """Counts per test item, (items, statistics), and further figures by name."""

    @staticmethod
    def score(counts: Counts) -> float:
        """Accuracy of counts summed over items, (statistics,)."""

    @staticmethod
    def signature() -> str:
        """Exact definition of the metric."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measured grid point, or the local model."""

    counts: Counts
    """(items, statistics), summed over the noise draws."""
    figures: Mapping[str, float]


def build_map(config: MapConfig) -> AccuracyMap:
    """Measure a map and write JSON, CSV and a plot beside each other.

    Finished cells are kept in a folder beside the output until the map is written, so that the same call goes
    on after a kill.

    Raises:
        ToolkitError: if a checkpoint is missing, damaged, or does not belong to the others.
    """
    from accuracy_maps.plot import plot_map
    from deepsc.channels import Channel
    from deepsc.config import CorpusConfig
    from deepsc.evaluation import TextEvaluator
    from deepsc.text_run import load_corpus

    start = time.monotonic()
    output = Path(config.output)
    codecs = [_open(folder, config.device) for folder in config.codecs]
    local = _open(config.local, config.device)
    owners = _owners(config, codecs, local)
    ks = tuple(sorted(owners))
    trained = codecs[0].document["training"]
    channel = Channel(
        kind=config.channel or trained["channel"],
        **{name: trained[name] for name in ("fading", "csi", "rician_factor")},
    )
    task = str(local.document["task"])
    corpus_fields = dict(local.document["corpus"]) | {"data_dir": config.data_dir}
    corpus = load_corpus(CorpusConfig(**corpus_fields), task=task)
    pairs = corpus.test[: config.limit]

    plan = {
        "checkpoints": [checkpoint.sha256 for checkpoint in (*codecs, local)],
        "channel": dataclasses.asdict(channel),
        "items": hashlib.sha256(json.dumps(pairs).encode()).hexdigest(),
        "beams": config.beams,
        "seed": config.seed,
    }
    store = CellStore(output.with_name(f".{output.name}.cells"), plan)
    jobs: list[tuple[Checkpoint, int | None, list[tuple[int, float]]]] = [(local, None, [(0, 0.0)])]
    for codec in codecs:
        points = [(k, snr_db) for k in ks if owners[k] is codec for snr_db in config.snr_db]
        jobs.append((codec, 1, points))
    cells: dict[tuple[int, float], Cell] = {}
    total = 1 + len(ks) * len(config.snr_db)
    with tqdm(total=total, unit="cell", dynamic_ncols=True, disable=None) as bar:
        for checkpoint, crosses_channel, points in jobs:
            evaluator: TextEvaluator | None = None
            for k, snr_db in points:
                draws = config.draws if crosses_channel else 1
                name = f"k{k}_snr{snr_db:g}_draws{draws}" if crosses_channel else "local"
                cell = store.load(name)
                if cell is None:
                    if evaluator is None:
                        evaluator = TextEvaluator(
                            checkpoint.codec,
                            checkpoint.tokenizer,
                            pairs,
                            channel=channel if crosses_channel else None,
                            beams=config.beams,
                        )
                    cell = measure_cell(evaluator, k=k, snr_db=snr_db, draws=draws, seed=config.seed)
                    store.save(name, cell)
                cells[k, snr_db] = cell
                logger.info(
                    "%s: %s %.2f", name, TextEvaluator.metric, TextEvaluator.score(cell.counts.sum(axis=0))
                )
                bar.update()
    origin = provenance(
        config=dataclasses.asdict(config) | {"channel": channel.kind},
        seed=config.seed,
        data_sha256=corpus.sha256,
        dataset=corpus.name,
        test_items=len(pairs),
        seconds=round(time.monotonic() - start, 1),
        channel=dataclasses.asdict(channel),
        codecs=[_describe(checkpoint) for checkpoint in codecs],
        local=_describe(local),
    )
    result = assemble_map(
        cells,
        TextEvaluator,
        ks=ks,
        snr_db=config.snr_db,
        seed=config.seed,
        modality="text",
        task=task,
        channel=channel.kind,
        model=codecs[0].codec.config.model_name,
        synthetic=corpus.synthetic,
        provenance=origin,
    )
    result.save(output)
    result.save_csv(output.with_suffix(".csv"))
    plot_map(result, output.with_suffix(".png"))
    store.remove()
    return result


def measure_cell(evaluator: Evaluator, *, k: int, snr_db: float, draws: int, seed: int) -> Cell:
    """Measure one grid point: counts summed, figures averaged over the noise draws."""
    measured = [evaluator.measure(k=k, snr_db=snr_db, seed=seed * 10_007 + draw) for draw in range(draws)]
    figures = {name: float(np.mean([one[name] for _, one in measured])) for name in measured[0][1]}
    return Cell(counts=np.sum([counts for counts, _ in measured], axis=0), figures=figures)


def assemble_map(
    cells: Mapping[tuple[int, float], Cell],
    evaluator: type[Evaluator],
    *,
    ks: tuple[int, ...],
    snr_db: tuple[float, ...],
    seed: int,
    **fields: Any,
) -> AccuracyMap:
    """Scores, ratios and their intervals from counts.

    The bootstrap resamples test items with all their noise draws (a cluster bootstrap), the same items for
    the codec and the local model, so that the ratio's interval is paired.

    Args:
        cells: by (k, SNR), and the local model at (0, 0.0).
        evaluator: scores summed counts.
        ks: rising.
        snr_db: rising.
        seed: of the bootstrap.
        fields: the map's other fields.
    """
    local = cells[0, 0.0]
    items = local.counts.shape[0]
    draw = np.random.default_rng(seed)
    weights = draw.multinomial(items, np.full(items, 1 / items), size=BOOTSTRAP_RESAMPLES)  # (R, items)
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]

    def resampled(cell: Cell) -> NDArray[np.float64]:
        return np.array([evaluator.score(row) for row in weights @ cell.counts])  # (R,)

    local_scores = resampled(local)
    local_accuracy = evaluator.score(local.counts.sum(axis=0))
    if local_accuracy <= 0 or local_scores.min() <= 0:
        raise ToolkitError(
            "the local model answers nothing right, so no ratio to it exists; train it longer (train-deepsc "
            "--channel none --epochs ...)"
        )
    shape = (len(ks), len(snr_db))
    grids = {
        name: np.zeros(shape)
        for name in ("accuracy", "accuracy_low", "accuracy_high", "ratio_low", "ratio_high")
    }
    others = {name: np.zeros(shape) for name in local.figures}
    for i, k in enumerate(ks):
        for j, snr in enumerate(snr_db):
            cell = cells[k, snr]
            scores = resampled(cell)
            grids["accuracy"][i, j] = evaluator.score(cell.counts.sum(axis=0))
            grids["accuracy_low"][i, j], grids["accuracy_high"][i, j] = np.percentile(scores, tails)
            grids["ratio_low"][i, j], grids["ratio_high"][i, j] = np.percentile(scores / local_scores, tails)
            for name, value in cell.figures.items():
                others[name][i, j] = value
    local_low, local_high = (float(value) for value in np.percentile(local_scores, tails))
    return AccuracyMap(
        accuracy=grids["accuracy"],
        accuracy_low=grids["accuracy_low"],
        accuracy_high=grids["accuracy_high"],
        ratio_low=grids["ratio_low"],
        ratio_high=grids["ratio_high"],
        k=ks,
        snr_db=snr_db,
        metric=f"{evaluator.metric} {evaluator.signature()}",
        local_accuracy=local_accuracy,
        local_low=local_low,
        local_high=local_high,
        other_metrics={
            name: {"local": local.figures[name], "cells": grid.tolist()} for name, grid in others.items()
        },
        **fields,
    )


class CellStore:
    """Finished cells of a sweep, one file each, kept until the map is written.

    Args:
        folder: where.
        plan: what the cells depend on.

    Raises:
        ToolkitError: if the folder holds cells of another plan.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self._folder = folder
        path = folder / "plan.json"
        if path.exists():
            if read_json(path) != json.loads(json.dumps(plan)):
                raise ToolkitError(
                    f"{folder} holds cells of another sweep; remove it or choose another --output"
                )
            logger.info("resuming: %d cells are already measured", len(list(folder.glob("*.npz"))))
        else:
            write_json(path, plan)

    def load(self, name: str) -> Cell | None:
        """A finished cell, or None."""
        path = self._folder / f"{name}.npz"
        if not path.exists():
            return None
        with parsing(path), np.load(path, allow_pickle=False) as stored:
            return Cell(counts=stored["counts"], figures=json.loads(str(stored["figures"])))

    def save(self, name: str, cell: Cell) -> None:
        """Keep a finished cell."""
        with atomic_path(self._folder / f"{name}.npz") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, counts=cell.counts, figures=np.array(json.dumps(cell.figures)))

    def remove(self) -> None:
        """Forget the cells."""
        shutil.rmtree(self._folder)


def _open(folder: str, device: str) -> Checkpoint:
    """Load a checkpoint, and take its config apart now rather than after the sweep."""
    from deepsc.checkpoint import from_pretrained
    from deepsc.config import CorpusConfig, TrainConfig

    checkpoint = from_pretrained(folder, device=device)
    with parsing(Path(folder) / "config.json"):
        _describe(checkpoint)
        str(checkpoint.document["modality"])
        CorpusConfig(**checkpoint.document["corpus"])
        TrainConfig(**checkpoint.document["training"])
    return checkpoint


def _owners(config: MapConfig, codecs: list[Checkpoint], local: Checkpoint) -> dict[int, Checkpoint]:
    """Which codec serves which k; checks that the checkpoints belong together."""
    if local.codec.config.k:
        raise ToolkitError(f"--local: {config.local} is a codec; give the model trained with --channel none")
    for folder, codec in zip(config.codecs, codecs, strict=True):
        if not codec.codec.config.k:
            raise ToolkitError(f"--codec: {folder} is a local model; give one trained over a channel")
        for name in ("modality", "task", "corpus"):
            if codec.document[name] != local.document[name]:
                raise ToolkitError(
                    f"--codec: {folder} and --local {config.local} differ in {name}: "
                    f"{codec.document[name]} and {local.document[name]}"
                )
        if codec.codec.config.model_name != codecs[0].codec.config.model_name:
            raise ToolkitError(f"--codec: {folder} and {config.codecs[0]} are different models")
        for name in ("channel", "fading", "csi", "rician_factor"):
            if codec.document["training"][name] != codecs[0].document["training"][name]:
                raise ToolkitError(f"--codec: {folder} and {config.codecs[0]} differ in {name}")
    owners: dict[int, Checkpoint] = {}
    for folder, codec in zip(config.codecs, codecs, strict=True):
        for k in codec.codec.config.k:
            if k in owners:
                raise ToolkitError(f"--codec: {folder} and another codec are both trained for k = {k}")
            owners[k] = codec
    wanted = config.k if config.k is not None else tuple(owners)
    if unknown := [k for k in wanted if k not in owners]:
        raise ToolkitError(f"--k: {unknown} given, the codecs are trained for {sorted(owners)}")
    return {k: owners[k] for k in wanted}


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    names = ("dataset", "task", "codec", "training", "init_from", "provenance")
    return {
        "sha256": checkpoint.sha256,
        "metrics": dict(checkpoint.metrics),
        **{name: checkpoint.document[name] for name in names},
    }

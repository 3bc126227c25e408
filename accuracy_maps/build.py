"""Building an accuracy map: measure every cell, bootstrap the intervals, resume after a kill."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accuracy_maps.assemble import assemble_bimodal, assemble_map
from accuracy_maps.bimodal import BimodalMap, load_map
from accuracy_maps.cells import Cell, CellStore, store_folder
from accuracy_maps.config import MapConfig
from accuracy_maps.engine import Engine, LocalEngine
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep import Group, Point, Sweep, describe
from data.artifacts import ToolkitError, provenance
from data.lock import locked
from data.progress import Progress
from data.typed import from_json
from deepsc.config import TrainConfig

if TYPE_CHECKING:
    from deepsc.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Times that a failing cell is measured before the others are all that is kept."""


def build_map(config: MapConfig, engine: Engine | None = None) -> AccuracyMap | BimodalMap:
    """Measure a map and write JSON, CSV and a plot beside each other.

    Finished cells are kept in a folder beside the output until the map is written, so that the same call goes
    on after a kill. A map that the same call wrote is read instead; one of another config is written over.

    Args:
        config: what to measure.
        engine: where; None: here.

    Raises:
        ToolkitError: if a checkpoint is missing, damaged, or does not belong to the others; if a cell fails
            again and again.
    """
    engine = engine or LocalEngine()
    sweep = open_sweep(config, engine)
    with locked(lock_of(config)):
        return build_opened(sweep, engine)


def open_sweep(config: MapConfig, engine: Engine) -> Sweep:
    """A sweep, its models where they are needed; a model whose training is not over is named in the log."""
    sweep = Sweep(config, device="cpu" if engine.remote else None)
    for folder, checkpoint in zip((*config.codecs, config.local), (*sweep.codecs, sweep.local), strict=True):
        _warn_if_unfinished(folder, checkpoint)
    return sweep


def _warn_if_unfinished(folder: str, checkpoint: Checkpoint) -> None:
    from deepsc.checkpoint import is_over, position_of

    training = from_json(TrainConfig, checkpoint.document["training"])
    try:
        position = position_of(folder)
    except ToolkitError:  # the state serves to go on with a training, not to measure
        return
    if position is not None and not is_over(training, position):
        logger.warning(
            "%s: its training is not over, epoch %d of %d is done; train-deepsc --resume goes on with it",
            folder, position["epoch"], training.epochs,
        )  # fmt: skip


def lock_of(config: MapConfig) -> Path:
    """What whoever writes a map or its cells must hold."""
    output = Path(config.output)
    return output.with_name(f".{output.name}.lock")


def build_opened(sweep: Sweep, engine: Engine) -> AccuracyMap | BimodalMap:
    """`build_map`, for whoever holds its lock."""
    from accuracy_maps.plot import plot_bimodal, plot_map
    from deepsc.device import device_name

    config = sweep.config
    output = Path(config.output)
    if (finished := finished_map(sweep)) is not None:
        return finished
    store = CellStore(store_folder(output), sweep.plan, also=sweep.file_plan)
    cells = measure_cells(sweep, store, engine)
    kind, test = sweep.kind, sweep.test
    origin = provenance(
        **_origin(sweep),
        seconds=round(sum(cell.seconds for cell in cells.values()), 1),
        engine=engine.name,
        device=device_name(config.device),
    )
    model = (sweep.codecs or [sweep.local])[0].codec.config.model_name
    fields: dict[str, Any] = {
        "modality": kind.name,
        "task": sweep.task,
        "channel": sweep.channel.kind,
        "model": model if config.baseline is None else {**model, "baseline": config.baseline},
        "synthetic": test.dataset.synthetic,
        "provenance": origin,
    }
    result: AccuracyMap | BimodalMap
    every_k = tuple(sorted(sweep.owners))
    axes: dict[str, Any] = {"snr_db": sweep.snr_db, "seed": config.seed}
    if len(kind.transmissions) == 1:
        result = assemble_map(cells, test.scorer, ks=tuple(k for (k,) in every_k), **axes, **fields)
    else:
        result = assemble_bimodal(cells, test.scorer, ks=every_k, **axes, **fields)
    result.save(output)
    result.save_csv(output.with_suffix(".csv"))
    if isinstance(result, BimodalMap):
        plot_bimodal(result, output.with_suffix(".png"))
    else:
        plot_map(result, output.with_suffix(".png"), beside=sweep.beside)
    if config.mat and isinstance(result, AccuracyMap):
        from accuracy_maps.mat import save_mat

        save_mat(result, output.with_suffix(".mat"))
    store.remove()
    return result


def _origin(sweep: Sweep) -> dict[str, Any]:
    """What a map follows from, for its provenance."""
    return {
        "config": dataclasses.asdict(sweep.config) | {"channel": sweep.channel.kind},
        "seed": sweep.config.seed,
        "data_sha256": sweep.test.dataset.sha256,
        "dataset": sweep.test.dataset.name,
        "test_items": sweep.test.items,
        "channel": dataclasses.asdict(sweep.channel),
        "codecs": [describe(checkpoint) for checkpoint in sweep.codecs],
        "local": describe(sweep.local),
        **({"metric_options": dict(options)} if (options := sweep.test.metric_options) else {}),
    }


def finished_map(sweep: Sweep) -> AccuracyMap | BimodalMap | None:
    """The map that this very sweep wrote, with all that belongs to it, and says so in the log; else None.

    Where its files and models lie, and on what device it was measured, makes no difference.
    """
    output = Path(sweep.config.output)
    suffixes = (".json", ".csv", ".png", *((".mat",) if sweep.config.mat else ()))
    if store_folder(output).exists() or not all(output.with_suffix(one).is_file() for one in suffixes):
        return None
    try:
        found = load_map(output)
    except ToolkitError:  # damaged or foreign: made anew
        return None
    ks = [sorted(set(axis)) for axis in zip(*sweep.owners, strict=True)]
    same = {checkpoint.file_sha256: checkpoint.sha256 for checkpoint in sweep.checkpoints}
    ours = json.loads(json.dumps(_origin(sweep)))
    wanted, theirs = _comparable(ours, same), _comparable(found.provenance, same)
    if (
        found.task != sweep.task
        or [*map(list, found.axes)] != [*ks, *[list(sweep.snr_db)] * len(ks)]
        or any(theirs.get(name) != value for name, value in wanted.items())
        or theirs.get("metric_options") != wanted.get("metric_options")
    ):
        return None
    logger.info("finished already: %s; remove it to measure again", output)
    return found


def _comparable(origin: Mapping[str, Any], same: Mapping[str, str]) -> dict[str, Any]:
    """An origin without what may differ between maps that are equal.

    Args:
        origin: of a map.
        same: identity of each model by its file's checksum, which maps of earlier releases hold.
    """
    config, codecs = origin.get("config"), origin.get("codecs")
    # Places, what the map itself says, and what an earlier release did not have.
    apart = ("codecs", "local", "output", "device", "data_dir", "task", "bleu_tokenize")
    if isinstance(config, dict):
        config = {n: v for n, v in config.items() if n not in apart and v is not None}

    def identity(model: object) -> object:
        sha256 = model.get("sha256") if isinstance(model, dict) else None
        return same.get(sha256, sha256) if isinstance(sha256, str) else None

    models = {
        "codecs": [identity(model) for model in codecs] if isinstance(codecs, list) else None,
        "local": identity(origin.get("local")),
    }
    return {**origin, "config": config, **models}


def measure_cells(sweep: Sweep, store: CellStore, engine: Engine) -> dict[Point, Cell]:
    """Measure every cell of a sweep, or take it from the store.

    A cell that fails is measured again by itself when all others are done.

    Raises:
        ToolkitError: if a cell fails `MAX_ATTEMPTS` times; the others are in the store.
    """
    cells: dict[Point, Cell] = {}
    pending = []
    for group in sweep.groups:
        stored = {point: store.load(group.name(point)) for point in group.points}
        cells |= {point: cell for point, cell in stored.items() if cell is not None}
        if missing := tuple(point for point, cell in stored.items() if cell is None):
            pending.append(dataclasses.replace(group, points=missing))
    total = len(cells) + _cells(pending)
    with Progress(f"sweep of {sweep.config.output}", total=total, done=len(cells), unit="cell") as progress:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            failed = []
            for group, result in engine.measure(sweep, pending):
                if isinstance(result, Exception):
                    names = ", ".join(map(group.name, group.points))
                    logger.warning("%s failed, attempt %d of %d: %r", names, attempt, MAX_ATTEMPTS, result)
                    failed += group.apart()
                    last = result
                    continue
                for point, cell in zip(group.points, result, strict=True):
                    store.save(group.name(point), cell)
                    cells[point] = cell
                    score = sweep.test.scorer.score(cell.counts.sum(axis=0))
                    logger.info("%s: %s %.2f", group.name(point), sweep.test.scorer.metric, score)
                    progress.update()
            pending = failed
    if pending:
        raise ToolkitError(
            f"{_cells(pending)} of {total} cells failed {MAX_ATTEMPTS} times, such as "
            f"{pending[-1].name(pending[-1].points[0])} ({last!r}); the others are kept, give the same "
            "command again to go on"
        )
    return cells


def _cells(groups: Sequence[Group]) -> int:
    return sum(len(group.points) for group in groups)

"""Building an accuracy map: measure every cell, bootstrap the intervals, resume after a kill."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from accuracy_maps.bimodal import BimodalMap
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.bootstrap import assemble_map, require_interval
from accuracy_maps.sweep.cells import Cell, CellStore, store_folder
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.engine import Engine, LocalEngine
from accuracy_maps.sweep.finished import finished_map, is_complete, origin, prepare_outputs
from accuracy_maps.sweep.measure import Group, Point, Sweep, plain
from accuracy_maps.sweep.models import warn_if_unfinished
from data.files.errors import ToolkitError
from data.files.lock import locked
from data.files.provenance import provenance
from data.settings import named
from data.terminal.progress import Progress

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Times that a failing cell is measured before the others are all that is kept."""


def build_map(
    config: MapConfig, engine: Engine | None = None, *, modality: str | None = None
) -> AccuracyMap | BimodalMap:
    """Measure a map and write JSON, CSV and a plot beside each other.

    Finished cells are kept in a folder beside the output until the map is written, so that the same call goes
    on after a kill. A map that the same call wrote is read instead; one that other settings made is refused,
    and so are kept cells of other settings, unless `config.overwrite`. Whatever cannot be written is refused
    before anything is measured.

    Args:
        config: what to measure.
        engine: where; None: here.
        modality: that the models must be of; None: whatever they are.

    Raises:
        ToolkitError: if a checkpoint is missing, damaged, or does not belong to the others; if the output
            cannot be written or is another map; if the local model answers nothing right, or the test items
            are too few for an interval; if a cell fails again and again.
    """
    engine = engine or LocalEngine()
    sweep = open_sweep(config, engine, modality=modality)
    with locked(lock_of(config)):
        return build_opened(sweep, engine)


def open_sweep(config: MapConfig, engine: Engine, *, modality: str | None = None) -> Sweep:
    """A sweep, its models where they are needed; a model whose training is not over is named in the log."""
    sweep = Sweep(config, device="cpu" if engine.remote else None, modality=modality)
    for folder, checkpoint in zip((*config.codecs, config.local), (*sweep.codecs, sweep.local), strict=True):
        warn_if_unfinished(folder, checkpoint)
    limit, whole = config.limit, sweep.test.whole
    if limit is not None and whole is not None and limit > whole:
        logger.warning(
            "%s: %d given, the whole test set has %d and is measured", named("limit"), limit, whole
        )
    return sweep


def lock_of(config: MapConfig) -> Path:
    """What whoever writes a map or its cells must hold."""
    output = Path(config.output)
    return output.with_name(f".{output.name}.lock")


def build_opened(sweep: Sweep, engine: Engine) -> AccuracyMap | BimodalMap:
    """`build_map`, for whoever holds its lock."""
    prepare_outputs(sweep.config)
    stored = finished_map(sweep)
    folder = store_folder(Path(sweep.config.output))
    if stored is not None and not CellStore.holds(folder, sweep.plan, sweep.file_plan):
        if not is_complete(sweep, stored):
            _write_beside(sweep, stored)
        return stored
    store = CellStore(folder, sweep.plan, sweep.file_plan, overwrite=sweep.config.overwrite)
    if stored is None:
        stored = _measured_map(sweep, measure_cells(sweep, store, engine), engine)
        stored.save(sweep.config.output)
    _write_beside(sweep, stored)
    store.remove([group.name(point) for group in sweep.groups for point in group.points])
    return stored


def _measured_map(sweep: Sweep, cells: Mapping[Point, Cell], engine: Engine) -> AccuracyMap | BimodalMap:
    """The map of measured cells."""
    from data.device import device_name

    config, kind, test = sweep.config, sweep.kind, sweep.test
    model = (sweep.codecs or [sweep.local])[0].codec.config.model_name
    fields: dict[str, Any] = {
        "modality": kind.name,
        "task": sweep.task,
        "channel": sweep.channel.kind,
        "model": {**model, **_named(sweep)},
        "synthetic": test.dataset.synthetic,
        "provenance": provenance(
            **origin(sweep),
            **_source_figures(sweep, cells),
            **_of_the_test_data(sweep),
            seconds=round(sum(cell.seconds for cell in cells.values()), 1),
            engine=engine.name,
            device=device_name(str(config.device)),
        ),
        "snr_db": sweep.snr_db,
        "seed": config.seed,
    }
    return assemble_map(cells, test.scorer, ks=list(map(plain, sorted(sweep.owners))), **fields)


def _of_the_test_data(sweep: Sweep) -> dict[str, Any]:
    """Tokens in a word, for symbols a word; what questions tell without an image."""
    figures: dict[str, Any] = {}
    tokenizer, tokens_per_word = sweep.local.tokenizer, sweep.test.tokens_per_word
    if tokenizer is not None and tokens_per_word is not None:
        figures["tokens_per_word"] = tokens_per_word(tokenizer)
    if sweep.test.language_prior is not None:
        figures["language_prior"] = sweep.test.language_prior()
    return figures


def _write_beside(sweep: Sweep, accuracy_map: AccuracyMap | BimodalMap) -> None:
    """Write the CSV, the plot and, where it is asked for, the .mat of a map."""
    from accuracy_maps.show.plot import plot_bimodal, plot_map

    output = Path(sweep.config.output)
    accuracy_map.save_csv(output.with_suffix(".csv"))
    if isinstance(accuracy_map, BimodalMap):
        plot_bimodal(accuracy_map, output.with_suffix(".png"))
        return
    others = ([sweep.beside] if sweep.beside else []) + sweep.also_beside
    plot_map(accuracy_map, output.with_suffix(".png"), beside=others)
    if sweep.config.mat:
        from accuracy_maps.show.mat import save_mat

        save_mat(accuracy_map, output.with_suffix(".mat"))


def _named(sweep: Sweep) -> dict[str, str]:
    """What tells a baseline's map from a codec's of the same model."""
    return {name: sweep.baseline[name] for name in ("baseline", "code") if name in sweep.baseline}


def _source_figures(sweep: Sweep, cells: Mapping[Point, Cell]) -> dict[str, Any]:
    """Of a baseline: what is the same in every cell, such as the share of items that each code is for."""
    if not sweep.baseline:
        return {}
    first, *rest = (cell.figures for point, cell in cells.items() if point != (0, 0.0))
    same = {name: value for name, value in first.items() if all(one[name] == value for one in rest)}
    return {"source": same}


def measure_cells(sweep: Sweep, store: CellStore, engine: Engine) -> dict[Point, Cell]:
    """Measure every cell of a sweep, or take it from the store; the local model's first.

    A cell that fails is measured again by itself when all others are done.

    Raises:
        ToolkitError: if a cell fails `MAX_ATTEMPTS` times; the others are in the store. If no ratio to the
            local model has an interval, before anything else is measured; the store is removed then.
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
        for local in (True, False):
            groups = [group for group in pending if (group.model is None) == local]
            for group, point, cell in _measure(sweep, groups, engine, total=total):
                store.save(group.name(point), cell)
                cells[point] = cell
                score = sweep.test.scorer.score(cell.counts.sum(axis=0))
                logger.info("%s: %s %.2f", group.name(point), sweep.test.scorer.metric, score)
                progress.update()
            if local:
                _require_interval(sweep, store, cells[0, 0.0])
    return cells


def _require_interval(sweep: Sweep, store: CellStore, local: Cell) -> None:
    """`require_interval`; cells of a map that cannot be are in the way of the command that it advises."""
    try:
        require_interval(local, sweep.test.scorer, seed=sweep.config.seed)
    except ToolkitError:
        store.clear()
        raise


def _measure(
    sweep: Sweep, pending: Sequence[Group], engine: Engine, *, total: int
) -> Iterator[tuple[Group, Point, Cell]]:
    """Cells as they are ready; what fails is tried again by itself."""
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
                yield group, point, cell
        pending = failed
    if pending:
        raise ToolkitError(
            f"{_cells(pending)} of {total} cells failed {MAX_ATTEMPTS} times, such as "
            f"{pending[-1].name(pending[-1].points[0])} ({last!r}); the others are kept, give the same "
            "command again to go on"
        )


def _cells(groups: Sequence[Group]) -> int:
    return sum(len(group.points) for group in groups)

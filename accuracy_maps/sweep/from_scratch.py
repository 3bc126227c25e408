"""A map from nothing: plan, train the local model, train the codec, sweep."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accuracy_maps.bimodal import BimodalMap
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.build import build_opened, lock_of, open_sweep
from accuracy_maps.sweep.cells import recorded_seconds, store_folder
from accuracy_maps.sweep.config import MapConfig, require_size
from accuracy_maps.sweep.engine import Engine, LocalEngine
from accuracy_maps.sweep.finished import prepare_outputs, require_free
from accuracy_maps.sweep.measure import further_maps, measured_task
from accuracy_maps.sweep.models import asked_k
from accuracy_maps.sweep.timing import time_cells
from data.files.lock import locked
from data.files.paths import exists
from data.terminal.progress import duration
from deepsc.checkpoint import is_over, position_of
from deepsc.config import RunConfig
from deepsc.modality import modality
from deepsc.train.run import train_codec
from deepsc.train.timing import time_steps

logger = logging.getLogger(__name__)

_WAIT_S = 120.0
"""A training that goes on elsewhere waits so long for the lock of the node it was lost with, which a shared
file system may be slow to drop."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """The trainings behind a map, in their order. Both go on where they were: `resume` is set."""

    local: RunConfig
    """Writes to the map's `local`."""
    codec: RunConfig
    """Starts from it and writes to the map's only folder of `codecs`."""


def build_from_scratch(
    config: MapConfig, runs: Family, engine: Engine | None = None
) -> AccuracyMap | BimodalMap:
    """Train what is not trained yet, then measure the map; after a kill the same call goes on.

    Where all of that is done already nothing is written.

    Raises:
        ToolkitError: as `train_codec` and `build_map`.
    """
    engine = engine or LocalEngine()
    beside = AccuracyMap.load(config.beside) if config.beside else None
    kind = modality(runs.local.modality)
    # A mistake shows before the trainings.
    further_maps(config, kind, task=measured_task(config, kind, beside, trained=runs.local.task))
    cells = 1 + math.prod(map(len, _axes(config, runs.codec)))
    with locked(lock_of(config)):
        prepare_outputs(config)
        trained = all(_is_trained(run) for run in (runs.local, runs.codec))
        if not trained:
            require_free(config)
        elif exists(config.output):
            _train(runs, engine)  # refuses other flags than before
            return build_opened(open_sweep(config, engine), engine)
        log_plan(config, runs, engine, cells=cells)
        _train(runs, engine)
        return build_opened(open_sweep(config, engine), engine)


def _train(runs: Family, engine: Engine) -> None:
    for what, run in (("local model", runs.local), ("codec", runs.codec)):
        engine.call(train_run, run, what=f"training the {what}, {run.output}")


def _is_trained(run: RunConfig) -> bool:
    done = position_of(run.output)
    return done is not None and is_over(run.training, done)


def train_run(run: RunConfig) -> None:
    """Train or go on training; the checkpoint is on disk, and need not travel."""
    train_codec(run, wait_s=_WAIT_S)


def log_plan(config: MapConfig, runs: Family, engine: Engine, *, cells: int) -> None:
    """Say in the log what there is to do, and how long it will take where that was measured."""
    logger.info("plan for %s", config.output)
    for number, (what, run) in enumerate((("local model", runs.local), ("codec", runs.codec)), start=1):
        if _is_trained(run):
            logger.info("  %d. %s %s: trained", number, what, run.output)
            continue
        step = done["step"] if (done := position_of(run.output)) else 0
        time = engine.call(time_steps, _from_nothing(run, runs), what=f"timing some steps of the {what}")
        seconds = (time.steps - step) * time.seconds_per_step
        logger.info(
            "  %d. %s %s: %d of %d steps to train, at most %s without validation (%.3g s a step, as timed)",
            number, what, run.output, time.steps - step, time.steps, duration(seconds),
            time.seconds_per_step
        )  # fmt: skip
    recorded = recorded_seconds(store_folder(Path(config.output)), draws=config.draws)
    left = max(0, cells - len(recorded))
    if recorded:
        expected = f"{duration(sum(recorded) / len(recorded) * left)} at the pace so far"
    else:
        untrained = _from_nothing(runs.codec, runs)
        cell = engine.call(time_cells, (config, untrained), what="timing some cells")
        # The local model has no noise to draw; each model's features, computed once, count as a cell.
        passes = (left - 1) * config.draws + 1 + 2
        expected = (
            f"at most {duration(passes * cell.seconds_per_cell)} (timed on {cell.timed_items} of "
            f"{cell.items} test items with untrained weights)"
        )
    each = ", one after the other" if engine.remote else ""
    logger.info("  3. sweep: %d of %d cells to measure, %s%s", left, cells, expected, each)


def _from_nothing(run: RunConfig, runs: Family) -> RunConfig:
    """A run that starts from no model, which may not be there yet and makes no difference to the time."""
    return dataclasses.replace(run, init_from=None, pretrained=runs.local.pretrained)


def _axes(config: MapConfig, codec: RunConfig) -> list[Sequence[float]]:
    """Axes of the map to be.

    Raises:
        ToolkitError: if it is to have a k that the codec will not be trained for.
    """
    transmissions = modality(codec.modality).transmissions
    trained = list(codec.trained_k.values())
    ks = asked_k(config, transmissions, trained, "the codec will be trained for")
    require_size(config, list(itertools.product(*ks)))
    return [*ks, *itertools.repeat(config.snr_points, len(ks))]

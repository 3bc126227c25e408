"""Building an accuracy map: sweep k and SNR, bootstrap the intervals, resume after a kill."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from accuracy_maps.assemble import assemble_bimodal, assemble_map
from accuracy_maps.bimodal import BimodalMap
from accuracy_maps.cells import Cell, CellStore
from accuracy_maps.map import CHANNELS, AccuracyMap
from data.artifacts import ToolkitError, parsing, provenance
from data.cli import raise_config_errors
from data.typed import from_json

if TYPE_CHECKING:
    from deepsc.checkpoint import Checkpoint
    from deepsc.modality import Evaluator, Measurer

logger = logging.getLogger(__name__)

MAX_SEED = 10**9  # the seed of a batch's noise is up to 10^10 times as large, and torch takes 64 bits


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
    k_text: tuple[int, ...] | None = None
    """Instead of `k` where a question and an image are sent: of the question."""
    k_image: tuple[int, ...] | None = None
    snr_db: tuple[float, ...] = tuple(float(snr) for snr in range(-6, 19, 3))
    channel: str | None = None
    """None: the channel the codecs are trained on."""
    baseline: str | None = None
    """"digital": no codec, but separate source and channel coding, see `deepsc.digital`."""
    beside: str | None = None
    """Another map whose lines the plot shows too; a baseline takes its k, SNRs and channel over."""
    mat: bool = False
    """Write a .mat for MATLAB too, see `accuracy_maps.mat`."""
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
        if not self.codecs and self.baseline is None:
            errors.append("--codec: none given, at least one checkpoint is needed")
        if self.baseline not in (None, "digital"):
            errors.append(f"--baseline: {self.baseline!r} given, allowed: digital")
        if self.baseline is not None and self.codecs:
            errors.append("--codec and --baseline: both given, one is allowed")
        for name in ("k", "k_text", "k_image"):
            ks = getattr(self, name)
            if ks is not None and (not ks or ks[0] < 1 or not _rises(ks)):
                flag = "--" + name.replace("_", "-")
                errors.append(f"{flag}: {ks} given, rising whole numbers of at least 1 are allowed")
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
    return all(before < after for before, after in itertools.pairwise(values))


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one evaluator measures."""

    make: Callable[[], Measurer]
    points: Sequence[tuple[Any, Any]]
    """(k, SNR) of each cell, a tuple of both where there are several transmissions."""
    draws: int | None
    """Noise draws per test item and cell; None: of the local model, which has no noise."""


def build_map(config: MapConfig) -> AccuracyMap | BimodalMap:
    """Measure a map and write JSON, CSV and a plot beside each other.

    Finished cells are kept in a folder beside the output until the map is written, so that the same call goes
    on after a kill.

    Raises:
        ToolkitError: if a checkpoint is missing, damaged, or does not belong to the others.
    """
    from accuracy_maps.plot import plot_bimodal, plot_map
    from deepsc.channels import Channel
    from deepsc.modality import modality

    start = time.monotonic()
    output = Path(config.output)
    beside = AccuracyMap.load(config.beside) if config.beside else None
    codecs = [_open(folder, config.device) for folder in config.codecs]
    local = _open(config.local, config.device)
    kind = modality(local.document["modality"])
    if config.baseline is None:
        owners = _owners(config, codecs, local, kind.transmissions)
        trained = codecs[0].document["training"]
        channel = Channel(
            kind=config.channel or trained["channel"],
            **{name: trained[name] for name in ("fading", "csi", "rician_factor")},
        )
        snr_db = config.snr_db
    else:
        if config.k is None and beside is None:
            raise ToolkitError("--k: none given, --baseline needs it, or --beside MAP to take it from")
        owners = {(k,): local for k in config.k or (beside.k if beside else ())}
        channel = Channel(kind=config.channel or (beside.channel if beside else "awgn"))
        snr_db = beside.snr_db if beside else config.snr_db
    test = kind.test_data(
        local.document, data_dir=config.data_dir, limit=config.limit, options={"beams": config.beams}
    )
    if config.baseline is not None and test.digital is None:
        raise ToolkitError(f"--baseline: {config.baseline!r} given, {kind.name} has none")

    plan = {
        "checkpoints": [checkpoint.sha256 for checkpoint in (*codecs, local)],
        "channel": dataclasses.asdict(channel),
        "items": test.fingerprint,
        "beams": config.beams,
        "seed": config.seed,
        **({"baseline": config.baseline} if config.baseline else {}),
    }
    store = CellStore(output.with_name(f".{output.name}.cells"), plan)
    snrs = [_plain(snr) for snr in itertools.product(snr_db, repeat=len(kind.transmissions))]
    jobs = [Job(make=lambda: test.evaluator(local, None), points=[(0, 0.0)], draws=None)]
    for checkpoint in codecs or [local]:
        ks = [_plain(k) for k, owner in owners.items() if owner is checkpoint]
        make: Callable[[Checkpoint, Channel], Measurer] = test.evaluator
        if config.baseline is not None and test.digital is not None:
            make = test.digital
        points = list(itertools.product(ks, snrs))
        jobs.append(Job(make=functools.partial(make, checkpoint, channel), points=points, draws=config.draws))
    cells = measure_cells(jobs, store, test.scorer, seed=config.seed)
    origin = provenance(
        config=dataclasses.asdict(config) | {"channel": channel.kind},
        seed=config.seed,
        data_sha256=test.dataset.sha256,
        dataset=test.dataset.name,
        test_items=test.items,
        seconds=round(time.monotonic() - start, 1),
        channel=dataclasses.asdict(channel),
        codecs=[_describe(checkpoint) for checkpoint in codecs],
        local=_describe(local),
    )
    model = (codecs or [local])[0].codec.config.model_name
    fields: dict[str, Any] = {
        "modality": kind.name,
        "task": str(local.document["task"]),
        "channel": channel.kind,
        "model": model if config.baseline is None else {**model, "baseline": config.baseline},
        "synthetic": test.dataset.synthetic,
        "provenance": origin,
    }
    result: AccuracyMap | BimodalMap
    every_k = tuple(sorted(owners))
    axes: dict[str, Any] = {"snr_db": snr_db, "seed": config.seed}
    if len(kind.transmissions) == 1:
        result = assemble_map(cells, test.scorer, ks=tuple(k for (k,) in every_k), **axes, **fields)
    else:
        result = assemble_bimodal(cells, test.scorer, ks=every_k, **axes, **fields)
    result.save(output)
    result.save_csv(output.with_suffix(".csv"))
    if isinstance(result, BimodalMap):
        plot_bimodal(result, output.with_suffix(".png"))
    else:
        plot_map(result, output.with_suffix(".png"), beside=beside)
    if config.mat and isinstance(result, AccuracyMap):
        from accuracy_maps.mat import save_mat

        save_mat(result, output.with_suffix(".mat"))
    store.remove()
    return result


def measure_cells(
    jobs: Sequence[Job], store: CellStore, scorer: type[Evaluator], *, seed: int
) -> dict[tuple[Any, Any], Cell]:
    """Measure every point of every job, or take it from the store; evaluators are made when first needed."""
    cells: dict[tuple[Any, Any], Cell] = {}
    total = sum(len(job.points) for job in jobs)
    with tqdm(total=total, unit="cell", dynamic_ncols=True, disable=None) as bar:
        for job in jobs:
            evaluator: Measurer | None = None
            for k, snr in job.points:
                name = "local" if job.draws is None else f"k{_joined(k)}_snr{_joined(snr)}_draws{job.draws}"
                cell = store.load(name)
                if cell is None:
                    if evaluator is None:
                        evaluator = job.make()
                    cell = measure_cell(evaluator, k=k, snr_db=snr, draws=job.draws or 1, seed=seed)
                    store.save(name, cell)
                cells[k, snr] = cell
                logger.info("%s: %s %.2f", name, scorer.metric, scorer.score(cell.counts.sum(axis=0)))
                bar.update()
    return cells


def _plain(values: tuple[Any, ...]) -> Any:
    """One transmission's value by itself, several as they are: what `Evaluator.measure` takes."""
    return values[0] if len(values) == 1 else values


def _joined(value: Any) -> str:
    return "-".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"


def measure_cell(evaluator: Measurer, *, k: int, snr_db: float, draws: int, seed: int) -> Cell:
    """Measure one grid point: counts summed, figures averaged over the noise draws."""
    measured = [evaluator.measure(k=k, snr_db=snr_db, seed=seed * 10_007 + draw) for draw in range(draws)]
    figures = {name: float(np.mean([one[name] for _, one in measured])) for name in measured[0][1]}
    return Cell(counts=np.sum([counts for counts, _ in measured], axis=0), figures=figures)


def _open(folder: str, device: str) -> Checkpoint:
    """Load a checkpoint, and take its config apart now rather than after the sweep."""
    from deepsc.checkpoint import from_pretrained
    from deepsc.config import TrainConfig
    from deepsc.modality import modality

    checkpoint = from_pretrained(folder, device=device)
    with parsing(Path(folder) / "config.json"):
        _describe(checkpoint)
        kind = modality(checkpoint.document["modality"])
        from_json(kind.corpus_config, checkpoint.document["corpus"])
        from_json(TrainConfig, checkpoint.document["training"])
        if (task := checkpoint.document["task"]) not in kind.run_config.tasks:
            raise ToolkitError(f"task is {task!r}, allowed: {', '.join(kind.run_config.tasks)}")
    return checkpoint


def _owners(
    config: MapConfig, codecs: list[Checkpoint], local: Checkpoint, transmissions: tuple[str, ...]
) -> dict[tuple[int, ...], Checkpoint]:
    """Which codec serves which k, one of each transmission; checks that the checkpoints belong together."""
    if local.codec.config.uplinks:
        raise ToolkitError(f"--local: {config.local} is a codec; give the model trained with --channel none")
    for folder, codec in zip(config.codecs, codecs, strict=True):
        if not codec.codec.config.uplinks:
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
    owners: dict[tuple[int, ...], Checkpoint] = {}
    for folder, codec in zip(config.codecs, codecs, strict=True):
        for ks in itertools.product(*codec.codec.config.uplinks):
            if ks in owners:
                raise ToolkitError(
                    f"--codec: {folder} and another codec are both trained for k = {_joined(ks)}"
                )
            owners[ks] = codec
    wanted = []
    for number, name in enumerate(transmissions):
        field = f"k_{name}" if name else "k"
        trained = sorted({ks[number] for ks in owners})
        asked = getattr(config, field)
        if unknown := [k for k in asked or () if k not in trained]:
            flag = "--" + field.replace("_", "-")
            raise ToolkitError(f"{flag}: {unknown} given, the codecs are trained for {trained}")
        wanted.append(asked if asked is not None else tuple(trained))
    if missing := [ks for ks in itertools.product(*wanted) if ks not in owners]:
        raise ToolkitError(f"--codec: no codec is trained for k = {_joined(missing[0])}")
    return {ks: owners[ks] for ks in itertools.product(*wanted)}


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    names = ("dataset", "task", "codec", "training", "init_from", "provenance")
    return {
        "sha256": checkpoint.sha256,
        "metrics": dict(checkpoint.metrics),
        **{name: checkpoint.document[name] for name in names},
    }

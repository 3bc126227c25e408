"""What a sweep measures: checkpoints, test data, channel, and the cells of the map to be."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accuracy_maps.grid import shortest
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.cells import Cell
from accuracy_maps.sweep.config import MapConfig, k_errors, require_size
from accuracy_maps.sweep.score import require_items
from data.files.errors import ToolkitError, flag_of, parsing, raise_config_errors
from data.files.schema import from_json

if TYPE_CHECKING:
    from deepsc.link.channel import Channel
    from deepsc.modality import Checkpoint, Measurer, Modality

Point = tuple[Any, Any]
"""(k, SNR) of a cell, a tuple of both where there are several transmissions; (0, 0.0): the local model."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cells that are measured together, an engine's unit of work."""

    model: int | None
    """Which of the sweep's codecs; None: the local model."""
    points: tuple[Point, ...]
    draws: int
    """Noise draws per test item and cell."""

    def name(self, point: Point) -> str:
        """Name of a cell in the store."""
        if self.model is None:
            return "local"
        return f"k{joined(point[0])}_snr{joined(point[1])}_draws{self.draws}"

    def apart(self) -> list[Group]:
        """A group for each cell."""
        return [dataclasses.replace(self, points=(point,)) for point in self.points]


class Sweep:
    """An opened sweep.

    Args:
        config: of the map.
        device: where the models go; None: where the config says.

    Raises:
        ToolkitError: if a checkpoint is missing, damaged, or does not belong to the others.
    """

    def __init__(self, config: MapConfig, *, device: str | None = None) -> None:
        from deepsc.digital.channel_code import channel_code
        from deepsc.link.channel import Channel
        from deepsc.modality import modality

        self.config = config
        self.beside = AccuracyMap.load(config.beside) if config.beside else None
        device = device or config.device
        self.codecs = [_open(folder, device) for folder in config.codecs]
        self.local = _open(config.local, device)
        self.kind = kind = modality(self.local.document["modality"])
        self.snr_db = config.snr_points
        if self.local.codec.config.uplinks:
            raise ToolkitError(
                f"--local: {config.local} is a codec; give the model trained with --channel none"
            )
        self.task = measured_task(config, kind, self.beside, trained=self.local.document["task"])
        self.also_beside = further_maps(config, kind, task=self.task)
        if config.baseline is None:
            self.owners = _owners(config, self.codecs, self.local, kind.transmissions)
            _require_same_classes(config, self.codecs, self.local)
            trained = self.codecs[0].document["training"]
            self.channel = Channel(
                kind=config.channel or trained["channel"],
                **{name: trained[name] for name in ("fading", "csi", "rician_factor")},
            )
        self.test = kind.test_data(
            {**self.local.document, "task": self.task},
            data_dir=config.data_dir,
            limit=config.limit,
            options={**config.options, "bleu_tokenize": _bleu_tokenize(config, self.beside)},
        )
        if config.baseline is not None:
            if self.test.digital is None:
                raise ToolkitError(f"--baseline: {config.baseline!r} given, {kind.name} has none")
            channel_code(config.code)  # a missing package shows now
            if config.k is None and self.beside is None:
                raise ToolkitError("--k: none given, --baseline needs it, or --beside MAP to take it from")
            self.owners = {(k,): 0 for k in config.k or (self.beside.k if self.beside else ())}
            self.channel = Channel(kind=config.channel or "awgn")
            if self.beside is not None:
                _require_same_local(self.beside, config, self.local)
                if config.channel in (None, self.beside.channel):
                    self.channel = _channel_of(self.beside)
                if config.snr_db is None:
                    self.snr_db = self.beside.snr_db
        self.config = dataclasses.replace(config, snr_db=self.snr_db)
        self._require_measurable()
        self._evaluator: tuple[int | None, Measurer] | None = None

    def _require_measurable(self) -> None:
        """Refuse what would be found out, or never end, when all is measured."""
        config, ks = self.config, sorted(set(itertools.chain.from_iterable(self.owners)))
        source = f"--beside {config.beside}, k" if config.k is None and self.beside is not None else "--k"
        raise_config_errors(k_errors(source, ks))
        require_size(config, self.owners)
        if config.baseline is not None and self.channel.kind == "awgn" and config.draws > 1:
            raise ToolkitError(
                f"--draws: {config.draws} given, a --baseline over AWGN draws neither noise nor fading"
            )
        require_items(self.test.items)

    @property
    def plan(self) -> dict[str, Any]:
        """What a cell depends on, beside its k, SNR and number of draws."""
        return self._plan([checkpoint.sha256 for checkpoint in self.checkpoints])

    @property
    def file_plan(self) -> dict[str, Any]:
        """`plan` as earlier releases wrote it, which told models by their files."""
        return self._plan([checkpoint.file_sha256 for checkpoint in self.checkpoints])

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """All models, the local one last."""
        return [*self.codecs, self.local]

    def _plan(self, checkpoints: list[str]) -> dict[str, Any]:
        return {
            "checkpoints": checkpoints,
            "channel": dataclasses.asdict(self.channel),
            "task": self.task,
            "items": self.test.fingerprint,
            "beams": self.config.beams,
            "seed": self.config.seed,
            **self.test.metric_options,
            **self.baseline,
        }

    @property
    def baseline(self) -> dict[str, Any]:
        """What a map of a baseline is of, beside the local model; empty for a codec's."""
        if self.config.baseline is None:
            return {}
        return {
            "baseline": self.config.baseline,
            "code": self.config.code,
            "source_codes": list(self.test.source_codes),
        }

    @property
    def fingerprint(self) -> str:
        """Changes when the plan does."""
        return hashlib.sha256(json.dumps(self.plan, sort_keys=True).encode()).hexdigest()

    @property
    def groups(self) -> list[Group]:
        """All cells, the local model first, in the order of the map's rows."""
        groups = [Group(model=None, points=((0, 0.0),), draws=1)]
        together = 1 if self.config.baseline else self.test.scorer.together
        snrs = [plain(snr) for snr in itertools.product(self.snr_db, repeat=len(self.kind.transmissions))]
        for model in sorted(set(self.owners.values())):
            ks = [plain(k) for k, owner in self.owners.items() if owner == model]
            points = list(itertools.product(ks, snrs))
            groups += [
                Group(model=model, points=tuple(points[start : start + together]), draws=self.config.draws)
                for start in range(0, len(points), together)
            ]
        return groups

    def measure(self, group: Group) -> list[Cell]:
        """Measure the cells of a group: counts summed, figures averaged over the noise draws."""
        start = time.monotonic()
        evaluator = self._evaluator_of(group.model)
        draws = [
            evaluator.measure_together(group.points, seed=self.config.seed * 10_007 + draw)
            for draw in range(group.draws)
        ]
        seconds = (time.monotonic() - start) / len(group.points)
        cells = []
        for measured in zip(*draws, strict=True):
            figures = {name: float(np.mean([one[name] for _, one in measured])) for name in measured[0][1]}
            counts = np.sum([counts for counts, _ in measured], axis=0)
            cells.append(Cell(counts=counts, figures=figures, seconds=seconds))
        return cells

    def _evaluator_of(self, model: int | None) -> Measurer:
        """The evaluator of a model, the latest kept: its encoder features serve many groups."""
        if self._evaluator is None or self._evaluator[0] != model:
            self._evaluator = None  # before another's features fill the memory too
            made: Measurer
            if model is None:
                made = self.test.evaluator(self.local, None)
            elif self.config.baseline is not None and self.test.digital is not None:
                made = self.test.digital(self.local, self.channel, self.config.code)
            else:
                made = self.test.evaluator(self.codecs[model], self.channel)
            self._evaluator = (model, made)
        return self._evaluator[1]


def measured_task(config: MapConfig, kind: Modality[Any], beside: AccuracyMap | None, *, trained: str) -> str:
    """The task that a map is of; see `MapConfig.task`.

    Args:
        config: of the map.
        kind: of the models.
        beside: the map at `config.beside`, which must be of the same modality and task.
        trained: the task that the models are trained for.

    Raises:
        ToolkitError: if the models cannot be measured for it, or `beside` is of another.
    """
    asked = config.task
    if beside is not None:
        beside.require("--beside", str(config.beside), {"modality": kind.name})
        if config.baseline is not None:
            asked = asked or beside.task
    task = kind.measured_task(asked, trained=trained)
    if beside is not None:
        beside.require("--beside", str(config.beside), {"task": task})
    return task


def further_maps(config: MapConfig, kind: Modality[Any], *, task: str) -> list[AccuracyMap]:
    """The maps at `config.also_beside`, which must be of the same modality and task.

    Raises:
        ToolkitError: if one of them is not, or cannot be read.
    """
    maps = [AccuracyMap.load(path) for path in config.also_beside]
    for path, one in zip(config.also_beside, maps, strict=True):
        one.require("--beside", path, {"modality": kind.name, "task": task})
    return maps


def plain(values: tuple[Any, ...]) -> Any:
    """One transmission's value by itself, several as they are: what `Measurer.measure` takes."""
    return values[0] if len(values) == 1 else values


def joined(value: Any) -> str:
    """One value, or those of several transmissions."""
    return "-".join(map(shortest, value)) if isinstance(value, tuple) else shortest(value)


def _channel_of(accuracy_map: AccuracyMap) -> Channel:
    """The channel a map was measured on, with its fading, CSI and Rician factor where provenance has them."""
    from deepsc.link.channel import Channel

    stored = accuracy_map.provenance.get("channel")
    if not isinstance(stored, dict):
        return Channel(kind=accuracy_map.channel)
    with parsing("provenance of --beside"):
        return from_json(Channel, stored)


def _bleu_tokenize(config: MapConfig, beside: AccuracyMap | None) -> str | None:
    """The tokenizer that is asked for; that of the map beside a baseline where none is given."""
    if config.bleu_tokenize is not None or beside is None or config.baseline is None:
        return config.bleu_tokenize
    stored = beside.provenance.get("metric_options")
    tokenize = stored.get("bleu_tokenize") if isinstance(stored, dict) else None
    return tokenize if isinstance(tokenize, str) else None


def _require_same_local(accuracy_map: AccuracyMap, config: MapConfig, local: Checkpoint) -> None:
    """Check that a map divides by the accuracy of this local model, as far as its provenance tells."""
    stored = accuracy_map.provenance.get("local")
    known = (local.sha256, local.file_sha256)
    if isinstance(stored, dict) and stored.get("sha256", local.sha256) not in known:
        raise ToolkitError(
            f"--beside: {config.beside} divides by another local model than --local {config.local}; give "
            "the one it was measured with"
        )


def _open(folder: str, device: str) -> Checkpoint:
    """Load a checkpoint, and take its config apart now rather than after the sweep."""
    from deepsc.checkpoint import from_pretrained

    checkpoint = from_pretrained(folder, device=device)
    with parsing(Path(folder) / "config.json"):
        describe(checkpoint)
    return checkpoint


def _owners(
    config: MapConfig, codecs: Sequence[Checkpoint], local: Checkpoint, transmissions: tuple[str, ...]
) -> dict[tuple[int, ...], int]:
    """Number of the codec that serves each k, one of each transmission; checks that they belong together."""
    for folder, codec in zip(config.codecs, codecs, strict=True):
        if not codec.codec.config.uplinks:
            raise ToolkitError(f"--codec: {folder} is a local model; give one trained over a channel")
        if differing := _differing(codec.document, local.document, ("modality", "task", "corpus")):
            raise ToolkitError(f"--codec: {folder} and --local {config.local} differ in {differing}")
        first = codecs[0]
        if differing := _differing(codec.codec.config.model_name, first.codec.config.model_name):
            raise ToolkitError(
                f"--codec: {folder} and {config.codecs[0]} are different models, they differ in {differing}"
            )
        names = ("channel", "fading", "csi", "rician_factor")
        if differing := _differing(codec.document["training"], first.document["training"], names):
            raise ToolkitError(f"--codec: {folder} and {config.codecs[0]} differ in {differing}")
    owners: dict[tuple[int, ...], int] = {}
    for model, (folder, codec) in enumerate(zip(config.codecs, codecs, strict=True)):
        for ks in itertools.product(*codec.codec.config.uplinks):
            if ks in owners:
                raise ToolkitError(
                    f"--codec: {folder} and another codec are both trained for k = {joined(ks)}"
                )
            owners[ks] = model
    wanted = []
    for number, name in enumerate(transmissions):
        field = f"k_{name}" if name else "k"
        trained = sorted({ks[number] for ks in owners})
        asked = getattr(config, field)
        if unknown := [k for k in asked or () if k not in trained]:
            raise ToolkitError(f"{flag_of(field)}: {unknown} given, the codecs are trained for {trained}")
        wanted.append(asked if asked is not None else tuple(trained))
    if missing := [ks for ks in itertools.product(*wanted) if ks not in owners]:
        raise ToolkitError(f"--codec: no codec is trained for k = {joined(missing[0])}")
    return {ks: owners[ks] for ks in itertools.product(*wanted)}


def _require_same_classes(config: MapConfig, codecs: Sequence[Checkpoint], local: Checkpoint) -> None:
    """Check that checkpoints number the same classes alike; those of earlier releases do not name them."""
    wanted = local.document.get("class_names")
    for folder, codec in zip(config.codecs, codecs, strict=True):
        if wanted is not None and (names := codec.document.get("class_names", wanted)) != wanted:
            raise ToolkitError(
                f"--codec: {folder} has the classes {names}, --local {config.local} has {wanted}"
            )


def _differing(
    one: Mapping[str, Any], other: Mapping[str, Any], names: Iterable[str] | None = None, *, within: str = ""
) -> str:
    """Fields in which two documents differ, with both values; of a field that is a document, its fields."""
    parts = []
    for name in {**one, **other} if names is None else names:
        ours, theirs = one.get(name), other.get(name)
        if ours != theirs and isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            parts.append(_differing(ours, theirs, within=f"{within}{name}."))
        elif ours != theirs:
            parts.append(f"{within}{name}: {ours!r} and {theirs!r}")
    return "; ".join(parts)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a map's provenance says of a checkpoint."""
    names = ("dataset", "task", "codec", "training", "init_from", "provenance")
    return {
        "sha256": checkpoint.sha256,
        "metrics": dict(checkpoint.metrics),
        **{name: checkpoint.document[name] for name in names},
    }

"""What a sweep measures: the opened models, the test data, the channel, and the cells of the map to be."""

from __future__ import annotations

import dataclasses
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accuracy_maps.grid import CHANNELS
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.bootstrap import require_items
from accuracy_maps.sweep.cells import Cell
from accuracy_maps.sweep.config import MapConfig, require_size
from accuracy_maps.sweep.models import (
    joined,
    open_model,
    owners_of,
    require_family,
    require_modality,
    require_same_local,
)
from data.files.errors import ToolkitError, parsing
from data.files.runs import Identity
from data.files.schema import from_json
from data.settings import named
from deepsc.codec.config import K_RANGE

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
        modality: that the models must be of, and whose data must read `config.data_dir`; None: any.

    Raises:
        ToolkitError: if a checkpoint is missing, damaged, or does not belong to the others.
    """

    owners: dict[tuple[int, ...], int]
    """Which codec serves each k of the map, one of each transmission."""
    channel: Channel

    def __init__(self, config: MapConfig, *, device: str | None = None, modality: str | None = None) -> None:
        from data.device import resolve_device

        self.beside = AccuracyMap.load(config.beside) if config.beside else None
        if config.device is None:
            config = dataclasses.replace(config, device=resolve_device(None))
        device = device or str(config.device)
        self.codecs = [open_model(folder, device) for folder in config.codecs]
        self.local = open_model(config.local, device, "local")
        if modality is not None:
            require_modality(config, self.checkpoints, modality)
        self.kind = kind = self.local.modality
        if self.local.codec.config.uplinks:
            raise ToolkitError(
                f"{named('local')}: {config.local} is a codec; give the local model, trained without a "
                "channel"
            )
        self.task = measured_task(config, kind, self.beside, trained=self.local.task)
        self.also_beside = further_maps(config, kind, task=self.task)
        self.snr_db = config.snr_points
        if config.baseline is None:
            self._take_codecs(config)
        self.test = kind.test_data(
            {**self.local.document, "task": self.task},
            data_dir=config.data_dir,
            limit=config.limit,
            options={**config.options, "bleu_tokenize": _bleu_tokenize(config, self.beside)},
        )
        if config.baseline is not None:
            self._take_baseline(config)
        self.config = dataclasses.replace(config, snr_db=self.snr_db)
        require_size(self.config, self.owners)
        require_items(self.test.items)
        self._evaluator: tuple[int | None, Measurer] | None = None

    def _take_codecs(self, config: MapConfig) -> None:
        """k and channel are the codecs' own."""
        from deepsc.link.channel import Channel

        require_family(config, self.codecs, self.local)
        self.owners = owners_of(config, self.codecs, self.kind.transmissions)
        trained = self.codecs[0].document["training"]
        kind = config.channel or trained["channel"]
        if kind not in CHANNELS:
            raise ToolkitError(
                f"{named('channel')}: none given, {config.codecs[0]} was trained over {kind!r}; "
                f"allowed: {', '.join(CHANNELS)}"
            )
        self.channel = Channel(
            kind=kind,
            **{name: trained[name] for name in ("fading", "csi", "rician_factor")},
        )

    def _take_baseline(self, config: MapConfig) -> None:
        """k, SNRs and channel are those of the config, or of the map beside."""
        from deepsc.digital.codes import channel_code
        from deepsc.link.channel import Channel

        if self.test.digital is None:
            raise ToolkitError(f"{named('baseline')}: {config.baseline!r} given, {self.kind.name} has none")
        channel_code(config.code)  # a missing package shows now
        beside = self.beside
        ks = config.k or (beside.k if beside else ())
        if not ks:
            raise ToolkitError(
                f"{named('k')}: none given, {named('baseline')} needs it, or {named('beside')} MAP to take "
                "it from"
            )
        if why := K_RANGE.refusal(ks[-1]):
            raise ToolkitError(f"{named('beside')}: {config.beside} has k = {ks[-1]}, {why}")
        self.owners = {(k,): 0 for k in ks}
        self.channel = Channel(kind=config.channel or "awgn")
        if beside is not None:
            require_same_local(beside, config, self.local)
            if config.channel in (None, beside.channel):
                self.channel = _channel_of(beside)
            if config.snr_db is None:
                self.snr_db = beside.snr_db
        if self.channel.kind == "awgn" and config.draws > 1:
            raise ToolkitError(
                f"{named('draws')}: {config.draws} given, a {named('baseline')} over AWGN draws neither "
                "noise nor fading"
            )

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
        return Identity.of(self.plan).digest

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
            evaluator: Measurer
            if model is None:
                evaluator = self.test.evaluator(self.local, None)
            elif self.config.baseline is not None and self.test.digital is not None:
                evaluator = self.test.digital(self.local, self.channel, self.config.code)
            else:
                evaluator = self.test.evaluator(self.codecs[model], self.channel)
            self._evaluator = (model, evaluator)
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
        beside.require("beside", str(config.beside), {"modality": kind.name})
        if config.baseline is not None:
            asked = asked or beside.task
    task = kind.measured_task(asked, trained=trained)
    if beside is not None:
        beside.require("beside", str(config.beside), {"task": task})
    return task


def further_maps(config: MapConfig, kind: Modality[Any], *, task: str) -> list[AccuracyMap]:
    """The maps at `config.also_beside`, which must be of the same modality and task.

    Raises:
        ToolkitError: if one of them is not, or cannot be read.
    """
    maps = [AccuracyMap.load(path) for path in config.also_beside]
    for path, accuracy_map in zip(config.also_beside, maps, strict=True):
        accuracy_map.require("beside", path, {"modality": kind.name, "task": task})
    return maps


def plain(values: tuple[Any, ...]) -> Any:
    """One transmission's value by itself, several as they are: what `Measurer.measure` takes."""
    return values[0] if len(values) == 1 else values


def _channel_of(accuracy_map: AccuracyMap) -> Channel:
    """The channel a map was measured on, with its fading, CSI and Rician factor where provenance has them."""
    from deepsc.link.channel import Channel

    stored = accuracy_map.provenance.get("channel")
    if not isinstance(stored, dict):
        return Channel(kind=accuracy_map.channel)
    with parsing(f"provenance of {named('beside')}"):
        return from_json(Channel, stored)


def _bleu_tokenize(config: MapConfig, beside: AccuracyMap | None) -> str | None:
    """The tokenizer that is asked for; that of the map beside a baseline where none is."""
    if config.bleu_tokenize is not None or beside is None or config.baseline is None:
        return config.bleu_tokenize
    stored = beside.provenance.get("metric_options")
    tokenize = stored.get("bleu_tokenize") if isinstance(stored, dict) else None
    return tokenize if isinstance(tokenize, str) else None

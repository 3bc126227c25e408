"""What each UE has to do, as tensors with one entry per UE, made from accuracy maps and FLOPs files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy_maps import AccuracyMap, BimodalMap
from data.files.errors import ToolkitError
from data.settings import named
from optimizer.world.channel import GainTable
from optimizer.world.config import CSI, MODALITIES, EpisodeConfig, SystemConfig
from optimizer.world.devices import Device, UeDevices
from profiling.flops_file import FlopsFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """One task of each UE. All tensors are float64 unless said."""

    modality: Tensor
    """Index into MODALITIES, int64, (ues,)."""
    flops: Tensor
    """l of eq. (3), FLOP to run a task locally, (ues,)."""
    ue_flops: Tensor
    """FLOP the UE is charged when it offloads a task, (ues,): 0 as the paper prints it."""
    server_flops: Tensor
    """l of eq. (5), FLOP the server is charged for an offloaded task, (ues,)."""
    symbols: Tensor
    """S k of eq. (4), complex channel symbols of a task at each choice of k, (ues, codes). One choice unless
    k is chosen jointly with the rest."""
    map_snr_db: Tensor
    """SNR axis of all maps, rising, at least two points, (points,). Maps with different axes go on their
    union, which leaves a piecewise linear function what it is."""
    map_ratio: Tensor
    """epsilon / epsilon_0 on that axis, the maps' monotone envelopes at each choice of k, (ues, codes,
    points)."""
    devices: UeDevices | None = None
    """What each UE computes and sends with; None: all have the system's device."""
    gains: GainTable | None = None
    """Channel gains or ways of a file, of which each UE draws a place an episode; None: the ring's places and
    the pathloss model."""

    @property
    def ues(self) -> int:
        """Number of UEs."""
        return self.flops.shape[0]

    @property
    def codes(self) -> int:
        """Number of choices of k."""
        return self.symbols.shape[1]

    @cached_property
    def ue_encodes(self) -> bool:
        """Whether any UE is charged for encoding what it offloads."""
        return bool((self.ue_flops > 0).any())

    @cached_property
    def map_row_start(self) -> Tensor:
        """Where each UE's first row begins in the flattened `map_ratio`, int32, (ues,)."""
        row = self.map_ratio[0].numel()
        return torch.arange(self.ues, dtype=torch.int32, device=self.flops.device) * row

    @cached_property
    def map_lines(self) -> tuple[Tensor, Tensor]:
        """`map_ratio` as lines from point to point: where each starts and how much it rises, 0 behind the
        last point; flattened."""
        rise = self.map_ratio.diff(dim=-1, append=self.map_ratio[..., -1:])
        return self.map_ratio.flatten(), rise.flatten()

    @cached_property
    def map_step_db(self) -> float | None:
        """Distance of the SNR axis' points where all are equally far apart, to 1e-9 of it; else None."""
        gaps = self.map_snr_db.diff()
        step = float(gaps.mean())
        return step if bool(((gaps - step).abs() <= 1e-9 * step).all()) else None

    def symbols_of(self, code: Tensor | None) -> Tensor:
        """S k at a choice of k.

        Args:
            code: (..., ues), int64; None is 0 for all.

        Returns:
            `code`'s shape, or (ues,).
        """
        if code is None:
            return self.symbols[:, 0]
        if self.codes == 1:
            return self.symbols[:, 0].expand(torch.broadcast_shapes(code.shape, (self.ues,)))
        return self.symbols.flatten()[torch.arange(self.ues, device=code.device) * self.codes + code]

    def device_in(self, system: SystemConfig) -> Device:
        """Where the numbers of the UEs' devices are: `devices`, or the system where all have the same."""
        return system if self.devices is None else self.devices

    def tensors(self) -> Iterator[Tensor]:
        """All numbers, one field after the other; those of `devices` and `gains` last."""
        for part in (self, self.devices, self.gains):
            if part is not None:
                values = (getattr(part, field.name) for field in fields(part))
                yield from (value for value in values if isinstance(value, Tensor))

    def pick(self, ues: Tensor) -> Tasks:
        """Those of some UEs, by index, in that order."""
        rows = {name: value[ues] for name, value in vars(self).items() if name in _BY_UE}
        return replace(self, **rows, devices=None if self.devices is None else self.devices.pick(ues))

    @property
    def device(self) -> torch.device:
        """Where all its numbers are."""
        return self.flops.device

    def generator(self, seed: int) -> torch.Generator:
        """A generator with a seed, where the tasks are: everything that is played with it is there, too."""
        return torch.Generator(self.device).manual_seed(seed)

    def to(self, device: torch.device | str) -> Tasks:
        """The same on another torch device."""
        moved: dict[str, Any] = {
            field.name: None if (value := getattr(self, field.name)) is None else value.to(device)
            for field in fields(self)
        }
        return Tasks(**moved)


_BY_UE = ("modality", "flops", "ue_flops", "server_flops", "symbols", "map_ratio")
"""Fields of `Tasks` with a row for each UE."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One modality's task and the choices of k it may be sent with."""

    modality: str
    flops: float
    ue_flops: float
    server_flops: float
    symbols: tuple[float, ...]
    """One per choice of k."""
    snr_db: NDArray[np.float64]
    """(points,)."""
    ratio: NDArray[np.float64]
    """(codes, points)."""


def workload(
    accuracy_map: AccuracyMap | BimodalMap,
    flops: FlopsFile,
    *,
    modality: str,
    episode: EpisodeConfig,
    k: Sequence[tuple[int, ...]],
) -> Workload:
    """One modality's task: a paragraph of text, an image, or an image with a question.

    Args:
        accuracy_map: f^Q, an `AccuracyMap` or, for VQA, a map with two axes of k.
        flops: cost per sentence, image or question; its `source_length` is S.
        modality: what both files must be of.
        episode: sentences a paragraph, CSI and what offloading is charged.
        k: choices of complex channel symbols per token, (k,) each, (k^T, k^I) for VQA.

    Raises:
        ToolkitError: if a file is of another modality, if the map's channel does not go with the CSI, or if
            a k lies outside the map.
    """
    for file, content in (("map", accuracy_map), ("flops", flops)):
        if content.modality != modality:
            name = named(f"{modality}_{file}")
            raise ToolkitError(f"{name} is of modality {content.modality!r}, {modality!r} is allowed")
    wanted = CSI[episode.csi]
    if accuracy_map.channel != wanted:
        raise ToolkitError(
            f"{named(f'{modality}_map')} is of channel {accuracy_map.channel!r}, "
            f"{named('csi')} {episode.csi} reads {wanted!r} only: "
            "eq. (1) holds |h|^2 already, a fading map at the instantaneous SNR would count fading twice, "
            "and an AWGN map at the mean SNR not at all"
        )
    rows = [_row(accuracy_map, modality, values) for values in k]
    split = episode.offload_cost == "split"
    counted = _counted_k(flops)
    if split and counted[-1] not in {values[-1] for values in k}:  # what runs without a channel has no k
        logger.warning(
            "the %s FLOPs file counts the channel codec at k = %d, %s is %s; count it there (profile-flops)",
            modality, counted[-1], named("k_text" if modality == "text" else "k_image"),
            " ".join(str(v[-1]) for v in k),
        )  # fmt: skip
    snr_db = np.array(accuracy_map.snr_db, dtype=np.float64)
    lengths = token_counts(flops, modality)
    repeats = episode.repeats(modality)
    return Workload(
        modality=modality,
        flops=repeats * flops.local_flops,
        ue_flops=repeats * flops.ue_flops if split else 0.0,
        server_flops=repeats * (flops.server_flops if split else flops.local_flops),
        symbols=tuple(
            float(repeats * sum(s * v for s, v in zip(lengths, values, strict=True))) for values in k
        ),
        snr_db=snr_db,
        ratio=np.stack(rows),
    )


def _row(accuracy_map: AccuracyMap | BimodalMap, modality: str, k: tuple[int, ...]) -> NDArray[np.float64]:
    """f^Q against the map's SNR axis at one k: all that is read of a map, and the only code that knows its
    axes.

    A VQA map has two axes of k; one with a single axis is read at k^I.
    """
    if isinstance(accuracy_map, BimodalMap):
        _check_k("k_text", k[0], accuracy_map.k_text, modality)
        _check_k("k_image", k[1], accuracy_map.k_image, modality)
        return accuracy_map.row(*k)
    _check_k("k_text" if modality == "text" else "k_image", k[-1], accuracy_map.k, modality)
    return accuracy_map.row(k[-1])


def _check_k(name: str, value: int, axis: tuple[int, ...], modality: str) -> None:
    """Refuse a k outside the map: clamping would send fewer symbols for the same accuracy."""
    if not axis[0] <= value <= axis[-1]:
        raise ToolkitError(f"{named(name)} {value} given, the {modality} map holds {axis[0]} to {axis[-1]}")


def token_counts(flops: FlopsFile, modality: str) -> tuple[int, ...]:
    """S of each transmission: the source's, and for VQA the question's and the image's."""
    lengths = (flops.source_length, flops.image_length) if modality == "vqa" else (flops.source_length,)
    return tuple(length for length in lengths if length is not None)


def _counted_k(flops: FlopsFile) -> tuple[int, ...]:
    """What k a FLOPs file is counted at, (k,) or (k^T, k^I)."""
    return tuple(value for value in (flops.k, flops.k_text, flops.k_image) if value is not None)


def make_tasks(
    workloads: Mapping[str, Workload],
    mix: Sequence[str],
    devices: UeDevices | None = None,
    gains: GainTable | None = None,
) -> Tasks:
    """Tasks of UEs of any mix of modalities.

    Args:
        workloads: by modality, every one that is in `mix`.
        mix: the UEs' modalities.
        devices: of the UEs, where they differ.
        gains: of a file.
    """
    chosen = [workloads[modality] for modality in mix]
    axis = np.unique(np.concatenate([work.snr_db for work in chosen]))
    if axis.size == 1:  # a flat line through the only point, so that the lookup always has a segment
        axis = np.array([axis[0], axis[0] + 1.0])
    codes = max(len(work.symbols) for work in chosen)

    def per_ue(values: Sequence[float]) -> Tensor:
        return torch.tensor(list(values), dtype=torch.float64)

    # a UE with fewer choices of k than another has them again, so that none is drawn much more often at first
    codes_of = [[code % len(work.symbols) for code in range(codes)] for work in chosen]
    symbols = [[work.symbols[i] for i in at] for work, at in zip(chosen, codes_of, strict=True)]
    ratios = [
        [np.interp(axis, work.snr_db, work.ratio[i]) for i in at]
        for work, at in zip(chosen, codes_of, strict=True)
    ]
    return Tasks(
        modality=torch.tensor([MODALITIES.index(modality) for modality in mix]),
        flops=per_ue([work.flops for work in chosen]),
        ue_flops=per_ue([work.ue_flops for work in chosen]),
        server_flops=per_ue([work.server_flops for work in chosen]),
        symbols=torch.tensor(symbols, dtype=torch.float64),
        map_snr_db=torch.from_numpy(axis),
        map_ratio=torch.from_numpy(np.array(ratios)),
        devices=devices,
        gains=gains,
    )

"""What each UE has to do, as tensors with one entry per UE, made from an accuracy map and a FLOPs file."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from accuracy_maps import AccuracyMap
from data.artifacts import ToolkitError
from optimizer.config import CSI, EpisodeConfig
from profiling.flops_file import FlopsFile

MODALITIES = ("text", "image", "bimodal")
"""Section II-A's Q: T, I and B. The order is the observation's one-hot."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """One task of each UE. All tensors are float64 unless said, with `ues` entries."""

    modality: Tensor
    """Index into MODALITIES, int64, (ues,)."""
    flops: Tensor
    """l of eq. (3), FLOP to run a task locally, (ues,)."""
    ue_flops: Tensor
    """FLOP the UE is charged when it offloads a task, (ues,): 0 as the paper prints it."""
    server_flops: Tensor
    """l of eq. (5), FLOP the server is charged for an offloaded task, (ues,)."""
    symbols: Tensor
    """S k of eq. (4), complex channel symbols of a task, (ues,)."""
    map_snr_db: Tensor
    """SNR axis of all maps, rising, at least two points, (points,). Maps with different axes go on their
    union, which leaves a piecewise linear function what it is."""
    map_ratio: Tensor
    """epsilon / epsilon_0 on that axis, the maps' monotone envelopes at the UEs' k, (ues, points)."""

    @property
    def ues(self) -> int:
        """Number of UEs."""
        return self.flops.shape[0]


def text_tasks(accuracy_map: AccuracyMap, flops: FlopsFile, *, episode: EpisodeConfig, k: int) -> Tasks:
    """Tasks of UEs that all translate text: a task is a paragraph of `episode.sentences_per_task` sentences.

    Args:
        accuracy_map: f^T(k, SNR).
        flops: cost per sentence; its `source_length` is S.
        episode: number of UEs, sentences a task, CSI and what offloading is charged.
        k: complex channel symbols per token.

    Raises:
        ToolkitError: if a file is not of text, if the map's channel does not go with the CSI, or if k lies
            outside the map.
    """
    for name, modality in (("--text-map", accuracy_map.modality), ("--flops", flops.modality)):
        if modality != "text":
            raise ToolkitError(f"{name} is of modality {modality!r}, 'text' is allowed")
    wanted = CSI[episode.csi]
    if accuracy_map.channel != wanted:
        raise ToolkitError(
            f"--text-map is of channel {accuracy_map.channel!r}, --csi {episode.csi} reads {wanted!r} only: "
            "eq. (1) holds |h|^2 already, a fading map at the instantaneous SNR would count fading twice, "
            "and an AWGN map at the mean SNR not at all"
        )
    if (
        not accuracy_map.k[0] <= k <= accuracy_map.k[-1]
    ):  # clamping would send fewer symbols for the same accuracy
        raise ToolkitError(f"--k {k} given, the map holds {accuracy_map.k[0]} to {accuracy_map.k[-1]}")
    if dict(accuracy_map.model) != dict(flops.model):
        logger.warning(
            "the accuracy map is of model %s, the FLOPs file of model %s: the table mixes two models",
            dict(accuracy_map.model),
            dict(flops.model),
        )
    if flops.k != k:
        logger.warning("the FLOPs file counts the channel codec at k = %d, --k is %d", flops.k, k)

    def per_ue(value: float) -> Tensor:
        return torch.full((episode.ues,), float(value), dtype=torch.float64)

    sentences = episode.sentences_per_task
    split = episode.offload_cost == "split"
    snr_db = torch.tensor(accuracy_map.snr_db, dtype=torch.float64)
    ratio = torch.as_tensor(accuracy_map.row(k), dtype=torch.float64)
    if snr_db.numel() == 1:  # a flat line through the only point, so that the lookup always has a segment
        snr_db, ratio = torch.cat((snr_db, snr_db + 1.0)), ratio.repeat(2)
    return Tasks(
        modality=torch.full((episode.ues,), MODALITIES.index("text")),
        flops=per_ue(sentences * flops.local_flops),
        ue_flops=per_ue(sentences * flops.ue_flops if split else 0.0),
        server_flops=per_ue(sentences * (flops.server_flops if split else flops.local_flops)),
        symbols=per_ue(sentences * flops.source_length * k),
        map_snr_db=snr_db,
        map_ratio=ratio.expand(episode.ues, -1),
    )


def load_text_tasks(
    map_path: Path, flops_path: Path, *, episode: EpisodeConfig, k: int
) -> tuple[Tasks, AccuracyMap, FlopsFile]:
    """Read both files and make the tasks.

    Raises:
        ToolkitError: as `text_tasks`, or if a file is missing, truncated or foreign.
    """
    accuracy_map, flops = AccuracyMap.load(map_path), FlopsFile.load(flops_path)
    return text_tasks(accuracy_map, flops, episode=episode, k=k), accuracy_map, flops

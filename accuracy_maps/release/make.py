"""The folder of a release: weights rounded to bfloat16, and what was measured on them."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Literal

import torch

from accuracy_maps.bimodal import BimodalMap, load_map
from accuracy_maps.map import AccuracyMap
from accuracy_maps.release.card import model_card
from accuracy_maps.release.config import ReleaseConfig
from accuracy_maps.show.compare import is_baseline
from data.files.atomic import write_text
from data.files.errors import ToolkitError
from data.files.tensors import write_safetensors
from data.settings import named
from deepsc.checkpoint import WEIGHTS, from_pretrained, read_weights, write_config, write_weights_once
from deepsc.modality import Checkpoint
from deepsc.zoo.find import CARD, CODEC, FLOPS, LOCAL, MAPS, map_stem, resolve
from profiling.flops_file import FlopsFile

logger = logging.getLogger(__name__)


def make_release(config: ReleaseConfig) -> Path:
    """Write a codec, its local model, their maps and FLOPs, and the card that says so.

    Maps and a FLOPs file that the folder has and that are not given are removed.

    Returns:
        The folder.

    Raises:
        ToolkitError: if a model is missing or damaged, or a map or FLOPs file is not of the released weights.
    """
    output = Path(config.output)
    with tempfile.TemporaryDirectory() as draft:  # nothing is written unless all fits
        codec = _round(config.codec, Path(draft) / CODEC, "codec")
        local = _round(config.local, Path(draft) / LOCAL, "local")
    _require_pair(config, codec, local)
    maps = {}
    for path in config.maps:
        measured = load_map(path)
        _require_measured_on(path, measured, codec, local)
        maps[map_name(measured)] = measured
    flops = None if config.flops is None else FlopsFile.load(config.flops)
    if flops is not None and dict(flops.model) != json.loads(json.dumps(codec.codec.config.model_name)):
        raise ToolkitError(f"{named('flops')}: {config.flops} is of another model, {dict(flops.model)}")
    _round(config.codec, output / CODEC, "codec")
    _round(config.local, output / LOCAL, "local")
    write_weights_once(output / CODEC, output / LOCAL)
    for old in (output / MAPS).glob("*.json"):
        if old.stem not in maps:
            old.unlink()
    for name, found in maps.items():
        found.save(output / MAPS / f"{name}.json")
    (output / FLOPS).unlink(missing_ok=True)
    if flops is not None:
        flops.save(output / FLOPS)
    write_text(output / CARD, model_card(output))
    return output


def _require_pair(config: ReleaseConfig, codec: Checkpoint, local: Checkpoint) -> None:
    """Check that a codec and a local model are given; warn if neither started from the other."""
    if not codec.codec.config.uplinks or local.codec.config.uplinks:
        raise ToolkitError(
            f"{named('codec')}, {named('local')}: {config.codec} and {config.local} given, a codec trained "
            "over a channel and its local model are allowed"
        )
    if codec.document["init_from"] is not None and not (
        _started_from(codec, local) or _started_from(local, codec)
    ):
        logger.warning(
            "%s: started from another model than %s; its ratio may stay below 1", config.codec, config.local
        )


def _started_from(checkpoint: Checkpoint, first: Checkpoint) -> bool:
    """Whether a training started from another's weights, or from what they were before they were rounded."""
    before = first.document["provenance"].get("rounded", {}).get("from_sha256", first.sha256)
    return checkpoint.document["init_from"] in (first.sha256, before)


def map_name(accuracy_map: AccuracyMap | BimodalMap) -> str:
    """Name of a map's file in a release: task and channel, and of a baseline its channel code."""
    baseline, code = accuracy_map.model.get("baseline"), accuracy_map.model.get("code", "capacity")
    kind = f"-{baseline}-{code}" if baseline else ""
    return f"{map_stem(accuracy_map.task, accuracy_map.channel)}{kind}"


def _round(place: str, output: Path, part: Literal["codec", "local"]) -> Checkpoint:
    """Write a checkpoint with weights in bfloat16; they are computed with in float32 when it is loaded."""
    folder = Path(resolve(place, part, setting=part))
    checkpoint = from_pretrained(folder)
    tensors, header = read_weights(folder / WEIGHTS)
    rounded = {
        name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }
    if checkpoint.tokenizer is not None:
        checkpoint.tokenizer.save(output)
    origin = dict(checkpoint.document["provenance"])
    if any(tensor.dtype == torch.float32 for tensor in tensors.values()):
        origin["rounded"] = {"to": "bfloat16", "from_sha256": checkpoint.sha256}
    fields = {
        name: value for name, value in checkpoint.document.items() if name not in ("kind", "schema_version")
    }
    write_config(output, fields | {"provenance": origin})
    write_safetensors(output / WEIGHTS, rounded, header)
    return from_pretrained(output)


def _require_measured_on(
    path: str, accuracy_map: AccuracyMap | BimodalMap, codec: Checkpoint, local: Checkpoint
) -> None:
    """Check that a map is of these weights; a baseline's is of the local model alone.

    Raises:
        ToolkitError: if it is of others.
    """
    source = accuracy_map.provenance
    models = [source.get("local"), *source.get("codecs", ())]
    wanted = [local.sha256] if is_baseline(accuracy_map) else [local.sha256, codec.sha256]
    measured = [model.get("sha256") if isinstance(model, dict) else None for model in models]
    if measured != wanted:
        raise ToolkitError(
            f"{named('maps')}: {path} was not measured on the released weights; measure it with "
            f"build-accuracy-map --codec and --local of the release's folder"
        )

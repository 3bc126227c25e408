"""Checkpoints: folders of config.json, model.safetensors (best), state.safetensors (last), and any tokenizer.

Each file is replaced atomically. Nothing is pickled, so a checkpoint from a stranger cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from torch import Tensor

from data.files.atomic import atomic_path
from data.files.documents import parse_json, read_document, write_json
from data.files.errors import ToolkitError, parsing
from data.files.paths import exists, is_file
from data.files.provenance import sha256_of
from data.files.schema import typed
from data.files.tensors import read_metadata, read_safetensors, write_safetensors
from data.text.tokenizer import JointBPE, load_tokenizer
from deepsc.codec.base import Codec
from deepsc.codec.config import CodecConfig
from deepsc.config import TrainConfig
from deepsc.modality import Checkpoint, Modality, modality
from deepsc.zoo.find import LOCAL

KIND = "deepsc-checkpoint"
WEIGHTS = "model.safetensors"
"""File of a checkpoint's best weights."""
_OF_LOCAL = "local_sha256"
"""In the header of a codec's file that leaves out the weights of its local model: the SHA-256 of that model,
which stands in the folder beside the codec's."""
SCHEMA_VERSION = 1


def write_config(folder: str | os.PathLike[str], fields: Mapping[str, Any]) -> None:
    """Write config.json."""
    write_json(Path(folder) / "config.json", {"kind": KIND, "schema_version": SCHEMA_VERSION, **fields})


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read config.json.

    Raises:
        ToolkitError: if `folder` is not a checkpoint.
    """
    path = Path(folder) / "config.json"
    if not is_file(path):
        if exists(folder):
            raise ToolkitError(f"{folder}: not a checkpoint, it has no config.json")
        raise ToolkitError(f"{folder}: not found, a folder of train-deepsc or a codec that ships is allowed")
    return read_document(path, kind=KIND, schema_version=SCHEMA_VERSION)


def save_best(folder: str | os.PathLike[str], codec: Codec, metrics: Mapping[str, Any]) -> None:
    """Write model.safetensors; its header says which codec config it belongs to."""
    header = {"metrics": json.dumps(metrics), "codec": _fingerprint(codec.config)}
    with atomic_path(Path(folder) / WEIGHTS) as temporary:
        save_model(codec, str(temporary), metadata=header)


def from_pretrained(folder: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Checkpoint:
    """Load the best weights of a run.

    Args:
        folder: a run's output folder.
        device: where the codec goes.

    Raises:
        ToolkitError: if a file is missing, truncated, or belongs to another model.
    """
    folder = Path(folder)
    document = read_config(folder)
    with parsing(folder / "config.json"):
        kind = modality(document["modality"])
        config = _codec_config(kind, document)
    weights = folder / WEIGHTS
    if not is_file(weights):
        raise ToolkitError(f"{weights}: no such file; training has not finished its first epoch")
    tensors, header = read_weights(weights)
    if header.get("codec") != _fingerprint(config):
        raise ToolkitError(f"{weights}: belongs to another model than {folder / 'config.json'}")
    with parsing(weights):
        metrics = parse_json(header["metrics"])
        typed(metrics, "epoch", int)
        typed(metrics, "validation_loss", float)
        codec = _filled(kind, config, tensors)
    tokenizer = load_tokenizer(folder) if kind.has_text else None
    if isinstance(tokenizer, JointBPE) and tokenizer.vocab_size > getattr(config, "vocab_size", math.inf):
        raise ToolkitError(f"{folder / 'tokenizer.json'}: has more tokens than the model; make it again")
    checkpoint = Checkpoint(
        codec=codec.to(device).eval(),
        tokenizer=tokenizer,
        document=document,
        metrics=metrics,
        sha256=_sha256(tensors, header),
        file_sha256=sha256_of(weights),
    )
    with parsing(folder / "config.json"):  # each is parsed here, once
        _ = checkpoint.task, checkpoint.training, checkpoint.corpus
    return checkpoint


def model_sha256(weights: str | os.PathLike[str]) -> str:
    """SHA-256 of what a file of weights holds: the codec's config and each tensor; equal for equal models.

    Raises:
        ToolkitError: if the file is truncated or not safetensors.
    """
    return _sha256(*read_weights(weights))


def read_weights(weights: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a file of weights, with those that a release's codec has of its local model.

    Raises:
        ToolkitError: if the file or the local model's is missing, truncated or not safetensors, or the latter
            is of another model.
    """
    tensors, header = read_safetensors(weights)
    if _OF_LOCAL not in header:
        return tensors, header
    beside = Path(weights).parent.resolve().parent / LOCAL / Path(weights).name
    if not is_file(beside):
        raise ToolkitError(
            f"{beside}: no such file; the codec {weights} takes weights from it: copy the release's folder "
            "as a whole"
        )
    shared, of_local = read_safetensors(beside)
    if _sha256(shared, of_local) != header[_OF_LOCAL]:
        raise ToolkitError(f"{beside}: belongs to another model than {weights}, which has weights there")
    return {**shared, **tensors}, {name: text for name, text in header.items() if name != _OF_LOCAL}


def write_weights_once(codec: Path, local: Path) -> None:
    """Leave the local model's weights out of a codec's file, if the codec has every one of them unchanged.

    Args:
        codec: the codec's folder, in a release.
        local: the local model's, beside it.
    """
    path = codec / WEIGHTS
    tensors, header = read_weights(path)
    shared, of_local = read_safetensors(local / WEIGHTS)
    if all(name in tensors and _same(tensors[name], tensor) for name, tensor in shared.items()):
        rest = {name: tensor for name, tensor in tensors.items() if name not in shared}
        write_safetensors(path, rest, header | {_OF_LOCAL: _sha256(shared, of_local)})


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _sha256(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    digest = hashlib.sha256((header.get("codec") or "").encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def config_beside(weights: Path) -> dict[str, Any] | None:
    """The config.json of the checkpoint that a file of weights is of.

    Returns:
        None if the weights are no checkpoint's, or the config.json beside them is missing or another's.

    Raises:
        ToolkitError: if either is damaged.
    """
    path = weights.parent / "config.json"
    if weights.suffix != ".safetensors" or not is_file(path):
        return None
    fingerprint = read_metadata(weights).get("codec")
    if fingerprint is None:
        return None
    document = read_config(weights.parent)
    with parsing(path):
        config = _codec_config(modality(document["modality"]), document)
    return document if fingerprint == _fingerprint(config) else None


def _filled(kind: Modality[Any], config: CodecConfig, tensors: Mapping[str, Tensor]) -> Codec:
    """The codec that a config describes, with stored weights.

    Raises:
        ToolkitError: if some have no place in it.
        ValueError, RuntimeError: if they are others than it asks for, before memory is taken if they are too
            few.
    """
    with torch.device("meta"):  # shapes alone
        shapes = kind.codec(config)
    if unknown := sorted(tensors.keys() - shapes.state_dict().keys()):
        raise ToolkitError(
            f"weights of another model, or of an earlier release's, have no place in this one: "
            f"{', '.join(unknown[:3])}; train it anew"
        )
    wanted = sum(parameter.numel() for parameter in shapes.parameters())
    if (count := sum(tensor.numel() for tensor in tensors.values())) < wanted:
        raise ValueError(f"{count} weights, the config asks for {wanted}")
    codec = kind.codec(config)
    state = codec.state_dict()
    stored = {state[name].data_ptr() for name in tensors}  # of tied weights one is
    missing = [name for name, tensor in state.items() if tensor.data_ptr() not in stored]
    if missing:
        raise ValueError(f"weights are missing: {', '.join(missing[:3])}")
    codec.load_state_dict(tensors, strict=False)
    return codec


def save_state(
    folder: str | os.PathLike[str],
    codec: Codec,
    optimizer: torch.optim.Optimizer,
    position: Mapping[str, Any],
) -> None:
    """Write state.safetensors: latest weights and statistics, optimizer moments, and the position in the run.

    Args:
        folder: the run's output folder.
        codec: the model.
        optimizer: AdamW over the model's parameters.
        position: JSON values: epoch, batch, step, best_loss (or None), best_epoch.
    """
    tensors = {f"buffer.{name}": buffer for name, buffer in _buffers(codec).items()}
    for name, parameter in codec.named_parameters():
        tensors[f"model.{name}"] = parameter
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    header = {"position": json.dumps(position), "codec": _fingerprint(codec.config)}
    write_safetensors(Path(folder) / "state.safetensors", tensors, header)


def load_state(
    folder: str | os.PathLike[str], codec: Codec, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put `save_state`'s tensors back in place.

    Returns:
        The position.

    Raises:
        ToolkitError: if the file is truncated or belongs to another model.
    """
    path = Path(folder) / "state.safetensors"
    stored, header = read_safetensors(path)
    if header.get("codec") != _fingerprint(codec.config):
        raise ToolkitError(f"{path}: belongs to another model than this command's flags describe")
    position = _position(path, header)
    with parsing(path), torch.no_grad():

        def tensor(name: str, shape: torch.Size, *, floats: bool = True) -> Tensor:
            value = stored[name]
            if value.shape != shape or value.is_floating_point() != floats:
                raise ValueError(
                    f"{name} is {value.dtype} of shape {tuple(value.shape)}, {tuple(shape)} expected"
                )
            return value

        has_buffers = any(name.startswith("buffer.") for name in stored)  # earlier releases saved none
        state = {
            name: tensor(f"buffer.{name}", buffer.shape, floats=buffer.is_floating_point())
            for name, buffer in (_buffers(codec).items() if has_buffers else ())
        }
        for name, parameter in codec.named_parameters():
            state[name] = tensor(f"model.{name}", parameter.shape)
            moments = [
                key for key in ("step", "exp_avg", "exp_avg_sq") if f"optimizer.{key}.{name}" in stored
            ]
            if len(moments) not in (0, 3):
                raise ValueError(f"of {name} only the moments {', '.join(moments)} are there")
            # Fused AdamW has its step counter beside the parameter, as the moments are.
            optimizer.state[parameter] = {
                key: tensor(f"optimizer.{key}.{name}", torch.Size() if key == "step" else parameter.shape).to(
                    parameter.device
                )
                for key in moments
            }
        codec.load_state_dict(state, strict=False)  # of tied weights one is there
    return position


def _buffers(codec: Codec) -> dict[str, Tensor]:
    """What a model gathers besides its weights: the statistics of batch norm."""
    kept = codec.state_dict().keys()
    return {name: buffer for name, buffer in codec.named_buffers() if name in kept}


def position_of(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Where the run of an output folder stands; None: there is no state of it.

    Raises:
        ToolkitError: if the state is truncated or foreign.
    """
    state = Path(folder) / "state.safetensors"
    return _position(state, read_metadata(state)) if exists(state) else None


def is_over(config: TrainConfig, position: Mapping[str, Any]) -> bool:
    """Whether a run at this position is done: after all epochs, or too many without a better loss."""
    epoch: int = position["epoch"]
    return epoch >= config.epochs or epoch - position["best_epoch"] > config.patience


def _position(path: Path, header: Mapping[str, str]) -> dict[str, Any]:
    """Where the run stood whose state `save_state` wrote."""
    with parsing(path):
        position: dict[str, Any] = parse_json(header["position"])
        counts = [typed(position, name, int) for name in ("epoch", "batch", "step")]
        if not all(0 <= count < 2**31 for count in counts):
            raise ValueError(f"position is {position}")
        typed(position, "best_epoch", int)
        if position["best_loss"] is not None:
            typed(position, "best_loss", float)
    return position


def _codec_config(kind: Modality[Any], document: Mapping[str, Any]) -> CodecConfig:
    try:
        return kind.codec_config.from_dict(document["codec"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"no codec of modality {kind.name!r}: {error}") from error


def _fingerprint(config: CodecConfig) -> str:
    return hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode()).hexdigest()

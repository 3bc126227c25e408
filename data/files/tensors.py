"""Files of tensors with a JSON head (safetensors): codecs, policies, checkpoints, finished seeds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from data.files.atomic import atomic_path
from data.files.documents import parse_json
from data.files.errors import ToolkitError, parsing
from data.files.paths import require_file

LARGEST_TENSORS = 2**30
"""Most bytes of a policy, checkpoint or seed, all of which is read; MAPPO's checkpoint has 0.6 MB."""


def require_finite(weights: Iterable[Tensor], learning_rate: float) -> None:
    """Refuse to go on with weights that are no numbers.

    Raises:
        ToolkitError: naming the learning rate.
    """
    if not all(torch.isfinite(weight).all() for weight in weights):
        raise ToolkitError(
            f"the training diverged, its weights are not finite: learning_rate {learning_rate} given, "
            "a smaller one is needed"
        )


def require_head(head: Mapping[str, Any], kind: str, schema_version: int) -> None:
    """Check what a file of tensors is.

    Raises:
        ToolkitError: if it is of another kind, or of another version of the toolkit.
    """
    if head.get("kind") != kind:
        raise ToolkitError(f"kind {head.get('kind')!r} given, {kind!r} is allowed")
    if head.get("schema_version") != schema_version:
        raise ToolkitError(
            f"schema version {head.get('schema_version')!r} given, {schema_version} is read; train anew, or "
            "read it with the version of the toolkit that wrote it"
        )


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], head: Mapping[str, Any]
) -> None:
    """Write tensors and a JSON head as one safetensors file, atomically."""
    write_safetensors(path, tensors, {"head": json.dumps(head)})


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors and texts by name as one safetensors file, atomically."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(whole, temporary, metadata=dict(metadata))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        ToolkitError: if it is missing, truncated, too large, or holds numbers that are not finite.
    """
    tensors, metadata = read_safetensors(path, largest=LARGEST_TENSORS)
    with parsing(path):
        return tensors, dict(parse_json(metadata.get("head", "{}")))


def read_safetensors(
    path: str | os.PathLike[str], *, largest: int | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of a safetensors file.

    Args:
        path: of the file.
        largest: bytes it may have; None: any number, of a codec.

    Raises:
        ToolkitError: if it is missing, truncated, too large, or holds numbers that are not finite.
    """
    require_file(path, largest=largest)
    with parsing(path), safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name} holds numbers that are not finite")
        return tensors, file.metadata() or {}


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts of a safetensors file alone.

    Raises:
        ToolkitError: if it is missing, truncated or none.
    """
    require_file(path)
    with parsing(path), safe_open(path, framework="pt") as file:
        return file.metadata() or {}

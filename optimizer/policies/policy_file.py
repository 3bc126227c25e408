"""The policy file: a learner's weights, and the world they were trained for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from data.files.errors import ToolkitError
from data.files.runs import Identity
from data.files.schema import typed
from data.files.tensors import require_head, write_tensors
from data.settings import named
from optimizer.world.config import (
    MODALITIES,
    SERVER_DEVICE_FIELDS,
    UE_DEVICE_FIELDS,
    EpisodeConfig,
    SystemConfig,
    defaults_since_0_1,
)
from optimizer.world.tasks import Tasks

logger = logging.getLogger(__name__)

KIND = "offloading-policy"
SCHEMA_VERSION = 7
_NEEDED = ("episode.observation", "codes")
"""Without which the weights mean nothing."""


def world_of(system: SystemConfig, episode: EpisodeConfig, tasks: Tasks) -> dict[str, Any]:
    """What a policy is trained for, ready for JSON: Table I, the UEs, their devices, and of each modality
    what its first UE's task costs, with a checksum of its map."""
    first = {MODALITIES[int(kind)]: (tasks.modality == kind).nonzero()[0, 0] for kind in tasks.modality}
    document: dict[str, Any] = {
        "system": asdict(system),
        "episode": asdict(episode),
        "codes": tasks.codes,
        "tasks": {name: _task(tasks, int(ue)) for name, ue in first.items()},
    }
    if tasks.devices is not None:
        document["devices"] = {name: value.tolist() for name, value in vars(tasks.devices).items()}
    if tasks.gains is not None:
        gain, position_m = tasks.gains.gain, tasks.gains.position_m
        numbers = {"gain": None if gain is None else gain.tolist(), "position_m": position_m.tolist()}
        document["gains"] = Identity.of(numbers).digest
    return document | {"digest": Identity.of(document).digest}


def _task(tasks: Tasks, ue: int) -> dict[str, Any]:
    """One UE's; `symbols` is S k of eq. (4), at each choice of k."""
    points = torch.stack((tasks.map_snr_db.expand_as(tasks.map_ratio[ue]), tasks.map_ratio[ue])).tolist()
    return {
        "symbols": tasks.symbols[ue].tolist(), "flops": float(tasks.flops[ue]),
        "server_flops": float(tasks.server_flops[ue]), "ue_flops": float(tasks.ue_flops[ue]),
        "map": Identity.of({"points": points}).digest,
    }  # fmt: skip


def write_policy(
    path: str | os.PathLike[str],
    network: nn.Module,
    *,
    learner: str,
    sizes: Mapping[str, Any],
    world: Mapping[str, Any],
) -> None:
    """Write weights, sizes and the world they were trained for as safetensors, atomically.

    Args:
        path: of the file.
        network: its weights are written.
        learner: whose it is.
        sizes: of the network.
        world: of `world_of`.
    """
    head = {
        "kind": KIND, "schema_version": SCHEMA_VERSION, "learner": learner, "sizes": dict(sizes),
        "trained_for": dict(world),
    }  # fmt: skip
    write_tensors(path, network.state_dict(), head)


def sizes_in(
    head: Mapping[str, Any], weights: Mapping[str, Tensor], learners: tuple[str, ...]
) -> dict[str, Any]:
    """The sizes that a policy file gives.

    Args:
        head: of the file.
        weights: in the file.
        learners: whose file it may be.

    Raises:
        ToolkitError: if it is of another kind, version or learner, or of more weights than it has.
    """
    require_head(head, KIND, SCHEMA_VERSION)
    if (learner := typed(head, "learner", str)) not in learners:
        raise ToolkitError(f"a policy of {learner} given, one of {' or '.join(learners)} is allowed")
    sizes = typed(head, "sizes", dict)
    hidden, codes = (typed(sizes, name, int) for name in ("hidden", "codes"))
    # Before memory is taken: a layer is hidden x hidden, and each code has an output.
    if hidden < 1 or codes < 1 or hidden**2 + codes > sum(tensor.numel() for tensor in weights.values()):
        raise ToolkitError(f"weights do not fit the sizes the file gives: {sizes}")
    return dict(sizes)


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Take a file's weights.

    Raises:
        ToolkitError: if they are of another network.
    """
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ToolkitError(f"weights do not fit the sizes the file gives: {error}") from error


def check_world(head: Mapping[str, Any], world: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Compare the world a policy was trained for with the one it is to play in.

    Differences are logged as one warning, by flag where there is one.

    Args:
        head: of the policy's file.
        world: of `world_of`, where it is to play.
        path: of the file, for the message.

    Raises:
        ToolkitError: if UEs observe what it was not trained with, or have another number of choices of k.
    """
    document = dict(typed(head, "trained_for", dict))
    document["system"] = defaults_since_0_1(SystemConfig) | typed(document, "system", dict)
    document["episode"] = defaults_since_0_1(EpisodeConfig) | typed(document, "episode", dict)
    differences = Identity.of(world).differences(Identity.of(document))
    differences.pop("digest", None)
    if not differences:
        return
    line = "; ".join(dict.fromkeys(_lines(differences)))
    if set(_NEEDED) & set(differences):
        raise ToolkitError(f"the policy was trained for another world: {line}")
    logger.warning("%s was trained for another world: %s; train anew if it earns too little", path, line)


def _lines(differences: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """What differs by flag, with both values where they are short."""
    for name, (stored, here) in sorted(differences.items()):
        part, _, field = name.partition(".")
        if part == "tasks":
            modality, _, what = field.partition(".")
            yield f"{_task_flag(modality, what)}: {modality} {what} was {stored}, is {here}"
        elif part == "devices" or field in UE_DEVICE_FIELDS:
            yield f"{named('ue_device')}: {field} was {stored}, is {here}"
        elif field in SERVER_DEVICE_FIELDS:
            yield f"{named('server_device')}: {field} was {stored}, is {here}"
        else:
            flag = named("joint_k") if name == "codes" else named(field)
            yield f"{flag} was {stored}, is {here}"


def _task_flag(modality: str, what: str) -> str:
    if what == "symbols":
        names = {"text": ("k_text",), "image": ("k_image",)}.get(modality, ("k_text", "k_image"))
        return ", ".join(map(named, names))
    return named(f"{modality}_map" if what == "map" else f"{modality}_flops")

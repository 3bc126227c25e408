"""`optimize export`: the actor of a policy file as an ONNX model that a UE can run."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.files.atomic import atomic_path
from data.files.errors import ToolkitError, parsing
from data.files.schema import typed
from data.settings import named
from optimizer.policies.networks import STARTS, ActorCritic, read_network
from optimizer.study.config import ExportConfig
from optimizer.version import __version__
from optimizer.world.view import COLUMN, OBSERVATION_SIZE, SEEN, bid_of_gain

OPSET = 17
"""ONNX operators' version: that of ONNX 1.12 (2022), which current runtimes read."""
KIND = "offloading-actor"
SCHEMA_VERSION = 2
BID_COLUMNS = ("alone", "earned_locally", "queue")
"""Columns that a bid is of."""


class Actor(nn.Module):
    """What a UE decides without exploration, of what it can know.

    Args:
        network: its actor is read.
        observation: as in `EpisodeConfig`.
    """

    def __init__(self, network: ActorCritic, observation: str) -> None:
        super().__init__()
        self._network, self._observation = network, observation
        self._seen = torch.tensor([float(name in SEEN[observation]) for name in COLUMN])

    def forward(self, columns: Tensor) -> tuple[Tensor, ...]:
        """`View.columns`, (ues, OBSERVATION_SIZE), to what `outputs` names, (ues,) each."""
        bid = bid_of(columns) if self._network.sizes.heads == "bids" else None
        known = {name: columns[..., COLUMN[name]] for name in STARTS}
        known["leads"] = known["leads"] * self._seen[COLUMN["leads"]]
        distribution = self._network.actions(columns * self._seen, self._network.start_from(known, bid))
        mode = distribution.mode()
        decided = {
            "offload_probability": distribution.offload_probability, "request": mode.request,
            "power_share": mode.power, "clock_share": mode.clock, "code": mode.code,
        }  # fmt: skip
        return tuple(decided[name] for name in self.outputs)

    @property
    def reads(self) -> list[str]:
        """Columns that are read: what the UE observes, and what its heads start from. The others may hold
        anything."""
        heads = self._network.sizes.heads
        names = {*SEEN[self._observation]}
        names |= {*STARTS} - {"leads"} if heads != "zero" else set()
        names |= {*BID_COLUMNS} if heads == "bids" else set()
        return [name for name in COLUMN if name in names]

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is decided: how probably it offloads, b-hat, and of p, f and k what is learned."""
        sizes = self._network.sizes
        learned = {
            "power_share": sizes.learn_power, "clock_share": sizes.learn_clock, "code": sizes.codes > 1,
        }  # fmt: skip
        return ("offload_probability", "request", *(name for name, given in learned.items() if given))


def bid_of(columns: Tensor) -> Tensor:
    """`View.bid` from a UE's columns, (ues,)."""
    alone, local, queue = (columns[..., COLUMN[name]] for name in BID_COLUMNS)
    gain = torch.where(queue > 0, alone.exp() - local.exp(), 0.0)  # both are of log(1 + QoE)
    return bid_of_gain(gain)


def export_actor(config: ExportConfig) -> Path:
    """Write the actor of a policy file as ONNX, atomically.

    Returns:
        The file.

    Raises:
        ToolkitError: if the package onnx is not installed, or the policy file is missing, damaged, or of a
            learner without an actor, or the output cannot be written.
    """
    if importlib.util.find_spec("onnx") is None:
        raise ToolkitError("the package onnx is not installed: pip install 'deepsc-toolkit[onnx]'")
    network, head = read_network(config.policy)
    with parsing(config.policy):
        episode = typed(typed(head, "trained_for", dict), "episode", dict)
        observation = typed(episode, "observation", str)
        if observation not in SEEN:
            raise ToolkitError(f"observation {observation!r} given, allowed: {', '.join(SEEN)}")
    if config.output.suffix != ".onnx":
        raise ToolkitError(f"{named('output')}: {config.output} given, a name that ends in .onnx is allowed")
    actor = Actor(network, observation).eval()
    with atomic_path(config.output) as temporary:
        _write(actor, temporary, _about(actor, head, observation))
    return config.output


def _about(actor: Actor, head: Mapping[str, Any], observation: str) -> dict[str, str]:
    """The model's metadata: what its input means, and the world it was trained for."""
    world = head["trained_for"]
    return {
        "kind": KIND, "schema_version": str(SCHEMA_VERSION), "deepsc_toolkit": __version__,
        "learner": str(head["learner"]), "columns": json.dumps(list(COLUMN)), "observation": observation,
        "reads": json.dumps(actor.reads), "outputs": json.dumps(actor.outputs),
        "trained_for": json.dumps(world),
    }  # fmt: skip


def _write(actor: Actor, path: Path, about: Mapping[str, str]) -> None:
    import onnx

    names = list(actor.outputs)
    axes = {name: {0: "ues"} for name in ("columns", *names)}
    with warnings.catch_warnings():
        # The exporter by tracing needs no package beside onnx; torch warns that it is the older of two.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            actor, (torch.full((2, OBSERVATION_SIZE), 0.5),), str(path), input_names=["columns"],
            output_names=names, dynamic_axes=axes, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))

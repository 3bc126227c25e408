"""What a run leaves in its folder for the next call: a finished seed's results, and whose folder it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.files.documents import read_json
from data.files.errors import ToolkitError, parsing
from data.files.paths import exists
from data.files.runs import Identity
from data.files.schema import from_json, typed
from data.files.tensors import read_tensors, require_head, write_tensors
from data.settings import named
from optimizer.policies.baselines import BUILT_IN, POLICIES
from optimizer.policies.learner import LearningCurve
from optimizer.policies.registry import BUILT_IN_LEARNERS, LEARNERS
from optimizer.policies.scores import Scores
from optimizer.study.config import ParetoConfig, TrainConfig, WorldSettings
from optimizer.world.config import MODALITIES, EpisodeConfig, SystemConfig, defaults_since_0_1
from optimizer.world.inputs import KINDS

SEED_KIND = "optimize-seed"
SEED_SCHEMA = 2
_FLAGS = ("finished",)
"""Fields of Scores that are bool."""


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What training and testing with one seed came to."""

    scores: dict[str, Scores]
    """By policy."""
    sees: dict[str, str]
    """By policy, what it reads of the world."""
    curves: dict[str, LearningCurve]
    """By learner."""
    bound: Tensor | None
    """Of each test episode, (episodes,); None where none was computed."""
    wall_s: float
    """Seconds it took."""

    def save(self, path: Path) -> None:
        """Write it as safetensors, atomically."""
        tensors = {
            f"{policy}/{name}": value
            for policy, scores in self.scores.items()
            for name, value in vars(scores).items()
        }
        if self.bound is not None:
            tensors["bound"] = self.bound
        write_tensors(
            path,
            tensors,
            {
                "kind": SEED_KIND, "schema_version": SEED_SCHEMA, "sees": self.sees, "wall_s": self.wall_s,
                "curves": {name: asdict(curve) for name, curve in self.curves.items()},
            },
        )  # fmt: skip

    @classmethod
    def load(
        cls, path: Path, *, policies: Sequence[str], learners: Sequence[str], episodes: int, bounded: bool
    ) -> SeedResult:
        """Read what `save` wrote.

        Args:
            path: of the file.
            policies: those it must hold, learners included.
            learners: those it must hold a curve of.
            episodes: test episodes it must be of.
            bounded: whether it must hold the bound.

        Raises:
            ToolkitError: if it is missing, damaged or foreign.
        """
        tensors, head = read_tensors(path)
        with parsing(path):
            require_head(head, SEED_KIND, SEED_SCHEMA)
            sees, curves = typed(head, "sees", dict), typed(head, "curves", dict)
            scores = {
                policy: Scores(
                    **{field.name: tensors.pop(f"{policy}/{field.name}") for field in fields(Scores)}
                )
                for policy in policies
            }
            bound = tensors.pop("bound") if bounded else None
            if tensors or set(sees) != set(policies) or set(curves) != set(learners):
                raise ToolkitError("it is not of the policies of this run")
            columns = [
                (name, value)
                for policy in scores.values()
                for name, value in vars(policy).items()
                if name != "queue"
            ]
            columns += [] if bound is None else [("bound", bound)]
            for name, value in columns:
                kind = torch.bool if name in _FLAGS else torch.float64
                if value.shape != (episodes,) or value.dtype != kind:
                    raise ToolkitError(f"{name} is not one number for each of {episodes} episodes")
            queues = [policy.queue for policy in scores.values()]
            if any(queue.dim() != 2 or queue.shape != queues[0].shape for queue in queues):
                raise ToolkitError("queue is not one number for each step and UE")
            return cls(
                scores=scores,
                sees={policy: typed(sees, policy, str) for policy in policies},
                curves={name: from_json(LearningCurve, curves[name]) for name in learners},
                bound=bound,
                wall_s=typed(head, "wall_s", float),
            )


def described(config: TrainConfig | ParetoConfig) -> dict[str, Any]:
    """A run's config, ready for JSON, with the policies and learners that do not come with the package."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    if isinstance(config, TrainConfig):  # a front has neither
        policies = [name for name in POLICIES if name not in BUILT_IN]
        names = [name for name in config.learners if name not in BUILT_IN_LEARNERS]
        learners = {name: asdict(config.learner(name)) for name in names}
        document |= {"registered_policies": policies} if policies else {}
        document |= {"registered_learners": learners} if learners else {}
    return document


def run_identity(document: Mapping[str, Any], sha256: Mapping[str, str]) -> Identity:
    """What decides a run's results.

    The training of IPPO, MATD3, DQN and DDQN, the devices, and what the world has beyond 0.1's count as
    not there at their defaults: runs of earlier releases have none.

    Args:
        document: of `described`.
        sha256: of the files it reads, by path.
    """
    places = ("output", "gains", *(f"{modality}_{kind}" for modality in MODALITIES for kind in KINDS))
    usual = Identity.of(_defaults_since_0_1()).settings
    settings = Identity.of(document, places=places, sha256=sha256).settings
    return Identity(
        {
            name: value
            for name, value in settings.items()
            if (short := name.removeprefix("train.")) not in usual or usual[short] != value
        }
    )


def _defaults_since_0_1() -> dict[str, Any]:
    """Defaults of the settings that runs of release 0.1 do not have, as in a run's config."""
    world = WorldSettings()
    return {
        **{name: asdict(LEARNERS[name].config) for name in BUILT_IN_LEARNERS[1:]},
        "inputs": {"ue_device": world.inputs.ue_device, "server_device": world.inputs.server_device},
        "system": defaults_since_0_1(SystemConfig),
        "episode": defaults_since_0_1(EpisodeConfig),
        "device": world.device,
    }


def refuse_another_run(path: Path, identity: Identity) -> None:
    """Refuse to replace the results of another config, or of other files.

    Args:
        path: of the results; nothing is refused where there are none.
        identity: this run's.

    Raises:
        ToolkitError: naming what differs, or if the results are damaged.
    """
    if not exists(path):
        return
    document = read_json(path)
    with parsing(path):
        source = typed(document, "provenance", dict)
        stored = run_identity(typed(source, "config", dict), typed(source, "data_sha256", dict))
    identity.require_same(
        stored, where=str(path), flag=named("output"), advice="remove it or give another folder"
    )

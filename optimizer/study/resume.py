"""What a run leaves in its folder for the next call: a finished seed's results, and whose folder it is."""

from __future__ import annotations

import hashlib
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
from data.files.schema import from_json, typed
from data.files.tensors import read_tensors, require_head, write_tensors
from optimizer.policies.learner import LearningCurve
from optimizer.policies.scores import Scores

SEED_KIND = "optimize-seed"
SEED_SCHEMA = 1
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
                for one in scores.values()
                for name, value in vars(one).items()
                if name != "queue"
            ]
            columns += [] if bound is None else [("bound", bound)]
            for name, value in columns:
                kind = torch.bool if name in _FLAGS else torch.float64
                if value.shape != (episodes,) or value.dtype != kind:
                    raise ToolkitError(f"{name} is not one number for each of {episodes} episodes")
            queues = [one.queue for one in scores.values()]
            if any(queue.dim() != 2 or queue.shape != queues[0].shape for queue in queues):
                raise ToolkitError("queue is not one number for each step and UE")
            return cls(
                scores=scores,
                sees={policy: typed(sees, policy, str) for policy in policies},
                curves={name: from_json(LearningCurve, curves[name]) for name in learners},
                bound=bound,
                wall_s=typed(head, "wall_s", float),
            )


def run_digest(config: Mapping[str, Any], sha256: Mapping[str, str]) -> str:
    """Short hash of what decides a run's results: tells one run's seeds from another's.

    Args:
        config: the run's, ready for JSON.
        sha256: of the files it reads, by path.
    """
    return hashlib.sha256(json.dumps(_identity(config, sha256), sort_keys=True).encode()).hexdigest()[:8]


def refuse_another_run(path: Path, config: Mapping[str, Any], sha256: Mapping[str, str]) -> None:
    """Refuse to replace the results of another config, or of other files.

    Args:
        path: of the results; nothing is refused where there are none.
        config: this run's, ready for JSON.
        sha256: of the files it reads, by path.

    Raises:
        ToolkitError: naming what differs, or if the results are damaged.
    """
    if not exists(path):
        return
    document = read_json(path)
    with parsing(path):
        source = typed(document, "provenance", dict)
        theirs = _identity(typed(source, "config", dict), typed(source, "data_sha256", dict))
    ours = _identity(config, sha256)
    differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if differing:
        raise ToolkitError(
            f"{path}: holds the results of another config, {', '.join(differing)} differ; remove it or give "
            "another --output"
        )


def _identity(config: Mapping[str, Any], sha256: Mapping[str, str]) -> dict[str, Any]:
    """What decides a run's results, by dotted name: not where files lie, but what is in them."""
    found: dict[str, Any] = {"files": sorted(map(str, sha256.values()))}

    def walk(part: Any, name: str) -> None:
        if isinstance(part, Mapping):
            for key, inner in part.items():
                walk(inner, f"{name}.{key}" if name else str(key))
        elif not name.endswith(("output", "_map", "_flops")):
            found[name] = json.loads(json.dumps(part))

    walk(config, "")
    return found

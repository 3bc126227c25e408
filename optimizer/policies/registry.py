"""The learners by name. Free of torch: --help is quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from data.files.errors import ToolkitError
from optimizer.policies.config import DqnConfig, LearnerConfig, MappoConfig, Matd3Config


@dataclass(frozen=True)
class LearnerEntry:
    """What is known of a learner by its name."""

    make: Callable[..., Any]
    """Its class, derived from `Learner`."""
    config: LearnerConfig
    """What it trains with, unless a run says otherwise."""


def _later(module: str, name: str) -> Callable[..., Any]:
    """A class of a module that loads torch."""

    def make(config: Any, **setting: Any) -> Any:
        return getattr(importlib.import_module(module), name)(config, **setting)

    return make


_dqn = _later("optimizer.policies.dqn", "DqnTrainer")
_learners = {
    "mappo": LearnerEntry(_later("optimizer.policies.mappo", "MappoTrainer"), MappoConfig()),
    "ippo": LearnerEntry(_later("optimizer.policies.mappo", "IppoTrainer"), MappoConfig(critic="own")),
    "matd3": LearnerEntry(_later("optimizer.policies.matd3", "Matd3Trainer"), Matd3Config()),
    "ddqn": LearnerEntry(_dqn, DqnConfig(double=True)),
    "dqn": LearnerEntry(_dqn, DqnConfig(double=False)),
}
LEARNERS: Mapping[str, LearnerEntry] = MappingProxyType(_learners)
"""Every learner, by its name in the table."""
BUILT_IN_LEARNERS = tuple(_learners)
"""Those that come with the package."""
USUAL = ("mappo", "ddqn", "dqn")
"""Those that a run trains unless it is told which."""


def add_learner(name: str, entry: LearnerEntry) -> None:
    """Add a learner, whose name is free."""
    _learners[name] = entry


def require_free(name: str, taken: set[str]) -> None:
    """Refuse a name that another policy has, or that no file's name may hold.

    Raises:
        ToolkitError: saying what is allowed.
    """
    if not name or not all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in name):
        raise ToolkitError(f"name {name!r} given, letters, digits, - and _ are allowed")
    if name in taken:
        raise ToolkitError(f"name {name!r} given, another than {', '.join(sorted(taken))} is allowed")

"""The learners by name. Free of torch: --help is quick."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from data.files.errors import ToolkitError
from optimizer.policies.config import DqnConfig, LearnerConfig, MappoConfig

if TYPE_CHECKING:
    import torch

    from optimizer.policies.learner import Learner
    from optimizer.world.config import EpisodeConfig, SystemConfig
    from optimizer.world.tasks import Tasks


class LearnerFactory(Protocol):
    """Makes a learner; a `Learner`'s constructor is one."""

    def __call__(
        self,
        config: Any,
        *,
        system: SystemConfig,
        episode: EpisodeConfig,
        tasks: Tasks,
        generator: torch.Generator,
    ) -> Learner[Any]:
        """Make the learner for a world."""
        ...


@dataclass(frozen=True)
class LearnerEntry:
    """What is known of a learner by its name."""

    make: LearnerFactory
    config: LearnerConfig
    """What it trains with, unless a run says otherwise."""


def _later(module: str, name: str) -> LearnerFactory:
    """A class of a module that loads torch."""

    def make(config: Any, **setting: Any) -> Any:
        return getattr(importlib.import_module(module), name)(config, **setting)

    return make


_dqn = _later("optimizer.policies.dqn", "DqnTrainer")
_learners = {
    "mappo": LearnerEntry(_later("optimizer.policies.mappo", "MappoTrainer"), MappoConfig()),
    "ddqn": LearnerEntry(_dqn, DqnConfig(double=True)),
    "dqn": LearnerEntry(_dqn, DqnConfig(double=False)),
}
LEARNERS: Mapping[str, LearnerEntry] = MappingProxyType(_learners)
"""Every learner, by its name in the table."""
USUAL = tuple(_learners)
"""Those that a run trains unless it is told which."""


def register_learner(name: str, make: LearnerFactory, config: LearnerConfig) -> None:
    """Add a learner of one's own; `TrainConfig(learners=(name,))` trains it.

    Args:
        name: in the table and in names of files: letters, digits, "-" and "_".
        make: its class, derived from `Learner`.
        config: what it trains with; a run replaces `episodes`.

    Raises:
        ToolkitError: if the name is taken or cannot be part of a file's name.
    """
    from optimizer.policies.baselines import POLICIES  # loads torch

    require_free(name, {*LEARNERS, *POLICIES})
    _learners[name] = LearnerEntry(make, config)


def require_free(name: str, taken: set[str]) -> None:
    """Refuse a name that another policy has, or that no file's name may hold.

    Raises:
        ToolkitError: saying what is allowed.
    """
    if not name or not all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in name):
        raise ToolkitError(f"name {name!r} given, letters, digits, - and _ are allowed")
    if name in taken:
        raise ToolkitError(f"name {name!r} given, another than {', '.join(sorted(taken))} is allowed")

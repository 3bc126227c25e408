"""Module paths of version 0.1, kept importable with a DeprecationWarning each."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "data.artifacts": ("data.files.documents", "data.files.atomic", "data.files.errors",
                       "data.files.provenance"),
    "data.captions": ("data.text.captions",),
    "data.cli": ("data.terminal.command", "data.terminal.table"),
    "data.parallel": ("data.text.parallel",),
    "data.tokenizer": ("data.text.tokenizer",),
    "data.typed": ("data.files.schema",),
    "data.vqa": ("data.questions.load", "data.questions.sets"),
    "deepsc.channels": ("deepsc.link.channel",),
    "deepsc.evaluation": ("deepsc.text.evaluate",),
    "deepsc.image_config": ("deepsc.image.config",),
    "deepsc.jsc": ("deepsc.link.jsc",),
    "deepsc.pixels": ("deepsc.image.pixels",),
    "deepsc.run": ("deepsc.train.run",),
    "deepsc.training": ("deepsc.train.loop", "deepsc.train.links"),
    "deepsc.vqa_config": ("deepsc.vqa.config",),
    "accuracy_maps.build": ("accuracy_maps.sweep.build",),
    "accuracy_maps.config": ("accuracy_maps.sweep.config",),
    "profiling.appendix_a": ("profiling.closed.appendix_a",),
    "profiling.latency": ("profiling.timed.latency",),
    "profiling.user_model": ("profiling.counted.library_models",),
    "optimizer.config": ("optimizer.world.config",),
    "optimizer.dqn": ("optimizer.policies.dqn",),
    "optimizer.environment": ("optimizer.world.environment",),
    "optimizer.episode_bound": ("optimizer.bound.episode",),
    "optimizer.evaluation": ("optimizer.study.evaluate",),
    "optimizer.experiment": ("optimizer.study.train",),
    "optimizer.inputs": ("optimizer.world.inputs",),
    "optimizer.mappo": ("optimizer.policies.mappo",),
    "optimizer.physics": ("optimizer.world.physics",),
    "optimizer.tasks": ("optimizer.world.tasks",),
    "optimizer.views": ("optimizer.world.gym",),
}  # fmt: skip
"""New places by old path, but for those that hold something else now.

Paths that are packages, such as data.images, re-export what they held."""


class Moved:
    """Finds an old path where no module is: one new place stands in for it, of several it has all names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an old path; None of any other."""
        # No subclass of importlib.abc.Loader: importlib.abc loads tempfile and lzma, before --help.
        return ModuleSpec(fullname, self) if fullname in MOVED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """None: a module of the usual kind."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and put the new places there."""
        old = module.__name__
        names = " and ".join(MOVED[old])
        # Frames of the import system are passed over: the next is the user's.
        warnings.warn(f"{old} has moved: import {names}", DeprecationWarning, stacklevel=2)
        places = [import_module(name) for name in MOVED[old]]
        if len(places) == 1:
            sys.modules[old] = places[0]
        for place in reversed(places):
            vars(module).update({name: value for name, value in vars(place).items() if name[:2] != "__"})


sys.meta_path.append(Moved())

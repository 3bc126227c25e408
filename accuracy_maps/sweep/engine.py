"""Engines: where trainings and cells are computed; here, or by `engine_ray` on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from accuracy_maps.sweep.cells import Cell
from accuracy_maps.sweep.sweep import Group, Sweep
from data.files.errors import ToolkitError

ENGINES = ("local", "ray")

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Engine(Protocol):
    """Computes elsewhere or here; what results does not depend on it."""

    name: str
    remote: bool
    """Whether the models are needed elsewhere than in this process."""

    def call(self, function: Callable[[Argument], Result], argument: Argument, *, what: str) -> Result:
        """One call of a function that can be found by its name, such as a training run.

        Args:
            function: of a module.
            argument: its only one.
            what: says in the log what is done.
        """

    def measure(
        self, sweep: Sweep, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, list[Cell] | Exception]]:
        """Cells of each group as they are ready, or what went wrong with them.

        Raises:
            ToolkitError: on a mistake that the user can mend; then it is of no use to go on.
        """


class LocalEngine:
    """In this process, one after the other."""

    name = "local"
    remote = False

    def call(self, function: Callable[[Argument], Result], argument: Argument, *, what: str) -> Result:
        """See `Engine.call`."""
        return function(argument)

    def measure(
        self, sweep: Sweep, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, list[Cell] | Exception]]:
        """See `Engine.measure`."""
        for group in groups:
            result: list[Cell] | Exception
            try:
                result = sweep.measure(group)
            except ToolkitError:
                raise
            except Exception as error:  # whatever it is, the other cells can do without this one
                result = error
            yield group, result


def engine_of(name: str, *, address: str | None = None, device: str | None = None) -> tuple[Engine, str]:
    """The engine that flags name.

    Args:
        name: "local" or "ray".
        address: of the Ray cluster.
        device: as `--device` names it.

    Returns:
        The engine, and the device that its work runs on.

    Raises:
        ToolkitError: if it is not to be had.
    """
    if name == "ray":
        from accuracy_maps.sweep.engine_ray import RayEngine

        engine = RayEngine(address=address, device=device)
        return engine, engine.device
    if address is not None:
        raise ToolkitError("--ray-address: given without --engine ray")
    from deepsc.codec.device import resolve_device

    return LocalEngine(), resolve_device(device)

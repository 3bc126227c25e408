"""Engines: where trainings and cells are computed; here, or by `engine_ray` on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from typing_extensions import override

from accuracy_maps.sweep.cells import Cell
from accuracy_maps.sweep.measure import Group, Sweep
from data.files.errors import ToolkitError

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


class LocalEngine(Engine):
    """In this process, one after the other."""

    name = "local"
    remote = False

    @override
    def call(self, function: Callable[[Argument], Result], argument: Argument, *, what: str) -> Result:
        return function(argument)

    @override
    def measure(
        self, sweep: Sweep, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, list[Cell] | Exception]]:
        for group in groups:
            result: list[Cell] | Exception
            try:
                result = sweep.measure(group)
            except ToolkitError:
                raise
            except Exception as error:  # whatever it is, the other cells can do without this one
                result = error
            yield group, result

"""What is wrong with settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.files.errors import ToolkitError
from data.files.errors import named as named


@dataclass(frozen=True)
class Problem:
    """What is wrong with a setting."""

    field: str
    """Its name, dotted where it is a part's: training.epochs."""
    message: str
    """What was given, what is allowed."""
    source: str = ""
    """File that holds it; "" for a flag, or a value from Python."""

    def __str__(self) -> str:
        where = f"{self.source}: {self.field}" if self.source else named(self.field)
        return f"{where}: {self.message}"


class SettingsError(ToolkitError):
    """Settings that are refused, all problems in one line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, problems)))

    def __reduce__(self) -> tuple[type[SettingsError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)

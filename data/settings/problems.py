"""What is wrong with settings, and what errors call them: a flag on the command line, a field from Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from data.files.errors import ToolkitError


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


_flags: dict[str, str] = {}
_commands = 0


def note_flags(flags: Mapping[str, str]) -> None:
    """Remember the flags of the parser in use, by name of the setting."""
    if not _commands:
        _flags.clear()
    _flags.update(flags)


@contextmanager
def command_line() -> Iterator[None]:
    """Within, `named` says flags."""
    global _commands
    _commands += 1
    try:
        yield
    finally:
        _commands -= 1
        if not _commands:
            _flags.clear()


def named(name: str) -> str:
    """What an error calls a setting: `init_from` from Python, `--init-from` under a command with the flag.

    Args:
        name: of the field, dotted where it is a part's. The flag is that of the command's parser.
    """
    if not _commands:
        return name
    leaf = name.rpartition(".")[2]
    if name in _flags:
        return _flags[name]
    return next((flag for path, flag in _flags.items() if path.rpartition(".")[2] == leaf), name)


def flag_of(name: str) -> str:
    """The flag of a field that does not say another."""
    return "--" + name.replace("_", "-")

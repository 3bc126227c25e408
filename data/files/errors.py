"""What a user can mend: one-line errors, damage of a file turned into one, and what they call a setting."""

from __future__ import annotations

import errno
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from safetensors import SafetensorError

from data.files.printable import one_line

UNREACHABLE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.EIO)
"""Of an OSError: it is about where a file lies, not about what is in it."""


class ToolkitError(Exception):
    """A mistake the user can mend, in one line. Commands print it and exit with status 2.

    Args:
        message: lines are joined; the middle of what is very long, such as what a foreign file holds, is cut.
            What would command a terminal is escaped.
    """

    longest = 2000

    def __init__(self, message: str) -> None:
        line = one_line(" ".join(" ".join(message.splitlines()).split()))
        half = self.longest // 2
        super().__init__(line if len(line) <= self.longest else f"{line[:half]} ... {line[-half:]}")


def first_line(error: BaseException) -> str:
    """What a foreign error says, in a line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def parsing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what a malformed document raises while it is taken apart into a ToolkitError naming `path`."""
    try:
        yield
    except ToolkitError as error:
        raise ToolkitError(f"{path}: {error}") from error
    except BrokenPipeError:  # what was to be printed meanwhile
        raise
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RuntimeError, MemoryError,
        EOFError, OSError, SafetensorError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno in UNREACHABLE:  # the file may be good
            raise ToolkitError(f"{error.filename or path}: {error.strerror}") from error
        detail = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise ToolkitError(f"{path}: damaged or foreign file: {detail}; make it again") from error


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


def raise_config_errors(errors: Iterable[str]) -> None:
    """Raise one ToolkitError that lists every error of a config, if there is any."""
    if text := "; ".join(errors):
        raise ToolkitError(text)

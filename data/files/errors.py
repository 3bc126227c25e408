"""What a user can mend: one-line errors, and damage of a file turned into one."""

from __future__ import annotations

import errno
import os
import zipfile
import zlib
from collections.abc import Iterator
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


def flag_of(name: str) -> str:
    """The flag of a field or argument."""
    return "--" + name.replace("_", "-")


def raise_config_errors(errors: list[str]) -> None:
    """Raise one ToolkitError that lists every error of a config, if there is any."""
    if errors:
        raise ToolkitError("; ".join(errors))

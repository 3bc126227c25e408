"""What is at a path that a user gave: said without a traceback."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from data.files.errors import ToolkitError
from data.files.printable import is_text


def _mode(path: str | os.PathLike[str]) -> int:
    """What is at a path, as `os.stat` says; 0 if nothing is."""
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except ValueError as error:
        raise ToolkitError(f"{str(path)!r}: no name of a file ({error})") from error
    except OSError as error:
        raise ToolkitError(f"{path}: {error.strerror or error}") from error


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything at a path.

    `Path.exists` and its like end in a traceback, or answer no, where nobody may look; these three say it.

    Raises:
        ToolkitError: if it cannot be told: a folder may not be entered, the name is too long.
    """
    return _mode(path) != 0


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is a plain file at a path; errors as of `exists`."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder at a path; errors as of `exists`."""
    return stat.S_ISDIR(_mode(path))


def require_file(path: str | os.PathLike[str], *, largest: int | None = None) -> None:
    """Check a file before it is opened: what is no plain file may never end, and a huge one fills the memory.

    Args:
        path: of the file.
        largest: bytes it may have; None: any number, for a reader that takes it piece by piece.

    Raises:
        ToolkitError: if it is missing, or a folder, device or pipe, or too large, or may not be read, or its
            name is not UTF-8: no result file could name it.
    """
    if not is_text(os.fspath(path)):
        raise ToolkitError(f"{path}: its name is not UTF-8; rename it")
    if not exists(path):
        raise ToolkitError(f"{path}: no such file")
    if not is_file(path):
        raise ToolkitError(f"{path}: not a file")
    try:
        with Path(path).open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise ToolkitError(f"{path}: {error.strerror or error}") from error
    if largest is not None and size > largest:
        raise ToolkitError(f"{path}: has {size:,} bytes, at most {largest:,} are allowed")

"""Files that are replaced whole: a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from data.files.errors import ToolkitError, named
from data.files.paths import exists, is_file, is_folder
from data.files.printable import is_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNFINISHED = ".deepsc.part"
"""End of a temporary file's name; nobody else's files end so."""
_swept: set[str] = set()
"""Folders that this process has rid of what dead processes left."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    A reader therefore sees the old file or the new one, never half of either.

    Raises:
        ToolkitError: if the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if (folder := os.path.abspath(path.parent)) not in _swept:
            _swept.add(folder)
            remove_unfinished(folder)
        handle, name = _temporary(path)
    except OSError as error:
        raise ToolkitError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes 0600, which a colleague could not read
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        if fcntl is None:  # Windows renames no open file
            os.close(handle)
            handle = -1
        temporary.replace(path)
    except BrokenPipeError:  # what was to be printed meanwhile
        raise
    except OSError as error:
        raise ToolkitError(f"cannot write {path}: {error.strerror or error}") from error
    except SafetensorError as error:  # its own, for the disk's
        raise ToolkitError(f"cannot write {path}: {error}") from error
    finally:
        if handle >= 0:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> tuple[int, str]:
    """Make a temporary file and lock it, so that others can tell that its writer lives."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED)
        if _lock(handle) and exists(name):
            return handle, name
        os.close(handle)  # another process took it for a dead one's before it was locked


def _lock(handle: int) -> bool:
    """Lock an open file, without waiting; the kernel drops the lock when the process ends, however."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def require_writable(path: str | os.PathLike[str], setting: str) -> None:
    """Find out before long work whether `atomic_path` could write a file. Nothing is made.

    Args:
        path: of the file; its folder need not be there yet.
        setting: that the path is of, for the error.

    Raises:
        ToolkitError: if it could not.
    """
    path = Path(path)
    refused = f"{named(setting)}: cannot write {path}"
    if exists(path) and not is_file(path):
        raise ToolkitError(f"{refused}: it is no file; give another {named(setting)}")
    folder = path.absolute().parent
    while not exists(folder):
        folder = folder.parent
    if not is_folder(folder):
        raise ToolkitError(f"{refused}: {folder} is no folder")
    try:
        handle, name = _temporary(folder / path.name)
    except OSError as error:
        raise ToolkitError(f"{refused}: {error.strerror or error}") from error
    os.close(handle)
    Path(name).unlink(missing_ok=True)


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Remove what killed processes left of `atomic_path`'s temporary files; those being written stay.

    `atomic_path` does so before a process's first write to a folder.
    """
    for path in Path(folder).glob(f".*{_UNFINISHED}"):
        if fcntl is None:
            continue
        with contextlib.suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError: its writer lives
            path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically.

    Raises:
        ToolkitError: if it holds a lone surrogate, such as a path that is not UTF-8, or writing fails.
    """
    if not is_text(text):
        raise ToolkitError(f"cannot write {path}: it would name a file whose name is not UTF-8; rename that")
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

"""One writer at a time: a lock that the kernel drops when its holder ends, however it ends.

A lock file that a killed process left behind therefore blocks nobody.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from data.files.errors import ToolkitError, named

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"
"""Of the lock file in the folder of a run."""
_PATIENCE_S = 1.0
"""For a process that was killed a moment ago, and may still be on its way out."""


@contextmanager
def locked(lock: Path, *, wait_s: float = 0.0, setting: str | None = "output") -> Iterator[None]:
    """Hold a lock file, alone among all processes that see its folder.

    Args:
        lock: the file; made, with its folder, and removed at the end.
        wait_s: how long to wait for another holder, inf: as long as it lives.
        setting: what says where the folder is, for errors.

    Raises:
        ToolkitError: if another process holds it, or the folder cannot be written.
    """
    held = FileLock(lock)
    where = f"{named(setting)}: " if setting else ""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=_PATIENCE_S)
        except Timeout:
            if not wait_s:
                raise
            until = "until it ends" if math.isinf(wait_s) else f"up to {wait_s:.0f} s"
            logger.info("%s: another process writes there; waiting %s", lock.parent, until)
            held.acquire(timeout=wait_s)
    except Timeout:
        raise ToolkitError(
            f"{lock.parent}: another process writes there, and holds {lock.name}; wait for it, or give "
            f"another {named('output')}"
        ) from None
    except (FileExistsError, NotADirectoryError) as error:
        raise ToolkitError(
            f"{where}cannot write {lock.parent}: a file is in the way, a folder is needed"
        ) from error
    except OSError as error:
        raise ToolkitError(f"{where}cannot write {lock}: {error.strerror or error}") from error
    try:
        yield
    finally:
        # Before it is let go, so that the file is still ours; Windows removes no open file.
        with contextlib.suppress(OSError):
            lock.unlink()
        held.release()

"""What all readers of data do alike: say what the file system refuses, and what takes long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from data.files.errors import ToolkitError
from data.terminal.progress import announced


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Around what reads data: the log says so if it takes long, and the file system's errors become one line.

    Such as that of a folder that may not be entered, or of a name too long. Also a decorator.

    Args:
        what: the data, as in "reading the corpus".

    Raises:
        ToolkitError: where the body raises an OSError.
    """
    try:
        with announced(f"reading {what}"):
            yield
    except OSError as error:
        where = error.filename if error.filename is not None else what
        raise ToolkitError(f"{where}: cannot be read ({error.strerror or error})") from error


def require_utf8(flag: str, *names: str) -> None:
    """Check names that go into checkpoints and maps.

    Args:
        flag: that they follow from.
        names: of files, folders or classes.

    Raises:
        ToolkitError: if one is not UTF-8.
    """
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ToolkitError(f"{flag}: {name!r} given, a name in UTF-8 is allowed") from error

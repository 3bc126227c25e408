"""Result files: atomic writes, provenance and schema checks, shared by every package.

A result file is a JSON document {"kind", "schema_version", "provenance", ...}. Provenance holds what is
needed to make the file again: full config, seed, package versions, git commit, data checksums.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import platform
import re
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from data.text import is_text, one_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_RECORDED_PACKAGES = (
    "deepsc-toolkit", "easy-vqa", "fvcore", "nltk", "numpy", "pillow", "pyppmd", "sacrebleu", "safetensors",
    "scikit-learn", "sionna-no-rt", "timm", "tokenizers", "torch", "torchvision", "transformers",
)  # fmt: skip

_ROOT = Path(__file__).resolve().parents[1]
"""Of the checkout, where the code runs from one."""
_UNFINISHED = ".deepsc.part"
"""End of a temporary file's name; nobody else's files end so."""
_swept: set[str] = set()
"""Folders that this process has rid of what dead processes left."""
_READERS = {
    "accuracy-map": "build-accuracy-map report",
    "flops": "optimize with --flops",
    "optimize-results": "optimize report FOLDER",
}
"""What to do with a result file, by its kind."""

LARGEST_JSON = 256 * 2**20
"""Bytes of a JSON file: two million cells of a VQA map, of which the shipped ones take 135 bytes each."""


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
        if _lock(handle) and os.path.exists(name):
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


def write_json(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write a JSON document atomically. NaN and infinity are refused: JSON has neither."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str], *, largest: int | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: of the file.
        largest: bytes it may have; None: LARGEST_JSON.

    Raises:
        ToolkitError: if the file is missing, unreadable, truncated, too large or not a JSON object.
    """
    require_file(path, largest=LARGEST_JSON if largest is None else largest)
    try:
        document = parse_json(Path(path).read_text(encoding="utf-8-sig"))  # Windows puts a mark first
    # ValueError: not UTF-8, not JSON, a giant integer
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise ToolkitError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(document, dict):
        raise ToolkitError(f"{path}: expected a JSON object, found {type(document).__name__}")
    return document


def parse_json(text: str) -> Any:
    """Parse JSON; NaN and infinity, which are none, numbers that overflow and lone surrogates are refused.

    So are lone surrogates, halves of a character: no file, page or terminal can be given one.

    Raises:
        ValueError, RecursionError: if it cannot be parsed.
    """
    value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    if _SURROGATE.search(text) and not is_text(json.dumps(value, ensure_ascii=False)):
        raise ValueError("half a character (half of a surrogate pair), which no text has")
    return value


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


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


def read_document(path: str | os.PathLike[str], *, kind: str, schema_version: int) -> dict[str, Any]:
    """Read a result file and check that it is of `kind` and `schema_version`.

    Raises:
        ToolkitError: naming what was found, what is allowed.
    """
    document = read_json(path)
    if document.get("kind") != kind:
        found = document.get("kind")
        hint = f"; {_READERS[found]} reads it" if isinstance(found, str) and found in _READERS else ""
        raise ToolkitError(f"{path}: kind is {found!r}, expected {kind!r}{hint}")
    found = document.get("schema_version")
    if type(found) is not int or found != schema_version:  # true and 1.0 are equal to 1
        raise ToolkitError(f"{path}: schema_version is {found!r}, this release reads {schema_version}")
    return document


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


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as hexadecimal digits.

    Raises:
        ToolkitError: if the file cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ToolkitError(f"{path}: cannot be read ({error.strerror or error})") from error


def provenance(
    *, config: Mapping[str, Any], seed: int | None, data_sha256: Mapping[str, str], **extra: Any
) -> dict[str, Any]:
    """Say how a result came to be.

    Args:
        config: the full configuration of the run.
        seed: the seed everything random was drawn from, or None where nothing was.
        data_sha256: SHA-256 of each input file, by name.
        extra: anything more worth keeping, such as the wall time.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "config": dict(config),
        "seed": seed,
        "packages": package_versions(),
        "git_commit": git_commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "data_sha256": dict(data_sha256),
        **extra,
    }


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that results depend on."""
    versions = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """Commit of the toolkit's own checkout, with "-dirty" on uncommitted changes; None where the code runs
    from none.

    Code that is installed, or copied, into somebody else's repository has no commit: theirs is of other
    source.
    """
    try:
        project = (_ROOT / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
        if not re.search(r'^name = "deepsc-toolkit"$', project, re.MULTILINE):
            return None
        if not os.path.samefile(_git("rev-parse", "--show-toplevel"), _ROOT):
            return None
        _git("ls-files", "--error-unmatch", "--", str(Path(__file__).resolve()))
        changed = _git("status", "--porcelain", "--untracked-files=no")
        return _git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    """What git says of the folder of the code, whatever repository its variables name, as in a hook."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", str(_ROOT), *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout.strip()

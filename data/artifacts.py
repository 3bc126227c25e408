"""Result files: atomic writes, provenance and schema checks, shared by every package.

A result file is a JSON document {"kind", "schema_version", "provenance", ...}. Provenance holds what is
needed to make the file again: full config, seed, package versions, git commit, data checksums.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

_RECORDED_PACKAGES = (
    "deepsc-toolkit", "easy-vqa", "fvcore", "nltk", "numpy", "pillow", "pyppmd", "sacrebleu", "safetensors",
    "scikit-learn", "sionna-no-rt", "timm", "tokenizers", "torch", "torchvision", "transformers",
)  # fmt: skip

LARGEST_JSON = 256 * 2**20
"""Bytes of a JSON file: two million cells of a VQA map, of which the shipped ones take 135 bytes each."""


class ToolkitError(Exception):
    """A mistake the user can mend, in one line. Commands print it and exit with status 2.

    Args:
        message: lines are joined; the middle of what is very long, such as what a foreign file holds, is cut.
    """

    longest = 2000

    def __init__(self, message: str) -> None:
        line = " ".join(" ".join(message.splitlines()).split())
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
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise ToolkitError(f"cannot write {path}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes 0600, which a colleague could not read
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ToolkitError(f"cannot write {path}: {error.strerror or error}") from error
    except SafetensorError as error:  # its own, for the disk's
        raise ToolkitError(f"cannot write {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Remove what a killed process left of `atomic_path`'s temporary files; nobody else may write there."""
    for path in Path(folder).glob(".*.part"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
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
        document = parse_json(Path(path).read_text(encoding="utf-8"))
    # ValueError: not UTF-8, not JSON, a giant integer
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise ToolkitError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(document, dict):
        raise ToolkitError(f"{path}: expected a JSON object, found {type(document).__name__}")
    return document


def parse_json(text: str) -> Any:
    """Parse JSON; NaN and infinity, which are none, and numbers that overflow are refused.

    Raises:
        ValueError, RecursionError: if it cannot be parsed.
    """
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def require_file(path: str | os.PathLike[str], *, largest: int | None = None) -> None:
    """Check a file before it is opened: what is no plain file may never end, and a huge one fills the memory.

    Args:
        path: of the file.
        largest: bytes it may have; None: any number, for a reader that takes it piece by piece.

    Raises:
        ToolkitError: if it is missing, or a folder, device or pipe, or too large.
    """
    if not Path(path).exists():
        raise ToolkitError(f"{path}: no such file")
    if not Path(path).is_file():
        raise ToolkitError(f"{path}: not a file")
    if largest is not None and (size := Path(path).stat().st_size) > largest:
        raise ToolkitError(f"{path}: has {size:,} bytes, at most {largest:,} are allowed")


def read_document(path: str | os.PathLike[str], *, kind: str, schema_version: int) -> dict[str, Any]:
    """Read a result file and check that it is of `kind` and `schema_version`.

    Raises:
        ToolkitError: naming what was found, what is allowed.
    """
    document = read_json(path)
    if document.get("kind") != kind:
        raise ToolkitError(f"{path}: kind is {document.get('kind')!r}, expected {kind!r}")
    if document.get("schema_version") != schema_version:
        found = document.get("schema_version")
        raise ToolkitError(f"{path}: schema_version is {found!r}, this release reads {schema_version}")
    return document


@contextmanager
def parsing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what a malformed document raises while it is taken apart into a ToolkitError naming `path`."""
    try:
        yield
    except ToolkitError as error:
        raise ToolkitError(f"{path}: {error}") from error
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RuntimeError, MemoryError,
        EOFError, OSError, SafetensorError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
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
    """Commit of the checkout this code runs from, with "-dirty" on uncommitted changes; None outside one."""
    call: Callable[..., str] = lambda *arguments: subprocess.run(  # noqa: E731
        ["git", "-C", str(Path(__file__).parent), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        commit = call("rev-parse", "HEAD")
        return commit + ("-dirty" if call("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None

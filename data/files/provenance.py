"""Where a result came from: config, seed, packages, commit, checksums."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from data.files.errors import ToolkitError

_RECORDED_PACKAGES = (
    "deepsc-toolkit", "easy-vqa", "fvcore", "nltk", "numpy", "pillow", "pyppmd", "sacrebleu", "safetensors",
    "scikit-learn", "sionna-no-rt", "timm", "tokenizers", "torch", "torchvision", "transformers",
)  # fmt: skip


_ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout, where the code runs from one."""


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

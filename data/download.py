"""Find a data file, or download it, and check it against its SHA-256."""

from __future__ import annotations

import os
from pathlib import Path

from data.files.atomic import atomic_path
from data.files.errors import ToolkitError, named
from data.files.paths import is_file
from data.files.provenance import sha256_of


def cache_dir() -> Path:
    """Folder of downloaded data: $DEEPSC_CACHE, else deepsc-toolkit in the user's cache folder."""
    if folder := os.environ.get("DEEPSC_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepsc-toolkit"


def fetch(name: str, *, url: str, sha256: str, data_dir: str | os.PathLike[str] | None) -> Path:
    """Path of a checked file: from `data_dir` or $DEEPSC_DATA if one is given, else from the download cache.

    Args:
        name: path below the data folder, such as "multi30k/train.en.gz".
        url: public home of the file.
        sha256: its checksum.
        data_dir: folder with the files already there; nothing is downloaded into it.

    Raises:
        ToolkitError: if the file is missing or damaged, or cannot be downloaded; says what to do.
    """
    folder = data_dir or os.environ.get("DEEPSC_DATA")
    if folder:
        path = Path(folder) / name
        if not is_file(path):
            raise ToolkitError(
                f"{path}: no such file ({named('data_dir')} or $DEEPSC_DATA must hold {name}, from {url})"
            )
        if sha256_of(path) != sha256:
            raise ToolkitError(f"{path}: SHA-256 differs from the published file; fetch it again from {url}")
        return path
    path = cache_dir() / name
    if not is_file(path) or sha256_of(path) != sha256:
        _download(url, path, sha256)
    return path


def _download(url: str, path: Path, sha256: str) -> None:
    from http.client import HTTPException

    from torch.hub import download_url_to_file  # loads torch: only where something is downloaded

    with atomic_path(path) as temporary:
        try:
            download_url_to_file(url, str(temporary), hash_prefix=sha256, progress=True)
        except (OSError, HTTPException, RuntimeError) as error:  # no network, or a wrong checksum
            raise ToolkitError(
                f"cannot download {url} ({error}); with no network, put the file at {path} yourself, name a "
                f"folder that holds it with {named('data_dir')} or $DEEPSC_DATA, or use {named('dataset')} "
                "captions, which needs no download"
            ) from error

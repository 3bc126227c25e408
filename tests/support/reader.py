"""A kind of file that the toolkit reads, as the tests of damage see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One kind of file."""

    file: str
    """What is damaged, in the folder."""
    make: Callable[[Path, Path], None]
    """Fills an empty folder; the second folder is that of a trained text codec."""
    read: Callable[[Path], Any]
    """Reads the folder, as a user does."""
    serves: Callable[[Path, Any], object] = lambda folder, value: None
    """Fails if what was read is of no use."""
    largest: int
    """Most bytes that are read."""
    bytes_examples: int = 60
    """Damaged contents that are tried."""
    document_examples: int = 0
    """The same, of hostile values; 0 where nothing of the file is JSON."""
    skip: tuple[str, ...] = ()
    """Fields that nobody reads."""
    head: str | None = None
    """Name of the JSON document in the metadata of a file of tensors."""
    names: str | None = None
    """What errors name, if not the file."""

    def named(self, folder: Path) -> Path:
        """What errors name."""
        return folder / (self.file if self.names is None else self.names)


def metadata_of(path: Path) -> dict[str, str]:
    """Of a file of tensors."""
    with safe_open(path, framework="pt") as stored:
        return dict(stored.metadata())


def write(path: Path, content: bytes) -> None:
    """A file, for lambdas."""
    path.write_bytes(content)


def write_json(path: Path, document: object) -> Path:
    """A JSON file."""
    path.write_text(json.dumps(document))
    return path


def require(holds: object) -> None:
    """`assert`, for lambdas."""
    assert holds

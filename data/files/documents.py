"""JSON documents: written atomically, read with limits, of a kind and schema version."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.files.atomic import write_text
from data.files.errors import ToolkitError
from data.files.paths import require_file
from data.files.printable import is_text

_READERS = {
    "accuracy-map": "build-accuracy-map report",
    "device": "optimize with --ue-device or --server-device",
    "flops": "optimize with --flops",
    "optimize-results": "optimize report FOLDER",
}
"""What to do with a result file, by its kind."""


LARGEST_JSON = 256 * 2**20
"""Bytes of a JSON file: two million cells of a VQA map, of which the shipped ones take 135 bytes each."""


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

    A lone surrogate is half of a character: no file, page or terminal can be given one.

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


def read_document(path: str | os.PathLike[str], *, kind: str, schema_version: int) -> dict[str, Any]:
    """Read a result file and check that it is of `kind` and `schema_version`.

    Raises:
        ToolkitError: naming what was found, what is allowed.
    """
    document = read_json(path)
    if (foreign := document.get("kind")) != kind:
        hint = f"; {_READERS[foreign]} reads it" if isinstance(foreign, str) and foreign in _READERS else ""
        raise ToolkitError(f"{path}: kind is {foreign!r}, expected {kind!r}{hint}")
    version = document.get("schema_version")
    if type(version) is not int or version != schema_version:  # true and 1.0 are equal to 1
        raise ToolkitError(f"{path}: schema_version is {version!r}, this release reads {schema_version}")
    return document

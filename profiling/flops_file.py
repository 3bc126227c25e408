"""The FLOPs file: what one task costs locally, at the UE when offloaded, and at the server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data.artifacts import ToolkitError, parsing, read_document, write_json

KIND = "flops"
SCHEMA_VERSION = 1
UNIT = "FLOP (1 multiply-add = 2 FLOP)"


@dataclass(frozen=True, kw_only=True)
class FlopsFile:
    """FLOPs per task, that is per sentence for text.

    Raises:
        ToolkitError: from the constructor, if a count is not above 0.
    """

    modality: str
    """What crosses the channel: "text"."""
    model: Mapping[str, Any]
    """Names the model, as in an accuracy map."""
    k: int
    """Complex channel symbols per token the codec parts are counted at."""
    source_length: int
    """Tokens of one task's source."""
    target_length: int
    """Tokens the decoder generates for one task."""
    decoding: str
    """How the decoder is counted, such as "greedy, KV cache"."""
    local_flops: float
    """Whole task at the UE without a channel: eq. (3)'s l."""
    ue_flops: float
    """UE's share when offloaded: semantic encoder and JSC encoder."""
    server_flops: float
    """Server's share when offloaded: JSC decoder and semantic decoder."""
    breakdown: Mapping[str, Any] = field(default_factory=dict)
    """Parts side by side: as printed, corrected, measured."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("k", "source_length", "target_length", "local_flops", "ue_flops", "server_flops"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ToolkitError(f"FLOPs file: {name} must be above 0 and finite, found {value}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file as JSON, atomically."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        write_json(path, {"kind": KIND, "schema_version": SCHEMA_VERSION, "unit": UNIT, **document})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FlopsFile:
        """Read a FLOPs file.

        Raises:
            ToolkitError: if the file is missing, truncated, of another kind, schema or unit, or inconsistent.
        """
        document = read_document(path, kind=KIND, schema_version=SCHEMA_VERSION)
        with parsing(path):
            if document["unit"] != UNIT:
                raise ToolkitError(f"unit is {document['unit']!r}, expected {UNIT!r}")
            fields: dict[str, Any] = {
                **{name: str(document[name]) for name in ("modality", "decoding")},
                **{name: int(document[name]) for name in ("k", "source_length", "target_length")},
                **{name: float(document[name]) for name in ("local_flops", "ue_flops", "server_flops")},
                **{name: dict(document[name]) for name in ("model", "breakdown", "provenance")},
            }
            return cls(**fields)

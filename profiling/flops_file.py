"""The FLOPs file: what one task costs locally, at the UE when offloaded, and at the server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data.files.documents import read_document, write_json
from data.files.errors import ToolkitError, parsing
from data.files.schema import typed

KIND = "flops"
SCHEMA_VERSION = 2
UNIT = "FLOP (1 multiply-add = 2 FLOP)"
SIZES = {
    "text": ("k", "source_length", "target_length"),
    "image": ("k", "source_length"),
    "vqa": ("k_text", "k_image", "source_length", "image_length"),
}
"""What the counts of a modality hold for."""
_ALL_SIZES = ("k", "k_text", "k_image", "source_length", "image_length", "target_length")
MOST = 1e30
"""No count or size reaches it; a file may hold anything."""
_COUNTS = ("local_flops", "ue_flops", "server_flops")


@dataclass(frozen=True, kw_only=True)
class FlopsFile:
    """FLOPs per task: a sentence, an image, or a question about an image.

    Raises:
        ToolkitError: from the constructor, if a count is not above 0, where the UE's may be 0, or a size of
            the modality is missing.
    """

    modality: str
    """What crosses the channel: "text", "image" or "vqa"."""
    model: Mapping[str, Any]
    """Names the model, as in an accuracy map."""
    k: int | None = None
    """Complex channel symbols per token the codec parts are counted at; text and image."""
    k_text: int | None = None
    """The same for the question of a VQA task."""
    k_image: int | None = None
    """The same for the image of a VQA task."""
    source_length: int
    """Tokens of one task's source: its sentence, image (patches and class token) or question."""
    image_length: int | None = None
    """Tokens of a VQA task's image, beside those of its question."""
    target_length: int | None = None
    """Tokens the decoder generates for one task; text alone."""
    decoding: str
    """How the decoder is counted, such as "greedy, KV cache"; "one pass" where it does not generate."""
    local_flops: float
    """Whole task at the UE without a channel: eq. (3)'s l."""
    ue_flops: float
    """UE's share when offloaded: semantic encoders and JSC encoders; 0 where points are looked up alone."""
    server_flops: float
    """Server's share when offloaded: JSC decoders and semantic decoder."""
    breakdown: Mapping[str, Any] = field(default_factory=dict)
    """Parts and modules side by side: as printed, corrected, measured."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.modality not in SIZES:
            raise ToolkitError(f"FLOPs file: modality {self.modality!r}, allowed: {', '.join(SIZES)}")
        for name in (*SIZES[self.modality], *_COUNTS):
            value = getattr(self, name)
            may_be_0 = name == "ue_flops"
            if value is None or not 0 <= value < MOST or not (value or may_be_0):
                least = "at least 0" if may_be_0 else "above 0"
                raise ToolkitError(f"FLOPs file: {name} must be {least} and below {MOST:g}, found {value}")

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
            sizes: Any = int | None
            fields: dict[str, Any] = {
                **{name: typed(document, name, str) for name in ("modality", "decoding")},
                **{name: typed(document, name, sizes) for name in _ALL_SIZES},
                **{name: typed(document, name, float) for name in _COUNTS},
                **{name: typed(document, name, dict) for name in ("model", "breakdown", "provenance")},
            }
            return cls(**fields)

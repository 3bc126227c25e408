"""Colour where a terminal has it."""

from __future__ import annotations

import os
from typing import TextIO

_STRONG, _END = "\033[1m", "\033[0m"


def has_colour(stream: TextIO) -> bool:
    """Whether to colour what is written there: on a terminal that can, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def strong(text: str, *, stream: TextIO) -> str:
    """A text in bold, where the stream is a terminal that can show it."""
    return f"{_STRONG}{text}{_END}" if has_colour(stream) else text

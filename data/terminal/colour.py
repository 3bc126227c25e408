"""Colour where a terminal has it."""

from __future__ import annotations

import os
from typing import TextIO

_STRONG, _RED, _YELLOW, _END = "\033[1m", "\033[31m", "\033[33m", "\033[0m"


def has_colour(stream: TextIO) -> bool:
    """Whether to colour what is written there: on a terminal that can, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def strong(text: str, *, stream: TextIO) -> str:
    """A text in bold, where the stream is a terminal that can show it."""
    return _painted(text, _STRONG, stream)


def alarming(text: str, *, stream: TextIO) -> str:
    """A text in red, likewise: what stopped the command."""
    return _painted(text, _RED, stream)


def warning(text: str, *, stream: TextIO) -> str:
    """A text in yellow, likewise: what a user should look at."""
    return _painted(text, _YELLOW, stream)


def _painted(text: str, colour: str, stream: TextIO) -> str:
    return f"{colour}{text}{_END}" if has_colour(stream) else text

"""Words that differ from others, and colour where a terminal has it."""

from __future__ import annotations

import difflib

from data.files.printable import printable

_DIFFERENT, _QUIET, _END = "\033[31m", "\033[2m", "\033[0m"
"""Red, dim, and back."""


def different_words(text: str, reference: str) -> list[tuple[str, bool]]:
    """Words of a text, and whether each is missing from the reference at its place."""
    words, wanted = text.split(), reference.split()
    same = set()
    for block in difflib.SequenceMatcher(None, words, wanted, autojunk=False).get_matching_blocks():
        same |= set(range(block.a, block.a + block.size))
    return [(word, number not in same) for number, word in enumerate(words)]


def marked(text: str, reference: str | None, *, colour: bool) -> str:
    """A text fit for a terminal, its words that differ from the reference in red."""
    if not colour or reference is None:
        return printable(text)
    parts = [
        f"{_DIFFERENT}{printable(word)}{_END}" if different else printable(word)
        for word, different in different_words(text, reference)
    ]
    return " ".join(parts)


def quiet(text: str, *, colour: bool) -> str:
    """A text that steps back."""
    return f"{_QUIET}{text}{_END}" if colour else text

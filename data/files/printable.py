"""Text that came from a file or a flag, made fit for a terminal, a plot or a table.

A name in a result file may hold anything: terminal escapes, line breaks, a formula for a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold a string: a path that is not UTF-8 becomes one with lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    r"""`text` with a visible escape, such as \x1b, for every character that would command a terminal."""
    if text.isprintable():
        return text
    return "".join(c if _is_printable(c) else c.encode("unicode_escape").decode() for c in text)


def _is_printable(character: str) -> bool:
    return character.isprintable() or character == "\t" or unicodedata.category(character) == "Zs"


def one_line(text: str) -> str:
    """`printable` text with its lines joined."""
    return printable(" ".join(text.splitlines()))


def listed(words: Sequence[str]) -> str:
    """Words as "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def plot_text(text: str) -> str:
    """`one_line` for matplotlib, which would read what stands between two $ as a formula."""
    return one_line(text).replace("$", r"\$")


def markdown_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; whatever a cell holds, it stays one."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines)
    return ["| " + " | ".join(line) + " |" for line in cells]


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as comma-separated values; no cell of text begins as a spreadsheet's formula does."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows(map(_cell, row) for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str) or len(value) < 2 or value[0] not in "=+-@\t\r":
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value

"""The end of what a command prints: the files that it wrote, and what can be typed next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from data.files.printable import one_line
from data.terminal.colour import strong


def closing_lines(
    written: Sequence[str | Path], command: Sequence[str | Path] = (), *, note: str = ""
) -> list[str]:
    """Lines for stdout; the command stands out where it has colour.

    Args:
        written: files and folders, in one line.
        command: words of the command that a user probably wants next; none: that line is left out.
        note: what a word of it in capitals stands for.
    """
    lines = [f"wrote {', '.join(one_line(str(path)) for path in written)}"] if written else []
    if command:
        line = one_line(shlex.join(map(str, command)))
        lines.append(f"next: {strong(line, stream=sys.stdout)}{f'   ({note})' if note else ''}")
    return lines


def page_lines(page: Path) -> list[str]:
    """`closing_lines` of a page of HTML: the next command opens it."""
    return closing_lines([page], ["python3", "-m", "webbrowser", page.resolve().as_uri()])

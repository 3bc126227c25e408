"""The code of the documentation's pages, to be run as a reader would."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Fence:
    """One block of code."""

    language: str
    title: str | None
    """Name of the file that the block is a part of."""
    code: str


def fences(page: str) -> list[Fence]:
    """The blocks of a page that name a language, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Fence(language=one[1], title=one[2], code=one[3]) for one in _FENCE.finditer(text)]


def files_of(page: str) -> dict[str, str]:
    """The files that a page's titled blocks make up, by name."""
    found: dict[str, str] = {}
    for fence in fences(page):
        if fence.title:
            found[fence.title] = found.get(fence.title, "") + fence.code
    return found


def run_page(page: str, *, commands: dict[str, Callable[[list[str]], int]]) -> list[list[str]]:
    """Run a page's blocks in the current folder: python as it stands, sh with the commands called in process.

    Args:
        page: its name.
        commands: `main` of each command.

    Returns:
        The commands that were run.
    """
    names: dict[str, object] = {"__name__": page}
    ran = []
    for fence in fences(page):
        if fence.language == "python" and not fence.title:
            exec(compile(fence.code, f"docs/{page}", "exec"), names)
        elif fence.language == "sh":
            for line in fence.code.replace("\\\n", " ").splitlines():
                program, *arguments = shlex.split(line)
                assert commands[program](arguments) == 0, line
                ran.append([program, *arguments])
    return ran

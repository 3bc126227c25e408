"""The code of the documentation's pages and of the README, to be run as a reader would."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
README = "../README.md"
"""As a page of `DOCS`."""
_SET_UP = ("python3", ".", "pip")
"""What a reader's shell runs first, and the tests have done already."""
_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


Commands = Mapping[str, Callable[[list[str]], int]]
"""`main` of each command, by its name."""


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


def run_page(page: str, *, commands: Commands) -> list[list[str]]:
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
            exec(compile(fence.code, f"docs/{page}", "exec", dont_inherit=True), names)
        elif fence.language == "sh":
            ran += run_shell(fence.code, commands=commands)
    return ran


def run_shell(code: str, *, commands: Commands) -> list[list[str]]:
    """Run the lines of a block, set-up left out, with the commands called in process; each must succeed.

    Returns:
        The commands that were run.
    """
    ran = []
    for line in re.split(r"\n|&&", code.replace("\\\n", " ")):
        program, *arguments = shlex.split(line, comments=True) or [""]
        if program and program not in _SET_UP:
            assert commands[program](arguments) == 0, line
            ran.append([program, *arguments])
    return ran

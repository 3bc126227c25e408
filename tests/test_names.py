"""What messages and pages name is there: dotted names, flags, pages and the files of the project.

Only `data.files.paths` looks whether a path is there: `Path.exists` and its like end in a traceback, or
answer no, where nobody may look.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.house import PACKAGES, ROOT, modules

import accuracy_maps.command
import accuracy_maps.release.__main__
import accuracy_maps.transmit.command
import deepsc.command
import optimizer.command
import profiling.command
from data.moved import MOVED
from deepsc.modality import modality_names

SOURCES = list(modules().values())
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOREIGN_FLAGS = {
    "--strict", "--multi_gpu", "--num_processes", "--nproc-per-node", "--head", "--address", "--check",
    "--error-unmatch", "--index-url", "--porcelain", "--untracked-files", "--show-toplevel", "--upgrade",
    "--shell", "--prefix",
}  # fmt: skip
"""Of mkdocs, accelerate, torchrun, Ray, ruff, git, pip and shtab."""


def texts(path: Path) -> Iterator[str]:
    """A page, or the strings and comments of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    yield from re.findall(r"#.*", text)


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one, however deep."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            fields = getattr(thing, "__dataclass_fields__", {})
            if part in fields:
                return True
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_dotted_names_are_there(path: Path) -> None:
    own = "|".join(PACKAGES)
    pattern = re.compile(rf"(?<![\w./-])(?:{own})(?:\.[A-Za-z_]\w*)+(?![\w*/-])")
    files = re.compile(r"\.(?:md|py|json|html|csv|png|toml|txt|safetensors|npz|js|css)$")
    names = {name for text in texts(path) for name in pattern.findall(text) if not files.search(name)}
    names -= {"data.sensors", "deepsc.NAME.modality"}  # the reader's own, in docs/own-modality.md
    if path == ROOT / "data" / "moved.py":
        names -= MOVED.keys()
    assert [name for name in sorted(names) if not is_there(name)] == []


def known_flags() -> set[str]:
    """Flags of all commands."""
    parsers = [
        optimizer.command.parser(name)
        for name in (None, "train", "figures", "pareto", "plan", "report", "export")
    ]
    parsers += [deepsc.command.build_parser(name) for name in modality_names()]
    parsers += [accuracy_maps.command.build_parser(), accuracy_maps.command.report_parser()]
    parsers += [profiling.command.build_parser(), accuracy_maps.transmit.command.build_parser()]
    parsers += [accuracy_maps.release.__main__.build_parser()]
    flags = {flag for parser in parsers for action in parser._actions for flag in action.option_strings}
    scripts = [path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py")]
    return flags | {flag for script in scripts for flag in re.findall(r'"(--[a-z-]+)"', script)}


def test_flags_are_there() -> None:
    known = known_flags() | FOREIGN_FLAGS
    unknown = {
        (path.name, flag)
        for path in [*SOURCES, *PAGES]
        for text in texts(path)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z_-]*[a-z](?![\w-])", text)
        if flag not in known
    }
    assert unknown == set()


IN_COMMANDS = re.compile(
    r"(.*\.)?(command|__main__)|optimizer\.(unread|symbols)|data\.(settings|terminal)\..*"
)
"""Modules of the command line: they may say flags."""
COMMAND_LINE = re.compile(
    r"\b(train-deepsc|build-accuracy-map|profile-flops|optimize|transmit)\b[^;]*?(?= --)"
)


def said(path: Path) -> Iterator[str]:
    """Strings that a module says to its caller: no docstring, no definition of a flag, no command's help."""
    parsed = ast.parse(path.read_text(encoding="utf-8"))
    silent: set[ast.AST] = set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(node.value)
        is_flag = isinstance(node, ast.Call) and ast.unparse(node.func) == "Flag"
        if is_flag or (isinstance(node, ast.Assign | ast.AnnAssign) and "example_" in ast.unparse(node)):
            silent |= set(ast.walk(node))
    for node in ast.walk(parsed):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent:
            yield node.value


@pytest.mark.parametrize("name", [name for name in modules() if not IN_COMMANDS.fullmatch(name)])
def test_an_error_of_the_library_names_no_flag(name: str) -> None:
    """Somebody who calls from Python has none: `data.settings.named` says which word is right.

    A whole command may be named, as in "train-deepsc --resume goes on with it".
    """
    flags = [
        flag
        for text in said(modules()[name])
        if not COMMAND_LINE.search(text)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
        if flag not in FOREIGN_FLAGS
    ]
    assert flags == []


def test_pages_are_there() -> None:
    named = {
        (path.name, page)
        for path in [*SOURCES, *PAGES]
        for text in texts(path)
        for page in re.findall(r"[\w/-]+\.md\b", text)
    }
    there = {path.name for path in ROOT.rglob("*.md")}
    written = {"flops.md", "table.md"}  # by `profile-flops --table`
    assert {(path, page) for path, page in named if Path(page).name not in there | written} == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_module_looks_whether_a_path_is_there(path: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and (node.attr in ("exists", "is_file", "is_dir") or ast.unparse(node).startswith("os.path.is"))
        and ast.unparse(node) != "os.path.isabs"
        and path.name != "paths.py"
    ]
    assert calls == []

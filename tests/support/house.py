"""The house, read from its files: modules, rooms, and which imports which.

A room is a module or a subpackage of a package. Imports count wherever they stand: at the top, in a function,
under TYPE_CHECKING. A name taken from a package's face counts as an import of the module that defines it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "deepsc", "accuracy_maps", "profiling", "optimizer")

Graph = Mapping[str, frozenset[str]]
"""What each module, or room, imports."""


@cache
def modules() -> dict[str, Path]:
    """File of each module of the packages, by dotted name; a package's file is its `__init__.py`."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
            for path in paths}  # fmt: skip


def folders() -> list[str]:
    """The packages and their subpackages."""
    return [name for name, path in modules().items() if path.name == "__init__.py"]


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def import_statements(name: str) -> Iterator[tuple[str, str | None]]:
    """What a module's import statements say: (module, name taken from it)."""
    for node in ast.walk(tree(modules()[name])):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{name}: imports are absolute here"
            yield from ((node.module, alias.name) for alias in node.names)


@cache
def face(package: str) -> dict[str, str]:
    """Where a package takes its public names from: module of each name."""
    stub = modules()[package].with_suffix(".pyi")
    statements = [node for node in ast.walk(tree(stub if stub.exists() else modules()[package]))
                  if isinstance(node, ast.ImportFrom)]  # fmt: skip
    within = {0: "", 1: f"{package}."}
    return {alias.asname or alias.name: within[node.level] + (node.module or "") for node in statements
            for alias in node.names}  # fmt: skip


def defining_module(module: str, name: str | None) -> str:
    """The module that an import leads to, through the faces of packages."""
    if name is not None and f"{module}.{name}" in modules():
        return f"{module}.{name}"
    if name is not None and module in folders() and name in face(module):
        return defining_module(face(module)[name], name)
    return module


@cache
def module_imports() -> Graph:
    """The modules of the packages that each of them imports."""
    known = modules()
    return {
        name: frozenset(
            target for statement in import_statements(name)
            if (target := defining_module(*statement)) in known and target != name
        )
        for name in known
    }  # fmt: skip


def room(module: str) -> str:
    """`data.files` of `data.files.errors`, `data.splits` of itself."""
    return ".".join(module.split(".")[:2])


def room_imports(package: str) -> Graph:
    """The rooms of a package that each room imports."""
    rooms: dict[str, frozenset[str]] = {}
    for name, targets in module_imports().items():
        if name.startswith(f"{package}."):
            inside = {room(target) for target in targets if target.startswith(f"{package}.")}
            rooms[room(name)] = rooms.get(room(name), frozenset()) | inside - {room(name)}
    return rooms


def reached(graph: Graph) -> dict[str, set[str]]:
    """What each name leads to, through others or not."""
    ways: dict[str, set[str]] = {}
    for start in graph:
        ways[start], ahead = set(), list(graph[start])
        while ahead:
            if (name := ahead.pop()) not in ways[start]:
                ways[start].add(name)
                ahead += graph.get(name, ())
    return ways


def circles(graph: Graph) -> list[list[str]]:
    """Modules that import each other, directly or through others, together; tidy graphs have none."""
    ways = reached(graph)
    together = {frozenset(other for other in ways[name] if name in ways[other]) for name in graph}
    return sorted(sorted(circle) for circle in together if circle)

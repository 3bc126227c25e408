"""The rooms of data: each imports only what lies before it, so that no circle can be."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORDER = (
    "version", "moved", "neighbours", "intervals", "splits", "batching", "files", "terminal", "settings",
    "page", "download", "reading", "text", "images", "questions",
)  # fmt: skip
"""Rooms and modules at the top of data; each may import those before it."""


def test_each_room_imports_only_those_before_it() -> None:
    backwards = []
    for path in sorted((ROOT / "data").rglob("*.py")):
        room = path.relative_to(ROOT / "data").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for other in (name.split(".")[1] for name in names if name.startswith("data.")):
                if room != "__init__" and ORDER.index(other) > ORDER.index(room):
                    backwards.append(f"{path.name} imports data.{other}")
    assert backwards == []
    there = {path.stem for path in (ROOT / "data").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert there - {"__init__", "__pycache__"} == set(ORDER)


ROOMS = ["data", *(f"data.{name}" for name in ORDER if (ROOT / "data" / name).is_dir())]


@pytest.mark.parametrize("room", ROOMS)
def test_all_that_a_face_names_is_there(room: str) -> None:
    face = importlib.import_module(room)
    assert face.__all__ == dir(face)
    assert [name for name in face.__all__ if getattr(face, name, None) is None] == []

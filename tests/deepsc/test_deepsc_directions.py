"""Inside deepsc imports go one way: a modality knows of no training, a codec of no modality."""

import ast
from pathlib import Path

import pytest

DEEPSC = Path(__file__).parents[2] / "deepsc"
FLOORS = (
    ("link",), ("codec",), ("config",), ("modality",), ("checkpoint", "digital"), ("text", "image"), ("vqa",),
    ("train",), ("command",),
)  # fmt: skip
"""From below. Rooms on one floor know nothing of each other."""


def room_of(path: Path) -> str:
    return path.relative_to(DEEPSC).with_suffix("").parts[0]


@pytest.mark.parametrize(
    "path", sorted(DEEPSC.glob("**/*.py")), ids=lambda path: str(path.relative_to(DEEPSC))
)
def test_a_module_imports_its_own_room_and_those_below(path: Path) -> None:
    """At the top, inside functions and for types alike."""
    if (room := room_of(path)) == "__init__":
        return
    (floor,) = (number for number, rooms in enumerate(FLOORS) if room in rooms)
    allowed = {room, *(other for rooms in FLOORS[:floor] for other in rooms)}
    names = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    rooms = {name.split(".")[1] for name in names if name.startswith("deepsc.")}
    assert rooms <= allowed

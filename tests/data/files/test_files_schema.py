"""JSON values are believed only if they are of the type that is asked for."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from data.files.errors import ToolkitError
from data.files.schema import (
    conform,
    from_json,
    numbers,
    typed,
)


@dataclass(frozen=True, kw_only=True)
class End:
    low: float
    high: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Thing:
    name: str
    count: int
    sure: bool
    k: tuple[int, ...]
    span: tuple[float, float]
    end: End | None = None
    rows: list[list[float]]

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ToolkitError(f"count: {self.count} given")


GOOD: dict[str, Any] = {
    "name": "a", "count": 3, "sure": True, "k": [1, 2], "span": [0, 1.5],
    "end": {"low": 0}, "rows": [[1, 2.5]],
}  # fmt: skip


def test_a_dataclass_comes_back_from_json() -> None:
    thing = from_json(Thing, GOOD)
    assert thing == Thing(
        name="a", count=3, sure=True, k=(1, 2), span=(0.0, 1.5), end=End(low=0.0), rows=[[1.0, 2.5]]
    )
    assert from_json(Thing, asdict(thing)) == thing
    assert type(thing.span[0]) is float
    assert from_json(Thing, GOOD | {"end": None}).end is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": 3}, "name is 3, str expected"),
        ({"count": True}, "count is True, int expected"),
        ({"count": 3.0}, "count is 3.0"),
        ({"count": "3"}, "count is '3'"),
        ({"sure": "no"}, "sure is 'no', bool expected"),
        ({"sure": 1}, "sure is 1"),
        ({"k": "12"}, "k is '12'"),
        ({"k": [1, "2"]}, "k is '2'"),
        ({"k": 1}, "k is 1"),
        ({"span": [0]}, "zip"),
        ({"span": [0, None]}, "span is None"),
        ({"end": []}, "an object expected"),
        ({"end": {"low": 0, "middle": 1}}, "unknown fields"),
        ({"end": {}}, "low"),
        ({"rows": [1]}, "rows is 1"),
        ({"more": 1}, "unknown fields"),
    ],
)
def test_another_type_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        from_json(Thing, GOOD | changes)


def test_the_dataclass_checks_itself() -> None:
    with pytest.raises(ToolkitError, match="count: -1 given"):
        from_json(Thing, GOOD | {"count": -1})


def test_a_field_of_an_object() -> None:
    assert typed({"a": 1}, "a", float) == 1.0
    with pytest.raises(KeyError):
        typed({}, "a", str)
    with pytest.raises(TypeError, match="a is None, list expected"):
        typed({"a": None}, "a", list)


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        ("awgn", Literal["awgn", "none"], "awgn"),
        (1, Annotated[float, "W"], 1.0),
        ("a/b", Path, Path("a/b")),
        (Path("a"), Path | None, Path("a")),
        (["a"], tuple[Path, ...] | None, (Path("a"),)),
        (3, int | str, 3),
        ("3", int | str, "3"),
        (End(low=1), End, End(low=1)),
        ([1, "a"], list, [1, "a"]),
        ((1, "a"), tuple, (1, "a")),
        ({"a": 1}, dict, {"a": 1}),
        ({"a": 1}, dict[str, int], {"a": 1}),
        (np.int64(3), int, 3),
        (np.float32(0.5), float, 0.5),
    ],
)
def test_a_value_is_made_what_the_type_says(value: object, kind: object, result: object) -> None:
    made = conform(value, kind, "a")
    assert made == result
    assert type(made) is type(result)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("rayleigh", Literal["awgn", "none"]), (1, Literal[True]), ("1", Annotated[float, "W"]), (1, Path),
        (1.5, int | str), (True, float), (np.float64(1), int), (b"a", str),
    ],
)  # fmt: skip
def test_another_value_is_refused(value: object, kind: object) -> None:
    with pytest.raises(TypeError, match=r"a is .* expected"):
        conform(value, kind, "a")


def test_numbers_are_a_grid() -> None:
    assert numbers({"a": [[1, 2.5], [0, -3]]}, "a").tolist() == [[1.0, 2.5], [0.0, -3.0]]


@pytest.mark.parametrize(
    "value", [[[1.0, True]], [True, False], [1, "2"], [1, None], [[1], [2, 3]], [10**400], 3]
)
def test_true_is_no_number_of_a_grid(value: object) -> None:
    """numpy alone takes [1.5, True] for [1.5, 1.0]."""
    with pytest.raises((TypeError, ValueError)):
        numbers({"a": value}, "a")

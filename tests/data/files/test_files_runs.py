"""One run's identity, told from another's."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.files.errors import ToolkitError
from data.files.runs import Identity

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3))
NAMES = st.text("abc", min_size=1, max_size=2)
SETTINGS = st.dictionaries(NAMES, st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=3)), max_size=4)


@settings(deadline=None)
@given(SETTINGS, SETTINGS)
def test_digests_differ_exactly_if_settings_do(one: dict[str, object], other: dict[str, object]) -> None:
    first, second = Identity.of(one), Identity.of(other)
    assert (first.differences(second) == {}) == (first.digest == second.digest)
    assert first.differences(first) == {}


def test_places_and_names_of_files_make_no_difference() -> None:
    here = Identity.of(
        {"output": "a", "inputs": {"text_map": Path("x"), "k": (4, 8)}},
        places=("output", "inputs.text_map"),
        sha256={"x": "1", "z": "2"},
    )
    there = Identity.of({"inputs": {"k": [4, 8]}}, sha256={"y": "2", "w": "1"})
    assert here == there
    assert here.digest == there.digest


def test_another_run_is_refused_with_what_differs() -> None:
    stored, wanted = Identity.of({"seed": 0, "train": {"rate": 1.0}}), Identity.of({"seed": 1, "extra": "x"})
    with pytest.raises(ToolkitError) as error:
        wanted.require_same(stored, where="runs/a", flag="--output", advice="give another")
    assert str(error.value) == (
        "--output: runs/a is of another run: seed was 0, is now 1; extra was None, is now x; "
        "train.rate was 1.0, is now None; give another"
    )

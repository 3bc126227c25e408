"""Units do not mix."""

import operator
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import profiling
import profiling.closed
import profiling.counted
import profiling.timed
from profiling import Flops, Macs

ROOT = Path(__file__).parents[2]


def test_a_multiply_add_is_two_flops() -> None:
    assert Macs(3).flops == Flops(6)
    assert Macs(3) + Macs(4) == Macs(7)
    assert Flops(6) - Flops(8) == Flops(-2) == -Flops(2)
    assert 3 * Flops(2) == Flops(2) * 3 == Flops(6)
    assert Flops(3) / Flops(2) == 1.5
    assert Macs.total([Macs(1), Macs(2)]) == Macs(3)
    assert Flops(1) < Flops(2)
    assert not Flops(0)


def test_units_and_bare_numbers_do_not_mix() -> None:
    for left, right in ((Macs(1), Flops(1)), (Flops(1), Macs(1)), (Flops(1), 1), (1, Macs(1))):
        for operation in (operator.add, operator.sub, operator.truediv, operator.lt):
            with pytest.raises(TypeError):
                operation(left, right)
    assert Macs(1) != Flops(1)
    with pytest.raises(TypeError):
        Flops.total([Macs(1)])  # type: ignore[list-item]
    for value in (1.5, True, "1", Macs(1)):
        with pytest.raises(TypeError):
            Flops(value)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Flops(2) * 1.5  # type: ignore[operator]


@given(st.lists(st.integers(-(10**30), 10**30)))
def test_totals_are_exact_whatever_their_size(counts: list[int]) -> None:
    assert Macs.total(map(Macs, counts)).flops == Flops(2 * sum(counts))


def test_the_face_of_the_package_is_light() -> None:
    code = (
        "import sys, profiling; assert not {'numpy', 'torch', 'deepsc'} & set(sys.modules)\n"
        "profiling.FlopsFile, profiling.text_parts, profiling.LatencyConfig\n"
        "assert 'torch' not in sys.modules\n"
        "assert set(profiling.__all__) <= set(dir(profiling)); print(*profiling.__all__)"
    )
    names = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert {"profile_model", "profile_codec", "FlopsFile", "Flops", "Macs"} <= set(names.stdout.split())
    for room in (profiling, profiling.closed, profiling.counted, profiling.timed):
        assert all(hasattr(room, name) for name in room.__all__)

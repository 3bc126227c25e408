"""Units do not mix."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling import Flops, Macs


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

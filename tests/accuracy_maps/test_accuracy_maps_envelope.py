"""Isotonic fit of all lines at once, against scikit-learn's of one line."""

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from accuracy_maps.envelope import isotonic


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_it_is_scikit_learns_isotonic_regression_of_each_line(axis: int) -> None:
    values = np.random.default_rng(axis).normal(size=(4, 9, 1))
    expected = np.apply_along_axis(isotonic_regression, axis, values)
    assert np.allclose(isotonic(values, axis=axis), expected, rtol=0, atol=1e-12)


def test_what_rises_already_stays() -> None:
    rising = np.array([[-2.0, -2.0, 0.5, 3.0]])
    assert np.allclose(isotonic(rising, axis=1), rising, rtol=0, atol=1e-15)

"""The monotone envelope of a map: isotonic regression along every axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def isotonic(values: Array, *, axis: int) -> Array:
    """Least-squares fit that does not decrease along one axis, of all lines at once.

    The min-max formula (Robertson et al., 1988): y_i is the largest over j <= i of the least over k >= i of
    the mean of x_j to x_k. `sklearn.isotonic.isotonic_regression` fits the same line by line; with it the
    envelope of the shipped VQA map (4 x 4 x 9 x 9) takes 136 s instead of 0.6 s, with scipy's 5 s.

    Args:
        values: any number of axes.
        axis: along which.

    Returns:
        Array of `values`'s shape.
    """
    x = np.moveaxis(values, axis, 0)  # (n, ...)
    n = len(x)
    sums = np.concatenate((np.zeros_like(x[:1]), np.cumsum(x, axis=0)))  # (n + 1, ...)
    fit = np.full_like(x, -np.inf)
    for j in range(n):
        lengths = np.arange(1, n - j + 1).reshape(-1, *(1,) * (x.ndim - 1))
        means = (sums[j + 1 :] - sums[j]) / lengths  # of x_j to x_k, k = j, ..., n - 1
        least = np.minimum.accumulate(means[::-1], axis=0)[::-1]  # over k >= i, i = j, ..., n - 1
        np.maximum(fit[j:], least, out=fit[j:])
    return np.moveaxis(fit, 0, axis)


def monotone_envelope(ratio: ArrayLike, *, tolerance: float = 1e-9, max_sweeps: int = 10_000) -> Array:
    """Least-squares fit of `ratio` that does not decrease along any axis, clipped to [0, 1].

    Isotonic regression on a grid: Dykstra's alternating projections between the cones "monotone along
    axis a".

    Args:
        ratio: measured ratios, any number of axes, each in rising order of its variable.
        tolerance: largest change in one sweep at which the projections have converged, relative to the
            largest ratio where that is above 1.
        max_sweeps: sweeps after which to stop in any case.

    Returns:
        Array of `ratio`'s shape.
    """
    fit = np.array(ratio, dtype=np.float64)
    tolerance *= max(1.0, float(np.max(np.abs(fit), initial=0.0)))
    corrections = [np.zeros_like(fit) for _ in range(fit.ndim)]
    for _ in range(max_sweeps):
        before = fit.copy()
        for axis, correction in enumerate(corrections):
            moved = fit + correction
            fit = isotonic(moved, axis=axis)
            corrections[axis] = moved - fit
        if np.max(np.abs(fit - before), initial=0.0) <= tolerance:
            break
    for axis in range(fit.ndim):  # what is left of the tolerance
        fit = np.maximum.accumulate(fit, axis=axis)
    return np.clip(fit, 0.0, 1.0)

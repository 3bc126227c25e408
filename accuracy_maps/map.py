"""The accuracy map f^Q(k, SNR) of section III for one transmission: text or image."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from accuracy_maps.envelope import Array
from accuracy_maps.grid import MeasuredGrid, Table
from data.files.errors import ToolkitError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AccuracyMap(MeasuredGrid):
    """Accuracy measured on a (k, SNR) grid; all grids have shape (K, N)."""

    axis_names: ClassVar[tuple[str, ...]] = ("k", "snr_db")
    schema_version: ClassVar[int] = 1

    k: tuple[int, ...]
    snr_db: tuple[float, ...]

    rows_name: ClassVar[str] = "k"

    @override
    def as_table(self, grid: Array) -> Table:
        return Table([str(k) for k in self.k], self.snr_db, grid)

    def row(self, k: int) -> Array:
        """Envelope against `snr_db` at one k, interpolated linearly in k, clamped outside; shape (N,).

        Args:
            k: complex channel symbols per token.
        """
        if not self.k[0] <= k <= self.k[-1]:
            logger.warning(
                "k = %s lies outside the map's %s..%s: clamped to its edge", k, self.k[0], self.k[-1]
            )
        envelope = self.envelope
        return np.array([np.interp(k, self.k, envelope[:, n]) for n in range(len(self.snr_db))])

    def lookup(self, k: ArrayLike, snr_db: ArrayLike) -> Array:
        """f(k, SNR): bilinear in k and dB between grid points, clamped outside the grid (logged).

        Args:
            k: complex channel symbols per token, one or several.
            snr_db: E_s/N_0 in dB, any shape that broadcasts with `k`'s.

        Returns:
            Ratio in [0, 1], of the shape the two broadcast to.

        Raises:
            ToolkitError: if a k or an SNR is nan.
        """
        ks, snr = np.asarray(k, dtype=np.float64), np.asarray(snr_db, dtype=np.float64)
        if np.any(np.isnan(snr)) or np.any(np.isnan(ks)):
            raise ToolkitError(f"lookup: {'an SNR' if np.any(np.isnan(snr)) else 'a k'} is nan")
        outside = ks[(ks < self.k[0]) | (ks > self.k[-1])]
        for k_outside in sorted({outside.min(), outside.max()} if outside.size else ()):
            logger.warning(
                "k = %g lies outside the map's %s..%s: clamped to its edge", k_outside, self.k[0], self.k[-1]
            )
        if np.any(snr < self.snr_db[0]) or np.any(snr > self.snr_db[-1]):
            logger.warning(
                "SNR outside the map's %g..%g dB: clamped to its edge", self.snr_db[0], self.snr_db[-1]
            )
        left, right, share = _between(self.snr_db, snr)
        every_k, row_of = np.unique(ks, return_inverse=True)
        rows = np.stack([np.interp(every_k, self.k, column) for column in self.envelope.T])  # (N, ks)
        row_of = row_of.reshape(ks.shape)
        return np.asarray((1 - share) * rows[left, row_of] + share * rows[right, row_of])


def _between(axis: tuple[float, ...], values: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Neighbours of each value on a rising axis, clamped to it, and its share of the way between them."""
    points = np.array(axis)
    values = np.clip(values, points[0], points[-1])
    left = np.clip(np.searchsorted(points, values, side="right") - 1, 0, max(0, len(points) - 2))
    right = np.minimum(left + 1, len(points) - 1)
    width = points[right] - points[left]
    return left, right, (values - points[left]) / np.where(width > 0, width, 1.0)

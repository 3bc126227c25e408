"""The accuracy map f^Q(k, SNR) of section III for one transmission: text or image."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from accuracy_maps.grid import CHANNELS, Array, MeasuredGrid, monotone_envelope
from data.artifacts import ToolkitError

__all__ = ["CHANNELS", "AccuracyMap", "monotone_envelope"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AccuracyMap(MeasuredGrid):
    """Accuracy measured on a (k, SNR) grid; all grids have shape (K, N)."""

    axis_names: ClassVar[tuple[str, ...]] = ("k", "snr_db")
    schema_version: ClassVar[int] = 1

    k: tuple[int, ...]
    snr_db: tuple[float, ...]

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

    def lookup(self, k: int, snr_db: ArrayLike) -> Array:
        """f(k, SNR): bilinear in k and dB between grid points, clamped outside the grid (logged).

        Args:
            k: complex channel symbols per token.
            snr_db: E_s/N_0 in dB, any shape.

        Returns:
            Ratio in [0, 1], of `snr_db`'s shape.

        Raises:
            ToolkitError: if an SNR is nan.
        """
        snr = np.asarray(snr_db, dtype=np.float64)
        if np.any(np.isnan(snr)):
            raise ToolkitError("lookup: an SNR is nan")
        if np.any(snr < self.snr_db[0]) or np.any(snr > self.snr_db[-1]):
            logger.warning(
                "SNR outside the map's %g..%g dB: clamped to its edge", self.snr_db[0], self.snr_db[-1]
            )
        return np.interp(snr, self.snr_db, self.row(k))

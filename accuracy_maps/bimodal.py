"""The accuracy map of two transmissions, f(k^T, k^I, SNR_T, SNR_I), and f^B of section III, its diagonal."""

from __future__ import annotations

import itertools
import logging
import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import RegularGridInterpolator
from typing_extensions import override

from accuracy_maps.envelope import Array
from accuracy_maps.grid import MeasuredGrid, Table
from accuracy_maps.map import AccuracyMap
from data.files.documents import read_json
from data.files.errors import ToolkitError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BimodalMap(MeasuredGrid):
    """Accuracy measured on a (k^T, k^I, SNR_T, SNR_I) grid; all grids have that shape."""

    axis_names: ClassVar[tuple[str, ...]] = ("k_text", "k_image", "snr_text_db", "snr_image_db")
    schema_version: ClassVar[int] = 2

    k_text: tuple[int, ...]
    k_image: tuple[int, ...]
    snr_text_db: tuple[float, ...]
    snr_image_db: tuple[float, ...]

    @property
    def snr_db(self) -> tuple[float, ...]:
        """SNRs of the diagonal: those that both axes have.

        Raises:
            ToolkitError: if there are none.
        """
        shared = tuple(sorted(set(self.snr_text_db) & set(self.snr_image_db)))
        if not shared:
            raise ToolkitError("the map's two SNR axes have no SNR in common, so f^B is not on its grid")
        return shared

    def on_diagonal(self, grid: Array) -> Array:
        """A grid where both transmissions see one SNR.

        Args:
            grid: of the map's shape, such as `ratio` or `envelope`.

        Returns:
            (K^T, K^I, N), along `snr_db`.
        """
        rows = [self.snr_text_db.index(snr) for snr in self.snr_db]
        columns = [self.snr_image_db.index(snr) for snr in self.snr_db]
        return grid[:, :, rows, columns]

    rows_name: ClassVar[str] = "k^T, k^I"

    @override
    def as_table(self, grid: Array) -> Table:
        heads = [f"{text}, {image}" for text, image in itertools.product(self.k_text, self.k_image)]
        return Table(heads, self.snr_db, self.on_diagonal(grid).reshape(len(heads), -1))

    def row(self, k_text: int, k_image: int) -> Array:
        """f^B(k^T, k^I, SNR) against `snr_db`: the envelope's diagonal at one pair of k; shape (N,)."""
        snr_db = np.array(self.snr_db)
        return self.lookup(k_text, k_image, snr_db, snr_db)

    def lookup(
        self,
        k_text: ArrayLike,
        k_image: ArrayLike,
        snr_text_db: ArrayLike,
        snr_image_db: ArrayLike | None = None,
    ) -> Array:
        """f(k^T, k^I, SNR_T, SNR_I): linear in each k and in dB, clamped outside the grid (logged).

        Args:
            k_text: complex channel symbols per question token, one or several.
            k_image: complex channel symbols per image token, likewise.
            snr_text_db: E_s/N_0 of the question in dB, any shape; all four must broadcast.
            snr_image_db: E_s/N_0 of the image in dB; None: the question's, which is f^B.

        Returns:
            Ratio in [0, 1], of the shape the four broadcast to.

        Raises:
            ToolkitError: if a k or an SNR is nan.
        """
        text = np.asarray(snr_text_db, dtype=np.float64)
        image = text if snr_image_db is None else np.asarray(snr_image_db, dtype=np.float64)
        ks = [np.asarray(k, dtype=np.float64) for k in (k_text, k_image)]
        for what, pair in (("an SNR", [text, image]), ("a k", ks)):
            if any(np.isnan(values).any() for values in pair):
                raise ToolkitError(f"lookup: {what} is nan")
        wanted = np.broadcast_arrays(*ks, text, image)
        # The interpolator needs two points an axis: one alone stands for all.
        axes = [np.array(axis, dtype=np.float64) for axis in self.axes]
        grid = self.envelope
        points = []
        for number, (name, values) in enumerate(zip(self.axis_names, wanted, strict=True)):
            low, high = axes[number][0], axes[number][-1]
            if np.any(values < low) or np.any(values > high):
                logger.warning("%s outside the map's %g..%g: clamped to its edge", name, low, high)
            points.append(np.clip(values, low, high))
            if len(axes[number]) == 1:
                axes[number] = np.array([low, low + 1])
                grid = np.repeat(grid, 2, axis=number)
        ratios = RegularGridInterpolator(axes, grid)(np.stack(points, axis=-1))
        return np.asarray(ratios).reshape(wanted[0].shape)


def load_map(path: str | os.PathLike[str]) -> AccuracyMap | BimodalMap:
    """Read a map of either shape.

    Raises:
        ToolkitError: if the file is missing, truncated, of another kind, schema or unit, or inconsistent.
    """
    if read_json(path).get("schema_version") == BimodalMap.schema_version:
        return BimodalMap.load(path)
    return AccuracyMap.load(path)

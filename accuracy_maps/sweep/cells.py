"""Measured cells of a sweep, and the store that keeps them until the map is written."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.files.atomic import atomic_path, remove_unfinished
from data.files.documents import parse_json, read_json, write_json
from data.files.errors import ToolkitError, parsing
from data.files.paths import exists, require_file
from data.files.runs import Identity
from data.files.schema import typed
from data.settings import named

logger = logging.getLogger(__name__)
Counts = NDArray[np.int64]
LARGEST_CELL = 2**30
"""Bytes of a cell, packed and unpacked: a small file can hold anything."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measured grid point, or the local model."""

    counts: Counts
    """(items, statistics), summed over the noise draws."""
    figures: Mapping[str, float]
    seconds: float = 0.0
    """Wall time that measuring it took."""


def store_folder(output: Path) -> Path:
    """Where the cells of a map are kept until it is written."""
    return output.with_name(f".{output.name}.cells")


def recorded_seconds(folder: Path, *, draws: int) -> list[float]:
    """How long each finished cell of so many draws took; none where there is no store."""
    paths = [*folder.glob("local.npz"), *sorted(folder.glob(f"*_draws{draws}.npz"))]
    return [_read(path).seconds for path in paths]


class CellStore:
    """Finished cells of a sweep, one file each, kept until the map is written.

    Args:
        folder: where.
        plans: what the cells depend on; after the first, other wordings, which an earlier release may have
            written.
        overwrite: replace cells of another plan.

    Raises:
        ToolkitError: if the folder holds cells of another plan, and they are not to be replaced.
    """

    def __init__(self, folder: Path, *plans: Mapping[str, Any], overwrite: bool = False) -> None:
        self._folder = folder
        path = folder / "plan.json"
        if self._is_mine(plans, overwrite=overwrite):
            remove_unfinished(folder)
            logger.info("resuming: %d cells are already measured", len(list(folder.glob("*.npz"))))
        else:
            # Cells without a plan are what a kill left of another sweep's removal.
            shutil.rmtree(folder, ignore_errors=True)
            write_json(path, plans[0])

    def _is_mine(self, plans: Sequence[Mapping[str, Any]], *, overwrite: bool) -> bool:
        """Whether there are cells of a plan to go on with."""
        try:
            if self.holds(self._folder, *plans):
                return True
        except ToolkitError:  # a plan that cannot be read
            if not overwrite:
                raise
        if exists(self._folder / "plan.json") and not overwrite:
            raise ToolkitError(
                f"{self._folder} holds cells of another sweep; give another {named('output')}, or "
                f"{named('overwrite')} to replace them"
            )
        return False

    @staticmethod
    def holds(folder: Path, *plans: Mapping[str, Any]) -> bool:
        """Whether a folder holds cells of a plan, in one of its wordings."""
        path = folder / "plan.json"
        if not exists(path):
            return False
        stored = Identity.of(read_json(path))
        return any(not Identity.of(plan).differences(stored) for plan in plans)

    def load(self, name: str) -> Cell | None:
        """A finished cell, or None."""
        path = self._folder / f"{name}.npz"
        if not exists(path):
            return None
        return _read(path)

    def save(self, name: str, cell: Cell) -> None:
        """Keep a finished cell."""
        with atomic_path(self._folder / f"{name}.npz") as temporary, temporary.open("wb") as stream:
            figures = np.array(json.dumps(cell.figures))
            np.savez_compressed(stream, counts=cell.counts, figures=figures, seconds=np.array(cell.seconds))

    def clear(self) -> None:
        """Forget all cells, of which no map can be made."""
        shutil.rmtree(self._folder)

    def remove(self, names: Sequence[str]) -> None:
        """Forget the cells of a map that is written, unless there are some of other k, SNRs or draws."""
        others = {path.stem for path in self._folder.glob("*.npz")} - set(names)
        if others:
            logger.info("%s keeps %d cells that this map has not", self._folder, len(others))
        else:
            self.clear()


def _read(path: Path) -> Cell:
    require_file(path, largest=LARGEST_CELL)
    with parsing(path), np.load(path, allow_pickle=False) as stored:
        if sum(entry.file_size for entry in stored.zip.infolist()) > LARGEST_CELL:
            raise ValueError(f"it would unpack to over {LARGEST_CELL} bytes")
        counts, figures = stored["counts"], parse_json(str(stored["figures"]))
        if counts.ndim != 2 or counts.dtype != np.int64:
            raise TypeError(f"counts are {counts.dtype} of shape {counts.shape}")
        return Cell(
            counts=counts,
            figures={name: typed(figures, name, float) for name in figures},
            seconds=float(stored["seconds"]),
        )

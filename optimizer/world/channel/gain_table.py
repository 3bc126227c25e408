"""Channel gains or walks of a file, from ray tracing or a measurement: docs/file-formats.md describes it."""

from __future__ import annotations

import csv
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.files.errors import ToolkitError, parsing
from data.files.paths import require_file
from data.settings import named

LARGEST_GAINS = 2**28
"""Bytes of a file of gains."""
GAIN_MIN_DB, GAIN_MAX_DB = -300.0, 0.0
"""What a gain may be. Above 0 dB a receiver would hear more than was sent: such numbers are pathlosses."""
FARTHEST_M = 1e6
"""Farthest coordinate of a place."""
COLUMNS = ("gain_db", "x_m", "y_m", "place")


@dataclass(frozen=True, kw_only=True)
class GainTable:
    """Places, over steps, and g of eq. (1) there; float64."""

    position_m: Tensor
    """x and y, the station at the origin, (places, steps, 2); one step: nothing changes in an episode."""
    gain: Tensor | None
    """Linear, (places, steps). None: the pathloss model says it."""

    @property
    def places(self) -> int:
        """Number of places."""
        return self.position_m.shape[0]

    @property
    def steps(self) -> int:
        """Number of steps of each."""
        return self.position_m.shape[1]

    def to(self, device: torch.device | str) -> GainTable:
        """The same on another torch device."""
        gain = None if self.gain is None else self.gain.to(device)
        return GainTable(position_m=self.position_m.to(device), gain=gain)


def read_gains(path: str | os.PathLike[str], *, steps: int) -> GainTable:
    """Read a file of gains, .csv or .npy.

    Args:
        path: of the file.
        steps: T of eq. (14), which a place of several steps must last for.

    Raises:
        ToolkitError: naming the file, what it holds and what is allowed.
    """
    suffix = Path(path).suffix
    if suffix not in (".csv", ".npy"):
        raise ToolkitError(f"{named('gains')}: {path} given, a .csv or .npy file is allowed")
    require_file(path, largest=LARGEST_GAINS)
    with parsing(path):
        gain_db, position_m = _read_csv(path) if suffix == ".csv" else _read_npy(path)
        if gain_db is not None:
            unit = ", in dB: a pathloss is written as a negative gain"
            _check(gain_db, "gain_db", GAIN_MIN_DB, GAIN_MAX_DB, unit)
        _check(position_m, "x_m, y_m", -FARTHEST_M, FARTHEST_M, ", in m")
        if 1 < (rows := position_m.shape[1]) < steps:
            raise ToolkitError(f"{rows} steps of a place given, 1 or at least steps {steps} is allowed")
    gain = None if gain_db is None else 10.0 ** (torch.from_numpy(gain_db) / 10.0)
    return GainTable(position_m=torch.from_numpy(position_m), gain=gain)


def _check(values: NDArray[np.float64], name: str, least: float, most: float, unit: str) -> None:
    """Refuse what is no number, or outside of what it may be; the first is named with its place and step."""
    wrong = ~((values >= least) & (values <= most))
    if wrong.any():
        place, step = np.argwhere(wrong)[0][:2].tolist()
        value = values[wrong][0]
        raise ToolkitError(
            f"{name} {value:g} given (place {place}, step {step}), {least:g} to {most:g} is allowed{unit}"
        )


def _read_npy(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gains in dB, (places,) or (places, steps) in the file, and places that are not known."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (SyntaxError, tokenize.TokenError) as error:  # numpy reads the header as Python
        raise ToolkitError(f"no header of an array: {error}") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind != "f" or stored.ndim not in (1, 2):
        raise ToolkitError("an array of floats of (places,) or (places, steps) is allowed")
    if not stored.size:
        raise ToolkitError("no gain given, one or more is allowed")
    gain_db = stored.reshape(stored.shape[0], -1).astype(np.float64)
    return gain_db, np.zeros((*gain_db.shape, 2))


def _read_csv(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Gains in dB, (places, steps), or None where the file has none, and x and y, (places, steps, 2), 0
    where it has none."""
    places: dict[str, list[list[float]]] = {}
    has_gains = False
    for number, cells in _rows(path):
        has_gains = "gain_db" in cells
        values = [_number(cells.get(name, "0"), name, number) for name in COLUMNS[:3]]
        places.setdefault(cells.get("place", str(number)), []).append(values)
    lengths = {len(steps) for steps in places.values()}
    if not lengths:
        raise ToolkitError("no place given, one or more is allowed")
    if len(lengths) > 1:
        raise ToolkitError(
            f"places of {min(lengths)} to {max(lengths)} rows given, the same number of all is allowed"
        )
    table = np.array(list(places.values()))
    return table[..., 0] if has_gains else None, table[..., 1:]


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells, by column, of every line below the first."""
    with Path(path).open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        try:
            header = [name.strip() for name in next(rows, [])]
            _check_header(header)
            for row in rows:
                if row and len(row) != len(header):
                    raise ToolkitError(
                        f"line {rows.line_num}: {len(row)} fields given, {len(header)} are allowed"
                    )
                if row:
                    yield rows.line_num, dict(zip(header, row, strict=True))
        except csv.Error as error:
            raise ToolkitError(f"line {rows.line_num}: {error}") from error


def _check_header(header: list[str]) -> None:
    """Refuse columns that are not known, occur twice or are not all there."""
    fits = set(header) <= set(COLUMNS) and len(set(header)) == len(header)
    if not fits or ("x_m" in header) != ("y_m" in header) or not {"gain_db", "x_m"} & set(header):
        raise ToolkitError(
            f"columns {','.join(header) or 'none'} given, gain_db, x_m and y_m, or all three, are allowed "
            "in the first line, and place beside them"
        )


def _number(text: str, name: str, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ToolkitError(f"line {line}: {name} {text!r} given, a number is allowed") from None

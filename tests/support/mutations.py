"""Damage for the readers' tests: bytes cut and flipped, JSON values replaced, a watch over who reads them."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st

from data.files.errors import ToolkitError

T = TypeVar("T")
LONGEST_LINE = 2500
DEADLINE_S = 60
"""CPU time that no reader takes."""
SPARE_MEMORY = 3 * 2**30
"""Bytes a reader may ask for."""
_DEEP, _HUGE = "<deep>", "<huge>"

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1.5, -0.0, 10**9, 10**400, 1e308, -1e308, 5e-324, float("inf"),
    float("nan"), "", "1", "nan", "text", "../../x", "\x00", "\u2028 \x1b[2J\n", "x" * 100_000, [], {}, [[]],
    [1, [2, "a"]], [None], {"a": {}}, [[1, 2], [3]], _DEEP, _HUGE,
)  # fmt: skip
"""JSON values that are rarely what is expected."""


def document_text(document: Any) -> str:
    """JSON, with what `json` cannot write: 1e999, and lists in lists beyond what is read."""
    text = json.dumps(document)
    return text.replace(f'"{_DEEP}"', "[" * 100_000 + "]" * 100_000).replace(f'"{_HUGE}"', "1e999")


def places(document: Any, *, depth: int = 4) -> list[tuple[Any, ...]]:
    """Paths to the values of a document, the first two of each list."""
    found: list[tuple[Any, ...]] = [()]
    if depth and isinstance(document, dict | list):
        items = list(document.items() if isinstance(document, dict) else enumerate(document[:2]))
        for key, value in items:
            found += [(key, *rest) for rest in places(value, depth=depth - 1)]
    return found


def damaged_documents(document: Any, *, skip: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Texts of a JSON document, one or two of whose values are replaced by hostile ones or left out.

    Args:
        document: what to damage.
        skip: top-level fields that stay: those nobody reads.
    """
    paths = [path for path in places(document) if path and path[0] not in skip]
    change = st.tuples(st.sampled_from(paths), st.sampled_from(["replace", "replace", "replace", "remove"]),
                       st.sampled_from(HOSTILE))  # fmt: skip
    return st.lists(change, min_size=1, max_size=2).map(lambda changes: _changed(document, changes))


def _changed(document: Any, changes: list[tuple[tuple[Any, ...], str, Any]]) -> str:
    result = copy.deepcopy(document)
    for path, how, value in changes:
        holder = result
        try:
            for key in path[:-1]:
                holder = holder[key]
            if how == "remove":
                del holder[path[-1]]
            else:
                holder[path[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):  # the first change took away what the second is about
            continue
    return document_text(result)


def damaged_bytes(whole: bytes) -> st.SearchStrategy[bytes]:
    """`whole` cut, with bytes flipped, put in or taken out, or something else altogether."""
    places_in = st.integers(0, len(whole) - 1)
    early = st.integers(0, min(len(whole) - 1, 400))  # headers decide more than data
    place = early | places_in
    cut = places_in.map(lambda end: whole[:end])
    flipped = st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=4).map(
        lambda flips: _flipped(whole, flips)
    )
    put_in = st.tuples(place, st.binary(min_size=1, max_size=9)).map(
        lambda change: whole[: change[0]] + change[1] + whole[change[0] :]
    )
    taken_out = st.tuples(place, st.integers(1, 9)).map(
        lambda change: whole[: change[0]] + whole[sum(change) :]
    )
    return st.one_of(cut, flipped, put_in, taken_out, st.binary(max_size=64), st.sampled_from(FOREIGN))


def _flipped(whole: bytes, flips: list[tuple[int, int]]) -> bytes:
    changed = bytearray(whole)
    for place, mask in flips:
        changed[place] ^= mask
    return bytes(changed)


class Trap:
    """Makes a file where its pickle is opened."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._trace,))


def hostile_pickle(trace: Path) -> bytes:
    """A pickle that makes the file `trace` when it is opened."""
    return pickle.dumps(Trap(trace))


FOREIGN: tuple[bytes, ...] = (
    b"", b"\x00" * 64, b"\xff\xfe{}", b"null", b"[1, 2]", b"3", b'"text"', b"NaN", b"1e999", b"{}",
    b"[" * 100_000, b'{"a":' * 100_000, b'{"kind": "another", "schema_version": 1}', b"\x80\x04K\x01.",
    b"PK\x03\x04" + b"\x00" * 40,
    b"\x1f\x8b\x08\x00garbage", b"\x89PNG\r\n\x1a\n", b"\xff" * 8 + b"{}", b"%!PS-Adobe-3.0 EPSF-3.0\n",
    b'\xef\xbb\xbf{"a": 1}', b"9" * 10_000,
)  # fmt: skip
"""Files that are something else."""


@contextmanager
def watched() -> Iterator[None]:
    """Fail what hangs, and refuse memory to what asks for a great deal."""

    def too_late(*_: Any) -> None:
        raise AssertionError("hangs")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, too_late)
    signal.setitimer(signal.ITIMER_PROF, DEADLINE_S)
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_MEMORY, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome(read: Callable[[], T], named: Path) -> T | None:
    """What a reader makes of a damaged file: a value, or None where it refuses it in one line that names it.

    Raises:
        AssertionError: if it hangs, says nothing useful, or writes something beside the file.
    """
    folder = named if named.is_dir() else named.parent
    before = _listing(folder)
    try:
        with watched():
            return read()
    except ToolkitError as error:
        line = str(error)
        assert len(line.splitlines()) == 1, line
        assert len(line) <= LONGEST_LINE
        assert named.name in line, line
        return None
    finally:
        assert _listing(folder) == before, "a reader writes nothing"


def refused_for_size(read: Callable[[], object], path: Path, *, largest: int) -> None:
    """Make a file a byte larger than is read; the hole that it holds takes no room.

    Raises:
        AssertionError: if it is read all the same, or refused for anything else.
    """
    path.touch()
    os.truncate(path, largest + 1)
    says = re.escape(f"{path}: has {largest + 1:,} bytes, at most {largest:,} are allowed")
    with watched(), pytest.raises(ToolkitError, match=f"^{says}$"):
        read()


def _listing(folder: Path) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_size) for path in folder.rglob("*")}

"""Labelled images by split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data.files.errors import ToolkitError
from data.images.read import Pixels
from data.splits import SPLITS

Item = TypeVar("Item")


class _Rows(Sequence[Pixels]):
    """Some images of others, decoded when asked for like those."""

    def __init__(self, images: Sequence[Pixels], rows: Sequence[int]) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        rows = self._rows[index]
        return _Rows(self._images, rows) if isinstance(index, slice) else self._images[rows]

    def mark(self, row: int) -> bytes:
        return _mark(self._images, self._rows[row])


def _mark(images: Sequence[Pixels], row: int) -> bytes:
    """What changes when an image does: as its sequence says, or the pixels of one in memory."""
    mark = getattr(images, "mark", None)
    if mark is not None:
        return bytes(mark(row))
    pixels = images[row]
    return str(pixels.shape).encode() + pixels.tobytes()


def fingerprint(images: Sequence[Pixels]) -> str:
    """SHA-256 that changes when an image or their order does; none in a file is decoded."""
    digest = hashlib.sha256()
    for row in range(len(images)):
        digest.update(_mark(images, row) + b"\n")
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class ImageSplit:
    """Images and their classes."""

    images: Sequence[Pixels]
    labels: NDArray[np.int64]
    """(images,), indices of classes."""

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int | None) -> ImageSplit:
        """The first `count` images; None: all."""
        return ImageSplit(images=self.images[:count], labels=self.labels[:count])

    def draw(self, count: int) -> ImageSplit:
        """`count` images drawn at random, always the same: files lie class by class."""
        return self.take(np.random.default_rng(0).permutation(len(self))[:count].tolist())

    def take(self, rows: Sequence[int]) -> ImageSplit:
        """Some images, in the order of `rows`; none is decoded before it is asked for."""
        return ImageSplit(images=_Rows(self.images, list(rows)), labels=self.labels[list(rows)])


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Labelled images by split.

    Raises:
        ToolkitError: from the constructor, if a split is empty or a label names no class.
    """

    name: str
    """Dataset, such as "CIFAR-10"."""
    synthetic: bool
    """True if the images are drawn by a program."""
    classes: tuple[str, ...]
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Checksum of what the images were read from."""

    def __post_init__(self) -> None:
        for name in SPLITS:
            split: ImageSplit = getattr(self, name)
            if not len(split):
                raise ToolkitError(f"{self.name}: the {name} split is empty; give more images")
            if split.labels.min() < 0 or split.labels.max() >= len(self.classes):
                raise ToolkitError(
                    f"{self.name}: a label of {name} names none of {len(self.classes)} classes"
                )


def in_turn(items: Iterable[tuple[str, Item]]) -> list[tuple[str, Item]]:
    """Items of each class in turn, so that the first N are of all classes; each comes with its class."""
    seen: Counter[str] = Counter()
    places = []
    for label, item in items:
        places.append((seen[label], label, item))
        seen[label] += 1
    places.sort(key=lambda place: place[:2])
    return [(label, item) for _, label, item in places]

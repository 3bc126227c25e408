"""Length-bucketed batches of token sequences, and batches that are made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def token_batches(
    lengths: Sequence[int], *, max_tokens: int, seed: int | None, epoch: int = 0
) -> list[list[int]]:
    """Deal items to batches of similar length.

    Args:
        lengths: length of each item; for a pair, the longer side.
        max_tokens: largest number of tokens in a batch, padding included.
        seed: shuffles items of equal length and the batches' order, anew each epoch; None keeps items sorted.
        epoch: number of the pass over the data; the same seed and epoch give the same batches.

    Returns:
        Item indices of each batch. Every item is in exactly one.
    """
    order = np.arange(len(lengths))
    draw = np.random.default_rng((seed, epoch)) if seed is not None else None
    if draw is not None:
        draw.shuffle(order)
    order = order[np.argsort(np.asarray(lengths)[order], kind="stable")]
    batches: list[list[int]] = []
    batch: list[int] = []
    for index in order.tolist():  # rising lengths: the newest item is the longest
        if batch and (len(batch) + 1) * lengths[index] > max_tokens:
            batches.append(batch)
            batch = []
        batch.append(index)
    if batch:
        batches.append(batch)
    if draw is not None:
        draw.shuffle(batches)
    return batches


class LazyBatches(Sequence[Any]):
    """Batches made when asked for, so that neither their number nor the first few cost an epoch.

    An epoch of images would not fit into memory, either.

    Args:
        rows: items of each batch.
        make: makes the batch of some items; given its number too.
    """

    def __init__(self, rows: Sequence[Sequence[int]], make: Callable[[Sequence[int], int], Any]) -> None:
        self._rows, self._make = rows, make

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        return self._make(self._rows[number], number)

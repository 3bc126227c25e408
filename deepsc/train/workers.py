"""Batches made ahead of the steps that take them, in processes of their own where a GPU would wait."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from data.files.errors import ToolkitError
from deepsc.codec.base import Batch

_MOST_WORKERS = 16


def workers_for(device: torch.device, *, sharing: int = 1) -> int:
    """Processes that make batches: all cores but one beside a GPU, none where the CPU itself trains.

    Args:
        device: of the codec.
        sharing: processes of the training on this machine.
    """
    if device.type != "cuda" or sys.platform != "linux":  # elsewhere a fork is unsafe, or not to be had
        return 0
    return max(1, min(_MOST_WORKERS, ((os.cpu_count() or 1) - 1) // sharing))


def batches_from(
    batches: Callable[[int], Sequence[Batch]], *, epoch: int, batch: int, epochs: int, workers: int
) -> Iterator[Batch]:
    """Batches of a training in their order; the same ones, whatever the number of workers.

    Args:
        batches: those of an epoch, the same whenever asked for the same epoch, which is for each batch anew.
        epoch: to begin with.
        batch: of that epoch, to begin with.
        epochs: of the whole training.
        workers: processes that make them; 0: this one, each when it is asked for.

    Raises:
        ToolkitError: if the data are damaged.
    """
    places = (
        (number, row)
        for number in range(epoch, epochs)
        for row in range(batch if number == epoch else 0, len(batches(number)))
    )
    loader = DataLoader(
        _Epochs(batches),
        sampler=places,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        multiprocessing_context="fork" if workers else None,  # data are shared, not copied
    )
    for made in loader:
        if isinstance(made, ToolkitError):  # raised here, for a worker's would arrive with its traceback
            raise made
        yield made


class _Epochs(Dataset[Any]):
    """Batches by epoch and number."""

    def __init__(self, batches: Callable[[int], Sequence[Batch]]) -> None:
        self._batches = batches

    def __getitem__(self, place: tuple[int, int]) -> Batch | ToolkitError:
        epoch, number = place
        try:
            return self._batches(epoch)[number]
        except ToolkitError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch

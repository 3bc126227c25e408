"""Whether a training waits for processors that other work takes."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

_AFTER_S = 20.0
"""Before that a start or a first batch would decide."""
_MUCH = 0.25
"""Share of its time that a thread may wait unsaid."""


def waited_s() -> float | None:
    """Time that this process's threads have stood ready for a processor; None: the system cannot say."""
    try:
        waits = [int(entry.read_text().split()[1]) for entry in Path("/proc/self/task").glob("*/schedstat")]
    except (OSError, IndexError, ValueError):  # a thread that has just ended, or another kernel
        return None
    return sum(waits) / 1e9 if waits else None


class Pace:
    """Warns once where several threads wait for each other on a busy machine; one alone would be faster."""

    def __init__(self) -> None:
        self._started, self._waited = time.perf_counter(), waited_s()
        self._done = self._waited is None or torch.get_num_threads() == 1

    def look(self) -> None:
        """Look at the time since the last look that lies far enough back."""
        elapsed = time.perf_counter() - self._started
        if self._done or elapsed < _AFTER_S:
            return
        before, threads = self._waited, torch.get_num_threads()
        self._started, self._waited = self._started + elapsed, waited_s()
        if before is None or self._waited is None:
            return
        if (share := (self._waited - before) / (threads * elapsed)) > _MUCH:
            self._done = True
            logger.warning(
                "the machine is busy: %d threads waited %.0f %% of their time for a processor, and for each "
                "other meanwhile; with OMP_NUM_THREADS=1 in the environment steps are likely to be faster",
                threads,
                100 * share,
            )

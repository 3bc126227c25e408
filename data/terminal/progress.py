"""Progress of long work: a bar on a terminal, and where there is none a line in the log now and then."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

logger = logging.getLogger(__name__)

EVERY_S = 60.0
"""Between two lines of the log."""
SILENT_S = 1.0
"""That work whose amount is not known takes before the log says what it is."""


def is_first() -> bool:
    """Whether this is the first of the processes that a launcher started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


class Progress:
    """Counts what is done of `total`; a context manager.

    Args:
        what: the work, as the log's lines begin.
        total: how much there is.
        done: how much was done before.
        unit: of what is counted, in the singular.
        quiet: neither bar nor lines. Of a launcher's processes the first alone has them.
    """

    def __init__(self, what: str, *, total: int, done: int, unit: str, quiet: bool = False) -> None:
        quiet = quiet or not is_first()
        self._bar = tqdm(
            desc=what,
            total=total,
            initial=done,
            unit=unit,
            dynamic_ncols=True,
            disable=True if quiet else None,
        )
        self._logs = self._bar.disable and not quiet  # stderr is no terminal
        self._what, self._total, self._before, self._done = what, total, done, done
        self._start = self._told = time.monotonic()
        if self._logs:
            logger.info("%s: %d of %d %ss to do", what, total - done, total, unit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self) -> None:
        """One more is done."""
        self._bar.update()
        self._done += 1
        now = time.monotonic()
        if self._logs and now - self._told >= EVERY_S:
            self._told = now
            left_s = (now - self._start) / (self._done - self._before) * (self._total - self._done)
            share = 100 * self._done / self._total
            logger.info("%s: %.0f %% done, %s left", self._what, share, duration(left_s))

    def show(self, **figures: Any) -> None:
        """Figures behind the bar."""
        self._bar.set_postfix(**figures)


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say in the log what is being done, if it takes longer than `SILENT_S`; also a decorator.

    Args:
        what: the work, as in "learning the vocabulary".
    """
    timer = threading.Timer(SILENT_S, logger.info, args=("%s ...", what))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def duration(seconds: float) -> str:
    """A rough time for people."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"

"""What the console scripts call: it imports next to nothing before Ctrl-C is answered.

The libraries behind a command take seconds to load, and a Ctrl-C in that time would print their traceback.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_entered = False
"""Whether this process is a console script."""


def train_deepsc() -> int:
    """Entry point of train-deepsc."""
    return enter("train-deepsc", "deepsc.command")


def build_accuracy_map() -> int:
    """Entry point of build-accuracy-map."""
    return enter("build-accuracy-map", "accuracy_maps.command")


def profile_flops() -> int:
    """Entry point of profile-flops."""
    return enter("profile-flops", "profiling.command")


def optimize() -> int:
    """Entry point of optimize."""
    return enter("optimize", "optimizer.command")


def enter(name: str, module: str) -> int:
    """Import a command's module and call its `main`.

    Args:
        name: of the command, for the line that Ctrl-C prints.
        module: with a function `main` that returns the exit status.

    Returns:
        Exit status: that of `main`, or 130 after Ctrl-C.
    """
    global _entered
    _entered = True
    open_missing_streams()
    try:
        with loading(name):
            command = importlib.import_module(module)
        return int(command.main())
    except KeyboardInterrupt:  # before or after the command's own handler
        print(f"{name}: interrupted", file=sys.stderr)
        return 130


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Have Ctrl-C end a console script at once while libraries are imported and nothing is written yet.

    A library that is half imported may print a traceback, or swallow the exception and go on. Outside a
    console script nothing changes.
    """

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        os.write(2, f"{name}: interrupted\n".encode())
        os._exit(130)

    usual = signal.getsignal(signal.SIGINT)
    # Another handler: whoever started this, such as nohup, has the signal ignored.
    if not _entered or usual is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def open_missing_streams() -> None:
    """Open what a shell's `2>&-` or `>&-` has closed on the null device.

    Else the next file that is opened gets the stream's number, and whatever a library prints goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115

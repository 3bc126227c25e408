"""How the five commands start and end, from before their imports until the interpreter is gone.

They behave as Unix programs do. Ctrl-C ends them without a traceback, at any time. So does a reader that goes
away, as `| head -1` does: the shell is told SIGPIPE. Closed streams, as `2>&-`, are as good as /dev/null.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

TYPE_CHECKING = False  # typing's takes as long to import as Ctrl-C needs to come in between
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT."""


def train_deepsc() -> NoReturn:
    """Entry point of `train-deepsc`."""
    run("train-deepsc", "deepsc.command")


def build_accuracy_map() -> NoReturn:
    """Entry point of `build-accuracy-map`."""
    run("build-accuracy-map", "accuracy_maps.command")


def profile_flops() -> NoReturn:
    """Entry point of `profile-flops`."""
    run("profile-flops", "profiling.command")


def optimize() -> NoReturn:
    """Entry point of `optimize`."""
    run("optimize", "optimizer.command")


def transmit() -> NoReturn:
    """Entry point of `transmit`."""
    run("transmit", "accuracy_maps.transmit.command")


def run(name: str, module: str) -> NoReturn:
    """Import a command's module, call its `main` and end the process.

    Args:
        name: of the command, as a user types it.
        module: its `main` takes no arguments and returns the exit status.
    """
    _open_closed_streams()
    wanted = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else ignored, as in background

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                # An import may turn the exception into another, or swallow it; a kill is survived anywhere.
                os.write(2, f"{name}: interrupted\n".encode())
                os._exit(INTERRUPTED)
            frame = frame.f_back
        raise KeyboardInterrupt

    if wanted:
        signal.signal(signal.SIGINT, stop)
    try:
        __import__(module)
        status = sys.modules[module].main()
    except SystemExit as end:  # argparse's
        status = end.code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        status = INTERRUPTED
    except BrokenPipeError:
        if not _reader_is_gone():  # a connection's
            raise
        _end_by_sigpipe()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _end_by_full_disk(name, error)
    if wanted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the interpreter would print a traceback in its exit
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        _end_by_sigpipe()
    except OSError as error:
        if status == 2:  # and said already
            os._exit(2)
        _end_by_full_disk(name, error)
    raise SystemExit(status)


def _open_closed_streams() -> None:
    """Open what is closed of stdin, stdout and stderr; the next files opened would get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # opened in this order, each takes the lowest number that is free: its own
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, for good


def _reader_is_gone() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads."""
    import select

    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _end_by_sigpipe() -> NoReturn:
    """End as a program does that knows nothing of SIGPIPE. Nothing is left to be done but to say so."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(141)


def _end_by_full_disk(name: str, error: OSError) -> NoReturn:
    """End where stdout has no room; the interpreter would try to write again, and print a traceback."""
    os.write(2, f"{name}: error: cannot write: {error.strerror}\n".encode())
    os._exit(2)

"""What the four commands share: one-line errors with exit status 2, flag types, logging on stderr."""

from __future__ import annotations

import argparse
import errno
import logging
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from tqdm import tqdm

from data.artifacts import UNREACHABLE, ToolkitError
from data.start import INTERRUPTED
from data.text import is_text, one_line, printable

MAX_GRID_POINTS = 10_000
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Parser(argparse.ArgumentParser):
    """ArgumentParser whose errors are one line, and whose help keeps line breaks and shows defaults.

    What begins as a negative number does is a value: `--snr-db -6:18` as well as `--snr-db=-6:18`.
    """

    may_be_empty: tuple[str, ...] = ()
    """Flags of which an empty value means something."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self._negative_number_matcher = re.compile(
            r"-(\d|\.\d|inf\b|nan\b)", re.IGNORECASE
        )  # -6:18 is a value too; no flag begins so

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; refuse an empty value, which means nothing, and what is no text, which no file can hold."""
        words = list(sys.argv[1:] if args is None else args)
        flags = [*words[:1], *words]  # before each word, what it may be the value of
        for flag, word in zip(flags, words, strict=False):
            named = (word or flag).rstrip("=")
            if (word == "" or re.fullmatch("--[^=]+=", word)) and named not in self.may_be_empty:
                self.error(
                    f"{named if named.startswith('-') else 'an argument'} '' given, a value is allowed"
                )
            if not is_text(word):
                self.error(f"{word!a} given, UTF-8 is allowed")
        return super().parse_known_args(words, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print; argparse itself passes over a pipe that nobody reads, and ends as if it was read."""
        if message:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Print the message as one line on stderr and exit with status 2."""
        line = printable(" ".join(message.split()))
        self.exit(2, f"{self.prog}: error: {line} (see {self.prog} --help)\n")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults after each flag that has one; description and examples as written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, []) or isinstance(action.default, bool):
            return action.help
        if isinstance(action.default, tuple):
            between = ":" if ":" in str(action.metavar) else ","
            values = (f"{one:g}" if isinstance(one, float) else str(one) for one in action.default)
            return f"{action.help} (default: {between.join(values)})"
        return super()._get_help_string(action)


def flag_of(name: str) -> str:
    """The flag of a field or argument."""
    return "--" + name.replace("_", "-")


def run_command(name: str, body: Callable[[], None]) -> int:
    """Run a command's body; print a ToolkitError as one line.

    Returns:
        Exit status: 0 done, 2 user's mistake, 130 interrupted.
    """
    try:
        with _logging_to_stderr():
            body()
    except ToolkitError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in _DISK_FULL:
            print(f"{name}: error: cannot write: {error.strerror}{where}", file=sys.stderr)
        elif error.errno in UNREACHABLE:
            print(f"{name}: error: {error.strerror}{where}", file=sys.stderr)
        else:
            raise
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


class _AboveBars(logging.Handler):
    """Lines on stderr, above progress bars. Where nobody reads them the command ends, as at any print."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)


@contextmanager
def _logging_to_stderr() -> Iterator[None]:
    root, own = logging.getLogger(), _AboveBars()
    own.setFormatter(_Printable("%(message)s"))
    before, level = root.handlers, root.level
    if not before:
        root.setLevel(logging.INFO)
    terminal = (sys.stdout, sys.stderr)
    others = [one for one in before if getattr(one, "stream", None) not in terminal]
    root.handlers = [*others, own]
    try:
        yield
    finally:
        root.handlers = before
        root.setLevel(level)


class _Printable(logging.Formatter):
    """Lines of the log without what would command a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def raise_config_errors(errors: list[str]) -> None:
    """Raise one ToolkitError that lists every error of a config, if there is any."""
    if errors:
        raise ToolkitError("; ".join(errors))


def finite_float(text: str) -> float:
    """Flag type: a float that is neither nan nor infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} given, a finite number is allowed")
    return value


def positive_int(text: str) -> int:
    """Flag type: an integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given, a whole number of at least 1 is allowed")
    return value


def int_list(text: str) -> tuple[int, ...]:
    """Flag type: rising positive integers, as in "4,8,12"."""
    values = tuple(positive_int(part) for part in text.split(","))
    if list(values) != sorted(set(values)):
        raise argparse.ArgumentTypeError(f"{text!r} given, the values must rise, as in 4,8,12")
    return values


def float_grid(text: str) -> tuple[float, ...]:
    """Flag type: rising floats, as "-6,0,6" or as "start:stop:step" with both ends in, as in "-6:18:3"."""
    if ":" in text:
        parts = [finite_float(part) for part in text.split(":")]
        if len(parts) != 3 or parts[2] <= 0 or parts[1] < parts[0]:
            raise argparse.ArgumentTypeError(
                f"{text!r} given, start:stop:step with stop >= start, step > 0 is allowed"
            )
        start, stop, step = parts
        steps = (stop - start) / step + 1e-9
        if steps >= MAX_GRID_POINTS:
            raise argparse.ArgumentTypeError(f"{text!r} given, at most {MAX_GRID_POINTS} values are allowed")
        values = tuple(start + i * step for i in range(math.floor(steps) + 1))
    else:
        values = tuple(finite_float(part) for part in text.split(","))
    if list(values) != sorted(set(values)):
        raise argparse.ArgumentTypeError(f"{text!r} given, the values must rise, as in -6,0,6")
    return values


def align(rows: Sequence[tuple[str, ...]], *, left: tuple[int, ...] = (0,)) -> str:
    """Columns of equal width: those in `left` (as indices, from the end where negative) to the left, the
    others to the right."""
    rows = [tuple(map(one_line, row)) for row in rows]
    columns = len(rows[0])
    widths = [max(len(row[i]) for row in rows) for i in range(columns)]
    to_left = {i % columns for i in left}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in to_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )

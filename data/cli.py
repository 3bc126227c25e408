"""What the four commands share: one-line errors with exit status 2, flag types, logging on stderr."""

from __future__ import annotations

import argparse
import errno
import logging
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tqdm.contrib.logging import logging_redirect_tqdm

from data.artifacts import ToolkitError
from data.text import is_text, one_line, printable

MAX_GRID_POINTS = 10_000
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Parser(argparse.ArgumentParser):
    """ArgumentParser whose errors are one line, and whose help keeps line breaks and shows defaults.

    What begins as a negative number does is a value: `--snr-db -6:18` as well as `--snr-db=-6:18`.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self._negative_number_matcher = re.compile(r"-(\d|\.\d|inf\b|nan\b)", re.IGNORECASE)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse arguments that are not UTF-8, which no result file could name; then parse."""
        for argument in sys.argv[1:] if args is None else args:
            if not is_text(argument):
                self.error(f"{argument!r} given, text in UTF-8 is allowed")
        return super().parse_known_args(args, namespace)

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
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setFormatter(_Printable("%(message)s"))
    try:
        with logging_redirect_tqdm():
            body()
    except ToolkitError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"{name}: error: cannot write: {error.strerror}{where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    return 0


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

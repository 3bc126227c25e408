"""What the four commands share: one-line errors with exit status 2, logging on stderr."""

from __future__ import annotations

import argparse
import errno
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from tqdm import tqdm

from data.files.errors import UNREACHABLE, ToolkitError
from data.files.printable import is_text, printable
from data.terminal.start import INTERRUPTED

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

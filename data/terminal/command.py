"""What the five commands share: parser, one-line errors with exit status 2, logging on stderr."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from tqdm import tqdm

from data.files.errors import UNREACHABLE, ToolkitError, command_line, note_flags
from data.files.printable import is_text, printable
from data.memory import keep_freed_memory
from data.terminal.colour import alarming, warning
from data.terminal.start import INTERRUPTED

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Variable that torch reads at its first tensor; those of 2 MB or more then ask Linux for pages of 2 MB."""


class Parser(argparse.ArgumentParser):
    """ArgumentParser with `--version`; errors are one line, the help keeps line breaks and shows defaults.

    What begins as a negative number does is a value: `--snr-db -6:18` as well as `--snr-db=-6:18`.
    """

    may_be_empty: tuple[str, ...] = ()
    """Flags of which an empty value means something."""
    subcommands: tuple[str, ...] = ()
    """Words that mean something as the first alone."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self._negative_number_matcher = re.compile(
            r"-(\d|\.\d|inf\b|nan\b)", re.IGNORECASE
        )  # -6:18 is a value too; no flag begins so
        self.add_argument("--version", action=_Version, help="show the version and stop")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; refuse an empty value, which means nothing, and what is no text, which no file can hold.

        Errors know the flags from then on.
        """
        note_flags(
            {action.dest: action.option_strings[0] for action in self._actions if action.option_strings}
        )
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

    def format_help(self) -> str:
        """The help, with what is made when it is shown."""
        for action in self._actions:
            if action in helps_when_shown:
                action.help = helps_when_shown[action]()
        return super().format_help()

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print; argparse itself passes over a pipe that nobody reads, and ends as if it was read."""
        if message:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Print the message as one line on stderr, of what is unknown with what is meant; exit with 2."""
        unknown = message.split()[2:] if message.startswith("unrecognized arguments: ") else []
        if late := [word for word in unknown if word in self.subcommands]:
            message = f"{late[0]!r} given behind other words, a subcommand as the first word is allowed"
        elif unknown and unknown[0].startswith("--"):
            from difflib import get_close_matches

            flags = [flag for action in self._actions for flag in action.option_strings]
            meant = get_close_matches(unknown[0].partition("=")[0], flags, n=1)
            message += "".join(f", {flag} is allowed" for flag in meant)
        line = printable(" ".join(message.split()))
        self.exit(2, f"{_error_of(self.prog)} {line} (see {self.prog} --help)\n")


helps_when_shown: WeakKeyDictionary[argparse.Action, Callable[[], str]] = WeakKeyDictionary()
"""Makes the help of a flag when a parser shows it, for what takes a while to read."""


class _Version(argparse.Action):
    """Prints the version, which is read no sooner."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from data.version import __version__

        print(f"{parser.prog.split()[0]} {__version__}")
        parser.exit()


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults after each flag that has one; description and examples as written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, []) or isinstance(action.default, bool):
            return action.help
        if isinstance(action.default, tuple):
            between = ":" if ":" in str(action.metavar) else ","
            values = (f"{value:g}" if isinstance(value, float) else str(value) for value in action.default)
            return f"{action.help} (default: {between.join(values)})"
        return super()._get_help_string(action)


def run_command(name: str, body: Callable[[], None]) -> int:
    """Run a command's body; print a ToolkitError as one line. Within it, errors name flags.

    Returns:
        Exit status: 0 done, 2 user's mistake, 130 interrupted.
    """
    keep_freed_memory()
    os.environ.setdefault(_LARGE_PAGES, "1")
    try:
        with command_line(), _logging_to_stderr():
            body()
    except ToolkitError as error:
        print(f"{_error_of(name)} {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in _DISK_FULL:
            print(f"{_error_of(name)} cannot write: {error.strerror}{where}", file=sys.stderr)
        elif error.errno in UNREACHABLE:
            print(f"{_error_of(name)} {error.strerror}{where}", file=sys.stderr)
        else:
            raise
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _error_of(name: str) -> str:
    """How a command's error begins."""
    return alarming(f"{name}: error:", stream=sys.stderr)


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
    root, above_bars = logging.getLogger(), _AboveBars()
    above_bars.setFormatter(_Printable("%(message)s"))
    before, level = root.handlers, root.level
    if not before:
        root.setLevel(logging.INFO)
    terminal = (sys.stdout, sys.stderr)
    others = [handler for handler in before if getattr(handler, "stream", None) not in terminal]
    root.handlers = [*others, above_bars]
    try:
        yield
    finally:
        root.handlers = before
        root.setLevel(level)


class _Printable(logging.Formatter):
    """Lines of the log without what would command a terminal; warnings in their colour."""

    def format(self, record: logging.LogRecord) -> str:
        text = "\n".join(map(printable, super().format(record).split("\n")))
        return warning(text, stream=sys.stderr) if record.levelno >= logging.WARNING else text

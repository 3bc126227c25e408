"""What a setting is: a field of a dataclass, with its range, its flag and its docstring."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, MISSING, dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from data.files.schema import conform
from data.settings.problems import Problem, SettingsError

LARGEST_WHOLE = 2**31
"""Whole numbers without an end of their own are refused beyond it: such values are slips."""


@dataclass(frozen=True)
class Range:
    """What a setting may be, besides its type; of a tuple, what each element may be.

    Example: `Annotated[float, Range(0, 1)]`, `Annotated[tuple[int, ...], Range(1, rising=True)]`.
    """

    least: float | None = None
    most: float | None = None
    _: KW_ONLY
    above: float | None = None
    below: float | None = None
    choices: tuple[object, ...] = ()
    rising: bool = False
    """Each element of a tuple above the one before."""
    finite: bool = True

    def refusal(self, value: object) -> str | None:
        """What is allowed instead of `value`, an element; None if `value` is."""
        if self.choices and value not in self.choices:
            return "allowed: " + ", ".join(map(str, self.choices))
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        if self.finite and isinstance(value, float) and not math.isfinite(value):
            return "a finite number is allowed"
        at_least = self.least is None or value >= self.least
        at_most = self.most is None or value <= self.most
        above = self.above is None or value > self.above
        below = self.below is None or value < self.below
        if not (at_least and at_most and above and below):
            return f"{self._ends()} is allowed"
        if isinstance(value, int) and not self.choices:
            if self.most is self.below is None and value > LARGEST_WHOLE:
                return f"at most {LARGEST_WHOLE} is allowed"
            if self.least is self.above is None and value < -LARGEST_WHOLE:
                return f"at least {-LARGEST_WHOLE} is allowed"
        return None

    def _ends(self) -> str:
        ends = [
            f"{word} {_number(end)}"
            for word, end in (
                ("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below)
            )
            if end is not None
        ]  # fmt: skip
        text = " and ".join(ends)
        text = re.sub(r"^at least (\S+) and at most", r"\1 to", text)
        return re.sub(r"^(above \S+) and at most", r"\1 up to", text)


class Flag:
    """How the flag of a setting differs from its name behind two dashes, and a value.

    Args:
        names: of the flag; the first is what errors say.
        metavar: what stands for the value in the help.
        type: makes the value of a text, on the command line and in YAML, or raises ArgumentTypeError.
        hidden: leaves it out of the help.
        help: replaces the field's docstring.
        nargs: "+": several words, each an element of a tuple; "*": or none.
        action: "append": the flag may be repeated, each time for an element of a tuple.
    """

    def __init__(
        self,
        *names: str,
        metavar: str | None = None,
        type: Callable[[str], object] | None = None,
        hidden: bool = False,
        help: str | None = None,
        nargs: Literal["+", "*"] | None = None,
        action: Literal["append"] | None = None,
    ) -> None:
        self.names, self.metavar, self.type, self.hidden = names, metavar, type, hidden
        self.help, self.nargs, self.action = help, nargs, action


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every config, which is a frozen, keyword-only dataclass.

    Values are made what the annotation says where nothing is lost: a list a tuple, a whole number a float, a
    str a Path.

    Raises:
        SettingsError: from the constructor, listing every problem at once.
    """

    def __post_init__(self) -> None:
        if problems := faults(self):
            raise SettingsError(problems)

    def problems(self) -> Iterator[Problem]:
        """Rules across fields; a subclass yields what breaks them. Other values may be refused already."""
        yield from ()


@dataclass(frozen=True)
class Setting:
    """One field of a Settings class, its annotation taken apart."""

    name: str
    kind: Any
    """The annotation without None."""
    optional: bool
    range: Range
    flag: Flag
    default: object
    """MISSING where a value is needed."""

    @property
    def part(self) -> type[Settings] | None:
        """The class, where the setting is a config itself."""
        return self.kind if isinstance(self.kind, type) and issubclass(self.kind, Settings) else None

    @property
    def choices(self) -> tuple[object, ...]:
        """All it may be, where that is a list."""
        return self.range.choices or (get_args(self.kind) if get_origin(self.kind) is Literal else ())

    def check(self, value: object) -> tuple[object, str | None]:
        """The value as the annotation has it, and what is wrong with it: "0 given, at least 1 is allowed"."""
        if value is None and self.optional:
            return None, None
        try:
            value = conform(value, self.kind, self.name)
        except (TypeError, ValueError, OverflowError):
            return value, f"{_shown(value)} given, {self._allowed()}"
        elements = value if isinstance(value, tuple) else (value,)
        for element in elements:
            if refusal := self.range.refusal(element):
                return value, f"{_shown(element)} given, {refusal}"
        if self.range.rising and any(high <= low for low, high in itertools.pairwise(elements)):
            return value, f"{_shown(value)} given, rising values are allowed"
        return value, None

    def _allowed(self) -> str:
        if self.choices:
            return "allowed: " + ", ".join(map(str, self.choices))
        words = {
            int: "a whole number",
            float: "a number",
            bool: "true or false",
            str: "a text",
            Path: "a path",
        }
        if get_origin(self.kind) is tuple:
            element, *others = get_args(self.kind)
            if others == [...]:
                several = {int: "whole numbers, as in 4,8,12,", float: "numbers, as in -6,0,6 or -6:18:3,"}
                return f"{several.get(element, 'a list')} are allowed"
            return f"{1 + len(others)} values, as in LOW:HIGH, are allowed"
        return f"{words.get(self.kind, getattr(self.kind, '__name__', self.kind))} is allowed"


_of_class: dict[type, Mapping[str, Setting]] = {}


def settings_of(cls: type[Settings]) -> Mapping[str, Setting]:
    """The settings of a class by name, in the order of its fields."""
    if cls not in _of_class:
        _of_class[cls] = _taken_apart(cls)
    return _of_class[cls]


def _taken_apart(cls: type[Settings]) -> Mapping[str, Setting]:
    if vars(cls).get("__annotations__") and "__dataclass_fields__" not in vars(cls):
        raise TypeError(f"{cls.__name__} lacks @dataclass(frozen=True, kw_only=True)")
    hints, plain = get_type_hints(cls, include_extras=True), get_type_hints(cls)
    settings = {}
    for field in dataclasses.fields(cls):
        extras = list(_extras(hints[field.name]))
        kind, optional = _without_none(plain[field.name])
        factory = field.default_factory
        settings[field.name] = Setting(
            name=field.name,
            kind=kind,
            optional=optional or kind is Any,
            range=next((extra for extra in extras if isinstance(extra, Range)), Range()),
            flag=next((extra for extra in extras if isinstance(extra, Flag)), Flag()),
            default=field.default if factory is MISSING else factory(),
        )
    return settings


def faults(config: Settings) -> list[Problem]:
    """Every problem of a config's fields, and of its rules across them, which may be half there."""
    problems = []
    for setting in settings_of(type(config)).values():
        if setting.name in vars(config):
            before = vars(config)[setting.name]
            value, message = setting.check(before)
            if message:
                problems.append(Problem(setting.name, message))
            elif value is not before:
                object.__setattr__(config, setting.name, value)
    refused = {problem.field for problem in problems}
    whole = not problems and len(vars(config)) >= len(settings_of(type(config)))
    try:
        for problem in config.problems():
            if problem.field not in refused:
                problems.append(problem)
    except Exception:  # of a rule that trips over a value that is refused or missing
        if whole:
            raise
    return problems


def values_of(config: Settings) -> dict[str, object]:
    """The values of a config by name, not of its parts."""
    return {name: getattr(config, name) for name in settings_of(type(config))}


def help_of(cls: type[Settings], name: str) -> str:
    """A field's docstring, up to a blank line, without the stop at its end; "" where there is none."""
    for base in cls.__mro__:
        text = _docstrings(base.__module__).get(f"{base.__qualname__}.{name}", "")
        if text:
            return " ".join(text.strip().split("\n\n")[0].split()).removesuffix(".")
    return ""


@functools.cache
def _docstrings(module: str) -> dict[str, str]:
    """The string beneath each annotated name of a module's classes, by Class.name."""
    texts: dict[str, str] = {}

    def read(body: Sequence[ast.stmt], prefix: str) -> None:
        for statement, after in itertools.zip_longest(body, body[1:]):
            if isinstance(statement, ast.ClassDef):
                read(statement.body, f"{prefix}{statement.name}.")
            elif isinstance(statement, ast.FunctionDef):
                read(statement.body, f"{prefix}{statement.name}.<locals>.")
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                value = after.value if isinstance(after, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    texts[prefix + statement.target.id] = inspect.cleandoc(value.value)

    with suppress(KeyError, OSError, TypeError, SyntaxError):  # installed without its source
        read(ast.parse(inspect.getsource(sys.modules[module])).body, "")
    return texts


def _extras(hint: Any) -> Iterator[object]:
    """What `Annotated` adds to a type, or to parts of it."""
    yield from getattr(hint, "__metadata__", ())
    for part in (hint.__origin__,) if hasattr(hint, "__metadata__") else get_args(hint):
        yield from _extras(part)


def _without_none(kind: Any) -> tuple[Any, bool]:
    kinds = [part for part in get_args(kind) if part is not type(None)]
    if len(kinds) < len(get_args(kind)):
        return (kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]), True  # noqa: UP007
    return kind, False


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12g}"


def _shown(value: object) -> str:
    """A value as an error shows it, the middle of a long one cut."""
    try:
        text = ",".join(map(str, value)) if isinstance(value, tuple) and value else repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:90]} ... {text[-90:]}"


@dataclass(frozen=True)
class Layer:
    """Values by name, those of a part in a mapping of its own; a text stands for what it would as a flag."""

    values: Mapping[str, object]
    source: str = ""
    """File they are from, for errors."""
    unknown: bool = False
    """Whether other names are passed over: a command has flags that are no settings."""

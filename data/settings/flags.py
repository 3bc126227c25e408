"""Flags made from settings, and values made of their texts."""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from data.files.errors import flag_of
from data.settings.fields import Setting, Settings, help_of, settings_of
from data.terminal.command import Parser as Parser
from data.terminal.command import helps_when_shown
from data.terminal.command import run_command as run_command

MAX_GRID_POINTS = 10_000


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and `--print-config`, which `from_args` reads."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML file of settings; a flag counts more than the file"
    )
    parser.add_argument(
        "--print-config", action="store_true",
        help="write all settings as YAML, for --config, and stop",
    )  # fmt: skip


def add_flags(
    target: argparse._ActionsContainer,
    cls: type[Settings],
    *fields: str,
    at: str = "",
    defaults: Mapping[str, object] | None = None,
) -> None:
    """Add a flag for each of some fields of a config.

    The namespace holds what is given and nothing else, as text, under the field's path: "training.epochs".
    `from_args` makes values of it.

    Args:
        target: a `Parser`, or a group of one.
        cls: the config.
        fields: which; none: all but those that are configs themselves. One whose Flag has a name without
            dashes is no flag but an argument by position.
        at: path of the config in the whole, such as "training"; "": it is the whole.
        defaults: instead of the fields' own, for the help; None among them shows none.
    """
    settings = settings_of(cls)
    for name in fields or tuple(name for name, setting in settings.items() if setting.part is None):
        setting, dest = settings[name], f"{at}.{name}" if at else name
        flag, default = setting.flag, (defaults or {}).get(name, setting.default)
        negated = setting.kind is bool and setting.default is True
        options: dict[str, Any] = {"action": flag.action, "nargs": flag.nargs}
        if setting.kind is bool:
            options = {"action": "store_false" if negated else "store_true"}
        else:
            options["metavar"] = flag.metavar or _metavar(setting)
        names = flag.names or (flag_of(f"no_{name}" if negated else name),)
        if names[0].startswith("-"):
            options["dest"] = dest
        else:  # no flag
            names = (dest,)
        action = target.add_argument(
            *names,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS if flag.hidden else "",
            **{key: value for key, value in options.items() if value is not None},
        )
        if not flag.hidden:
            helps_when_shown[action] = functools.partial(_help, cls, setting, default, negated)


def _help(cls: type[Settings], setting: Setting, default: object, negated: bool) -> str:
    text = setting.flag.help
    if text is None:
        text = ("not: " if negated else "") + help_of(cls, setting.name)
    shown = default_text(setting, default)
    return (text + (f" (default: {shown})" if shown else "")).replace("%", "%%")


def default_text(setting: Setting, value: object) -> str:
    """A default as the flag would be given it; "" where it says nothing."""
    if value is MISSING or value is None or value == () or isinstance(value, bool | Settings):
        return ""
    if isinstance(value, tuple):
        ranged = get_origin(setting.kind) is tuple and get_args(setting.kind)[-1] is not Ellipsis
        return (":" if ranged else ",").join(default_text(setting, element) for element in value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def read_text(setting: Setting, text: str) -> object:
    """The value that a flag's text, or a text in YAML, stands for; `text` itself where it is none.

    Raises:
        ArgumentTypeError: from a type of the setting's own: what is allowed instead.
    """
    kind, arguments = setting.kind, get_args(setting.kind)
    try:
        if setting.flag.type is not None:
            return setting.flag.type(text)
        if get_origin(kind) is Literal:
            return next((choice for choice in arguments if str(choice) == text), text)
        if get_origin(kind) is tuple and arguments[-1] is not Ellipsis:
            parts = text.split(":" if ":" in text else ",")
            return tuple(element(part) for element, part in zip(arguments, parts, strict=True))
        if get_origin(kind) is tuple:
            element = arguments[0] if arguments[0] in (int, float) else str
            ranged = element is float and ":" in text
            return float_grid(text) if ranged else tuple(map(element, text.split(",")))
        return kind(text) if kind in (int, float) else text
    except (ValueError, TypeError):
        return text


def float_grid(text: str) -> tuple[float, ...]:
    """Flag type: rising floats, as "-6,0,6" or as "start:stop:step" with both ends in, as in "-6:18:3"."""
    if ":" in text:
        parts = [_finite(part) for part in text.split(":")]
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
        values = tuple(_finite(part) for part in text.split(","))
    if list(values) != sorted(set(values)):
        raise argparse.ArgumentTypeError(f"{text!r} given, the values must rise, as in -6,0,6")
    return values


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} given, a finite number is allowed")
    return value


def early(words: Sequence[str] | None, name: str) -> str | None:
    """The value of a setting that decides which others there are, such as "modality": before the parser is.

    Args:
        words: of the command line; None: sys.argv's.
        name: of the setting, in whose flag no other spelling is known.

    Returns:
        What the flag says, or the file of --config; None if neither does.

    Raises:
        ToolkitError: if the file cannot be read.
    """
    words = list(sys.argv[1:] if words is None else words)
    values: dict[str, str] = {}
    for number, word in enumerate(words[: words.index("--")] if "--" in words else words):
        flag, equals, value = word.partition("=")
        if flag in (flag_of(name), "--config") and (equals or number + 1 < len(words)):
            values[flag] = value if equals else words[number + 1]
    if flag_of(name) not in values and "--config" in values:
        from data.settings.files import read_layer  # loads yaml

        in_file = read_layer(values["--config"]).values.get(name)
        return None if in_file is None else str(in_file)
    return values.get(flag_of(name))


def _metavar(setting: Setting) -> str:
    if setting.choices and get_origin(setting.kind) is not tuple:
        return "{" + ",".join(map(str, setting.choices)) + "}"
    if get_origin(setting.kind) is tuple and not setting.flag.nargs and not setting.flag.action:
        return "LIST" if get_args(setting.kind)[-1] is Ellipsis else "LOW:HIGH"
    return setting.name.upper()

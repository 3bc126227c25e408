"""Layers of values, such as a preset's, a file's and the flags', and the config they make."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from typing import Any, TypeVar, get_args

from data.settings.fields import Layer, Setting, Settings, faults, settings_of, values_of
from data.settings.flags import read_text
from data.settings.problems import Problem, SettingsError

S = TypeVar("S", bound=Settings)


def from_args(
    cls: type[S],
    args: argparse.Namespace,
    *below: Layer | Mapping[str, object],
    above: Layer | Mapping[str, object] | None = None,
    chosen: Mapping[str, object] | None = None,
) -> S:
    """The config that a command line asks for: flags over `--config` over `below` over the fields' defaults.

    With `--print-config`, writes it to stdout and exits with status 0.

    Args:
        cls: the config.
        args: what a parser with `add_flags` and `add_config_flags` returned.
        below: layers beneath, such as a preset's, the lowest first; `merge(*layers_of(args))` says which.
        above: a layer over the flags, such as several fields that one flag sets.
        chosen: what decided on `cls`, such as {"modality": "text"}: the file may say it and says it again.

    Raises:
        SettingsError: listing every problem of all parts at once.
        ToolkitError: if the file cannot be read.
    """
    config = build(cls, *below, *layers_of(args, *(chosen or ())), above or {})
    if getattr(args, "print_config", False):
        from data.settings.files import as_yaml

        print(as_yaml(config, chosen), end="")
        raise SystemExit(0)
    return config


def layers_of(args: argparse.Namespace, *chosen: str) -> list[Layer]:
    """The layers of a command line: the file of --config, if any, without `chosen`, and the flags."""
    layers = []
    if getattr(args, "config", None) is not None:
        from data.settings.files import read_layer  # loads yaml

        layer = read_layer(args.config)
        values = {name: value for name, value in layer.values.items() if name not in chosen}
        layers.append(dataclasses.replace(layer, values=values))
    flags: dict[str, Any] = {}
    for path, value in vars(args).items():
        *parts, name = path.split(".")
        inner = flags
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[name] = value
    return [*layers, Layer(flags, unknown=True)]


def merge(*layers: Layer | Mapping[str, object]) -> dict[str, Any]:
    """Values of layers as they were given, the last one's counting: to look at "preset" before `build`."""
    merged: dict[str, Any] = {}
    for layer in map(_layer, layers):
        for name, value in layer.values.items():
            if isinstance(value, Mapping):
                below = merged.get(name)
                value = merge(below if isinstance(below, Mapping) else {}, value)
            merged[name] = value
    return merged


def build(cls: type[S], *layers: Layer | Mapping[str, object]) -> S:
    """A config of layers of values, the last one's counting, and of its defaults.

    Raises:
        SettingsError: listing every problem of all parts at once: names that are no setting, texts and types
            that stand for no value, values out of range, settings that are missing, broken rules.
    """
    problems: list[Problem] = []
    config = _part(cls, list(map(_layer, layers)), "", cls, problems)
    if problems or config is None:
        raise SettingsError(problems)
    return config


def _layer(layer: Layer | Mapping[str, object]) -> Layer:
    return layer if isinstance(layer, Layer) else Layer(layer)


def _part(
    cls: type[S], layers: list[Layer], at: str, whole: type[Settings], problems: list[Problem]
) -> S | None:
    """The config at a path, which ends in a dot or is empty; None, and problems, if it is refused."""
    count = len(problems)
    settings = settings_of(cls)
    for layer in layers:
        for name in layer.values:
            if name not in settings and not layer.unknown:
                problems.append(Problem(f"{at}{name}", _no_setting(f"{at}{name}", whole), layer.source))
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for name, setting in settings.items():
        those = [layer for layer in layers if name in layer.values]
        sources[name] = those[-1].source if those else ""
        needed = setting.default is MISSING
        value: object = MISSING
        if setting.part is not None and (those[-1].values[name] is not None if those else needed):
            value = _nested(setting, setting.part, those, at, whole, problems)
        elif those:
            value = _read(setting, those[-1].values[name])
            if isinstance(value, argparse.ArgumentTypeError):
                problems.append(Problem(f"{at}{name}", str(value), those[-1].source))
                continue
        elif needed:
            allowed = f"; allowed: {', '.join(map(str, setting.choices))}" if setting.choices else ""
            problems.append(Problem(f"{at}{name}", f"none given, one is needed{allowed}"))
        if value is not MISSING:
            values[name] = value
    if len(problems) == count:
        try:
            return cls(**values)
        except SettingsError as error:
            refused = error.problems
    else:  # what else is wrong with it
        half = object.__new__(cls)
        defaults = {name: other.default for name, other in settings.items() if other.default is not MISSING}
        vars(half).update(defaults | values)
        refused = tuple(faults(half))
    for problem in refused:
        source = problem.source or sources.get(problem.field.partition(".")[0], "")
        problems.append(Problem(at + problem.field, problem.message, source))
    return None


def _nested(
    setting: Setting, cls: type[Settings], layers: list[Layer], at: str, whole: type[Settings],
    problems: list[Problem],
) -> object:  # fmt: skip
    """The value of a setting that is a config itself; MISSING, and problems, if it is refused."""
    inner: list[Layer] = []
    if isinstance(setting.default, Settings):
        inner.append(Layer(values_of(setting.default)))
    for layer in layers:
        value = layer.values[setting.name]
        if value is None:
            inner = []
        elif isinstance(value, Settings | Mapping):
            values = values_of(value) if isinstance(value, Settings) else value
            inner.append(dataclasses.replace(layer, values=values))
        else:
            message = f"{value!r} given, settings of its own are allowed: {', '.join(settings_of(cls))}"
            problems.append(Problem(at + setting.name, message, layer.source))
            return MISSING
    part = _part(cls, inner, f"{at}{setting.name}.", whole, problems)
    return MISSING if part is None else part


def _read(setting: Setting, value: object) -> object:
    """The value that a layer's stands for, or the error of the setting's own type."""
    try:
        if isinstance(value, str):
            return read_text(setting, value)
        if isinstance(value, list) and setting.flag.type is None:
            element = dataclasses.replace(setting, kind=next(iter(get_args(setting.kind)), str))
            return [read_text(element, item) if isinstance(item, str) else item for item in value]
    except argparse.ArgumentTypeError as error:
        return error
    return value


def _no_setting(path: str, whole: type[Settings]) -> str:
    """What is said of a name that no setting has."""
    import difflib

    known = list(_paths(whole))
    leaf = path.rpartition(".")[2]
    near = [name for name in known if name.rpartition(".")[2] == leaf] or difflib.get_close_matches(
        path, known, 3, 0.8
    )
    if near:
        return f"no such setting; near: {', '.join(near)}"
    return f"no such setting; there are: {', '.join(known)}"


def _paths(cls: type[Settings], at: str = "") -> Iterator[str]:
    for name, setting in settings_of(cls).items():
        if setting.part is None:
            yield f"{at}{name}"
        else:
            yield from _paths(setting.part, f"{at}{name}.")

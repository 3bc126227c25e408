"""Settings as YAML: a file read with care, a config written with its help."""

from __future__ import annotations

import functools
import math
import os
import re
import textwrap
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files.errors import ToolkitError
from data.files.paths import require_file
from data.settings.fields import Layer, Settings, help_of, settings_of, values_of

if TYPE_CHECKING:
    import yaml

LARGEST_FILE = 2**16
"""Bytes of a YAML file of settings."""


def read_layer(path: str | os.PathLike[str]) -> Layer:
    """The layer that a YAML file holds.

    Plain values are read by YAML 1.2's rules: 1e6 is a number, `no` a text, 6:18 no number of base 60.

    Raises:
        ToolkitError: if the file is missing, too large, no YAML, no mapping, or has a key twice or an alias.
    """
    import yaml  # not for --help

    require_file(path, largest=LARGEST_FILE)
    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8-sig"), Loader=_loader())
    # ValueError: not UTF-8, a giant integer; the others: a tag that its value does not fit
    except (
        yaml.YAMLError, OSError, ValueError, TypeError, RecursionError, LookupError, AttributeError,
        ArithmeticError,
    ) as error:  # fmt: skip
        raise ToolkitError(f"{path}: not a readable YAML file ({error})") from error
    if not isinstance(values, dict | None):
        raise ToolkitError(f"{path}: {type(values).__name__} given, settings as in `name: value` are allowed")
    return Layer(values or {}, source=str(path))


@functools.cache
def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2's core schema, each key once, no aliases, which can stand for gigabytes."""

        yaml_implicit_resolvers = {}  # noqa: RUF012

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.MarkedYAMLError(problem="an alias given, none is allowed", problem_mark=mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    problem = f"{key.value!r} given twice, once is allowed"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                seen.add(str(key.value))
            return super().construct_mapping(node, deep=deep)

    for tag, pattern, first in (
        ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
        ("null", "null|Null|NULL|~|", "nN~"),
        ("int", "[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
        ("float",
         r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
         "-+.0123456789"),
    ):  # fmt: skip
        where = [*first, ""] if tag == "null" else list(first)
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^({pattern})$"), where)
    return Loader


def as_yaml(config: Settings, chosen: Mapping[str, object] | None = None) -> str:
    """A config as YAML that `read_layer` and `build` make the same config of; each field's help is a comment.

    Args:
        config: of any class.
        chosen: further values to begin with.
    """
    lines = [f"{name}: {_flow(value)}" for name, value in (chosen or {}).items()]
    return "\n".join([*lines, *_lines(config, "")]) + "\n"


def _lines(config: Settings, indent: str) -> Iterator[str]:
    for name, value in values_of(config).items():
        help_text = help_of(type(config), name) or settings_of(type(config))[name].flag.help or ""
        yield from (f"{indent}# {line}" for line in textwrap.wrap(help_text, 100 - len(indent)))
        if isinstance(value, Settings) and values_of(value):
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{indent}{name}: {_flow(value)}"


def _flow(value: object) -> str:
    """A value on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping | Settings):
        items = values_of(value) if isinstance(value, Settings) else value
        return "{" + ", ".join(f"{_flow(name)}: {_flow(one)}" for name, one in items.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text := str(value), re.ASCII) and text.lower() not in _RESERVED:
        return text
    import yaml

    return yaml.safe_dump(text, default_style='"', width=math.inf).rstrip("\n")


_RESERVED = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
"""Quoted, some of them only for other readers of YAML."""

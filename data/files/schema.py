"""JSON values checked against types: what a file says is believed only if it is of the type it should be."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
D = TypeVar("D")


def typed(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A field of a JSON object.

    Args:
        document: the object.
        name: of the field.
        kind: type it must be of; true and false are no numbers, a whole number is a float too.

    Raises:
        KeyError: if it is missing.
        TypeError: if it is of another type.
    """
    value: T = conform(document[name], kind, name)
    return value


def numbers(document: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    """A field of a JSON object that is a list of numbers, or of lists of equal length of them, and so on.

    numpy alone would read strings of digits, and true as 1.

    Raises:
        KeyError: if it is missing.
        TypeError, ValueError: if it is anything else.
    """
    import numpy as np  # not for --help

    values = np.array(typed(document, name, list))
    if values.dtype.kind not in "iuf" or _holds_bool(document[name]):
        raise TypeError(f"{name} must hold numbers alone")
    return values.astype(np.float64)


def _holds_bool(value: Any) -> bool:
    return any(map(_holds_bool, value)) if isinstance(value, list) else isinstance(value, bool)


def from_json(cls: type[D], fields: object) -> D:
    """A dataclass from a JSON object of its fields, inverse of `dataclasses.asdict`.

    Raises:
        TypeError, ValueError: if it is no object, or a field is missing, unknown or of another type.
        ToolkitError: from the dataclass's own checks.
    """
    if not isinstance(fields, dict):
        raise TypeError(f"an object expected, found {fields!r}")
    names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(fields) - names):
        raise ValueError(f"unknown fields {unknown}")
    hints = typing.get_type_hints(cls)
    return cls(**{name: conform(value, hints[name], name) for name, value in fields.items()})


def conform(value: Any, kind: Any, name: str) -> Any:
    """`value` as a type has it: lists as tuples, whole numbers as floats, str as Path where it asks for them.

    Args:
        value: from JSON, YAML or Python.
        kind: a type, Optional, Union, Literal, Annotated, tuple or list of them, or a dataclass.
        name: of the value, for the error.

    Raises:
        TypeError, ValueError, OverflowError: if it is of another type.
        ToolkitError: from a dataclass's own checks.
    """
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        return conform(value, arguments[0], name)
    if origin in (types.UnionType, typing.Union):
        return _one_of(value, arguments, name)
    if origin is Literal:
        if any(type(value) is type(choice) and value == choice for choice in arguments):
            return value
        raise TypeError(f"{name} is {value!r}, one of {', '.join(map(repr, arguments))} expected")
    if origin is tuple and arguments and isinstance(value, list | tuple):
        items = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(conform(element, item, name) for element, item in zip(value, items, strict=True))
    if origin is list and arguments and isinstance(value, list):
        return [conform(element, arguments[0], name) for element in value]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_json(kind, value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    number = {int: Integral, float: Real}.get(kind)  # numpy's numbers are such too
    if number is not None and isinstance(value, number) and not isinstance(value, bool):
        return value if type(value) is kind else kind(value)
    if type(value) is origin or (origin not in _OF_JSON and isinstance(value, origin)):
        return value
    raise TypeError(f"{name} is {value!r}, {getattr(kind, '__name__', kind)} expected")


_OF_JSON = (bool, int, float, str, list, dict, tuple)
"""Where a subclass is something else: true is no number."""


def _one_of(value: Any, kinds: tuple[Any, ...], name: str) -> Any:
    """`value` as the first of the types it is of."""
    if value is None and type(None) in kinds:
        return None
    *others, last = [kind for kind in kinds if kind is not type(None)]
    for kind in others:
        try:
            return conform(value, kind, name)
        except (TypeError, ValueError):
            continue
    return conform(value, last, name)

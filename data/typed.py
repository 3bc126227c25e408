"""JSON values checked against types: what a file says is believed only if it is of the type it should be."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

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
    found: T = _checked(document[name], kind, name)
    return found


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
    names = {one.name for one in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(fields) - names):
        raise ValueError(f"unknown fields {unknown}")
    hints = typing.get_type_hints(cls)
    return cls(**{name: _checked(value, hints[name], name) for name, value in fields.items()})


def _checked(value: Any, kind: Any, name: str) -> Any:
    """`value`, lists as tuples where `kind` asks for them."""
    if kind is Any:
        return value
    if get_origin(kind) in (types.UnionType, typing.Union):
        if value is None and type(None) in get_args(kind):
            return None
        (kind,) = (one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        items = get_args(kind)
        items = items[:1] * len(value) if items[-1] is Ellipsis else items
        return tuple(_checked(one, item, name) for one, item in zip(value, items, strict=True))
    if get_origin(kind) is list and isinstance(value, list):
        (item,) = get_args(kind)
        return [_checked(one, item, name) for one in value]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return from_json(kind, value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not (get_origin(kind) or kind):
        raise TypeError(f"{name} is {value!r}, {getattr(kind, '__name__', kind)} expected")
    return value

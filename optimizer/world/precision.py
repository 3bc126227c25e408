"""What the physics computes in: float64, whatever it is given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")


def in_float64(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function with its tensors of numbers as float64, those of a dataclass named `actions` too.

    int64 overflows in f^3, float16 in f, and an integer times a Python float is float32. Truth values stay,
    and so does `code`, which is an index.
    """
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def converted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        places: Any = map(_converted, names, args)
        named: Any = {name: _converted(name, value) for name, value in kwargs.items()}
        return function(*places, **named)

    return converted


def _converted(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.dtype == torch.bool or name == "code" else value.double()
    if name == "actions":
        return replace(value, **{f.name: _converted(f.name, getattr(value, f.name)) for f in fields(value)})
    return value

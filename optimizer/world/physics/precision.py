"""What the physics computes in: float64, whatever it is handed.

int64 overflows in f^3, float16 in f, and an integer times a Python float is float32. Truth values stay, and
so does `code`, which is an index.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Float64:
    """Base of frozen dataclasses of tensors: those of numbers become float64."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, _converted(name, value))


def in_float64(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function with its tensors of numbers as float64."""
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def converted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        places: Any = map(_converted, names, args)
        by_name: Any = {name: _converted(name, value) for name, value in kwargs.items()}
        return function(*places, **by_name)

    return converted


def _converted(name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype != torch.bool and name != "code":
        return value.double()
    return value

"""Multiply-adds and FLOPs as types: neither adds to the other, nor to a bare number.

Tools print either under the name "FLOPs"; a factor of two lost between them is the field's commonest mistake.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

FLOPS_PER_MULTIPLY_ADD = 2


@dataclass(frozen=True, order=True)
class _Count:
    count: int

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int):
            raise TypeError(f"{type(self).__name__} takes a whole number, not {self.count!r}")

    def __add__(self, other: Self) -> Self:
        return type(self)(self.count + other.count) if type(other) is type(self) else NotImplemented

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.count - other.count) if type(other) is type(self) else NotImplemented

    def __mul__(self, times: int) -> Self:
        return type(self)(self.count * times) if isinstance(times, int) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> Self:
        return type(self)(-self.count)

    def __truediv__(self, other: Self) -> float:
        """Ratio of two counts of one unit."""
        return self.count / other.count if type(other) is type(self) else NotImplemented

    def __bool__(self) -> bool:
        return self.count != 0

    @classmethod
    def total(cls, counts: Iterable[Self]) -> Self:
        """Sum, 0 of nothing. Every count must be of this unit."""
        result = cls(0)
        for count in counts:
            result = result + count
        return result


class Flops(_Count):
    """Floating-point operations."""

    def __str__(self) -> str:
        return f"{self.count / 1e6:.3f} MFLOP"


class Macs(_Count):
    """Multiply-adds."""

    def __str__(self) -> str:
        return f"{self.count / 1e6:.3f} MMAC"

    @property
    def flops(self) -> Flops:
        """The same work as `Flops`: 2 a multiply-add."""
        return Flops(FLOPS_PER_MULTIPLY_ADD * self.count)

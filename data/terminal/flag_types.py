"""Types of flags: numbers, lists, grids."""

from __future__ import annotations

import argparse
import math

MAX_GRID_POINTS = 10_000


def finite_float(text: str) -> float:
    """Flag type: a float that is neither nan nor infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} given, a finite number is allowed")
    return value


def positive_int(text: str) -> int:
    """Flag type: an integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given, a whole number of at least 1 is allowed")
    return value


def int_list(text: str) -> tuple[int, ...]:
    """Flag type: rising positive integers, as in "4,8,12"."""
    values = tuple(positive_int(part) for part in text.split(","))
    if list(values) != sorted(set(values)):
        raise argparse.ArgumentTypeError(f"{text!r} given, the values must rise, as in 4,8,12")
    return values


def float_grid(text: str) -> tuple[float, ...]:
    """Flag type: rising floats, as "-6,0,6" or as "start:stop:step" with both ends in, as in "-6:18:3"."""
    if ":" in text:
        parts = [finite_float(part) for part in text.split(":")]
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
        values = tuple(finite_float(part) for part in text.split(","))
    if list(values) != sorted(set(values)):
        raise argparse.ArgumentTypeError(f"{text!r} given, the values must rise, as in -6,0,6")
    return values

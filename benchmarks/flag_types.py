"""Types of the benchmarks' flags."""

from __future__ import annotations

import argparse


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

"""Bits as strings of "0" and "1", and the shortest of them that names a number of an interval."""

from __future__ import annotations


def shortest(low: int, high: int, scale: int) -> str:
    """The shortest b_1 b_2 ... b_n whose value sum b_i 2^-i is in [low, high) / scale.

    Zeros behind it leave the value as it is, so that a block of the channel code may be longer.

    Args:
        low: 0 <= low < high.
        high: at most scale.
        scale: what both are divided by.
    """
    if not low:
        return ""
    digits = scale.bit_length() - (high - low).bit_length() + 1  # enough: 2^-digits scale <= high - low
    first, last = (
        -(-(low << digits) // scale),
        -(-(high << digits) // scale) - 1,
    )  # of the multiples of 2^-digits
    # The one with the most zeros behind it: `last` up to the highest digit in which it and first - 1 differ.
    zeros = ((first - 1) ^ last).bit_length() - 1
    return format(last >> zeros, f"0{digits - zeros}b")


def value(bits: str) -> tuple[int, int]:
    """Numerator and denominator of the number that bits name."""
    return int(bits or "0", 2), 1 << len(bits)


def of_bytes(data: bytes) -> str:
    """Bits of bytes, the highest first."""
    return "".join(f"{byte:08b}" for byte in data)


def to_bytes(bits: str) -> bytes:
    """Bytes of bits, filled up with zeros."""
    return bytes(int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8))

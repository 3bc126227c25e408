"""PPMd (Shkarin's variant H, by pyppmd), primed with the training split."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from deepsc.digital.bits import shortest, value
from deepsc.digital.source import BYTE_END, SourceCode

ORDER = 8
"""Bytes of context."""
MEMORY = 64 * 2**20
"""Bytes of the model."""
PRIMING = 4 * 2**20
"""Most bytes of the training split that the model reads before a sentence; the last ones."""
_COPIES = Path(__file__).with_name("ppmd_copies.py")
_END = b"\n"
_RARE = b"\0"


class PPMd(SourceCode):
    """PPMd's model and range coder, after the training split, for one sentence by itself.

    Both ends code the training split first. What pyppmd writes for it and a sentence is a number, larger than
    the one for the training split alone; their difference is sent, without leading zeros that no sentence
    needs. Every number up to that of the same sentence and something behind it means the same sentence, and
    the shortest of them is taken.

    Args:
        sentences: of the training split.

    Raises:
        ImportError: if pyppmd is missing.
    """

    name, of_tokens = "PPMd", False

    def __init__(self, sentences: Sequence[str]) -> None:
        import pyppmd

        self._decoder = pyppmd.Ppmd7Decoder
        lines = [data + _END for sentence in sentences if _END not in (data := sentence.encode())]
        self._priming = b"".join(lines)[-PRIMING:]

    @cached_property
    def _copies(self) -> tuple[subprocess.Popen[bytes], bytes]:
        """The process that codes with copies of the primed encoder, and what that encoder wrote."""
        command = [sys.executable, "-P", str(_COPIES), str(ORDER), str(MEMORY)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        weakref.finalize(self, _end, process)
        return process, _ask(process, self._priming)

    def _written(self, data: bytes) -> bytes:
        """What the encoder writes for the training split and data."""
        process, begin = self._copies
        return begin + _ask(process, data)

    @cached_property
    def _base(self) -> tuple[int, int, int]:
        """The training split's number, its length in bytes, and the bits that what is added to it needs."""
        alone, above = self._written(b""), self._written(_RARE)
        longest = max(len(alone), len(above))
        width = _number(above, longest) - _number(alone, longest)
        return _number(alone, len(alone)), len(alone), width.bit_length() - 8 * (longest - len(alone))

    def encode(self, symbols: Sequence[int]) -> str | None:
        """The shortest difference; None for a sentence with a line feed, or whose difference is too large."""
        data = bytes(symbols[:-1]) + _END
        if _END in data[:-1]:
            return None
        base, length, width = self._base
        low, high = self._written(data), self._written(data + _RARE)
        size = max(len(low), len(high))
        scale = 8 * (size - length)
        least, most = (_number(one, size) - (base << scale) for one in (low, high))
        if most >= 1 << (width + scale):
            return None
        return shortest(least, most + 1, 1 << (width + scale))

    def decode(self, bits: str) -> list[int]:
        """The bytes of a sentence and their end."""
        base, length, width = self._base
        number, denominator = value(bits)
        scale = 8 * (-(-len(bits) // 8) + 8)  # whole bytes, and more than the range coder reads ahead
        added = (number << (width + scale)) // denominator
        written = ((base << scale) + added).to_bytes(length + scale // 8, "big")
        decoder = self._decoder(ORDER, MEMORY)
        primed = decoder.decode(written, len(self._priming))
        assert primed == self._priming
        data = b""
        while not data.endswith(_END):
            data += decoder.decode(b"", 1)
        return [*data[:-1], BYTE_END]


def _number(written: bytes, size: int) -> int:
    """Bytes as one whole number, as if zeros made them `size` bytes long."""
    return int.from_bytes(written, "big") << 8 * (size - len(written))


def _ask(process: subprocess.Popen[bytes], data: bytes) -> bytes:
    """Send bytes behind their number, and read as much."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(data).to_bytes(4, "big") + data)
    process.stdin.flush()
    if not (size := process.stdout.read(4)):
        raise RuntimeError("PPMd's encoder failed in its own process")
    return process.stdout.read(int.from_bytes(size, "big"))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.communicate()  # closes its input, at which it ends

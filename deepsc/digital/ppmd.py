"""PPMd (Shkarin's variant H, by pyppmd), primed with the training split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from deepsc.digital.bits import shortest, value
from deepsc.digital.source import BYTE_END, SourceCode

ORDER = 8
"""Bytes of context."""
MEMORY = 64 * 2**20
"""Bytes of the model."""
PRIMING = 4 * 2**20
"""Most bytes of the training split that the model reads before a sentence; the last ones."""
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

        self._encoder, self._decoder = pyppmd.Ppmd7Encoder, pyppmd.Ppmd7Decoder
        lines = [data + _END for sentence in sentences if _END not in (data := sentence.encode())]
        self._priming = b"".join(lines)[-PRIMING:]

    def _primed(self) -> tuple[Any, bytes]:
        encoder = self._encoder(ORDER, MEMORY)
        return encoder, encoder.encode(self._priming)

    @cached_property
    def _model(self) -> tuple[Any, bytes]:
        """An encoder after the training split, and what it wrote. It is never used but in copies."""
        return self._primed()

    def _written(self, data: bytes) -> bytes:
        """What the encoder writes for the training split and data."""
        if not hasattr(os, "fork"):
            encoder, begin = self._primed()
            return bytes(begin + encoder.encode(data) + encoder.flush())
        encoder, begin = self._model
        reading, writing = os.pipe()
        if not (child := os.fork()):  # the model cannot be copied otherwise, and priming takes half a second
            failed = 1
            try:
                os.write(writing, encoder.encode(data) + encoder.flush())
                failed = 0
            finally:
                os._exit(failed)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            end = stream.read()
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("PPMd's encoder failed in a copy of this process")
        return bytes(begin + end)

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

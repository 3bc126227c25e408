"""Lossless codes for one sentence: static Huffman, an arithmetic code with a bigram model, deflate.

Their statistics are of the training split alone. Every code ends itself: zeros may follow its bits.
"""

from __future__ import annotations

import heapq
import itertools
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from deepsc.digital.bits import of_bytes, shortest, to_bytes, value
from deepsc.link.bigrams import kneser_ney

BYTE_END = 256
"""Ends a sentence of bytes."""
_PRECISION = 2.0**40
"""What a bigram's probabilities are multiplied by before they are rounded up to whole numbers."""


class SourceCode(ABC):
    """A lossless code for sequences of whole numbers: the bytes of a sentence, or its tokens."""

    name: str
    of_tokens: bool
    """Whether it codes tokens, the last of which ends the sentence; else bytes."""

    @abstractmethod
    def encode(self, symbols: Sequence[int]) -> str | None:
        """Bits, as a string of "0" and "1"; None: this code cannot say it."""

    @abstractmethod
    def decode(self, bits: str) -> list[int]:
        """The symbols, from bits that zeros may follow."""


def huffman_code(counts: Mapping[int, int]) -> dict[int, str]:
    """Huffman's code, by symbol.

    Args:
        counts: how often each symbol occurs; at least two symbols.
    """
    ticket = itertools.count()  # settles ties
    heap = [(count, next(ticket), [symbol]) for symbol, count in sorted(counts.items())]
    heapq.heapify(heap)
    reverse: dict[int, list[str]] = {symbol: [] for symbol in counts}
    while len(heap) > 1:
        (first, _, left), (second, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for bit, group in (("0", left), ("1", right)):
            for symbol in group:
                reverse[symbol].append(bit)
        heapq.heappush(heap, (first + second, next(ticket), left + right))
    return {symbol: "".join(reversed(word)) for symbol, word in reverse.items()}


class Huffman(SourceCode):
    """Static Huffman code; every symbol is counted once more than it occurs.

    Args:
        sentences: of the training split, each with the symbol that ends it.
        size: the symbols are 0 to size - 1.
        end: the symbol that ends a sentence.
        of_tokens: whether symbols are tokens.
    """

    def __init__(self, sentences: Iterable[Sequence[int]], *, size: int, end: int, of_tokens: bool) -> None:
        self.of_tokens = of_tokens
        self.name = f"{'token' if of_tokens else 'byte'} Huffman"
        counts = Counter(range(size))
        for sentence in sentences:
            counts.update(sentence)
        self.words = huffman_code(counts)
        """Code word of each symbol."""
        self._symbols = {word: symbol for symbol, word in self.words.items()}
        self._end = end

    def encode(self, symbols: Sequence[int]) -> str:
        """Code words, one after another."""
        return "".join(self.words[symbol] for symbol in symbols)

    def decode(self, bits: str) -> list[int]:
        """Symbols up to the end of the sentence."""
        symbols, word = [], ""
        for bit in bits:
            word += bit
            if (symbol := self._symbols.get(word)) is not None:
                symbols.append(symbol)
                word = ""
                if symbol == self._end:
                    break
        return symbols


class Deflate(SourceCode):
    """zlib's raw deflate of a sentence's bytes, which has no statistics."""

    name, of_tokens = "deflate", False

    def encode(self, symbols: Sequence[int]) -> str:
        """Without zlib's header and checksum."""
        coder = zlib.compressobj(9, wbits=-15)
        return of_bytes(coder.compress(bytes(symbols[:-1])) + coder.flush())

    def decode(self, bits: str) -> list[int]:
        """The bytes and their end."""
        return [*zlib.decompressobj(wbits=-15).decompress(to_bytes(bits)), BYTE_END]


class Bigram(SourceCode):
    """Arithmetic code of tokens, each given the one before, by `deepsc.link.bigrams.kneser_ney`.

    Intervals are exact, of whole numbers of any size.

    Args:
        sentences: of the training split, each with the token that ends it.
        size: the tokens are 0 to size - 1.
        end: the token that ends a sentence, and comes before its first.
    """

    name, of_tokens = "bigram arithmetic", True

    def __init__(self, sentences: Iterable[Sequence[int]], *, size: int, end: int) -> None:
        self._end = end
        pairs = Counter(pair for sentence in sentences for pair in itertools.pairwise((end, *sentence)))
        ordered = sorted(pairs)
        bigrams = torch.tensor(ordered, dtype=torch.int64).reshape(-1, 2).T
        counts = torch.tensor([float(pairs[pair]) for pair in ordered], dtype=torch.float64)
        model = kneser_ney(bigrams, counts, size=size)
        self._kept, self._back_off, self._unigram = (part.numpy() for part in model)
        self._after = bigrams[1].numpy()
        self._starts = np.searchsorted(bigrams[0].numpy(), np.arange(size + 1))

    def probabilities(self, before: int) -> NDArray[np.float64]:
        """P(t|s) of every token t behind a token s, (size,)."""
        behind = slice(*self._starts[before : before + 2])
        row: NDArray[np.float64] = self._back_off[before] * self._unigram
        row[self._after[behind]] += self._kept[behind]
        return row

    def _bounds(self, before: int) -> list[int]:
        """Where each token's interval begins, and at the end their sum, (size + 1,)."""
        frequencies = np.floor(self.probabilities(before) * _PRECISION).astype(np.int64) + 1
        return [0, *np.cumsum(frequencies).tolist()]

    def encode(self, symbols: Sequence[int]) -> str:
        """The shortest number in the sentence's interval."""
        low, width, scale, before = 0, 1, 1, self._end
        for symbol in symbols:
            bounds = self._bounds(before)
            low = low * bounds[-1] + width * bounds[symbol]
            width *= bounds[symbol + 1] - bounds[symbol]
            scale *= bounds[-1]
            before = symbol
        return shortest(low, low + width, scale)

    def decode(self, bits: str) -> list[int]:
        """Tokens up to the end of the sentence."""
        low, denominator = value(bits)  # of what is left, in [0, 1)
        symbols = [self._end]
        while len(symbols) == 1 or symbols[-1] != self._end:
            bounds = self._bounds(symbols[-1])
            low *= bounds[-1]
            symbol = int(np.searchsorted(bounds, low // denominator, side="right")) - 1
            low -= bounds[symbol] * denominator
            denominator *= bounds[symbol + 1] - bounds[symbol]
            symbols.append(symbol)
        return symbols[1:]

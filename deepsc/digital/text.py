"""Text as bits: of several codes, each sentence takes the shortest."""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from data.text.tokenizer import TextTokenizer, encode_within
from deepsc.digital.ppmd import PPMd
from deepsc.digital.source import BYTE_END, Bigram, Deflate, Huffman, SourceCode

logger = logging.getLogger(__name__)


def code_names() -> tuple[str, ...]:
    """Names of the codes that are installed, in the order of the bits that tell which."""
    ppmd = (PPMd.name,) if importlib.util.find_spec("pyppmd") else ()
    return (*ppmd, Bigram.name, "token Huffman", "byte Huffman", Deflate.name)


class TextSource:
    """Source code of sentences, its statistics those of the training split.

    Code number i is told by i ones and a zero, the last by ones alone.

    Args:
        train: sentences of the training split.
        tokenizer: the codec's.
        vocab_size: its number of tokens.
        max_length: tokens of the longest sentence; what lies behind is cut, as by the codec.
    """

    def __init__(
        self, train: Sequence[str], tokenizer: TextTokenizer, *, vocab_size: int, max_length: int
    ) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        tokens = self._tokens(train)
        size, end = vocab_size, tokenizer.eos_id
        in_bytes = [_bytes(sentence) for sentence in train]
        codes: list[SourceCode] = [
            Bigram(tokens, size=size, end=end),
            Huffman(tokens, size=size, end=end, of_tokens=True),
            Huffman(in_bytes, size=BYTE_END + 1, end=BYTE_END, of_tokens=False),
            Deflate(),
        ]
        if PPMd.name in code_names():
            codes.insert(0, PPMd(train))
        else:
            logger.warning(
                "pyppmd is not installed: text is coded without PPMd, in 5 % more bits or so; "
                "pip install 'deepsc-toolkit[digital]'"
            )
        self.codes = tuple(codes)

    def _tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        return encode_within(self._tokenizer, sentences, max_length=self._max_length)

    def _prefix(self, number: int) -> str:
        return "1" * number + "0" * (number < len(self.codes) - 1)

    def words(self, sentence: str) -> dict[str, str]:
        """Bits of a sentence in each code that can say it, by its name, without those that tell which."""
        (tokens,) = self._tokens([sentence])
        made = {code.name: code.encode(tokens if code.of_tokens else _bytes(sentence)) for code in self.codes}
        return {name: bits for name, bits in made.items() if bits is not None}

    def encode(self, sentence: str) -> tuple[str, str]:
        """The name of the shortest code, and the bits: those that tell which, and its own."""
        return self.shortest(self.words(sentence))

    def shortest(self, words: Mapping[str, str]) -> tuple[str, str]:
        """`encode`, of a sentence's `words`."""
        every = [
            (code.name, self._prefix(number) + words[code.name])
            for number, code in enumerate(self.codes)
            if code.name in words
        ]
        return min(every, key=lambda one: len(one[1]))

    def decode(self, bits: str) -> list[int]:
        """The tokens that the local model reads, from bits that zeros may follow."""
        ones = len(bits) - len(bits.lstrip("1"))
        number = min(ones, len(self.codes) - 1)
        code = self.codes[number]
        symbols = code.decode(bits[len(self._prefix(number)) :])
        return symbols if code.of_tokens else self._tokens([bytes(symbols[:-1]).decode()])[0]

    def sizes(self, sentences: Sequence[str]) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Bits of each sentence, (sentences,), and the share of them that each code is the shortest for."""
        coded = [self.encode(sentence) for sentence in sentences]
        counts = Counter(name for name, _ in coded)
        shares = {code.name: counts[code.name] / len(coded) for code in self.codes}
        return np.array([len(bits) for _, bits in coded], dtype=np.int64), shares


def _bytes(sentence: str) -> list[int]:
    return [*sentence.encode(), BYTE_END]

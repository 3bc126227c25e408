"""A user's own sentences, sent one by one."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from typing_extensions import override

from data.files.errors import ToolkitError
from data.files.paths import is_file
from data.settings import named
from data.text.tokenizer import TextTokenizer, encode_within
from deepsc.digital import Digital, TextSource, channel_code
from deepsc.link.channel import Channel
from deepsc.modality import Answer, Checkpoint, Links, Sender, Separate
from deepsc.text.bleu_tokenizer import tokenizer_of
from deepsc.text.config import CorpusConfig
from deepsc.text.evaluate import BleuStatistics, corpus_bleu, decode_sentences, encode_sentences
from deepsc.text.material import corpus_of
from deepsc.text.model import TextCodec

_LONGEST_NAME = 256
"""Bytes that no file's name has."""


class TextSender(Sender):
    """Sends sentences; the receiver decodes greedily."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self._source = functools.lru_cache(maxsize=1)(self._learned_source)

    @property
    def _codec(self) -> TextCodec:
        assert isinstance(self.checkpoint.codec, TextCodec)
        return self.checkpoint.codec

    @property
    def _tokenizer(self) -> TextTokenizer:
        assert self.checkpoint.tokenizer is not None
        return self.checkpoint.tokenizer

    @override
    @staticmethod
    def read(words: Sequence[str]) -> str:
        if len(words) != 1:
            raise ToolkitError(
                f"{named('items')}: {len(words)} given, a text codec takes one sentence, in quotes"
            )
        if len(words[0].encode()) < _LONGEST_NAME and is_file(words[0]):
            raise ToolkitError(
                f"{named('items')}: {words[0]} is a file and no image, a text codec takes one sentence"
            )
        return words[0]

    @override
    @torch.inference_mode()
    def send(self, item: str, links: Links) -> Answer:
        (batch,) = encode_sentences(self._codec, self._tokenizer, [item])
        link = links(0, batch.sent.mask)
        ((text,),) = decode_sentences(self._codec, self._tokenizer, batch, [link])
        return Answer(text)

    @override
    def separate(self, item: str, *, channel: Channel, code: str, data_dir: str | None) -> Separate:
        (ids,) = encode_within(self._tokenizer, [item], max_length=self._codec.config.max_length)
        bits, _ = self._source(data_dir).sizes([item])
        digital = Digital(
            bits=bits[:, None],
            outcome=lambda items, _: np.ones((len(items), 1), dtype=np.int64),
            nothing=np.zeros((1, 1), dtype=np.int64),
            tokens=np.array([len(ids)]),
            channel=channel,
            code=channel_code(code),
        )
        return Separate(digital, (int(bits[0]),), (item,), None)

    def _learned_source(self, data_dir: str | None) -> TextSource:
        """The source code, learned from the training split."""
        corpus = corpus_of(self.checkpoint.document, data_dir)
        config = self._codec.config
        return TextSource(
            [source for source, _ in corpus.train],
            self._tokenizer,
            vocab_size=config.vocab_size,
            max_length=config.max_length,
        )

    def bleu(self, answer: str, reference: str) -> float:
        """sacreBLEU of a sentence, 0 to 100, by the tokenizer of the target language.

        Raises:
            ToolkitError: if that cannot be used here; says what to install.
        """
        corpus = CorpusConfig(**self.checkpoint.document["corpus"])
        tokenize = tokenizer_of(corpus.language(self.checkpoint.task))
        return corpus_bleu(BleuStatistics([answer], [reference], tokenize=tokenize).counts[0])


SENDER = TextSender

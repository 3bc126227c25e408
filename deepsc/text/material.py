"""What the text codec trains on: corpus, tokenizer, batches and starting weights."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from data.batching import LazyBatches, token_batches
from data.files.errors import ToolkitError
from data.settings import named
from data.splits import SPLITS
from data.text.parallel import Pair, ParallelCorpus, load_parallel
from data.text.tokenizer import JointBPE, TextTokenizer
from deepsc.modality import Checkpoint, Dataset, Material
from deepsc.text.bleu_tokenizer import choose_tokenizer
from deepsc.text.config import (
    TEXT_PRESETS,
    CorpusConfig,
    TextCodecConfig,
    TextRunConfig,
)
from deepsc.text.model import TextBatch, collate
from deepsc.text.opus_mt import load_opus_mt

logger = logging.getLogger(__name__)

EncodedPair: TypeAlias = tuple[list[int], list[int]]
"""Token ids of source and target."""
_ALIKE = 256
"""Pairs that go without the same merges."""


def load_corpus(config: CorpusConfig, *, task: str) -> ParallelCorpus:
    """Load the corpus; for "reconstruct" each source sentence is its own target."""
    corpus = load_parallel(**dataclasses.asdict(config))
    if task == "translate":
        return corpus
    splits: dict[str, Any] = {
        split: tuple((source, source) for source, _ in getattr(corpus, split)) for split in SPLITS
    }
    return dataclasses.replace(corpus, **splits)


def corpus_of(document: Mapping[str, Any], data_dir: str | None) -> ParallelCorpus:
    """Load what a checkpoint was trained on, by its config.json, from this machine's folder of data."""
    config = CorpusConfig(**{**document["corpus"], "data_dir": data_dir})
    return load_corpus(config, task=str(document["task"]))


class TextBatches:
    """Tokenised pairs, dealt to length-bucketed batches.

    Args:
        pairs: sentences; those longer than `max_length` are left out, and counted in the log.
        tokenizer: of the checkpoint.
        max_length: most tokens of a side, end of sentence included.
        max_tokens: most tokens of a batch and side, padding included.
        seed: of the shuffling; None keeps the sentences sorted by length.
        bpe_dropout: share of the merges that some pairs of each epoch go without, as in `JointBPE.thinned`;
            epochs then differ a little in their number of batches.
    """

    def __init__(
        self,
        pairs: tuple[Pair, ...],
        tokenizer: TextTokenizer,
        *,
        max_length: int,
        max_tokens: int,
        seed: int | None,
        bpe_dropout: float = 0.0,
    ) -> None:
        encoded = _encoded(pairs, tokenizer)
        fits = [max(map(len, pair)) <= max_length for pair in encoded]
        self._pairs = list(compress(pairs, fits))
        self._encoded = list(compress(encoded, fits))
        if dropped := len(encoded) - len(self._pairs):
            logger.warning("%d sentence pairs longer than %d tokens are left out", dropped, max_length)
        if not self._pairs:
            raise ToolkitError(f"no sentence pair is shorter than {max_length} tokens")
        self._tokenizer, self._bpe_dropout = tokenizer, bpe_dropout
        self._max_tokens, self._max_length, self._seed = max_tokens, max_length, seed

    def __call__(self, epoch: int) -> Sequence[TextBatch]:
        """Batches of an epoch, the same whenever asked for the same epoch."""
        encoded = self._in_pieces(epoch) if self._bpe_dropout else self._encoded
        lengths = [max(map(len, pair)) for pair in encoded]
        rows = token_batches(lengths, max_tokens=self._max_tokens, seed=self._seed, epoch=epoch)

        def batch(row: Sequence[int], _: int) -> TextBatch:
            sources, targets = zip(*(encoded[i] for i in row), strict=True)
            return collate(sources, targets, pad_id=self._tokenizer.pad_id)

        return LazyBatches(rows, batch)

    def _in_pieces(self, epoch: int) -> list[EncodedPair]:
        """All pairs, a few at a time without some of the merges; one that gets too long so as it was."""
        assert isinstance(self._tokenizer, JointBPE)
        draw = np.random.default_rng((self._seed or 0, epoch))
        encoded = self._encoded.copy()
        for rows in np.split(draw.permutation(len(encoded)), range(_ALIKE, len(encoded), _ALIKE)):
            thinned = self._tokenizer.thinned(self._bpe_dropout, draw)
            for i, pair in zip(rows, _encoded([self._pairs[i] for i in rows], thinned), strict=True):
                if max(map(len, pair)) <= self._max_length:
                    encoded[i] = pair
        return encoded


def _encoded(pairs: Sequence[Pair], tokenizer: TextTokenizer) -> list[EncodedPair]:
    sources, targets = zip(*pairs, strict=True) if pairs else ((), ())
    return list(zip(tokenizer.encode(sources), tokenizer.encode_target(targets), strict=True))


def material(config: TextRunConfig, initial: Checkpoint | None) -> Material:
    """Corpus, tokenizer, codec config and weights of a run; see `deepsc.modality.Material`."""
    corpus = load_corpus(config.corpus, task=config.task)
    try:  # what the map will need is better known before the training than after it
        choose_tokenizer(
            None,
            language=config.corpus.language(config.task),
            references=[reference for _, reference in corpus.test],
        )
    except ToolkitError as error:
        logger.warning("build-accuracy-map will refuse this: %s", error)
    weights: dict[str, Tensor] = {}
    weights_file = None
    tokenizer: TextTokenizer
    if initial is not None:
        assert isinstance(initial.codec.config, TextCodecConfig)
        assert initial.tokenizer is not None
        codec_config = dataclasses.replace(initial.codec.config, **config.codec_fields)
        tokenizer = initial.tokenizer
    elif config.pretrained is not None:
        opus_mt = load_opus_mt(config.pretrained)
        codec_config = dataclasses.replace(opus_mt.config, **config.codec_fields)
        tokenizer = opus_mt.tokenizer
        weights_file = opus_mt.weights_file
        weights = {f"transformer.{name}": t for name, t in opus_mt.transformer.state_dict().items()}
    else:
        logger.info("training the tokenizer on %d sentence pairs", len(corpus.train))
        sentences = (sentence for pair in corpus.train for sentence in pair)
        tokenizer = JointBPE.train(sentences, vocab_size=TEXT_PRESETS[config.preset].vocab_size)
        codec_config = TextCodecConfig.from_preset(
            config.preset, vocab_size=tokenizer.vocab_size, **config.codec_fields
        )
    if config.bpe_dropout and not isinstance(tokenizer, JointBPE):
        raise ToolkitError(
            f"{named('bpe_dropout')}: {config.bpe_dropout:g} given, opus-mt's tokenizer has no merges; 0 is "
            "allowed"
        )
    options: dict[str, Any] = {
        "tokenizer": tokenizer,
        "max_length": codec_config.max_length,
        "max_tokens": config.training.batch_tokens,
    }
    return Material(
        dataset=Dataset.of(corpus),
        codec_config=codec_config,
        batches=lambda: TextBatches(
            corpus.train, seed=config.training.seed, bpe_dropout=config.bpe_dropout, **options
        ),
        validation=lambda: TextBatches(corpus.validation, seed=None, **options)(0),
        tokenizer=tokenizer,
        weights=weights,
        weights_file=weights_file,
    )

"""Scores of received sentences: sacreBLEU, the maps' metric, and nltk's BLEU-1 to 4, the field's own."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sacrebleu.metrics import BLEU

from data.batching import token_batches
from data.text.tokenizer import TextTokenizer, encode_within
from deepsc.link.channel import Channel
from deepsc.link.transmission import Link, link_at
from deepsc.modality import Evaluator
from deepsc.text.bleu_tokenizer import USUAL, scorer
from deepsc.text.model import Sentences, TextBatch, TextCodec, collate

logger = logging.getLogger(__name__)


class EncodedBatch(NamedTuple):
    """Sentences with what the UE computes of them, once and sent many times."""

    rows: list[int]
    """Where the sentences stand in the test set."""
    sent: Sentences
    """On the codec's device."""


@torch.inference_mode()
def encode_sentences(
    codec: TextCodec, tokenizer: TextTokenizer, sentences: Sequence[str], *, max_tokens: int = 4096
) -> list[EncodedBatch]:
    """Compute what the UE does of sentences, in length-bucketed batches.

    Sentences longer than the codec's `max_length` are cut to it.
    """
    device = next(codec.parameters()).device
    ids = encode_within(tokenizer, sentences, max_length=codec.config.max_length)
    batches = []
    for rows in token_batches([len(row) for row in ids], max_tokens=max_tokens, seed=None):
        sources = [ids[i] for i in rows]
        batch: TextBatch = collate(sources, sources, pad_id=tokenizer.pad_id).to(device)
        batches.append(EncodedBatch(rows, codec.encode(batch.source, batch.mask)))
    return batches


def tokens_per_word(tokenizer: TextTokenizer, sentences: Sequence[str]) -> float:
    """Tokens that are sent for a word, ends of sentence included; words are split at spaces."""
    tokens = sum(map(len, tokenizer.encode(sentences)))
    return tokens / max(1, sum(len(sentence.split()) for sentence in sentences))


@torch.inference_mode()
def decode_sentences(
    codec: TextCodec,
    tokenizer: TextTokenizer,
    batch: EncodedBatch,
    links: Sequence[Link | None],
    *,
    beams: int = 1,
) -> list[list[str]]:
    """Send one batch over each link and decode all that arrives together.

    Returns:
        For each link, sentences in the order of `batch.rows`.
    """
    received = torch.cat([codec.transmit(batch.sent, link) for link in links])
    ids = codec.generate(received, batch.sent.mask.repeat(len(links), 1), beams=beams)
    return [tokenizer.decode(part.tolist()) for part in ids.split(len(batch.rows))]


class BleuStatistics:
    """Counts of each sentence, from which corpus BLEU and its bootstrap follow without scoring text again.

    Args:
        hypotheses: what was decoded.
        references: what should have been; one each.
        tokenize: sacreBLEU's tokenizer, see `deepsc.text.bleu_tokenizer`.
    """

    def __init__(
        self, hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = USUAL
    ) -> None:
        rows = []
        bleu = scorer(tokenize)  # its score of one sentence is not used
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            score = bleu.sentence_score(hypothesis, [reference])
            rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
        self.counts: NDArray[np.int64] = np.array(rows, dtype=np.int64)
        """(sentences, 10): hypothesis and reference length, matched and possible n-grams of order 1 to 4."""

    @staticmethod
    def signature(tokenize: str = USUAL) -> str:
        """sacreBLEU's signature of `corpus_bleu`."""
        bleu = BLEU(tokenize=tokenize)
        bleu.corpus_score(["a"], [["a"]])  # the signature is known after a score
        return str(bleu.get_signature())


def corpus_bleu(counts: NDArray[np.int64]) -> float:
    """sacreBLEU of summed counts.

    Args:
        counts: (10,), a sum of rows of `BleuStatistics.counts`.

    Returns:
        0 to 100.
    """
    system, reference, *ngrams = (int(value) for value in counts)
    return float(BLEU.compute_bleu(ngrams[:4], ngrams[4:], system, reference, smooth_method="exp").score)


def nltk_bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = USUAL
) -> dict[str, float]:
    """nltk's corpus BLEU-1 to BLEU-4, 0 to 1; not smoothed, as is usual.

    Words are split at spaces, as the field does, or by another of sacreBLEU's tokenizers than the usual one.
    """
    from nltk.translate.bleu_score import corpus_bleu as nltk_corpus_bleu

    def words(sentence: str) -> list[str]:
        text: str = sentence if tokenize == USUAL else scorer(tokenize).tokenizer(sentence)
        return text.split()

    hypothesis_words = [words(sentence) for sentence in hypotheses]
    reference_words = [[words(sentence)] for sentence in references]
    weights = [tuple(1 / n for _ in range(n)) for n in range(1, 5)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no n-gram in common: 0, as it says
        scores = nltk_corpus_bleu(reference_words, hypothesis_words, weights=weights)
    return {f"BLEU-{n}": float(score) for n, score in enumerate(scores, start=1)}


class TextEvaluator(Evaluator):
    """Measures a text codec on test sentences; what the UE computes is computed once for every k and SNR.

    A batch is decoded at several k and SNR together.

    Args:
        codec: the codec, or the local model.
        tokenizer: the codec's.
        pairs: test sentences and references.
        channel: what lies between UE and server; None for the local model.
        beams: width of the search, 1 is greedy.
    """

    metric = "sacreBLEU"
    together = 9
    tokenize: ClassVar[str] = USUAL
    """sacreBLEU's tokenizer; see `text_evaluator`."""

    def __init__(
        self,
        codec: TextCodec,
        tokenizer: TextTokenizer,
        pairs: Sequence[tuple[str, str]],
        *,
        channel: Channel | None,
        beams: int = 1,
    ) -> None:
        self._codec, self._tokenizer, self._channel, self._beams = codec.eval(), tokenizer, channel, beams
        self._references = [reference for _, reference in pairs]
        logger.info("encoding %d test sentences", len(pairs))
        self._batches = encode_sentences(codec, tokenizer, [source for source, _ in pairs])

    def measure(self, *, k: int, snr_db: float, seed: int) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Send every sentence once.

        The noise depends on the seed alone, so that cells are compared on common random numbers.

        Args:
            k: complex symbols per token; the local model reads neither this nor the SNR.
            snr_db: nominal E_s/N_0.
            seed: of fading and noise.

        Returns:
            Counts of shape (sentences, 10) as `score` takes their sum, and nltk's BLEU by name.
        """
        (measured,) = self.measure_together([(k, snr_db)], seed=seed)
        return measured

    def measure_together(
        self, points: Sequence[tuple[int, float]], *, seed: int
    ) -> list[tuple[NDArray[np.int64], dict[str, float]]]:
        """`measure` at each (k, SNR); all of a batch are decoded together."""
        hypotheses = [[""] * len(self._references) for _ in points]
        for number, batch in enumerate(self._batches):
            links = [
                link_at(self._channel, k=k, snr_db=snr_db, like=batch.sent.mask, seed=(seed, number))
                for k, snr_db in points
            ]
            decoded = decode_sentences(self._codec, self._tokenizer, batch, links, beams=self._beams)
            for heard, texts in zip(hypotheses, decoded, strict=True):
                for row, text in zip(batch.rows, texts, strict=True):
                    heard[row] = text
        return [
            (
                BleuStatistics(heard, self._references, tokenize=self.tokenize).counts,
                nltk_bleu(heard, self._references, tokenize=self.tokenize),
            )
            for heard in hypotheses
        ]

    @staticmethod
    def score(counts: NDArray[np.int64]) -> float:
        """Accuracy of summed counts: sacreBLEU, 0 to 100."""
        return corpus_bleu(counts)

    @classmethod
    def signature(cls) -> str:
        """sacreBLEU's signature."""
        return BleuStatistics.signature(cls.tokenize)


def text_evaluator(tokenize: str) -> type[TextEvaluator]:
    """`TextEvaluator` with one of sacreBLEU's tokenizers."""
    if tokenize == USUAL:
        return TextEvaluator
    return type("TextEvaluator", (TextEvaluator,), {"tokenize": tokenize})

"""BLEU as the maps report it, against sacrebleu and nltk themselves."""

import numpy as np
import pytest
import sacrebleu
import torch
from nltk.translate.bleu_score import corpus_bleu as nltk_corpus_bleu

from data.parallel import ParallelCorpus
from deepsc.channels import Channel
from deepsc.checkpoint import Checkpoint
from deepsc.evaluation import BleuStatistics, TextEvaluator, corpus_bleu, nltk_bleu

HYPOTHESES = ["the small dog runs in the park .", "a man", "eine Frau malt heute ein Bild .", ""]
REFERENCES = [
    "the small dog runs on the street .", "a man sleeps", "eine Frau malt ein Bild .", "nothing came",
]  # fmt: skip


def test_corpus_bleu_from_counts_is_sacrebleus() -> None:
    counts = BleuStatistics(HYPOTHESES, REFERENCES).counts
    assert counts.shape == (4, 10)
    expected = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert corpus_bleu(counts.sum(axis=0)) == pytest.approx(expected)
    # A bootstrap resample with repeats, scored anew.
    rows = np.array([0, 0, 2, 3])
    again = sacrebleu.corpus_bleu([HYPOTHESES[i] for i in rows], [[REFERENCES[i] for i in rows]]).score
    assert corpus_bleu(counts[rows].sum(axis=0)) == pytest.approx(again)


def test_hypothesis_and_reference_are_in_the_right_order() -> None:
    """BLEU is not symmetric: a short hypothesis pays the brevity penalty, a long one does not."""
    short, long = ["the small dog runs in"], ["the small dog runs in the park and sleeps ."]
    ours = corpus_bleu(BleuStatistics(short, long).counts.sum(axis=0))
    assert ours == pytest.approx(sacrebleu.corpus_bleu(short, [long]).score)
    assert ours != pytest.approx(sacrebleu.corpus_bleu(long, [short]).score)
    assert nltk_bleu(short, long)["BLEU-1"] == pytest.approx(np.exp(1 - 10 / 5))


def test_nltk_bleu_is_nltks_own() -> None:
    ours = nltk_bleu(HYPOTHESES, REFERENCES)
    words = [[r.split()] for r in REFERENCES], [h.split() for h in HYPOTHESES]
    assert ours["BLEU-4"] == pytest.approx(nltk_corpus_bleu(*words))
    assert ours["BLEU-1"] == pytest.approx(nltk_corpus_bleu(*words, weights=(1,)))
    assert 1 >= ours["BLEU-1"] >= ours["BLEU-2"] >= ours["BLEU-3"] >= ours["BLEU-4"] > 0


def test_signature_names_the_metric_exactly() -> None:
    signature = BleuStatistics.signature()
    assert "case:mixed" in signature
    assert "tok:13a" in signature
    assert sacrebleu.__version__ in signature


def test_noise_follows_from_the_seed(trained: Checkpoint, corpus: ParallelCorpus) -> None:
    evaluator = TextEvaluator(trained.codec, trained.tokenizer, corpus.test, channel=Channel())
    heard: list[torch.Tensor] = []
    assert trained.codec.jsc_decoder is not None
    hook = trained.codec.jsc_decoder.register_forward_pre_hook(lambda _module, args: heard.append(args[0]))
    counts, figures = evaluator.measure(k=6, snr_db=0.0, seed=3)
    again, _ = evaluator.measure(k=6, snr_db=0.0, seed=3)
    evaluator.measure(k=6, snr_db=0.0, seed=4)
    hook.remove()
    batches = len(heard) // 3
    first, second, other = (heard[i * batches : (i + 1) * batches] for i in range(3))
    assert np.array_equal(counts, again)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert set(figures) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}


def test_each_sentence_is_scored_against_its_own_reference(local: Checkpoint, corpus: ParallelCorpus) -> None:
    """Length-bucketed batches are undone: the order of the test set does not matter."""
    straight, backwards = (
        TextEvaluator(local.codec, local.tokenizer, pairs, channel=None).measure(k=0, snr_db=0.0, seed=0)[0]
        for pairs in (corpus.test, corpus.test[::-1])
    )
    assert np.array_equal(straight, backwards[::-1])
    assert len(np.unique(straight, axis=0)) > 1, "sentences differ, so a wrong order would show"


def test_sentence_longer_than_the_codec_allows_is_cut(trained: Checkpoint) -> None:
    longest = trained.codec.config.max_length
    evaluator = TextEvaluator(
        trained.codec, trained.tokenizer, [("the dog " * longest, "der Hund")], channel=Channel()
    )
    (batch,) = evaluator._batches
    assert batch.mask.shape == (1, longest)
    with torch.inference_mode():
        evaluator.measure(k=2, snr_db=0.0, seed=0)

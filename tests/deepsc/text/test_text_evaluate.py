"""BLEU as the maps report it, against sacrebleu and nltk themselves."""

import numpy as np
import pytest
import sacrebleu
import torch
from nltk.translate.bleu_score import corpus_bleu as nltk_corpus_bleu

from data.files.errors import ToolkitError
from data.text.parallel import ParallelCorpus
from deepsc.checkpoint import Checkpoint
from deepsc.link.channel import Channel
from deepsc.text.bleu_tokenizer import choose_tokenizer, scorer, tokenizer_of
from deepsc.text.config import CorpusConfig
from deepsc.text.evaluate import (
    BleuStatistics,
    TextEvaluator,
    corpus_bleu,
    nltk_bleu,
    text_evaluator,
)

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


CHINESE = ["一个男人在公园里跑步。", "两只狗在草地上玩耍,看起来很开心。"]
NEARLY = ["一个男人在公园里跑。", "两只狗在草地上玩耍,看来很开心。"]


def test_chinese_is_scored_by_its_own_tokenizer() -> None:
    """By the usual one a sentence is a word or two, and two sentences that are nearly right score 0."""
    assert sacrebleu.corpus_bleu(NEARLY, [CHINESE]).score == 0.0
    tokenize = choose_tokenizer(None, language="zh", references=CHINESE)
    counts = BleuStatistics(NEARLY, CHINESE, tokenize=tokenize).counts
    expected = sacrebleu.corpus_bleu(NEARLY, [CHINESE], tokenize="zh").score
    assert expected > 70
    assert corpus_bleu(counts.sum(axis=0)) == pytest.approx(expected)
    assert nltk_bleu(NEARLY, CHINESE, tokenize=tokenize)["BLEU-4"] > 0.7
    assert nltk_bleu(NEARLY, CHINESE)["BLEU-1"] == 0
    assert "tok:zh" in text_evaluator(tokenize).signature()
    assert "tok:13a" in TextEvaluator.signature()


@pytest.mark.parametrize(
    ("pair", "task", "tokenizer"),
    [
        ("en-de", "translate", "13a"), ("en-zh", "translate", "zh"), ("zh-en", "translate", "13a"),
        ("zh-en", "reconstruct", "zh"), ("eng_Latn-zho_Hans", "translate", "zh"),
        ("en-zh_CN", "translate", "zh"), ("en-yue", "translate", "zh"), ("en-ja", "translate", "ja-mecab"),
        ("en-KO", "translate", "ko-mecab"), ("en-th", "translate", "char"), ("en-fr", "translate", "13a"),
    ],
)  # fmt: skip
def test_the_tokenizer_follows_the_target_language(pair: str, task: str, tokenizer: str) -> None:
    corpus = CorpusConfig(dataset="files", source="a", target="b", pair=pair)
    assert tokenizer_of(corpus.language(task)) == tokenizer


@pytest.mark.parametrize("references", [CHINESE, ["これはペンです。"], ["ผู้ชายวิ่งในสวน"]])
def test_references_without_spaces_need_a_tokenizer(references: list[str]) -> None:
    """A corpus whose language nobody named is not scored wrongly in silence."""
    with pytest.raises(ToolkitError, match="give bleu_tokenize"):
        choose_tokenizer(None, language="de", references=references)
    assert choose_tokenizer("char", language="de", references=references) == "char"
    assert choose_tokenizer("13a", language="zh", references=references) == "13a"
    assert choose_tokenizer(None, language="de", references=["ein Satz über 北京 und mehr"]) == "13a"
    with pytest.raises(ToolkitError, match=r"bleu_tokenize: 'words' given, allowed: 13a"):
        choose_tokenizer("words", language="de", references=references)


@pytest.mark.parametrize(
    ("language", "tokenizer", "extra"), [("ja", "ja-mecab", "[ja]"), ("ko", "ko-mecab", "[ko]")]
)
def test_a_missing_tokenizer_is_one_line_with_the_fix(
    language: str, tokenizer: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_args: object, **_options: object) -> None:
        raise RuntimeError("\nJapanese tokenization requires extra dependencies.\nPlease install them.\n")

    monkeypatch.setattr("sacrebleu.metrics.BLEU", missing)
    scorer.cache_clear()
    with pytest.raises(ToolkitError, match=rf"'{tokenizer}'.*pip install 'sacrebleu") as error:
        choose_tokenizer(None, language=language, references=["a"])
    scorer.cache_clear()
    assert extra in str(error.value)
    assert "\n" not in str(error.value)


def test_noise_follows_from_the_seed(trained: Checkpoint, corpus: ParallelCorpus) -> None:
    evaluator = TextEvaluator(trained.codec, trained.tokenizer, corpus.test, channel=Channel())
    heard: list[torch.Tensor] = []
    assert trained.codec.jsc_decoder is not None
    hook = trained.codec.jsc_decoder.register_forward_pre_hook(
        lambda _module, args: heard.append(args[0].symbols)
    )
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
    assert batch.sent.mask.shape == (1, longest)
    with torch.inference_mode():
        evaluator.measure(k=2, snr_db=0.0, seed=0)

"""Joint BPE: any text comes back, before and after storing; other tokenizers are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from data.files.errors import ToolkitError
from data.text.parallel import ParallelCorpus, load_parallel
from data.text.tokenizer import JointBPE, load_tokenizer

STRANGE = [
    "a </s> b",
    "<pad>",
    "</s>",
    "tab\there",
    "two\nlines",
    "日本 ☂ 👩‍🚀",
    "  ",
    "x  y",
    "\x00",
    "ﬁ",
    "e\u0301",
]


@pytest.fixture(scope="module")
def captions() -> ParallelCorpus:
    return load_parallel(dataset="captions", caption_count=200)


@pytest.fixture(scope="module")
def bpe(captions: ParallelCorpus) -> JointBPE:
    return JointBPE.train((sentence for pair in captions.train for sentence in pair), vocab_size=400)


def test_unseen_sentences_of_both_languages_come_back(bpe: JointBPE, captions: ParallelCorpus) -> None:
    for sentences in zip(*captions.test, strict=True):
        ids = bpe.encode(sentences)
        assert bpe.decode(ids) == list(sentences)
        assert bpe.encode_target(sentences) == ids, "one vocabulary serves both languages"
        assert all(row[-1] == bpe.eos_id and bpe.eos_id not in row[:-1] for row in ids)
        assert all(bpe.pad_id not in row and max(row) < bpe.vocab_size for row in ids)
    assert 258 < bpe.vocab_size <= 400
    characters = sum(len(sentence) for sentence, _ in captions.test)
    assert sum(map(len, bpe.encode([sentence for sentence, _ in captions.test]))) < 0.6 * characters, "merged"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_any_text_comes_back_but_for_space_at_its_ends(bpe: JointBPE, sentences: list[str]) -> None:
    assert bpe.decode(bpe.encode(sentences)) == [sentence.strip() for sentence in sentences]


@pytest.mark.parametrize("text", STRANGE)
def test_special_tokens_in_a_sentence_are_text(bpe: JointBPE, text: str) -> None:
    (row,) = bpe.encode([text])
    assert row[-1] == bpe.eos_id
    assert not {bpe.pad_id, bpe.eos_id} & set(row[:-1])
    assert bpe.decode([row]) == [text.strip()]


def test_decoding_leaves_out_special_tokens(bpe: JointBPE) -> None:
    (row,) = bpe.encode(["A dog runs."])
    assert bpe.decode([[bpe.pad_id, *row, bpe.pad_id, bpe.pad_id]]) == ["A dog runs."]
    assert bpe.decode([[]]) == [""]


def test_training_is_deterministic(bpe: JointBPE, captions: ParallelCorpus) -> None:
    again = JointBPE.train((sentence for pair in captions.train for sentence in pair), vocab_size=400)
    sentences = [sentence for pair in captions.test for sentence in pair]
    assert again.encode(sentences) == bpe.encode(sentences)


def test_thinned_it_cuts_words_to_other_pieces_of_the_same_text(
    bpe: JointBPE, captions: ParallelCorpus
) -> None:
    sentences = [sentence for pair in captions.test for sentence in pair] + STRANGE
    whole, rows = bpe.encode(sentences), []
    for seed in (0, 0, 1):
        thinned = bpe.thinned(0.1, np.random.default_rng(seed))
        assert thinned.vocab_size == bpe.vocab_size
        rows.append(thinned.encode(sentences))
        assert bpe.decode(rows[-1]) == [sentence.strip() for sentence in sentences]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]
    assert sum(map(len, whole)) < sum(map(len, rows[0])) < 1.6 * sum(map(len, whole))
    none, all_of_them = (bpe.thinned(share, np.random.default_rng(0)).encode(sentences) for share in (0, 1))
    assert none == whole
    assert [len(row) - 1 for row in all_of_them[:3]] == [
        len(f" {sentence}".encode()) for sentence in sentences[:3]
    ], "single bytes are left"


def test_stored_and_loaded_it_is_the_same(bpe: JointBPE, captions: ParallelCorpus, tmp_path: Path) -> None:
    bpe.save(tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["tokenizer.json"]
    loaded = load_tokenizer(tmp_path / "new")
    assert isinstance(loaded, JointBPE)
    assert loaded.vocab_size == bpe.vocab_size
    sentences = [sentence for pair in captions.test for sentence in pair] + STRANGE
    assert loaded.encode(sentences) == bpe.encode(sentences)
    assert loaded.decode(bpe.encode(sentences)) == bpe.decode(bpe.encode(sentences))


def test_a_foreign_tokenizer_is_refused(tmp_path: Path) -> None:
    foreign = Tokenizer(models.BPE())
    foreign.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=50, special_tokens=["<s>", "</s>"], show_progress=False)
    foreign.train_from_iterator(["some words"], trainer)
    foreign.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ToolkitError, match=r"foreign tokenizer.*<pad>"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_tokenizer_is_refused(bpe: JointBPE, tmp_path: Path, share: float) -> None:
    bpe.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    text = path.read_bytes()
    path.write_bytes(text[: int(share * len(text))])
    with pytest.raises(ToolkitError, match="damaged") as error:
        load_tokenizer(tmp_path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_or_empty_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="no such file"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": None}))
    with pytest.raises(ToolkitError, match="damaged"):
        load_tokenizer(tmp_path)

"""Parallel corpora: where sentences come from, what is refused, and that the splits never mix."""

import errno
import gzip
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import nltk
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.corpus.reader import AlignedCorpusReader
from nltk.corpus.util import LazyCorpusLoader

from data.files.errors import ToolkitError
from data.text import parallel
from data.text.parallel import (
    DATASETS,
    SPLITS,
    ParallelCorpus,
    load_parallel,
    split_by_hash,
)

SHARED = Path(os.environ.get("DEEPSC_DATA") or Path(__file__).parents[4] / "shared" / "data")
needs_multi30k = pytest.mark.skipif(
    not (SHARED / "multi30k").is_dir(), reason=f"no Multi30k in {SHARED} (set $DEEPSC_DATA)"
)
FILES = {"train": "train", "validation": "val", "test": "test_2016_flickr"}


@pytest.fixture(autouse=True)
def no_network_no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data folder, an empty cache, and a proxy that refuses every connection."""
    monkeypatch.delenv("DEEPSC_DATA", raising=False)
    monkeypatch.setenv("DEEPSC_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")


@pytest.fixture
def aligned(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Two aligned files of `count` sentences, plain or gzipped."""

    def make(count: int = 400, *, suffix: str = "") -> tuple[Path, Path]:
        paths = tmp_path / f"own.en{suffix}", tmp_path / f"own.de{suffix}"
        for path, word in zip(paths, ("sentence", "Satz"), strict=True):
            text = "".join(f"{word} {i} ü\n" for i in range(count)).encode()
            path.write_bytes(gzip.compress(text) if suffix else text)
        return paths

    return make


@pytest.fixture
def fake_multi30k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A data folder of the real layout with sentences of ours, and their checksums."""

    def make(**splits: Sequence[tuple[str, str]]) -> Path:
        checksums = {}
        for split, stem in FILES.items():
            pairs = splits.get(split, [(f"{split} {i}", f"{split} auf Deutsch {i}") for i in range(20)])
            for language, side in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
                path = tmp_path / "data" / "multi30k" / f"{stem}.{language}.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(gzip.compress("".join(f"{line}\n" for line in side).encode()))
                checksums[f"{stem}.{language}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(parallel, "_MULTI30K_SHA256", checksums)
        return tmp_path / "data"

    return make


@pytest.fixture
def comtrans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An nltk data folder with a small `comtrans`; without a call, nltk has no data at all."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    loader = LazyCorpusLoader("comtrans", AlignedCorpusReader, r"(?!\.).*\.txt")
    monkeypatch.setattr(nltk.corpus, "comtrans", loader)

    def make(name: str, count: int = 400) -> None:
        folder = tmp_path / "nltk_data" / "corpora" / "comtrans"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"Satz Nummer {i}\nsentence number {i}\n0-0 1-1 2-2\n" for i in range(count)]
        (folder / f"alignment-{name}.txt").write_text("".join(lines), encoding="utf-8")

    return make


def sources(corpus: ParallelCorpus, split: str) -> set[str]:
    return {source for source, _ in getattr(corpus, split)}


def assert_never_mixed(corpus: ParallelCorpus) -> None:
    for i, split in enumerate(SPLITS):
        assert sources(corpus, split)
        for other in SPLITS[i + 1 :]:
            assert not sources(corpus, split) & sources(corpus, other), (split, other)


def refused(**arguments: object) -> str:
    with pytest.raises(ToolkitError) as error:
        load_parallel(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


# Multi30k


@needs_multi30k
@pytest.mark.parametrize("pair", ["en-de", "de-en", "en-fr"])
def test_multi30k_is_whole_and_its_splits_never_mix(pair: str) -> None:
    corpus = load_parallel(dataset="multi30k", pair=pair, data_dir=SHARED)
    assert_never_mixed(corpus)
    sizes = [len(getattr(corpus, split)) for split in SPLITS]
    assert sizes == [28_999, 1014, 1000], "one training caption of 29,000 is held out too"
    assert not corpus.synthetic
    assert pair in corpus.name
    published = dict(line.split()[::-1] for line in (SHARED / "SHA256SUMS").read_text().splitlines())
    assert len(corpus.sha256) == 6
    for name, digest in corpus.sha256.items():
        assert published[name] == digest


@needs_multi30k
def test_multi30k_is_found_by_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSC_DATA", str(SHARED))
    corpus = load_parallel(dataset="multi30k")
    assert corpus == load_parallel(dataset="multi30k", data_dir=SHARED)
    english, german = corpus.test[0]
    assert "man" in english.lower()
    assert "mann" in german.lower()


def test_sentences_of_two_official_splits_are_kept_for_the_later_one_alone(
    fake_multi30k: Callable[..., Path],
) -> None:
    folder = fake_multi30k(
        train=[("a", "A"), ("in test", "x"), ("in test", "y"), ("in validation", "z"), ("a", "AA")],
        validation=[("b", "B"), ("in test", "w"), ("in validation", "v")],
        test=[("c", "C"), ("in test", "u")],
    )
    corpus = load_parallel(dataset="multi30k", data_dir=folder)
    assert corpus.train == (("a", "A"), ("a", "AA")), "two translations of one sentence may be learned"
    assert corpus.validation == (("b", "B"), ("in validation", "v"))
    assert corpus.test == (("c", "C"), ("in test", "u"))
    backwards = load_parallel(dataset="multi30k", pair="de-en", data_dir=folder)
    assert backwards.test == (("C", "c"), ("u", "in test"))


def test_multi30k_lines_must_be_aligned(fake_multi30k: Callable[..., Path]) -> None:
    folder = fake_multi30k()
    path = folder / "multi30k" / "val.de.gz"
    path.write_bytes(gzip.compress(b"nur ein Satz\n"))
    assert "SHA-256 differs" in refused(dataset="multi30k", data_dir=folder)
    parallel._MULTI30K_SHA256["val.de"] = hashlib.sha256(path.read_bytes()).hexdigest()
    message = refused(dataset="multi30k", data_dir=folder)
    assert "multi30k validation: 20 source lines but 1 target lines" in message


@pytest.mark.parametrize("name", ["train.en", "val.de", "test_2016_flickr.en"])
def test_a_damaged_or_missing_file_is_named(fake_multi30k: Callable[..., Path], name: str) -> None:
    folder = fake_multi30k()
    path = folder / "multi30k" / f"{name}.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    message = refused(dataset="multi30k", data_dir=folder)
    assert str(path) in message
    assert "SHA-256 differs" in message
    path.unlink()
    message = refused(dataset="multi30k", data_dir=folder)
    assert f"{path}: no such file" in message
    assert "data_dir or $DEEPSC_DATA must hold" in message


def test_no_network_and_no_data_says_exactly_what_to_do(tmp_path: Path) -> None:
    message = refused(dataset="multi30k")
    for part in (
        "cannot download https://raw.githubusercontent.com/multi30k/", "train.en.gz",
        f"put the file at {tmp_path / 'cache' / 'multi30k' / 'train.en.gz'} yourself",
        "data_dir", "$DEEPSC_DATA", "dataset captions", "needs no download",
    ):  # fmt: skip
        assert part in message
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("pair", ["en-en", "en", "", "en-de-fr", "en-cs", "de-", "-"])
def test_a_language_pair_that_is_not_to_be_had_is_refused(pair: str) -> None:
    for dataset in ("multi30k", "captions"):
        message = refused(dataset=dataset, pair=pair)
        assert "pair" in message
        assert repr(pair) in message


def test_an_unknown_dataset_is_refused_with_those_there_are() -> None:
    message = refused(dataset="wmt")
    assert "dataset: 'wmt'" in message
    assert all(name in message for name in DATASETS)


# Two aligned files


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_aligned_files_are_read_whole_and_split(
    aligned: Callable[..., tuple[Path, Path]], suffix: str
) -> None:
    source, target = aligned(suffix=suffix)
    corpus = load_parallel(dataset="files", source=source, target=target)
    assert_never_mixed(corpus)
    everything = [pair for split in SPLITS for pair in getattr(corpus, split)]
    assert sorted(everything) == sorted((f"sentence {i} ü", f"Satz {i} ü") for i in range(400))
    assert len(corpus.train) > 320
    assert len(corpus.validation) > 5
    assert len(corpus.test) > 5
    assert not corpus.synthetic
    expected = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (source, target)}
    assert corpus.sha256 == expected


def test_a_plain_and_a_gzipped_file_may_be_mixed(aligned: Callable[..., tuple[Path, Path]]) -> None:
    plain, gzipped = aligned(), aligned(suffix=".gz")
    mixed = load_parallel(dataset="files", source=plain[0], target=gzipped[1])
    assert mixed.test == load_parallel(dataset="files", source=plain[0], target=plain[1]).test


def test_windows_line_ends_and_a_missing_last_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\r\n".join(f"  sentence {i} \u2028 x" for i in range(300)).encode())
    (tmp_path / "b").write_bytes("".join(f"Satz {i}\n" for i in range(300)).encode())
    corpus = load_parallel(dataset="files", source=tmp_path / "a", target=tmp_path / "b")
    pairs = {pair for split in SPLITS for pair in getattr(corpus, split)}
    assert pairs == {(f"sentence {i} \u2028 x", f"Satz {i}") for i in range(300)}


SEPARATORS = ("\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r\r")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_line_feeds_end_a_line(tmp_path: Path, suffix: str, end: str) -> None:
    """Pairs between two stray separators, one on each side, would be misaligned without an error."""
    sides = [[f"sentence {i} here" for i in range(400)], [f"Satz {i} hier" for i in range(400)]]
    for number, separator in enumerate(SEPARATORS):
        for side, row in zip(sides, (5 + number, 300 + number), strict=True):
            side[row] = side[row].replace(" ", separator)
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path, side in zip(paths, sides, strict=True):
        content = "".join(line + end for line in side).encode()
        path.write_bytes(gzip.compress(content) if suffix else content)
    corpus = load_parallel(dataset="files", source=paths[0], target=paths[1])
    pairs = [pair for split in SPLITS for pair in getattr(corpus, split)]
    assert sorted(pairs) == sorted(zip(*sides, strict=True))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, suffix: str) -> None:
    """Nor is that of a file that was appended to another."""
    for name, word in (("a", "sentence"), ("b", "Satz")):
        parts = ("".join(f"{word} {i}\n" for i in part) for part in (range(200), range(200, 400)))
        content = b"".join(part.encode("utf-8-sig") for part in parts)
        (tmp_path / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    corpus = load_parallel(dataset="files", source=tmp_path / f"a{suffix}", target=tmp_path / f"b{suffix}")
    pairs = {pair for split in SPLITS for pair in getattr(corpus, split)}
    assert pairs == {(f"sentence {i}", f"Satz {i}") for i in range(400)}


def test_a_line_that_is_empty_on_one_side_is_left_out_on_both(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").write_text("".join(f"{'' if i % 3 == 0 else i}\n" for i in range(600)))
    (tmp_path / "b").write_text("".join(f"{' ' if i % 3 == 1 else -i}\n" for i in range(600)))
    corpus = load_parallel(dataset="files", source=tmp_path / "a", target=tmp_path / "b")
    pairs = {pair for split in SPLITS for pair in getattr(corpus, split)}
    assert pairs == {(str(i), str(-i)) for i in range(600) if i % 3 == 2}
    assert "400 of 600 pairs are left out, a side of them is blank" in caplog.text


def test_few_sources_are_said_to_be_few(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"sentence {i % 2}\n" for i in range(900)))
    (tmp_path / "b").write_text("".join(f"Satz {i}\n" for i in range(900)))
    message = refused(dataset="files", source=tmp_path / "a", target=tmp_path / "b")
    assert (
        "these 900 have 2 different source sentences, and pairs of equal sources stay in one split" in message
    )


def test_what_the_file_system_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = tmp_path / ("x" * 300)
    assert "File name too long" in refused(dataset="files", source=name, target=name)
    assert "File name too long" in refused(dataset="multi30k", data_dir=name)
    assert "UTF-8 is allowed" in refused(dataset="files", source=tmp_path / "\udcff", target=tmp_path / "b")

    def stat(path: Path, **options: bool) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "stat", stat)  # root, who may run the tests, may enter every folder
    message = refused(dataset="files", source=tmp_path / "a", target=tmp_path / "b")
    assert message.startswith(str(tmp_path / "a"))
    assert "Permission denied" in message


def test_repeated_sentences_of_a_file_stay_in_one_split(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"sentence {i % 150}\n" for i in range(900)))
    (tmp_path / "b").write_text("".join(f"Satz {i}\n" for i in range(900)))
    corpus = load_parallel(dataset="files", source=tmp_path / "a", target=tmp_path / "b")
    assert_never_mixed(corpus)
    assert sum(len(getattr(corpus, split)) for split in SPLITS) == 900


def test_misaligned_files_are_refused_with_both_counts(aligned: Callable[..., tuple[Path, Path]]) -> None:
    source, target = aligned()
    target.write_text("nur ein Satz\n")
    message = refused(dataset="files", source=source, target=target)
    assert "400 source lines but 1 target lines" in message
    assert str(source) in message
    assert str(target) in message


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_with_too_few_sentences_are_refused(
    aligned: Callable[..., tuple[Path, Path]], count: int, suffix: str
) -> None:
    source, target = aligned(count, suffix=suffix)
    message = refused(dataset="files", source=source, target=target)
    assert "split is empty; give more sentence pairs" in message
    assert source.name in message


GZIPPED = gzip.compress(bytes(range(32, 127)) * 300)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        pytest.param("", b"gr\xfc\xdfe\n", id="latin-1"),
        pytest.param("", "grüße\n".encode("utf-16"), id="utf-16"),
        pytest.param("", GZIPPED, id="gzip not named so"),
        pytest.param(".gz", gzip.compress(b"gr\xfc\xdfe\n"), id="latin-1 in gzip"),
        pytest.param(".gz", b"plain text\n", id="not gzip"),
        pytest.param(".gz", GZIPPED[:-4], id="gzip without its end"),
        pytest.param(".gz", GZIPPED[:5], id="gzip header alone"),
        pytest.param(".gz", GZIPPED[:20] + b"\xff" * 30 + GZIPPED[50:], id="gzip with a hole"),
        pytest.param(".gz", GZIPPED[:-8] + bytes(8), id="gzip with a wrong checksum"),
        pytest.param(".gz", GZIPPED + b"junk", id="gzip with junk behind"),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_unreadable_files_are_named(
    aligned: Callable[..., tuple[Path, Path]], suffix: str, content: bytes, side: int
) -> None:
    paths = aligned(suffix=suffix)
    paths[side].write_bytes(content)
    message = refused(dataset="files", source=paths[0], target=paths[1])
    assert f"{paths[side]}: cannot be read as UTF-8 text" in message


@pytest.mark.parametrize("cut", range(0, len(GZIPPED) - 1, 7))
def test_gzip_cut_anywhere_is_an_error_or_empty(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(GZIPPED[:cut])
    assert str(path) in refused(dataset="files", source=path, target=path) or cut == 0


def test_missing_files_and_halves_of_a_pair_are_refused(
    aligned: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    source, target = aligned()
    absent = tmp_path / "absent"
    assert refused(dataset="files", source=absent, target=target) == f"{absent}: no such file"
    assert refused(dataset="files", source=source, target=absent) == f"{absent}: no such file"
    assert str(tmp_path) in refused(dataset="files", source=tmp_path, target=target)
    for half in ({"source": source}, {"target": target}, {}):
        assert "source and target must be given together" in refused(dataset="files", **half)


# Captions


@pytest.mark.parametrize("pair", ["en-de", "de-en"])
def test_captions_come_in_any_number_without_mixing_and_are_labelled(pair: str) -> None:
    corpus = load_parallel(dataset="captions", pair=pair, caption_count=3000)
    assert_never_mixed(corpus)
    assert [len(getattr(corpus, split)) for split in SPLITS] == [3000, 150, 150]
    for split in SPLITS:
        assert len(sources(corpus, split)) == len(getattr(corpus, split)), "no sentence twice"
    assert corpus.synthetic
    assert "synthetic" in corpus.name
    assert corpus == load_parallel(dataset="captions", pair=pair, caption_count=3000)
    english = dict(corpus.test if pair == "en-de" else [pair[::-1] for pair in corpus.test])
    assert all(" the " in f" {text.lower()}" or " a" in f" {text.lower()}" for text in english)


def test_more_captions_leave_the_smaller_sets_sentences_in_their_splits() -> None:
    small = load_parallel(dataset="captions", caption_count=1)
    large = load_parallel(dataset="captions", caption_count=4000)
    assert [len(getattr(small, split)) for split in SPLITS] == [1, 50, 50]
    for split in SPLITS:
        assert set(getattr(small, split)) <= set(getattr(large, split))
    assert not sources(small, "test") & sources(large, "train")


@pytest.mark.parametrize("count", [0, -5])
def test_no_captions_are_refused(count: int) -> None:
    assert f"{count} training pairs asked for, at least 1" in refused(dataset="captions", caption_count=count)


# Europarl


def test_europarl_without_nltk_data_says_what_to_do(comtrans: Callable[..., None]) -> None:
    message = refused(dataset="europarl")
    assert "python -m nltk.downloader comtrans" in message
    assert "dataset captions" in message


@pytest.mark.parametrize("pair", ["de-en", "en-de"])
def test_europarl_is_read_in_both_directions(comtrans: Callable[..., None], pair: str) -> None:
    comtrans("de-en")
    corpus = load_parallel(dataset="europarl", pair=pair)
    assert_never_mixed(corpus)
    pairs = {pair for split in SPLITS for pair in getattr(corpus, split)}
    expected = {(f"Satz Nummer {i}", f"sentence number {i}") for i in range(400)}
    assert pairs == (expected if pair == "de-en" else {(english, german) for german, english in expected})
    assert not corpus.synthetic
    assert "europarl" in corpus.name
    ((name, digest),) = corpus.sha256.items()
    assert "alignment-de-en" in name
    assert len(digest) == 64


@pytest.mark.parametrize(
    "content", ["Satz\nsentence\n9-9\n", "Satz\nsentence\nx\n", "Satz\nsent", "\x00\n" * 7]
)
def test_a_damaged_europarl_is_named(comtrans: Callable[..., None], tmp_path: Path, content: str) -> None:
    comtrans("de-en")
    path = tmp_path / "nltk_data" / "corpora" / "comtrans" / "alignment-de-en.txt"
    path.write_text(content)
    assert "de-en" in refused(dataset="europarl", pair="de-en")


def test_europarl_names_the_pairs_it_has(comtrans: Callable[..., None]) -> None:
    comtrans("de-en")
    comtrans("en-fr")
    assert "nltk's comtrans has de-en, en-fr" in refused(dataset="europarl", pair="fr-de")


# Splits


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=200))
def test_splitting_keeps_every_pair_and_equal_sources_together(pairs: list[tuple[str, str]]) -> None:
    splits = split_by_hash(pairs)
    assert set(splits) == set(SPLITS)
    assert Counter(pair for split in splits.values() for pair in split) == Counter(pairs)
    for source in {source for source, _ in pairs}:
        assert sum(any(source == other for other, _ in split) for split in splits.values()) == 1


def test_splits_are_90_5_5_per_cent_and_depend_on_the_source_alone() -> None:
    pairs = [(f"sentence {i}", f"Satz {i}") for i in range(20_000)]
    splits = split_by_hash(pairs)
    shares = [len(splits[split]) / len(pairs) for split in SPLITS]
    assert shares == pytest.approx([0.9, 0.05, 0.05], abs=0.005)
    reversed_splits = split_by_hash((source, "x") for source, _ in reversed(pairs))
    for split in SPLITS:
        assert {source for source, _ in splits[split]} == {source for source, _ in reversed_splits[split]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": (("a", "A"),)}, "'a' is in train and in test"),
        ({"validation": (("b", "B"), ("a", "x"))}, "'a' is in train and in validation"),
        ({"test": (("b", "y"),)}, "'b' is in validation and in test"),
        ({"train": ()}, "train split is empty"),
        ({"validation": ()}, "validation split is empty"),
        ({"test": ()}, "test split is empty"),
    ],
)
def test_no_corpus_with_mixed_or_empty_splits_can_be_made(
    changes: dict[str, tuple[tuple[str, str], ...]], message: str
) -> None:
    splits = {"train": (("a", "A"), ("a", "AA")), "validation": (("b", "B"),), "test": (("c", "C"),)}
    ParallelCorpus(name="own", synthetic=False, **splits)
    with pytest.raises(ToolkitError, match=message):
        ParallelCorpus(name="own", synthetic=False, **splits | changes)

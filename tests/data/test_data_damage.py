"""Damaged, foreign and hostile corpora: text, images, questions, tokenizers."""

import gzip
import io
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.micro_media import write_clevr
from support.mutations import (
    damaged_bytes,
    damaged_documents,
    hostile_pickle,
    outcome,
    refused_for_size,
    watched,
)

from data.files import documents as artifacts
from data.files.documents import read_json
from data.files.errors import ToolkitError
from data.images.load import load_images
from data.images.read import LARGEST_IMAGE, read_image
from data.questions import load as vqa
from data.questions.load import load_vqa
from data.text import parallel
from data.text.parallel import load_parallel
from data.text.tokenizer import JointBPE, OpusMTTokenizer, load_tokenizer

SENTENCES = [f"a sentence of {number} words" for number in range(300)]
TEXT = "\n".join(SENTENCES).encode()


def encoded(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind)
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpora")


@pytest.mark.parametrize("content", [b"", b"null", b"1" * 99, b"\xff\xfe{}"])
def test_devices_and_folders_are_no_files(folder: Path, content: bytes) -> None:
    for path in (Path("/dev/zero"), folder):
        with pytest.raises(ToolkitError, match="not a file"):
            read_json(path)
        with pytest.raises(ToolkitError, match="not a file"):
            load_parallel(dataset="files", source=path, target=path)


@settings(max_examples=100)
@given(content=damaged_bytes(gzip.compress(TEXT, mtime=0)))
def test_damaged_gzip(folder: Path, content: bytes) -> None:
    path = folder / "source.gz"
    path.write_bytes(content)
    outcome(lambda: load_parallel(dataset="files", source=path, target=path), path)


@settings(max_examples=60)
@given(content=damaged_bytes(TEXT))
def test_damaged_text(folder: Path, content: bytes) -> None:
    path = folder / "source.txt"
    path.write_bytes(content)
    found = outcome(lambda: load_parallel(dataset="files", source=path, target=path), path)
    assert found is None or all(len(pair) == 2 for pair in found.train)


def test_a_gzip_file_padded_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "source.gz"
    path.write_bytes(gzip.compress(TEXT))
    os.truncate(path, parallel.LARGEST_TEXT)
    with watched(), pytest.raises(ToolkitError, match="padded with zeros"):
        parallel._read_lines(path)


def test_a_gzip_bomb_of_one_line(tmp_path: Path) -> None:
    """A small file that holds one line of many zeros."""
    path = tmp_path / "source.gz"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    path.write_bytes(b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush())
    assert path.stat().st_size < 2**17
    with pytest.raises(ToolkitError, match="line 1 has over 100000 characters"):
        load_parallel(dataset="files", source=path, target=path)


def test_a_gzip_bomb_of_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LARGEST_TEXT", 2**20)
    path = tmp_path / "source.gz"
    path.write_bytes(gzip.compress(b"\n" * 2**20))
    with pytest.raises(ToolkitError, match="GiB of text; give a part of it"):
        load_parallel(dataset="files", source=path, target=path)


@pytest.mark.parametrize("name", ["source.txt", "source.gz"])
def test_a_huge_corpus(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    read = lambda: load_parallel(dataset="files", source=path, target=path)  # noqa: E731
    refused_for_size(read, path, largest=parallel.LARGEST_TEXT)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "PPM"])
def test_damaged_images(folder: Path, kind: str) -> None:
    path = folder / f"image.{kind.lower()}"

    @settings(max_examples=60)
    @given(content=damaged_bytes(encoded(kind)))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = outcome(lambda: read_image(path), path)
        assert found is None or (found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8)

    check()


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "GIF", "PDF"])
def test_other_formats_under_a_known_name(tmp_path: Path, kind: str) -> None:
    """Pillow hands EPS to Ghostscript."""
    path = tmp_path / "image.png"
    path.write_bytes(encoded(kind))
    assert outcome(lambda: read_image(path), path) is None


def test_an_image_of_absurd_size(tmp_path: Path) -> None:
    whole = bytearray(encoded("PNG"))
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + whole[24:29]
    whole[12:33] = header + zlib.crc32(header).to_bytes(4, "big")
    path = tmp_path / "image.png"
    path.write_bytes(whole)
    assert outcome(lambda: read_image(path), path) is None


def test_a_huge_image(tmp_path: Path) -> None:
    """Pillow would read its one chunk whole."""
    path = tmp_path / "image.png"
    path.write_bytes(encoded("PNG")[:33] + LARGEST_IMAGE.to_bytes(4, "big") + b"iCCP")
    refused_for_size(lambda: read_image(path), path, largest=LARGEST_IMAGE)


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "a.png").write_bytes(encoded("PNG"))
    (tmp_path / "train" / "cat" / "b.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ToolkitError, match=r"folder: .*b\.png: cannot be read \(no such file\); mend"):
        load_images(dataset="folder", folder=tmp_path)


def test_pickles_of_cifar10_are_opened_only_if_they_are_the_published_ones(tmp_path: Path) -> None:
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    for name in ("batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        (batches / name).write_bytes(hostile_pickle(tmp_path / "ran"))
    with pytest.raises(ToolkitError, match="no CIFAR-10 to be had"):
        load_images(dataset="cifar10", data_dir=tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def clevr_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of CLEVR's layout, to be damaged."""
    return write_clevr(tmp_path_factory.mktemp("clevr"), train=12, test=4)


def clevr_questions(root: Path) -> Path:
    return root / "clevr" / "questions" / "CLEVR_val_questions.json"


def test_damaged_clevr(clevr_copy: Path) -> None:
    path = clevr_questions(clevr_copy)
    whole = path.read_bytes()

    @settings(max_examples=120)
    @given(content=damaged_documents(json.loads(whole)).map(str.encode) | damaged_bytes(whole))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        named = clevr_copy / "clevr"  # the questions, or an image that they name
        found = outcome(lambda: load_vqa(dataset="clevr", data_dir=clevr_copy), named)
        if found is not None:
            assert all(
                isinstance(one.text, str) and isinstance(one.answer, str) for one in found.test.questions
            )
            assert len(found.test.images[0]) == 32

    check()
    path.write_bytes(whole)


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "a/b.png", "..", ""])
def test_questions_name_images_of_their_own_folder(clevr_copy: Path, name: str) -> None:
    path = clevr_questions(clevr_copy)
    whole = path.read_bytes()
    document = json.loads(whole)
    document["questions"][0]["image_filename"] = name
    path.write_text(json.dumps(document))
    assert outcome(lambda: load_vqa(dataset="clevr", data_dir=clevr_copy), path) is None
    path.write_bytes(whole)


def vqa_v2(root: Path) -> dict[Path, dict[str, Any]]:
    """Two questions about two images in each split, in VQA v2's layout."""
    documents = {}
    for published in ("train2014", "val2014"):
        folder = root / "vqa-v2" / published
        folder.mkdir(parents=True)
        for number in range(12):
            (folder / f"COCO_{published}_{number:012d}.jpg").write_bytes(encoded("JPEG"))
        ids = range(12)
        documents[root / "vqa-v2" / f"v2_OpenEnded_mscoco_{published}_questions.json"] = {
            "questions": [{"image_id": i, "question": "what?", "question_id": i + 100} for i in ids]
        }
        documents[root / "vqa-v2" / f"v2_mscoco_{published}_annotations.json"] = {
            "annotations": [
                {"question_id": i + 100, "multiple_choice_answer": "yes" if i % 2 else "no"} for i in ids
            ]
        }
    for path, document in documents.items():
        path.write_text(json.dumps(document))
    return documents


def test_damaged_vqa_v2(tmp_path: Path) -> None:
    documents = vqa_v2(tmp_path)
    assert len(load_vqa(dataset="vqa-v2", data_dir=tmp_path).test.questions) == 12

    @settings(max_examples=150)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(documents)))
        path.write_text(data.draw(damaged_documents(documents[path])))
        found = outcome(lambda: load_vqa(dataset="vqa-v2", data_dir=tmp_path), tmp_path / "vqa-v2")
        assert found is None or all(isinstance(answer, str) for answer in found.answers)
        path.write_text(json.dumps(documents[path]))

    check()


def test_huge_questions_and_answers(
    clevr_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be larger than other JSON, within bounds."""
    monkeypatch.setattr(artifacts, "LARGEST_JSON", 100)
    load_vqa(dataset="clevr", data_dir=clevr_copy)
    path = clevr_questions(clevr_copy)
    whole = path.read_bytes()
    read = lambda: load_vqa(dataset="clevr", data_dir=clevr_copy)  # noqa: E731
    refused_for_size(read, path, largest=vqa.LARGEST_QUESTIONS)
    path.write_bytes(whole)
    for path in vqa_v2(tmp_path):
        whole = path.read_bytes()
        read = lambda: load_vqa(dataset="vqa-v2", data_dir=tmp_path)  # noqa: E731
        refused_for_size(read, path, largest=vqa.LARGEST_QUESTIONS)
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def bpe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tokenizer")
    JointBPE.train(SENTENCES, vocab_size=262).save(root)
    return root


def use_tokenizer(root: Path) -> None:
    path = root / "tokenizer.json"
    found = outcome(lambda: load_tokenizer(root), path)
    if found is None:
        return
    (row,) = found.encode(["a sentence of 3 words"])
    assert row[-1] == found.eos_id
    assert max(row) < found.vocab_size
    assert isinstance(found.decode([row, list(range(found.vocab_size))])[0], str)


def test_damaged_tokenizers(bpe_folder: Path) -> None:
    path = bpe_folder / "tokenizer.json"
    whole = path.read_bytes()

    @settings(max_examples=150)
    @given(content=damaged_documents(json.loads(whole)).map(str.encode) | damaged_bytes(whole))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        use_tokenizer(bpe_folder)

    check()
    path.write_bytes(whole)


def test_only_the_vocabulary_is_taken_from_a_tokenizers_file(bpe_folder: Path) -> None:
    path = bpe_folder / "tokenizer.json"
    whole = path.read_bytes()
    expected = load_tokenizer(bpe_folder).encode(["a sentence of 3 words"])
    document = json.loads(whole) | {
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None,
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    }  # fmt: skip
    path.write_text(json.dumps(document))
    assert load_tokenizer(bpe_folder).encode(["a sentence of 3 words"]) == expected
    path.write_bytes(pickle.dumps({"model": 1}))
    assert outcome(lambda: load_tokenizer(bpe_folder), path) is None
    path.write_bytes(whole)


def test_huge_tokenizers(tmp_path: Path) -> None:
    largest = artifacts.LARGEST_JSON
    refused_for_size(lambda: load_tokenizer(tmp_path), tmp_path / "tokenizer.json", largest=largest)
    folder = tmp_path / OpusMTTokenizer.folder
    folder.mkdir()
    for name in ("vocab.json", "source.spm"):
        refused_for_size(lambda: load_tokenizer(tmp_path), folder / name, largest=largest)
        (folder / name).unlink()

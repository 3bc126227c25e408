"""VQA sets: easy-VQA's official splits, published layouts, answers."""

import json
import re
import tarfile
from pathlib import Path

import easy_vqa
import numpy as np
import pytest
from PIL import Image
from support.micro_media import write_daquar

from data.files.errors import ToolkitError
from data.images.load import load_images
from data.questions import load as vqa
from data.questions.load import load_vqa
from data.questions.sets import Question, VQASet, VQASplit


def test_easy_vqa_keeps_its_official_test_split() -> None:
    easy = load_vqa(dataset="easy-vqa")
    texts, answers, _ = easy_vqa.get_test_questions()
    assert sorted((one.text, one.answer) for one in easy.test.questions) == sorted(
        zip(texts, answers, strict=True)
    )
    assert sorted(easy.answers) == sorted(easy_vqa.get_answers())
    assert len(easy.train.questions) + len(easy.validation.questions) == len(
        easy_vqa.get_train_questions()[0]
    )
    train, validation = (set(split.images.paths) for split in (easy.train, easy.validation))
    assert not train & validation
    assert len(train | validation) == 4000
    words = " ".join(one.text for one in (*easy.train.questions, *easy.test.questions))
    assert not easy.tells_sides
    assert not re.search("left|right|side|beside|next|behind|front|where|which", words, re.IGNORECASE)
    one = easy.test.questions[0]
    paths = easy_vqa.get_test_image_paths()
    theirs = {(q, a): i for q, a, i in zip(*easy_vqa.get_test_questions(), strict=True) if i == 0}
    assert (one.text, one.answer) in theirs
    assert np.array_equal(easy.test.images[one.image], np.asarray(Image.open(paths[0]).convert("RGB")))


def test_easy_vqa_images_are_labelled_by_the_shape_that_questions_tell() -> None:
    shapes = load_images(dataset="easy-vqa")
    assert shapes.classes == ("circle", "rectangle", "triangle")
    assert shapes.synthetic
    assert 900 < len(shapes.test) <= 1000
    assert min(np.bincount(shapes.test.labels)) > 200
    right = 0
    for image, label in zip(shapes.test.images, shapes.test.labels, strict=True):
        drawn = np.abs(image.astype(int) - image[0, 0]).sum(axis=2) > 60  # (64, 64)
        rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
        box = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        filled = [np.pi / 4, 1, 1 / 2]  # of the shape's box
        right += label == np.abs(box.mean() - filled).argmin()
    assert right > 0.95 * len(shapes.test)


def test_head_keeps_the_questions_of_the_first_images(clevr: Path) -> None:
    test = load_vqa(dataset="clevr", data_dir=clevr).test
    few = test.head(3)
    assert (len(few.images), len(few.questions)) == (3, 6)
    assert few.questions == test.questions[:6]
    assert test.head(None).questions == test.questions


def test_clevr_layout(clevr: Path) -> None:
    squares = load_vqa(dataset="clevr", data_dir=clevr)
    assert squares.synthetic
    assert squares.tells_sides
    assert set(squares.answers) == {"red", "green", "blue", "yes", "no"}
    assert [len(split.images) for split in (squares.train, squares.validation, squares.test)] == [72, 8, 30]
    for question in squares.train.questions:
        if question.text == "What color is the cube?":
            pixels = squares.train.images[question.image]
            channel = {"red": 0, "green": 1, "blue": 2}[question.answer]
            assert pixels.reshape(-1, 3).mean(axis=0).argmax() == channel


def write_vqa_v2(root: Path) -> None:
    for split, count in (("train2014", 10), ("val2014", 2)):
        (root / split).mkdir(parents=True)
        questions, annotations = [], []
        for number in range(count):
            Image.new("RGB", (8, 6)).save(root / split / f"COCO_{split}_{number:012d}.jpg")
            for which in range(2):
                key = 10 * number + which
                answer = "rare" if number == 1 and split == "val2014" else ("yes", "2")[which]
                questions.append({"image_id": number, "question": f"question {which}?", "question_id": key})
                annotations.append({"question_id": key, "multiple_choice_answer": answer})
        for name, content in (
            (f"v2_OpenEnded_mscoco_{split}_questions.json", {"questions": questions}),
            (f"v2_mscoco_{split}_annotations.json", {"annotations": annotations[::-1]}),
        ):
            (root / name).write_text(json.dumps(content))


def test_vqa_v2_layout(tmp_path: Path) -> None:
    write_vqa_v2(tmp_path / "vqa-v2")
    two = load_vqa(dataset="vqa-v2", data_dir=tmp_path)
    assert not two.synthetic
    assert two.tells_sides
    assert set(two.answers) == {"yes", "2"}
    assert [question.answer for question in two.test.questions] == ["yes", "2", "rare", "rare"]
    assert two.test.images[1].shape == (6, 8, 3)
    assert [len(split.images) for split in (two.train, two.validation)] == [9, 1]
    (tmp_path / "vqa-v2" / "train2014" / f"COCO_train2014_{3:012d}.jpg").unlink()
    with pytest.raises(ToolkitError, match=r"COCO_train2014_000000000003\.jpg: cannot be read"):
        load_vqa(dataset="vqa-v2", data_dir=tmp_path)


def test_daquar_layout(tmp_path: Path) -> None:
    write_daquar(tmp_path)
    rooms = load_vqa(dataset="daquar", data_dir=tmp_path)
    assert (rooms.name, rooms.synthetic, rooms.tells_sides) == ("DAQUAR", False, True)
    assert [len(split.images) for split in (rooms.train, rooms.validation, rooms.test)] == [11, 1, 3]
    assert set(rooms.answers) == {"lamp", "2", "white_board"}
    words = {question.text for question in (*rooms.train.questions, *rooms.test.questions)}
    assert words == {"what is next to the image of a cat ?", "how many chairs are there in image ?"}
    for question in rooms.test.questions:
        number = int(rooms.test.images[question.image][0, 0, 0])
        assert question.answer in ("lamp", "2" if number % 2 else "white_board")


def test_daquar_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSC_CACHE", str(tmp_path / "cache"))
    write_daquar(tmp_path / "made")
    tar = tmp_path / "data" / "daquar" / "daquar-256.tar.gz"
    tar.parent.mkdir(parents=True)
    with tarfile.open(tar, "w:gz") as archive:
        archive.add(tmp_path / "made" / "daquar", ".")
    one = load_vqa(dataset="daquar", data_dir=tmp_path / "data")
    other = load_vqa(dataset="daquar", data_dir=tmp_path / "made")
    assert one.sha256 == other.sha256
    assert one.test.questions == other.test.questions
    (unpacked,) = {path.parent for path in one.train.images.paths}
    before = unpacked.stat().st_ctime_ns
    load_vqa(dataset="daquar", data_dir=tmp_path / "data")
    assert unpacked.stat().st_ctime_ns == before
    tar.write_bytes(tar.read_bytes()[:500])
    with pytest.raises(ToolkitError, match=r"cannot unpack .*daquar-256\.tar\.gz"):
        load_vqa(dataset="daquar", data_dir=tmp_path / "data")
    assert not list((tmp_path / "cache").rglob("tmp*"))


def test_language_prior_is_what_two_words_tell() -> None:
    """Right are 2 of 3 that begin "how many", 1 of 2 that begin "what is", 1 of 2 that begin as no other."""
    asked = [
        ("how many cats ?", "2"),
        ("how many dogs ?", "2"),
        ("how many ?", "3"),
        ("What is it ?", "lamp"),
    ]
    train = VQASplit(images=[], questions=tuple(Question(0, *pair) for pair in asked))
    others = [("How many ?", "2"), ("how many x ?", "2"), ("how many ?", "5"), ("what is on it ?", "lamp"),
              ("what is it ?", "sofa"), ("where is it ?", "here"), ("who is it ?", "2")]  # fmt: skip
    test = VQASplit(images=[], questions=tuple(Question(0, *pair) for pair in others))
    rooms = VQASet(
        name="rooms", synthetic=False, tells_sides=True, answers=("2", "3", "lamp"), train=train,
        validation=train, test=test,
    )  # fmt: skip
    assert rooms.language_prior(test.questions) == pytest.approx(100 * 4 / 7)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("all_qa_pairs.txt", "what is this ?\nlamp", "names no image"),
        ("all_qa_pairs.txt", "what is in the image1 ?", "a question without an answer"),
        ("all_qa_pairs.txt", b"\xff\xfe", "all_qa_pairs.txt"),
        ("train_images_list.txt", "../../image1", "no bare name"),
        ("test_images_list.txt", "image99", "image99"),
        ("test_images_list.txt", "", "the test split is empty"),
    ],
)
def test_damaged_daquar_is_named(tmp_path: Path, file: str, content: str | bytes, message: str) -> None:
    with pytest.raises(ToolkitError, match=r"holds neither daquar-256\.tar\.gz nor all_qa_pairs\.txt"):
        load_vqa(dataset="daquar", data_dir=tmp_path)
    write_daquar(tmp_path)
    (tmp_path / "daquar" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ToolkitError, match=message):
        load_vqa(dataset="daquar", data_dir=tmp_path)


def test_all_bad_images_are_listed_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "vqa-v2"
    write_vqa_v2(folder)
    (folder / "train2014" / f"COCO_train2014_{3:012d}.jpg").unlink()
    (folder / "val2014" / f"COCO_val2014_{1:012d}.jpg").write_bytes(b"no image")
    with pytest.raises(ToolkitError) as error:
        load_vqa(dataset="vqa-v2", data_dir=tmp_path)
    for part in ("VQA v2: 2 of 12 images are bad", "2014_000000000003.jpg: cannot be read (no such file)",
                 "2014_000000000001.jpg: cannot be read (cannot identify"):  # fmt: skip
        assert part in str(error.value)
    with pytest.raises(ToolkitError, match="File name too long"):
        load_vqa(dataset="vqa-v2", data_dir=tmp_path / ("x" * 300))


def test_marks_and_hidden_files_make_no_difference(tmp_path: Path) -> None:
    folder = tmp_path / "vqa-v2"
    write_vqa_v2(folder)
    before = load_vqa(dataset="vqa-v2", data_dir=tmp_path)
    for path in folder.glob("*.json"):
        path.write_text(path.read_text(), encoding="utf-8-sig")
    for name in ("._COCO_train2014_000000000000.jpg", ".DS_Store", "Thumbs.db"):
        (folder / "train2014" / name).write_bytes(b"no image")
    after = load_vqa(dataset="vqa-v2", data_dir=tmp_path)
    assert (after.train.questions, after.answers) == (before.train.questions, before.answers)
    assert after.train.images.paths == before.train.images.paths


def test_rare_answers_are_left_out_of_training_only(clevr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vqa, "MAX_ANSWERS", 2)
    squares = load_vqa(dataset="clevr", data_dir=clevr)
    assert len(squares.answers) == 2
    assert {question.answer for question in squares.train.questions} == set(squares.answers)
    assert len({question.answer for question in squares.test.questions}) == 5


def test_mistakes_name_the_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPSC_DATA", raising=False)
    with pytest.raises(ToolkitError, match="dataset: 'gqa' given, allowed: easy-vqa"):
        load_vqa(dataset="gqa")
    with pytest.raises(ToolkitError, match="data_dir: none given"):
        load_vqa(dataset="clevr")
    with pytest.raises(ToolkitError, match=r"CLEVR_train_questions\.json: no such file"):
        load_vqa(dataset="clevr", data_dir=tmp_path)
    (tmp_path / "clevr" / "questions").mkdir(parents=True)
    (tmp_path / "clevr" / "questions" / "CLEVR_train_questions.json").write_text('{"questions": [{}]}')
    with pytest.raises(ToolkitError, match="image_filename"):
        load_vqa(dataset="clevr", data_dir=tmp_path)

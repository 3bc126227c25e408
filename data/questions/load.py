"""The sets of questions there are: easy-VQA, DAQUAR, VQA v2, CLEVR. Their splits share no image."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from data.files.documents import read_json
from data.files.errors import ToolkitError, named, parsing
from data.files.schema import typed
from data.images import easy_vqa
from data.images.read import ImageFiles, checksums
from data.questions import daquar
from data.questions.sets import MAX_ANSWERS, Question, VQASet, VQASplit
from data.reading import reading
from data.splits import hold_out

DATASETS = ("easy-vqa", "daquar", "vqa-v2", "clevr")


LARGEST_QUESTIONS = 2 * 2**30
"""Bytes of a file of questions or answers: CLEVR's holds 700,000 questions with their programs."""


@reading("the questions")
def load_vqa(*, dataset: str, data_dir: str | os.PathLike[str] | None = None) -> VQASet:
    """Load a VQA set.

    Args:
        dataset: "easy-vqa" (inside the PyPI package easy-vqa), "daquar", "vqa-v2" or "clevr".
        data_dir: folder with daquar/, vqa-v2/ or clevr/, each laid out as published. Of VQA v2 and CLEVR the
            published validation split is the test data, since its answers are public.

    Raises:
        ToolkitError: if files are missing or damaged.
    """
    if dataset == "easy-vqa":
        return _easy_vqa()
    folder = data_dir or os.environ.get("DEEPSC_DATA")
    if dataset not in DATASETS:
        raise ToolkitError(f"{named('dataset')}: {dataset!r} given, allowed: {', '.join(DATASETS)}")
    if not folder:
        raise ToolkitError(
            f"{named('data_dir')}: none given, {named('dataset')} {dataset} needs the folder that holds "
            f"{dataset}/"
        )
    root = Path(folder) / dataset
    return {"daquar": _daquar, "vqa-v2": _vqa_v2, "clevr": _clevr}[dataset](root)


class _Raw(NamedTuple):
    """One published split: image files by their key, and (key, question, answer)."""

    paths: dict[Any, Path]
    questions: list[tuple[Any, str, str]]


def _easy_vqa() -> VQASet:
    train, test = (_Raw(dict(split.paths), split.questions) for split in easy_vqa.published())
    files = easy_vqa.question_files()
    return _assemble(easy_vqa.NAME, synthetic=True, tells_sides=False, files=files, train=train, test=test)


def _daquar(root: Path) -> VQASet:
    paths, questions, files = daquar.published(root)
    splits = {
        split: _Raw(paths=dict(images), questions=[row for row in questions if row[0] in images])
        for split, images in paths.items()
    }
    return _assemble("DAQUAR", synthetic=False, tells_sides=True, files=files, **splits)


def _vqa_v2(root: Path) -> VQASet:
    """Published names: v2_OpenEnded_mscoco_train2014_questions.json, train2014/COCO_train2014_*.jpg, ..."""
    splits, files = {}, []
    for name, published in (("train", "train2014"), ("test", "val2014")):
        question_file = root / f"v2_OpenEnded_mscoco_{published}_questions.json"
        answer_file = root / f"v2_mscoco_{published}_annotations.json"
        files += [question_file, answer_file]
        questions = read_json(question_file, largest=LARGEST_QUESTIONS)
        annotations = read_json(answer_file, largest=LARGEST_QUESTIONS)
        with parsing(answer_file):
            answers = {
                row["question_id"]: typed(row, "multiple_choice_answer", str)
                for row in typed(annotations, "annotations", list)
            }
        with parsing(question_file):
            rows = [
                (typed(row, "image_id", int), typed(row, "question", str), answers[row["question_id"]])
                for row in typed(questions, "questions", list)
            ]
        paths = {key: root / published / f"COCO_{published}_{key:012d}.jpg" for key, _, _ in rows}
        splits[name] = _Raw(paths=paths, questions=rows)
    return _assemble("VQA v2", synthetic=False, tells_sides=True, files=files, **splits)


def _clevr(root: Path) -> VQASet:
    """Published names: questions/CLEVR_train_questions.json, images/train/CLEVR_train_000000.png, ..."""
    splits, files = {}, []
    for name, published in (("train", "train"), ("test", "val")):
        path = root / "questions" / f"CLEVR_{published}_questions.json"
        files.append(path)
        document = read_json(path, largest=LARGEST_QUESTIONS)
        with parsing(path):
            rows = [
                (typed(row, "image_filename", str), typed(row, "question", str), typed(row, "answer", str))
                for row in typed(document, "questions", list)
            ]
            for image, _, _ in rows:
                if not image.strip(".") or Path(image).name != image:
                    raise ValueError(f"image_filename {image!r} is no bare file name")
        paths = {key: root / "images" / published / key for key, _, _ in rows}
        splits[name] = _Raw(paths=paths, questions=rows)
    return _assemble("CLEVR", synthetic=True, tells_sides=True, files=files, **splits)


def _assemble(
    name: str, *, synthetic: bool, tells_sides: bool, files: list[Path], train: _Raw, test: _Raw
) -> VQASet:
    """Choose the answers, and hold out images of the training split for validation."""
    counts = Counter(answer for _, _, answer in train.questions)
    answers = tuple(answer for answer, _ in counts.most_common(MAX_ANSWERS))
    kept = set(answers)
    known = [question for question in train.questions if question[2] in kept]
    keys = sorted(train.paths)
    rows, held_out = hold_out(len(keys))
    splits = {
        "train": _split(train.paths, known, [keys[row] for row in rows]),
        "validation": _split(train.paths, known, [keys[row] for row in held_out]),
        "test": _split(test.paths, test.questions, sorted(test.paths)),
    }
    paths = [raw.paths[key] for raw in (train, test) for key in sorted(raw.paths)]
    sha256 = checksums(name, images=paths, files=files)
    with parsing(files[0].parent):
        return VQASet(
            name=name,
            synthetic=synthetic,
            tells_sides=tells_sides,
            answers=answers,
            sha256=sha256,
            **splits,
        )


def _split(paths: dict[Any, Path], questions: list[tuple[Any, str, str]], keys: list[Any]) -> VQASplit:
    index = {key: row for row, key in enumerate(keys)}
    chosen = [Question(index[key], text, answer) for key, text, answer in questions if key in index]
    chosen.sort(key=lambda question: question.image)
    return VQASplit(images=ImageFiles([paths[key] for key in keys]), questions=tuple(chosen))

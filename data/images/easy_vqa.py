"""easy-VQA as its package holds it: drawn shapes, and questions that tell what they are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

NAME = "easy-VQA"
SHAPES = ("circle", "rectangle", "triangle")


class Published(NamedTuple):
    """One published split."""

    paths: dict[int, Path]
    """Image files by their number."""
    questions: list[tuple[int, str, str]]
    """(number of the image, question, answer)."""

    def shapes(self) -> dict[int, int]:
        """Index into SHAPES by number of the image, as far as a question and its answer tell it."""
        shapes = {}
        for image, text, answer in self.questions:
            words = text.rstrip("?").split()
            named = [shape for shape in (answer, *words) if shape in SHAPES]
            # "is there not a circle?" yes: it may be either of the others
            denied = answer == ("yes" if {"not", "no"} & set(words) else "no")
            if named and not denied:
                shapes[image] = SHAPES.index(named[0])
        return shapes


def published() -> tuple[Published, Published]:
    """The published splits: training, test."""
    import easy_vqa

    train, test = (
        Published(
            paths={int(number): Path(path) for number, path in paths.items()},
            questions=list(zip(map(int, images), texts, answers, strict=True)),
        )
        for (texts, answers, images), paths in (
            (easy_vqa.get_train_questions(), easy_vqa.get_train_image_paths()),
            (easy_vqa.get_test_questions(), easy_vqa.get_test_image_paths()),
        )
    )
    return train, test


def question_files() -> list[Path]:
    """The files that hold the questions."""
    import easy_vqa

    return [Path(easy_vqa.__file__).parent / "data" / name / "questions.json" for name in ("train", "test")]

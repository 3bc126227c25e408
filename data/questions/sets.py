"""Questions about images, by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from data.files.errors import ToolkitError
from data.images.read import Pixels
from data.splits import SPLITS

MAX_ANSWERS = 3000
"""Answers kept, the most frequent of the training questions, as is usual for VQA v2."""


class Question(NamedTuple):
    """A question about one image."""

    image: int
    """Index into the split's images."""
    text: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class VQASplit:
    """Images and the questions about them, in the order of the images."""

    images: Sequence[Pixels]
    questions: tuple[Question, ...]

    def head(self, count: int | None) -> VQASplit:
        """The first `count` images and their questions; None: all."""
        images = self.images[:count]
        return VQASplit(
            images=images,
            questions=tuple(question for question in self.questions if question.image < len(images)),
        )


@dataclass(frozen=True, kw_only=True)
class VQASet:
    """Questions, images and answers by split; no image is in two splits.

    Raises:
        ToolkitError: from the constructor, if a split is empty.
    """

    name: str
    synthetic: bool
    """True if the images are drawn by a program."""
    tells_sides: bool
    """True if questions may tell left from right, so that a mirrored image may have other answers."""
    answers: tuple[str, ...]
    """What a classifier chooses from: answers of training questions, most frequent first."""
    train: VQASplit
    """Questions with other answers are left out here and in `validation`; in `test` they count as failed."""
    validation: VQASplit
    test: VQASplit
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Checksum of each file the questions were read from, and of the images."""

    def language_prior(self, asked: Sequence[Question]) -> float:
        """Percent of questions answered rightly by their first two words alone.

        The answer is the most frequent one of training questions that begin so, or of all where none does.
        A model that has seen no image can do as well.
        """
        begun: dict[str, Counter[str]] = {}
        for question in self.train.questions:
            begun.setdefault(_beginning(question), Counter())[question.answer] += 1
        guess = {words: answers.most_common(1)[0][0] for words, answers in begun.items()}
        right = sum(guess.get(_beginning(question), self.answers[0]) == question.answer for question in asked)
        return 100.0 * right / len(asked)

    def __post_init__(self) -> None:
        for name in SPLITS:
            if not getattr(self, name).questions:
                raise ToolkitError(f"{self.name}: the {name} split is empty; give more questions")


def _beginning(question: Question) -> str:
    return " ".join(question.text.lower().split()[:2])

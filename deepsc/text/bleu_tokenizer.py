"""Which of sacreBLEU's tokenizers fits the language of the references; no torch, so that `--help` is quick.

BLEU counts n-grams of words. Where a language puts no spaces between them, the usual tokenizer makes a word
of a whole sentence, and a translation that is nearly perfect scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from data.files.errors import ToolkitError, first_line
from data.settings import named

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU

USUAL = "13a"
"""For languages that put spaces between words."""
TOKENIZERS = (
    USUAL, "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores101", "flores200", "spBLEU-1K", "none",
)  # fmt: skip
_OF_LANGUAGES = {
    "zh": ("zh", "zho", "chi", "cmn", "yue", "wuu", "nan", "lzh"),
    "ja-mecab": ("ja", "jpn"),
    "ko-mecab": ("ko", "kor"),
    "char": ("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bur", "bo", "bod", "tib", "dz", "dzo"),
}  # ISO 639-1 and 639-3
_FIXES = {
    "ja-mecab": "pip install 'sacrebleu[ja]'",
    "ko-mecab": "pip install 'sacrebleu[ko]'",
    **dict.fromkeys(
        ("flores101", "flores200", "spBLEU-1K"),
        "pip install sentencepiece, and have a network for its model the first time",
    ),
}
# Thai to Tibetan, Burmese, Khmer, kana, Chinese characters
_WITHOUT_SPACES = re.compile(
    r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]"
)


def tokenizer_of(language: str) -> str:
    """sacreBLEU's tokenizer for a target language.

    Args:
        language: its code, such as "de", "zh", "zh_CN" or "zho_Hans".
    """
    code = language.lower().partition("_")[0]
    return next((name for name, codes in _OF_LANGUAGES.items() if code in codes), USUAL)


def choose_tokenizer(asked: str | None, *, language: str, references: Sequence[str]) -> str:
    """The tokenizer of a map: the one asked for, else that of the target language.

    Args:
        asked: what the map is told, if anything.
        language: of the references, as far as the corpus names it.
        references: of the test set.

    Raises:
        ToolkitError: if it is unknown or cannot be used here, or the references are plainly of another
            language, which the corpus does not name.
    """
    chosen = tokenizer_of(language) if asked is None else asked
    if chosen not in TOKENIZERS:
        raise ToolkitError(f"{named('bleu_tokenize')}: {chosen!r} given, allowed: {', '.join(TOKENIZERS)}")
    if asked is None and chosen == USUAL and _share_without_spaces(references) > 0.5:
        raise ToolkitError(
            "the references are of a language that puts no spaces between words, and the corpus does not "
            f"name it; give {named('bleu_tokenize')} zh, ja-mecab or char, or name the languages in the "
            f"training ({named('pair')})"
        )
    scorer(chosen)  # what is missing shows before anything is measured
    return chosen


@lru_cache
def scorer(tokenize: str) -> BLEU:
    """sacreBLEU with a tokenizer; it scores single sentences without a warning.

    Raises:
        ToolkitError: if the tokenizer cannot be used here; says what to install.
    """
    from sacrebleu.metrics import BLEU

    try:
        bleu = BLEU(tokenize=tokenize, effective_order=True)
        bleu.sentence_score("a", ["a"])  # a signature is known after a score
    except Exception as error:  # sacreBLEU's, MeCab's, SentencePiece's and the network's many kinds
        fix = _FIXES.get(tokenize, "pip install --upgrade sacrebleu")
        raise ToolkitError(
            f"{named('bleu_tokenize')}: {tokenize!r}, which the target language asks for unless another is "
            f"given, cannot be used here ({first_line(error)}); {fix}, or give {named('bleu_tokenize')} char"
        ) from error
    return bleu


def _share_without_spaces(sentences: Sequence[str]) -> float:
    text = "".join("".join(sentences).split())
    return len(_WITHOUT_SPACES.findall(text)) / max(1, len(text))

"""Tokenizers stored with the checkpoint: joint byte-pair encoding, or that of pretrained opus-mt weights."""

from __future__ import annotations

import json
import os
import shutil
import string
import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from data.files.atomic import write_text
from data.files.documents import LARGEST_JSON
from data.files.errors import ToolkitError
from data.files.paths import is_folder, require_file
from data.reading import reading
from data.terminal.progress import announced

_SPECIAL_TOKENS = ["<pad>", "</s>"]


class TextTokenizer(Protocol):
    """What codecs need: `pad_id` fills batches and starts the decoder, `eos_id` ends each sentence."""

    @property
    def pad_id(self) -> int: ...  # noqa: D102

    @property
    def eos_id(self) -> int: ...  # noqa: D102

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of source sentences, the end of sentence included."""

    def encode_target(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of target sentences, the end of sentence included."""

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Target sentences of rows of token ids; special tokens are left out."""

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write what `load_tokenizer` reads."""


@reading("the tokenizer")
def load_tokenizer(folder: str | os.PathLike[str]) -> TextTokenizer:
    """Read a checkpoint's tokenizer.

    Raises:
        ToolkitError: if it is missing or damaged.
    """
    opus_mt = Path(folder) / OpusMTTokenizer.folder
    return OpusMTTokenizer.load(opus_mt) if is_folder(opus_mt) else JointBPE.load(folder)


def encode_within(tokenizer: TextTokenizer, sentences: Sequence[str], *, max_length: int) -> list[list[int]]:
    """Token ids of source sentences, longer ones cut to `max_length`, the end of sentence included."""
    return [
        row if len(row) <= max_length else [*row[: max_length - 1], tokenizer.eos_id]
        for row in tokenizer.encode(sentences)
    ]


class JointBPE:
    """Byte-level BPE shared by both languages: any text can be encoded, and decoding gives it back.

    Token ids run from 0; `pad_id` fills batches and starts the decoder (Marian's convention), `eos_id` ends
    each sentence.
    """

    pad_id = 0
    eos_id = 1

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True  # "</s>" in a sentence is text and must not end it
        self._tokenizer = tokenizer

    @classmethod
    @announced("learning the vocabulary")
    def train(cls, sentences: Iterable[str], *, vocab_size: int) -> JointBPE:
        """Learn the merges from sentences of both languages.

        Args:
            sentences: training sentences only.
            vocab_size: largest number of tokens; at least 258, the bytes and the special tokens.
        """
        tokenizer = Tokenizer(models.BPE())
        cls._around(tokenizer)
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=_SPECIAL_TOKENS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(sentences, trainer)
        return cls(tokenizer)

    @classmethod
    def _around(cls, tokenizer: Tokenizer) -> None:
        """What surrounds the vocabulary; always this, whatever a file says."""
        tokenizer.normalizer = None
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", cls.eos_id)]
        )
        tokenizer.no_truncation()
        tokenizer.no_padding()

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special ones included."""
        return int(self._tokenizer.get_vocab_size())

    @cached_property
    def knows_capitals(self) -> bool:
        """Whether it has met capital letters: some token of several characters holds one."""
        pieces = self._tokenizer.get_vocab(with_added_tokens=False)
        return any(letter in piece for piece in pieces if len(piece) > 1 for letter in string.ascii_uppercase)

    def thinned(self, share: float, draw: np.random.Generator) -> JointBPE:
        """The same tokens by some of the merges: words come in other pieces, and decode to the same text.

        BPE dropout as of Provilkov et al. (2020), but that a merge is left out everywhere, not where a coin
        says so each time.

        Args:
            share: of the merges that are left out.
            draw: of which.
        """
        vocab, merges = self._pieces
        kept = draw.random(len(merges)) >= share
        some = [merge for merge, keep in zip(merges, kept, strict=True) if keep]
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=some))
        self._around(tokenizer)
        return JointBPE(tokenizer)

    @cached_property
    def _pieces(self) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """Tokens and merges."""
        model = json.loads(self._tokenizer.to_str())["model"]
        return model["vocab"], [(left, right) for left, right in model["merges"]]

    @announced("encoding the sentences")
    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of each sentence, the end of sentence included."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(sentences))]

    def encode_target(self, sentences: Sequence[str]) -> list[list[int]]:
        """As `encode`: both languages share the vocabulary and its merges."""
        return self.encode(sentences)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Sentences of rows of token ids; special tokens are left out."""
        texts = self._tokenizer.decode_batch([list(row) for row in ids], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write tokenizer.json into `folder`, atomically."""
        write_text(Path(folder) / "tokenizer.json", self._tokenizer.to_str())

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> JointBPE:
        """Read tokenizer.json from `folder`.

        Raises:
            ToolkitError: if it is missing, damaged or too large.
        """
        path = Path(folder) / "tokenizer.json"
        require_file(path, largest=LARGEST_JSON)
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise ToolkitError(f"{path}: damaged or foreign tokenizer ({error})") from error
        if not isinstance(tokenizer.model, models.BPE):
            raise ToolkitError(f"{path}: foreign tokenizer: byte-pair encoding is expected")
        if sorted(tokenizer.get_vocab().values()) != list(range(tokenizer.get_vocab_size())):
            raise ToolkitError(f"{path}: damaged or foreign tokenizer: its tokens are not numbered from 0")
        if [tokenizer.token_to_id(token) for token in _SPECIAL_TOKENS] != [cls.pad_id, cls.eos_id]:
            raise ToolkitError(
                f"{path}: foreign tokenizer: {' and '.join(_SPECIAL_TOKENS)} must be tokens 0 and 1"
            )
        cls._around(tokenizer)
        return cls(tokenizer)


class OpusMTTokenizer:
    """transformers' MarianTokenizer: SentencePiece models of source and target, ids of one shared vocabulary.

    Args:
        tokenizer: a MarianTokenizer.
    """

    folder = "opus-mt-tokenizer"

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.pad_id: int = tokenizer.pad_token_id
        self.eos_id: int = tokenizer.eos_token_id

    @classmethod
    @reading("the tokenizer")
    def load(cls, name: str | os.PathLike[str]) -> OpusMTTokenizer:
        """Read one from a folder, or by its name on the Hugging Face hub.

        Raises:
            ToolkitError: if it cannot be had, or the package sentencepiece is missing.
        """
        try:
            from transformers import MarianTokenizer
        except ImportError as error:
            raise ToolkitError(
                "opus-mt tokenizers need sentencepiece: pip install 'deepsc-toolkit[pretrained]'"
            ) from error
        for path in Path(name).glob("*"):  # what the hub sends is the hub's to vouch for
            if path.suffix in (".json", ".spm"):
                require_file(path, largest=LARGEST_JSON)
        try:
            return cls(MarianTokenizer.from_pretrained(str(name)))
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, AssertionError, ImportError) as error:
            raise ToolkitError(f"{name}: no MarianTokenizer to be had there ({error})") from error

    @announced("encoding the sentences")
    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of source sentences, the end of sentence included."""
        return list(self._tokenizer(list(sentences))["input_ids"])

    @announced("encoding the sentences")
    def encode_target(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of target sentences, the end of sentence included."""
        return list(self._tokenizer(text_target=list(sentences))["input_ids"])

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Target sentences of rows of token ids; special tokens are left out."""
        return [str(text).strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the tokenizer's folder into `folder`; a whole one replaces what is there."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        target = Path(folder) / self.folder
        for left in Path(folder).glob(f".{self.folder}.*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{self.folder}.") as temporary:
            self._tokenizer.save_pretrained(temporary + "/new")
            if is_folder(target):
                os.replace(target, temporary + "/old")
            os.replace(temporary + "/new", target)

"""Configurations of text codecs; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from data.files.errors import raise_config_errors
from deepsc.codec.config import CodecConfig, empty_text_errors, size_errors, token_errors
from deepsc.train.config import RunConfig

TASKS = ("translate", "reconstruct")


@dataclass(frozen=True, kw_only=True)
class TextPreset:
    """Size of a text codec and the training that suits it."""

    d_model: int
    layers: int
    """Encoder layers, and as many decoder layers (F^T of section V)."""
    heads: int
    d_ff: int
    vocab_size: int
    dropout: float
    learning_rate: float
    """Peak, after warm-up."""
    warmup_steps: int
    batch_tokens: int
    """Largest number of tokens in a batch, padding included, per side."""
    epochs: int


TEXT_PRESETS = {
    "tiny": TextPreset(
        d_model=64, layers=2, heads=4, d_ff=128, vocab_size=600, dropout=0.0, learning_rate=3e-3,
        warmup_steps=50, batch_tokens=2048, epochs=6,
    ),
    "small": TextPreset(
        d_model=128, layers=6, heads=4, d_ff=512, vocab_size=5000, dropout=0.2, learning_rate=1.5e-3,
        warmup_steps=800, batch_tokens=2048, epochs=28,
    ),
    "base": TextPreset(
        d_model=512, layers=6, heads=8, d_ff=2048, vocab_size=8000, dropout=0.3, learning_rate=5e-4,
        warmup_steps=2000, batch_tokens=4096, epochs=60,
    ),
}  # fmt: skip


MOST_CAPTIONS = 10**6
"""The grammar takes minutes for as many."""


@dataclass(frozen=True, kw_only=True)
class TextCodecConfig(CodecConfig):
    """Architecture of a text codec: a Marian Transformer, and between its halves the JSC codec.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    vocab_size: int
    d_model: int
    layers: int
    heads: int
    d_ff: int
    dropout: float
    pad_id: int = 0
    eos_id: int = 1
    max_length: int = 256
    """Most tokens of a sentence, the end of sentence included."""
    k: tuple[int, ...] = ()
    """Complex channel symbols per token the codec is trained for, rising; empty for the local model."""

    @property
    def uplinks(self) -> tuple[tuple[int, ...], ...]:
        """One transmission: k."""
        return (self.k,) if self.k else ()

    def architecture_errors(self) -> list[str]:
        """Sizes below 1, heads that do not divide the width, dropout outside [0, 1)."""
        errors = size_errors(self, "vocab_size", "d_model", "layers", "heads", "d_ff", "max_length")
        if self.heads >= 1 and self.d_model % self.heads:
            errors.append(f"d_model: {self.d_model} given, a multiple of the {self.heads} heads is allowed")
        errors += token_errors(self)
        if not 0 <= self.dropout < 1:
            errors.append(f"dropout: {self.dropout} given, [0, 1) is allowed")
        return errors

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> TextCodecConfig:
        """Config of a preset, with fields changed."""
        size = TEXT_PRESETS[preset]
        names = ("vocab_size", "d_model", "layers", "heads", "d_ff", "dropout")
        return cls(preset=preset, **{name: getattr(size, name) for name in names} | changes)

    @property
    def model_name(self) -> dict[str, Any]:
        """What tells this model from another where FLOPs and accuracy are concerned."""
        names = ("preset", "d_model", "layers", "heads", "d_ff", "vocab_size")
        return {"name": "text-marian", **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Which sentences; the arguments of `data.text.parallel.load_parallel`."""

    dataset: str
    """"multi30k", "captions", "europarl", or "files" for `source` and `target`."""
    pair: str = "en-de"
    """Source and target language. Of "files" it decides BLEU's tokenizer alone."""
    data_dir: str | None = None
    caption_count: int = 8000
    source: str | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        errors = empty_text_errors(self)
        if not 1 <= self.caption_count <= MOST_CAPTIONS:
            errors.append(f"--caption-count: {self.caption_count} given, 1 to {MOST_CAPTIONS} is allowed")
        raise_config_errors(errors)

    def language(self, task: str) -> str:
        """Language of what the receiver writes, by its code."""
        source, _, target = self.pair.partition("-")
        return source if task == "reconstruct" else target


@dataclass(frozen=True, kw_only=True)
class TextRunConfig(RunConfig):
    """What `train-deepsc --modality text` does.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    modality: ClassVar[str] = "text"
    presets: ClassVar[Mapping[str, TextPreset]] = TEXT_PRESETS
    tasks: ClassVar[tuple[str, ...]] = TASKS

    corpus: CorpusConfig
    preset: str = "small"
    task: str = "translate"
    """"translate", or "reconstruct": the source sentence itself (DeepSC's own task)."""
    k: tuple[int, ...] = (16,)

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        """One transmission: k."""
        return {"k": self.k}

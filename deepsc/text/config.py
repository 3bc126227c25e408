"""Configurations of text codecs; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from typing_extensions import override

from data.settings import Flag, Problem, Range
from deepsc.codec.config import (
    MOST_LAYERS,
    CodecConfig,
    Dropout,
    Layers,
    Size,
    TrainedK,
    head_problems,
    token_problems,
)
from deepsc.config import Preset, RunConfig, SetConfig


@dataclass(frozen=True, kw_only=True)
class TextPreset(Preset):
    """Size of a text codec and the training that suits it."""

    d_model: int
    layers: int
    """Encoder layers, and as many decoder layers (F^T of section V)."""
    heads: int
    d_ff: int
    vocab_size: int
    dropout: float
    context_layers: int
    """Layers of the Transformer by which the receiver weighs tokens in their context."""
    bigrams: int
    """Most bigrams that it knows."""


TEXT_PRESETS = {
    "tiny": TextPreset(
        d_model=64, layers=2, heads=4, d_ff=128, vocab_size=600, dropout=0.0,
        context_layers=2, bigrams=2**14,
        learning_rate=3e-3, warmup_steps=50, batch_tokens=2048, epochs=6,
    ),
    "mini": TextPreset(
        d_model=128, layers=2, heads=4, d_ff=512, vocab_size=2500, dropout=0.1,
        context_layers=3, bigrams=2**16,
        learning_rate=2e-3, warmup_steps=400, batch_tokens=2048, epochs=14,
    ),
    "small": TextPreset(
        d_model=128, layers=6, heads=4, d_ff=512, vocab_size=5000, dropout=0.2,
        context_layers=3, bigrams=2**17,
        learning_rate=1.5e-3, warmup_steps=800, batch_tokens=2048, epochs=28,
    ),
    "medium": TextPreset(
        d_model=256, layers=6, heads=4, d_ff=1024, vocab_size=2500, dropout=0.3,
        context_layers=3, bigrams=2**16,
        learning_rate=1.5e-3, warmup_steps=800, batch_tokens=4096, epochs=26,
    ),
    "base": TextPreset(
        d_model=512, layers=6, heads=8, d_ff=2048, vocab_size=8000, dropout=0.3,
        context_layers=3, bigrams=2**17,
        learning_rate=5e-4, warmup_steps=2000, batch_tokens=4096, epochs=60,
    ),
}  # fmt: skip


UeLayers = Annotated[int, Range(0, MOST_LAYERS)]
"""Type of a number of encoder layers at the UE."""
MOST_CAPTIONS = 10**6
"""The grammar takes minutes for as many."""


@dataclass(frozen=True, kw_only=True)
class TextCodecConfig(CodecConfig):
    """Architecture of a text codec: the JSC codec of tokens, and a Marian Transformer at the server.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    jsc_names: ClassVar[tuple[str, ...]] = ("split", "context_layers", "bigrams")
    presets: ClassVar[Mapping[str, TextPreset]] = TEXT_PRESETS

    vocab_size: Size
    d_model: Size
    layers: Layers
    heads: Size
    d_ff: Size
    dropout: Dropout
    pad_id: int = 0
    eos_id: int = 1
    max_length: Size = 256
    """Most tokens of a sentence, the end of sentence included."""
    k: TrainedK = ()
    """Complex channel symbols per token the codec is trained for, rising; empty for the local model."""
    split: UeLayers = 0
    """Encoder layers at the UE, whose features move the points of the tokens that are sent. The server
    encodes what it believes anew, with all layers."""
    context_layers: Layers = 3
    """Layers of the Transformer by which the receiver weighs tokens in their context."""
    bigrams: Size = 2**17
    """Most bigrams of tokens by which the receiver weighs them first, those that occur most often."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from head_problems(self, "d_model", "heads")
        yield from token_problems(self)
        if self.split > self.layers:
            yield Problem("split", f"{self.split} given, 0 to {self.layers} is allowed")

    @property
    @override
    def model_name(self) -> dict[str, Any]:
        names: tuple[str, ...] = ("preset", "d_model", "layers", "heads", "d_ff", "vocab_size")
        names += self.jsc_names if self.k else ()
        return {"name": "text-marian", **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(SetConfig):
    """Which sentences; the arguments of `data.text.parallel.load_parallel`."""

    own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {"files": ("source", "target")}
    read_by: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "data_dir": ("multi30k",),
        "caption_count": ("captions",),
    }

    dataset: Annotated[str, Flag(metavar="NAME")] = "multi30k"
    """Multi30k; captions: synthetic, no download; europarl: nltk's comtrans."""
    pair: Annotated[str, Flag(metavar="SRC-TGT")] = "en-de"
    """Languages, such as en-de or en-fr; of an own corpus too: BLEU's tokenizer follows the target
    language."""
    caption_count: Annotated[int, Range(1, MOST_CAPTIONS)] = 8000
    """Training pairs of captions."""
    source: Annotated[str | None, Flag(metavar="FILE")] = None
    """Own corpus: source sentences, one a line, plain or .gz."""
    target: Annotated[str | None, Flag(metavar="FILE")] = None
    """Own corpus: target sentences, aligned with the source's."""

    def language(self, task: str) -> str:
        """Language of what the receiver writes, by its code."""
        source, _, target = self.pair.partition("-")
        return source if task == "reconstruct" else target


@dataclass(frozen=True, kw_only=True)
class TextRunConfig(RunConfig):
    """What `train-deepsc --modality text` does."""

    modality: ClassVar[str] = "text"
    presets: ClassVar[Mapping[str, TextPreset]] = TEXT_PRESETS
    tasks: ClassVar[tuple[str, ...]] = ("translate", "reconstruct")
    jsc_names: ClassVar[tuple[str, ...]] = ("context_layers", "bigrams")
    training_names: ClassVar[tuple[str, ...]] = ("dropout",)
    local_names: ClassVar[tuple[str, ...]] = (*RunConfig.local_names, "bpe_dropout")

    corpus: CorpusConfig
    preset: str = "small"
    """Size of the model: tiny, mini, small, medium or base."""
    task: Annotated[str, Flag(metavar="{translate,reconstruct}")] = "translate"
    """What the receiver writes; reconstruct: the source sentence itself (DeepSC's own task)."""
    k: TrainedK = (16,)
    """Complex channel symbols per token, eq. (4)'s k."""
    split: UeLayers = 0
    """Encoder layers at the UE; the UE sends tokens, and their features move what is sent."""
    dropout: Dropout | None = None
    """Share of activations that training drops, of a codec's receiver 0.1 at most (default: the preset's, or
    that of the weights to start from)."""
    bpe_dropout: Annotated[float, Range(0, below=1)] = 0.0
    """Of the local model: share of the merges of its vocabulary that training sentences go without, others
    each epoch, so that words come in ever other pieces."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from (others := list(super().problems()))
        if not others and not self.init_from and not self.pretrained:
            vocab_size = self.presets[self.preset].vocab_size  # before the sentences are read
            yield from TextCodecConfig.preset_problems(
                self.preset, vocab_size=vocab_size, **self.codec_fields
            )

    @property
    @override
    def codec_fields(self) -> dict[str, Any]:
        fields = super().codec_fields
        return {**fields, "split": self.split} if fields["k"] else fields

"""Configurations of VQA codecs; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from typing_extensions import override

from data.settings import Flag, Problem, named
from deepsc.codec.config import (
    Dropout,
    Layers,
    Size,
    TrainedK,
    head_problems,
    token_problems,
)
from deepsc.config import Preset, SetConfig
from deepsc.image.config import HybridConfig, HybridRunConfig


@dataclass(frozen=True, kw_only=True)
class VQAPreset(Preset):
    """Size of a VQA codec and the training that suits it."""

    text_width: int
    text_layers: int
    """F^T of section V, encoder layers alone."""
    text_heads: int
    vocab_size: int
    context_layers: int
    bigrams: int
    image_size: int
    """Pixels a side."""
    patch_size: int
    image_width: int
    image_layers: int
    """F^I of section V."""
    image_heads: int
    fusion_width: int
    fusion_layers: int
    fusion_heads: int
    dropout: float
    augment: str
    """"light": shifts, and flips where no question tells left from right; "none"."""


VQA_PRESETS = {
    "tiny": VQAPreset(
        text_width=32, text_layers=1, text_heads=2, vocab_size=300, context_layers=1, bigrams=2**10,
        image_width=48, image_layers=2, image_heads=3, image_size=32, patch_size=8,
        fusion_width=32, fusion_layers=1, fusion_heads=2,
        dropout=0.0, augment="none", learning_rate=3e-3, warmup_steps=50, batch_tokens=2048, epochs=10,
    ),
    "easy": VQAPreset(
        text_width=32, text_layers=1, text_heads=4, vocab_size=600, context_layers=1, bigrams=2**12,
        image_width=48, image_layers=4, image_heads=3, image_size=64, patch_size=8,
        fusion_width=64, fusion_layers=1, fusion_heads=4,
        dropout=0.0, augment="light", learning_rate=2e-3, warmup_steps=200, batch_tokens=4096, epochs=40,
    ),
    "medium": VQAPreset(
        text_width=256, text_layers=6, text_heads=4, vocab_size=2500, context_layers=3, bigrams=2**16,
        image_width=384, image_layers=6, image_heads=6, image_size=224, patch_size=16,
        fusion_width=256, fusion_layers=2, fusion_heads=4,
        dropout=0.0, augment="none", learning_rate=5e-4, warmup_steps=200, batch_tokens=2048, epochs=6,
    ),
    "deit-small": VQAPreset(
        text_width=512, text_layers=6, text_heads=8, vocab_size=8000, context_layers=3, bigrams=2**16,
        image_width=384, image_layers=6, image_heads=6, image_size=224, patch_size=16,
        fusion_width=512, fusion_layers=6, fusion_heads=8,
        dropout=0.1, augment="none", learning_rate=3e-4, warmup_steps=2000, batch_tokens=16384, epochs=60,
    ),
}  # fmt: skip
"""easy: easy-VQA's 64-pixel images on a CPU. medium: encoders of the size of the text codec's medium and of
DeiT-small's first half; deit-small: of the size of the text codec's base and of the same half."""


@dataclass(frozen=True, kw_only=True)
class VQACodecConfig(HybridConfig):
    """Architecture of a VQA codec: two encoders and two JSC codecs, fusion and an answer classifier.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    k_names: ClassVar[tuple[str, ...]] = ("k_text", "k_image")
    jsc_names: ClassVar[tuple[str, ...]] = ("context_layers", "bigrams")
    presets: ClassVar[Mapping[str, VQAPreset]] = VQA_PRESETS

    answers: tuple[str, ...]
    """What the classifier chooses from."""
    vocab_size: Size
    text_width: Size
    text_layers: Layers
    text_heads: Size
    image_width: Size
    image_layers: Layers
    image_heads: Size
    fusion_width: Size
    fusion_layers: Layers
    fusion_heads: Size
    dropout: Dropout = 0.0
    pad_id: int = 0
    eos_id: int = 1
    max_length: Size = 64
    """Most tokens of a question, its end included."""
    k_text: TrainedK = ()
    """Complex channel symbols per question token, rising; empty for the local model."""
    k_image: TrainedK = ()
    """Complex channel symbols per image token, rising; empty for the local model."""
    context_layers: Layers = 1
    """Layers of the Transformer by which the receiver weighs question tokens in their context."""
    bigrams: Size = 2**12
    """Most bigrams of tokens by which the receiver weighs them first, those that occur most often."""

    @property
    @override
    def model_name(self) -> dict[str, Any]:
        names: tuple[str, ...] = (
            "preset", "text_width", "text_layers", "text_heads", "vocab_size", "image_size", "patch_size",
            "image_width", "image_layers", "image_heads", "fusion_width", "fusion_layers", "fusion_heads",
        )  # fmt: skip
        names += self.jsc_names if self.uplinks else ()
        sizes = {name: getattr(self, name) for name in names}
        named_as = {"name": "vqa-hybrid-deit", "stem": self.stem} if self.stem else {"name": "vqa-deit"}
        # Maps and FLOPs files of earlier releases have neither: those models were post-norm, without a gate.
        kind = {"question": "pre-norm", "fusion": "product"}
        return {**named_as, **sizes, **kind, "answers": len(self.answers)}

    @override
    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        for part in ("text", "image", "fusion"):
            yield from head_problems(self, f"{part}_width", f"{part}_heads")
        yield from token_problems(self)
        if len(set(self.answers)) < max(2, len(self.answers)):
            yield Problem("answers", "at least two, all different, are allowed")
        if bool(self.k_text) != bool(self.k_image):
            yield Problem("k_text", f"both or none of it and {named('k_image')} are needed")


@dataclass(frozen=True, kw_only=True)
class VQASetConfig(SetConfig):
    """Which questions and images; the arguments of `data.questions.load.load_vqa`."""

    read_by: ClassVar[Mapping[str, tuple[str, ...]]] = {"data_dir": ("daquar", "vqa-v2", "clevr")}

    dataset: Annotated[str, Flag(metavar="NAME")] = "easy-vqa"
    """Easy-VQA: shapes; daquar, vqa-v2 and clevr: as published, from the data folder."""


@dataclass(frozen=True, kw_only=True)
class VQARunConfig(HybridRunConfig):
    """What `train-deepsc --modality vqa` does."""

    modality: ClassVar[str] = "vqa"
    presets: ClassVar[Mapping[str, VQAPreset]] = VQA_PRESETS
    tasks: ClassVar[tuple[str, ...]] = ("answer",)
    k_names: ClassVar[tuple[str, ...]] = VQACodecConfig.k_names
    jsc_names: ClassVar[tuple[str, ...]] = VQACodecConfig.jsc_names
    size_names: ClassVar[tuple[str, ...]] = ("image_size", "patch_size", "stem")
    training_names: ClassVar[tuple[str, ...]] = ("dropout",)

    corpus: VQASetConfig
    preset: str = "easy"
    """Size of the model: tiny, easy, medium or deit-small."""
    task: str = "answer"
    """Answer the question."""
    k_text: TrainedK = (8,)
    """Complex channel symbols per question token."""
    k_image: TrainedK = (16,)
    """Complex channel symbols per image token."""
    dropout: Dropout | None = None
    """Share of activations that training drops in the question's Transformer and in fusion, of a codec's
    receiver 0.1 at most (default: the preset's, or that of the checkpoint to start from)."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from (others := list(super().problems()))
        if not others and not self.init_from:  # else the checkpoint says what the sizes go with
            yield from VQACodecConfig.preset_problems(  # before the images are read
                self.preset, answers=("yes", "no"), **self.sizes, **self.codec_fields
            )

"""Configurations of VQA codecs; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from data.files.errors import raise_config_errors
from deepsc.codec.config import (
    CodecConfig,
    empty_text_errors,
    size_errors,
    token_errors,
)
from deepsc.image.config import patch_errors
from deepsc.train.config import RunConfig

VQA_TASKS = ("answer",)


@dataclass(frozen=True, kw_only=True)
class VQAPreset:
    """Size of a VQA codec and the training that suits it."""

    text_width: int
    text_layers: int
    """F^T of section V, encoder layers alone."""
    text_heads: int
    vocab_size: int
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
    learning_rate: float
    """Peak, after warm-up."""
    warmup_steps: int
    batch_tokens: int
    """Largest number of question and image tokens in a batch."""
    epochs: int


VQA_PRESETS = {
    "tiny": VQAPreset(
        text_width=32, text_layers=1, text_heads=2, vocab_size=300, image_size=32, patch_size=8,
        image_width=48, image_layers=2, image_heads=3, fusion_width=32, fusion_layers=1, fusion_heads=2,
        dropout=0.0, augment="none", learning_rate=3e-3, warmup_steps=50, batch_tokens=2048, epochs=10,
    ),
    "easy": VQAPreset(
        text_width=32, text_layers=1, text_heads=4, vocab_size=600, image_size=64, patch_size=8,
        image_width=48, image_layers=4, image_heads=3, fusion_width=64, fusion_layers=1, fusion_heads=4,
        dropout=0.0, augment="light", learning_rate=2e-3, warmup_steps=200, batch_tokens=4096, epochs=40,
    ),
    "deit-small": VQAPreset(
        text_width=512, text_layers=6, text_heads=8, vocab_size=8000, image_size=224, patch_size=16,
        image_width=384, image_layers=6, image_heads=6, fusion_width=512, fusion_layers=6, fusion_heads=8,
        dropout=0.1, augment="none", learning_rate=3e-4, warmup_steps=2000, batch_tokens=16384, epochs=60,
    ),
}  # fmt: skip
"""easy: easy-VQA's 64-pixel images on a CPU. deit-small: encoders of the text codec's base and DeiT-small."""


@dataclass(frozen=True, kw_only=True)
class VQACodecConfig(CodecConfig):
    """Architecture of a VQA codec: two encoders and two JSC codecs, fusion and an answer classifier.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    answers: tuple[str, ...]
    """What the classifier chooses from."""
    vocab_size: int
    text_width: int
    text_layers: int
    text_heads: int
    image_size: int
    patch_size: int
    image_width: int
    image_layers: int
    image_heads: int
    fusion_width: int
    fusion_layers: int
    fusion_heads: int
    dropout: float = 0.0
    pad_id: int = 0
    eos_id: int = 1
    max_length: int = 64
    """Most tokens of a question, its end included."""
    k_text: tuple[int, ...] = ()
    """Complex channel symbols per question token, rising; empty for the local model."""
    k_image: tuple[int, ...] = ()
    """Complex channel symbols per image token, rising; empty for the local model."""

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> VQACodecConfig:
        """Config of a preset, with fields changed."""
        size = VQA_PRESETS[preset]
        names = [
            name for name in cls.__dataclass_fields__ if name in VQAPreset.__dataclass_fields__
        ]  # the architecture's, not the training's
        return cls(preset=preset, **{name: getattr(size, name) for name in names} | changes)

    @property
    def uplinks(self) -> tuple[tuple[int, ...], ...]:
        """Two transmissions: the question's k^T, the image's k^I."""
        return (self.k_text, self.k_image) if self.k_text or self.k_image else ()

    @property
    def image_tokens(self) -> int:
        """S^I: patches and the class token; all of them cross the channel."""
        return (self.image_size // self.patch_size) ** 2 + 1

    @property
    def model_name(self) -> dict[str, Any]:
        """What tells this model from another where FLOPs and accuracy are concerned."""
        names = (
            "preset", "text_width", "text_layers", "text_heads", "vocab_size", "image_size", "patch_size",
            "image_width", "image_layers", "image_heads", "fusion_width", "fusion_layers", "fusion_heads",
        )  # fmt: skip
        sizes = {name: getattr(self, name) for name in names}
        return {"name": "vqa-deit", **sizes, "answers": len(self.answers)}

    def architecture_errors(self) -> list[str]:
        """Sizes below 1, heads that do not divide their width, half patches, one k without the other."""
        sizes = (
            "vocab_size", "text_width", "text_layers", "text_heads", "image_size", "patch_size",
            "image_width", "image_layers", "image_heads", "fusion_width", "fusion_layers", "fusion_heads",
            "max_length",
        )  # fmt: skip
        errors = size_errors(self, *sizes)
        if not errors:
            for part in ("text", "image", "fusion"):
                width, heads = getattr(self, f"{part}_width"), getattr(self, f"{part}_heads")
                if width % heads:
                    errors.append(f"{part}_width: {width} given, a multiple of the {heads} heads is allowed")
            errors += patch_errors(self.image_size, self.patch_size)
        errors += token_errors(self)
        if len(set(self.answers)) < max(2, len(self.answers)):
            errors.append("answers: at least two, all different, are allowed")
        if not 0 <= self.dropout < 1:
            errors.append(f"dropout: {self.dropout} given, [0, 1) is allowed")
        if bool(self.k_text) != bool(self.k_image):
            errors.append("--k-text and --k-image: both or none of them are needed")
        return errors


@dataclass(frozen=True, kw_only=True)
class VQASetConfig:
    """Which questions and images; the arguments of `data.questions.load.load_vqa`."""

    dataset: str
    """"easy-vqa", "vqa-v2" or "clevr"."""
    data_dir: str | None = None

    def __post_init__(self) -> None:
        raise_config_errors(empty_text_errors(self))


@dataclass(frozen=True, kw_only=True)
class VQARunConfig(RunConfig):
    """What `train-deepsc --modality vqa` does.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    modality: ClassVar[str] = "vqa"
    presets: ClassVar[Mapping[str, VQAPreset]] = VQA_PRESETS
    tasks: ClassVar[tuple[str, ...]] = VQA_TASKS

    corpus: VQASetConfig
    preset: str = "easy"
    task: str = "answer"
    k_text: tuple[int, ...] = (8,)
    k_image: tuple[int, ...] = (16,)
    image_size: int | None = None
    """Pixels a side; None: the preset's."""
    patch_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.init_from:  # else the checkpoint says what the sizes go with; before the images are read
            VQACodecConfig.from_preset(
                self.preset, answers=("yes", "no"), **self.sizes, **self.channel_fields
            )

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that were given and replace the preset's."""
        names = ("image_size", "patch_size")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        """Two transmissions: the question's k^T, the image's k^I."""
        return {"k_text": self.k_text, "k_image": self.k_image}

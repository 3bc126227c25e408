"""What `profile-flops` does; no torch here, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data.cli import raise_config_errors
from deepsc.config import TEXT_PRESETS, CodecConfig, TextCodecConfig
from deepsc.image_config import IMAGE_PRESETS, ImageCodecConfig
from deepsc.vqa_config import VQA_PRESETS, VQACodecConfig
from profiling.latency import LatencyConfig

MODALITIES = ("text", "image", "vqa")
PRESETS: dict[str, Any] = {"text": TEXT_PRESETS, "image": IMAGE_PRESETS, "vqa": VQA_PRESETS}
DEFAULT_PRESET = {"text": "small", "image": "deit-small", "vqa": "deit-small"}
CODEC_CONFIGS: dict[str, type[CodecConfig]] = {
    "text": TextCodecConfig, "image": ImageCodecConfig, "vqa": VQACodecConfig,
}  # fmt: skip
TEXT_K, IMAGE_K = 16, 32
"""k^T and k^I of Table I."""
PRESET_K_TEXT, PRESET_K_IMAGE = (4, 8, 12, 16, 20), (8, 16, 24, 32)
"""k of a preset's codec: one nested code, as `train-deepsc --k 4,8,12,16,20` trains it."""
LENGTH = 20
"""S^T of section V.A, in tokens."""
CLASSES, ANSWERS = 1000, 1000
"""Classes of ImageNet-1k; answers that VQA models commonly choose from."""

_ALLOWED = {
    "--modality text": {"k", "source_length", "target_length", "beams"},
    "--modality image": {"k", "image_size", "classes"},
    "--modality vqa": {"k_text", "k_image", "source_length", "image_size", "answers"},
    "--timm": {"image_size"},
    "--hf-config": {"source_length", "target_length", "image_size"},
}
_CODEC_ONLY = {"checkpoint", "preset", "output", "plot"}
_PRESET_ONLY = {"image_size", "classes", "answers"}


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """What `profile-flops` does: one of `modality`, `timm` and `hf_config` says what is counted.

    A field that is None takes the modality's default; one that the subject does not have must be None.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    modality: str | None = None
    timm: str | None = None
    """Name of a timm model."""
    hf_config: str | None = None
    """A config.json of transformers'."""
    checkpoint: str | None = None
    """Folder of the codec's checkpoint; without one, `preset`."""
    preset: str | None = None
    k: int | None = None
    """Complex channel symbols per token, text and image."""
    k_text: int | None = None
    """Complex channel symbols per question token."""
    k_image: int | None = None
    """Complex channel symbols per image token of a VQA task."""
    source_length: int | None = None
    """Tokens of the sentence or question."""
    target_length: int | None = None
    """Tokens the decoder generates."""
    beams: int | None = None
    """Width of the decoder's search; 1 decodes greedily."""
    image_size: int | None = None
    """Pixels a side, in place of the preset's."""
    classes: int | None = None
    """Classes of a preset's classifier."""
    answers: int | None = None
    """Answers of a preset's classifier."""
    output: str | None = None
    """The FLOPs file."""
    table: tuple[str, ...] = ()
    """Files for the tables: Markdown, LaTeX or CSV by suffix."""
    plot: str | None = None
    """File for the stacked bars."""
    latency: LatencyConfig | None = None
    allow_uncounted: bool = False

    def __post_init__(self) -> None:
        subjects = [name for name in ("modality", "timm", "hf_config") if getattr(self, name) is not None]
        if len(subjects) != 1:
            raise_config_errors(["one of --modality, --timm and --hf-config is needed"])
        errors = []
        if self.modality is not None and self.modality not in MODALITIES:
            raise_config_errors([f"--modality: {self.modality!r} given, allowed: {', '.join(MODALITIES)}"])
        allowed = _ALLOWED[self.subject]
        for name in sorted(set().union(*_ALLOWED.values()) | _CODEC_ONLY):
            fits = name in allowed or (name in _CODEC_ONLY and self.modality is not None)
            if getattr(self, name) is not None and not fits:
                errors.append(f"{_flag(name)}: given, {self.subject} has none")
        if self.checkpoint is not None:
            for name in sorted(_PRESET_ONLY | {"preset"}):
                if getattr(self, name) is not None:
                    errors.append(f"{_flag(name)}: given, the checkpoint says it already")
        if (
            self.modality is not None
            and self.preset is not None
            and self.preset not in PRESETS[self.modality]
        ):
            errors.append(f"--preset: {self.preset!r} given, allowed: {', '.join(PRESETS[self.modality])}")
        raise_config_errors(errors)

    @property
    def subject(self) -> str:
        """The flag that says what is counted."""
        if self.modality is not None:
            return f"--modality {self.modality}"
        return "--timm" if self.timm is not None else "--hf-config"


def preset_config(config: ProfileConfig) -> CodecConfig:
    """Codec of a preset: its nested code where that holds the wanted k, else a code of that k alone.

    Raises:
        ToolkitError: if a size does not fit the preset.
    """
    assert config.modality is not None
    preset = config.preset or DEFAULT_PRESET[config.modality]
    size = {} if config.image_size is None else {"image_size": config.image_size}
    if config.modality == "text":
        return TextCodecConfig.from_preset(preset, k=_codes(config.k or TEXT_K, PRESET_K_TEXT))
    if config.modality == "image":
        k = _codes(config.k or IMAGE_K, PRESET_K_IMAGE)
        return ImageCodecConfig.from_preset(preset, classes=config.classes or CLASSES, k=k, **size)
    return VQACodecConfig.from_preset(
        preset,
        answers=tuple(map(str, range(config.answers or ANSWERS))),
        k_text=_codes(config.k_text or TEXT_K, PRESET_K_TEXT),
        k_image=_codes(config.k_image or IMAGE_K, PRESET_K_IMAGE),
        **size,
    )


def _codes(k: int, nested: tuple[int, ...]) -> tuple[int, ...]:
    return nested if k in nested else (k,)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")

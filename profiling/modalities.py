"""What one task of each modality is: its sizes, their defaults, and the codec it goes through. No torch here.

`profiling.closed` counts it by formula, `profiling.counted.codec_parts` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from data.settings import Problem, SettingsError
from deepsc.codec.config import CodecConfig
from deepsc.image.config import IMAGE_PRESETS, ImageCodecConfig
from deepsc.text.config import TEXT_PRESETS, TextCodecConfig
from deepsc.vqa.config import VQA_PRESETS, VQACodecConfig
from profiling.closed.decoding import Decoding
from profiling.closed.image import image_parts
from profiling.closed.parts import Part
from profiling.closed.text import text_parts
from profiling.closed.vqa import vqa_parts

TEXT_K, IMAGE_K = 16, 32
"""k^T and k^I of Table I."""
PRESET_K_TEXT, PRESET_K_IMAGE = (4, 8, 12, 16, 20), (8, 16, 24, 32)
"""k of a preset's codec: one nested code, as `train-deepsc --k 4,8,12,16,20` trains it."""
LENGTH = 20
"""S^T of section V.A, in tokens."""
CLASSES, ANSWERS = 1000, 1000
"""Classes of ImageNet-1k; answers that VQA models commonly choose from."""

Sizes = Mapping[str, int]
"""k and lengths of one task, by the names of `Modality.sizes`."""


@dataclass(frozen=True, kw_only=True)
class Modality:
    """The task of one modality. Codecs' configs have its k under the same names."""

    name: str
    codec_config: type[CodecConfig]
    presets: Mapping[str, Any]
    default_preset: str
    nested: Mapping[str, tuple[int, ...]]
    """k of a preset's nested code, of each transmission."""
    sizes: Sizes
    """k and lengths that a task is counted at, with their defaults."""
    model_sizes: Mapping[str, int | None] = field(default_factory=dict)
    """Sizes of the model itself that may replace a preset's; None: as the preset has it."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Lengths that the codec's config fixes: the name in a FLOPs file, and in the config."""
    heading: str
    """The task in words, with places for its sizes."""
    parts: Callable[..., tuple[Part, ...]]
    """Closed form of every part of a codec's config, for the task's sizes."""

    def task(self, sizes: Sizes) -> dict[str, int]:
        """All sizes of a task, from those that are not left to their default."""
        return {**self.sizes, **sizes}

    def from_preset(self, preset: str, task: Sizes, **changes: int) -> CodecConfig:
        """Codec of a preset: its nested code where that holds the task's k, else a code of that k alone."""
        fields: dict[str, Any] = {
            name: codes if task[name] in codes else (task[name],) for name, codes in self.nested.items()
        }
        fields |= {name: size for name, size in self.model_sizes.items() if size is not None} | changes
        if "answers" in fields:  # without names
            fields["answers"] = tuple(map(str, range(fields["answers"])))
        return self.codec_config.from_preset(preset, **fields)

    def require_fit(self, config: CodecConfig, task: Sizes) -> None:
        """Refuse a task that does not fit a codec.

        Raises:
            SettingsError: of another k, of lengths outside the model's, or if it is the local model.
        """
        if problems := list(self._problems(config, task)):
            raise SettingsError(problems)

    def file_sizes(self, config: CodecConfig, task: Sizes) -> dict[str, int]:
        """k and lengths by the names of `FlopsFile`'s fields."""
        fixed = {name: getattr(config, of_config) for name, of_config in self.tokens.items()}
        return {name: size for name, size in {**task, **fixed}.items() if name != "beams"}

    def words(self, config: CodecConfig, task: Sizes) -> str:
        """The task in words."""
        return self.heading.format(config=config, **self.file_sizes(config, task))

    def decoding(self, task: Sizes) -> str:
        """How the decoder runs."""
        beams = task.get("beams")
        if beams is None:
            return "one pass"
        return f"{Decoding.of(beams)}, {beams} beams" if beams > 1 else str(Decoding.of(beams))

    def _problems(self, config: Any, task: Sizes) -> Iterator[Problem]:
        for name in self.nested:
            trained = getattr(config, name)
            if not trained:
                message = "the local model has no JSC codec to count; give the codec's checkpoint, whose "
                yield Problem("checkpoint", f"{message}FLOPs file holds the local count too")
                return
            if task[name] not in trained:
                allowed = ", ".join(map(str, trained))
                yield Problem(name, f"{task[name]} given, the codec allows {allowed}")
        for name, size in task.items():
            if name.endswith("_length") and not 1 <= size <= (most := config.max_length):
                yield Problem(name, f"{size} given, the codec allows 1 to {most} tokens")


MODALITIES = {
    modality.name: modality
    for modality in (
        Modality(
            name="text",
            codec_config=TextCodecConfig,
            presets=TEXT_PRESETS,
            default_preset="small",
            nested={"k": PRESET_K_TEXT},
            sizes={"k": TEXT_K, "source_length": LENGTH, "target_length": LENGTH, "beams": 1},
            heading="one sentence of {source_length} source and {target_length} target tokens, k = {k}",
            parts=text_parts,
        ),
        Modality(
            name="image",
            codec_config=ImageCodecConfig,
            presets=IMAGE_PRESETS,
            default_preset="deit-small",
            nested={"k": PRESET_K_IMAGE},
            sizes={"k": IMAGE_K},
            model_sizes={"image_size": None, "classes": CLASSES},
            tokens={"source_length": "image_tokens"},
            heading="one image of {config.image_size} pixels a side, {source_length} tokens, k = {k}",
            parts=image_parts,
        ),
        Modality(
            name="vqa",
            codec_config=VQACodecConfig,
            presets=VQA_PRESETS,
            default_preset="deit-small",
            nested={"k_text": PRESET_K_TEXT, "k_image": PRESET_K_IMAGE},
            sizes={"k_text": TEXT_K, "k_image": IMAGE_K, "source_length": LENGTH},
            model_sizes={"image_size": None, "answers": ANSWERS},
            tokens={"image_length": "image_tokens"},
            heading="a question of {source_length} tokens about an image of {config.image_size} pixels a "
            "side, {image_length} tokens, k = {k_text} and {k_image}",
            parts=vqa_parts,
        ),
    )
}


def modality_of(config: CodecConfig) -> Modality:
    """The modality of a codec, by its config's type."""
    return next(modality for modality in MODALITIES.values() if isinstance(config, modality.codec_config))

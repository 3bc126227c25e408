"""What profiling knows of each modality: one object each, found by name. No torch before a codec is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import deepsc.modality
from data.files.errors import flag_of
from deepsc.codec.config import CodecConfig
from deepsc.image.config import IMAGE_PRESETS, ImageCodecConfig
from deepsc.text.config import TEXT_PRESETS, TextCodecConfig
from deepsc.vqa.config import VQA_PRESETS, VQACodecConfig
from profiling.closed.decoding import Decoding
from profiling.closed.image import image_parts
from profiling.closed.parts import Part
from profiling.closed.text import text_parts
from profiling.closed.vqa import vqa_parts

if TYPE_CHECKING:
    from profiling.counted.aten import ProductCount
    from profiling.counted.measured import FvcoreCount, TorchCount
    from profiling.counted.workloads import Workloads

    Count = TypeVar("Count", ProductCount, TorchCount, FvcoreCount)

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


class Modality(ABC):
    """How the codecs of one modality are counted and timed."""

    name: str
    presets: Mapping[str, Any]
    default_preset: str
    sizes: ClassVar[Sizes]
    """k and lengths that a task is counted at, with their defaults."""
    preset_sizes: frozenset[str]
    """Sizes of the model itself that may replace a preset's; a checkpoint has its own."""

    @property
    def flags(self) -> frozenset[str]:
        """Names of all sizes."""
        return self.preset_sizes | self.sizes.keys()

    @property
    def trained(self) -> deepsc.modality.Modality[Any]:
        """What training knows of it: the codec and its config."""
        return deepsc.modality.modality(self.name)

    @abstractmethod
    def from_preset(self, preset: str, task: Sizes, **changes: int) -> CodecConfig:
        """Codec of a preset: its nested code where that holds the task's k, else a code of that k alone."""

    @abstractmethod
    def errors(self, config: Any, task: Sizes) -> list[str]:
        """What of a task does not fit a codec."""

    @abstractmethod
    def heading(self, config: Any, task: Sizes) -> str:
        """The task in words."""

    @abstractmethod
    def file_sizes(self, config: Any, task: Sizes) -> dict[str, int]:
        """k and lengths by the names of `FlopsFile`'s fields."""

    @abstractmethod
    def parts(self, config: Any, task: Sizes) -> tuple[Part, ...]:
        """Every part, from the config alone."""

    @abstractmethod
    def runs(self, codec: Any, task: Sizes, *, batch: int = 1) -> Workloads:
        """Every part as it runs, by name."""

    def decoding(self, task: Sizes) -> str:
        """How the decoder runs."""
        return "one pass"

    def runs_to_count(self, codec: Any, task: Sizes) -> Workloads:
        """What the counters run in place of `runs`."""
        return self.runs(codec, task)

    def gather(self, counts: Mapping[str, Count], task: Sizes) -> Mapping[str, Count]:
        """Counts of the parts from those of `runs_to_count`."""
        return counts


class TextModality(Modality):
    """A sentence, whose decoder generates its translation."""

    name = "text"
    presets = TEXT_PRESETS
    default_preset = "small"
    sizes: ClassVar[Sizes] = {"k": TEXT_K, "source_length": LENGTH, "target_length": LENGTH, "beams": 1}
    preset_sizes = frozenset[str]()

    def from_preset(self, preset: str, task: Sizes, **changes: int) -> TextCodecConfig:
        """A preset's codec."""
        return TextCodecConfig.from_preset(preset, k=_codes(task["k"], PRESET_K_TEXT))

    def errors(self, config: TextCodecConfig, task: Sizes) -> list[str]:
        """Another k, lengths outside the model's."""
        return [
            *_k_errors("k", task, config.k),
            *_length_errors(("source_length", "target_length"), task, config.max_length),
        ]

    def heading(self, config: TextCodecConfig, task: Sizes) -> str:
        """The task in words."""
        source, target = task["source_length"], task["target_length"]
        return f"one sentence of {source} source and {target} target tokens, k = {task['k']}"

    def file_sizes(self, config: TextCodecConfig, task: Sizes) -> dict[str, int]:
        """k, S and T."""
        return {name: size for name, size in task.items() if name != "beams"}

    def parts(self, config: TextCodecConfig, task: Sizes) -> tuple[Part, ...]:
        """Every part."""
        return text_parts(config, **task, decoding=_mode(task))

    def decoding(self, task: Sizes) -> str:
        """Greedy or by beam search, with a KV cache."""
        beams = task["beams"]
        return f"{_mode(task)}, {beams} beams" if beams > 1 else str(_mode(task))

    def runs(self, codec: Any, task: Sizes, *, batch: int = 1) -> Workloads:
        """Every part; the decoder generates."""
        from profiling.counted.text_decoder import generation
        from profiling.counted.workloads import text_workloads

        lengths = {name: task[name] for name in ("source_length", "target_length", "beams")}
        return {
            **text_workloads(codec, source_length=task["source_length"], k=task["k"], batch=batch),
            "semantic decoder": generation(codec, **lengths, batch=batch),
        }

    def runs_to_count(self, codec: Any, task: Sizes) -> Workloads:
        """Of a generation, steps 1, 2 and T; the counts of the others lie on a line."""
        from profiling.counted.text_decoder import cached_step
        from profiling.counted.workloads import text_workloads

        S, T = task["source_length"], task["target_length"]
        steps = {
            f"step {position}": cached_step(codec, source_length=S, position=position, beams=task["beams"])
            for position in {1, min(2, T), T}
        }
        return {**text_workloads(codec, source_length=S, k=task["k"]), **steps}

    def gather(self, counts: Mapping[str, Count], task: Sizes) -> Mapping[str, Count]:
        """The decoder's steps as one part."""
        from profiling.counted.text_decoder import over_steps

        T = task["target_length"]
        first, second, last = (counts[f"step {position}"] for position in (1, min(2, T), T))
        return {**counts, "semantic decoder": over_steps(first, second, last, T)}


class ImageModality(Modality):
    """An image, classified or retrieved."""

    name = "image"
    presets = IMAGE_PRESETS
    default_preset = "deit-small"
    sizes: ClassVar[Sizes] = {"k": IMAGE_K}
    preset_sizes = frozenset({"image_size", "classes"})

    def from_preset(self, preset: str, task: Sizes, **changes: int) -> ImageCodecConfig:
        """A preset's codec."""
        return ImageCodecConfig.from_preset(
            preset, k=_codes(task["k"], PRESET_K_IMAGE), **{"classes": CLASSES} | changes
        )

    def errors(self, config: ImageCodecConfig, task: Sizes) -> list[str]:
        """Another k."""
        return _k_errors("k", task, config.k)

    def heading(self, config: ImageCodecConfig, task: Sizes) -> str:
        """The task in words."""
        return f"one image of {config.image_size} pixels a side, {config.tokens} tokens, k = {task['k']}"

    def file_sizes(self, config: ImageCodecConfig, task: Sizes) -> dict[str, int]:
        """k and S."""
        return {**task, "source_length": config.tokens}

    def parts(self, config: ImageCodecConfig, task: Sizes) -> tuple[Part, ...]:
        """Every part."""
        return image_parts(config, **task)

    def runs(self, codec: Any, task: Sizes, *, batch: int = 1) -> Workloads:
        """Every part."""
        from profiling.counted.workloads import image_workloads

        return image_workloads(codec, **task, batch=batch)


class VQAModality(Modality):
    """A question about an image."""

    name = "vqa"
    presets = VQA_PRESETS
    default_preset = "deit-small"
    sizes: ClassVar[Sizes] = {"k_text": TEXT_K, "k_image": IMAGE_K, "source_length": LENGTH}
    preset_sizes = frozenset({"image_size", "answers"})

    def from_preset(self, preset: str, task: Sizes, **changes: int) -> VQACodecConfig:
        """A preset's codec, its answers without names."""
        answers = tuple(map(str, range(changes.pop("answers", ANSWERS))))
        k = {
            "k_text": _codes(task["k_text"], PRESET_K_TEXT),
            "k_image": _codes(task["k_image"], PRESET_K_IMAGE),
        }
        return VQACodecConfig.from_preset(preset, answers=answers, **k, **changes)

    def errors(self, config: VQACodecConfig, task: Sizes) -> list[str]:
        """Another k, a length outside the model's."""
        return [
            *_k_errors("k_text", task, config.k_text),
            *_k_errors("k_image", task, config.k_image),
            *_length_errors(("source_length",), task, config.max_length),
        ]

    def heading(self, config: VQACodecConfig, task: Sizes) -> str:
        """The task in words."""
        return (
            f"a question of {task['source_length']} tokens about an image of {config.image_size} pixels a "
            f"side, {config.image_tokens} tokens, k = {task['k_text']} and {task['k_image']}"
        )

    def file_sizes(self, config: VQACodecConfig, task: Sizes) -> dict[str, int]:
        """Both k and both lengths."""
        return {**task, "image_length": config.image_tokens}

    def parts(self, config: VQACodecConfig, task: Sizes) -> tuple[Part, ...]:
        """Every part."""
        return vqa_parts(config, **task)

    def runs(self, codec: Any, task: Sizes, *, batch: int = 1) -> Workloads:
        """Every part."""
        from profiling.counted.workloads import vqa_workloads

        return vqa_workloads(codec, **task, batch=batch)


MODALITIES: dict[str, Modality] = {
    modality.name: modality for modality in (TextModality(), ImageModality(), VQAModality())
}


def modality_of(config: CodecConfig) -> Modality:
    """The modality of a codec, by its config's type."""
    return next(one for one in MODALITIES.values() if isinstance(config, one.trained.codec_config))


def _mode(task: Sizes) -> Decoding:
    return Decoding.BEAM_KV_CACHE if task["beams"] > 1 else Decoding.GREEDY_KV_CACHE


def _codes(k: int, nested: tuple[int, ...]) -> tuple[int, ...]:
    return nested if k in nested else (k,)


def _k_errors(name: str, task: Sizes, trained: tuple[int, ...]) -> list[str]:
    if not trained:
        return [
            "--checkpoint: the local model has no JSC codec to count; give the codec's checkpoint, whose "
            "FLOPs file holds the local count too"
        ]
    if task[name] not in trained:
        return [f"{flag_of(name)}: {task[name]} given, the codec allows {', '.join(map(str, trained))}"]
    return []


def _length_errors(names: Iterable[str], task: Sizes, most: int) -> list[str]:
    return [
        f"{flag_of(name)}: {task[name]} given, the codec allows 1 to {most} tokens"
        for name in names
        if not 1 <= task[name] <= most
    ]

"""What `profile-flops` does; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from data.settings import Flag, Problem, Range, Settings, named
from deepsc.codec.config import K_RANGE
from profiling.modalities import ANSWERS, CLASSES, IMAGE_K, LENGTH, MODALITIES, TEXT_K
from profiling.timed.device import DeviceConfig
from profiling.timed.latency import LatencyConfig

_SUBJECTS = ("modality", "timm", "hf_config")
_CODEC_ONLY = ("checkpoint", "output", "overwrite", "plot", "preset")
_PRESETS = "; ".join(f"{name}: {', '.join(modality.presets)}" for name, modality in MODALITIES.items())
_Size = Annotated[int | None, Range(1)]
_K = Annotated[int | None, K_RANGE]


@dataclass(frozen=True, kw_only=True)
class ProfileConfig(Settings):
    """What `profile-flops` does: one of `modality`, `timm` and `hf_config` says what is counted.

    A field that is None takes the modality's default; one that the subject does not have must be None.
    """

    modality: Annotated[str | None, Range(choices=tuple(MODALITIES))] = None
    """What crosses the channel."""
    timm: Annotated[str | None, Flag(metavar="NAME")] = None
    """A model of timm's instead of a codec."""
    hf_config: Annotated[str | None, Flag(metavar="FILE")] = None
    """A transformers config.json instead of a codec."""
    checkpoint: Annotated[str | None, Flag(metavar="DIR")] = None
    """Folder of a codec trained by train-deepsc, or the name of one that ships; none: a preset's codec."""
    preset: Annotated[str | None, Flag(metavar="NAME", help=f"size of a codec. {_PRESETS}")] = None
    k: Annotated[_K, Flag(metavar="K", help=f"complex channel symbols a token, eq. (4) (text: {TEXT_K}, "
                             f"image: {IMAGE_K})")] = None  # fmt: skip
    k_text: Annotated[_K, Flag(metavar="K", help=f"the same for a VQA question ({TEXT_K})")] = None
    k_image: Annotated[_K, Flag(metavar="K", help=f"the same for a VQA image ({IMAGE_K})")] = None
    source_length: Annotated[
        _Size, Flag(metavar="S", help=f"tokens of a sentence or question, its end included ({LENGTH})")
    ] = None
    target_length: Annotated[
        _Size, Flag(metavar="T", help=f"tokens generated, the end included ({LENGTH})")
    ] = None
    beams: Annotated[_Size, Flag(metavar="N")] = None
    """Width of the decoder's search (1: greedy)."""
    image_size: Annotated[_Size, Flag(metavar="PIXELS")] = None
    """A side (the preset's or model's)."""
    classes: Annotated[_Size, Flag(metavar="N", help=f"classes of a preset's classifier ({CLASSES})")] = None
    answers: Annotated[_Size, Flag(metavar="N", help=f"answers of a preset's classifier ({ANSWERS})")] = None
    output: Annotated[str | None, Flag(metavar="FILE")] = None
    """The FLOPs file, of a codec (runs/flops.json)."""
    overwrite: bool = False
    """Replace an output that other settings made, and a table or plot that profile-flops did not make."""
    table: Annotated[tuple[str, ...], Flag(metavar="FILE", action="append")] = ()
    """All tables as .md or .tex, or counts by module as .csv; repeatable."""
    plot: Annotated[str | None, Flag(metavar="FILE")] = None
    """Stacked bars of a codec, as .png, .pdf or .svg."""
    detail: bool = False
    """Print all tables: every part, module and cause, as --table writes them."""
    allow_uncounted: bool = False
    """Show what no method explains as unexplained, instead of failing."""
    latency: LatencyConfig | None = None
    """How each part is timed on this device; None: it is not."""
    device_file: DeviceConfig | None = None
    """A device file of what was timed; None: none is written."""

    def problems(self) -> Iterator[Problem]:
        """Not one subject; what the subject, or a checkpoint, has no use for; an unknown preset."""
        if self.device_file is not None and self.latency is None:
            yield Problem(
                "device_file.path", "given, profile-flops --latency is needed: the file is of a timing"
            )
        subjects = [name for name in _SUBJECTS if getattr(self, name) is not None]
        if len(subjects) != 1:
            allowed = ", ".join(map(named, _SUBJECTS))
            what = (
                f"{', '.join(map(named, subjects)) or 'none'} given, one of the arguments {allowed} is needed"
            )
            yield Problem(subjects[-1] if subjects else "modality", what)
            return
        subject = named(subjects[0]) + (f" {self.modality}" if self.modality else "")
        allowed_sizes = self._sizes()
        for name in sorted({*_CODEC_ONLY, *_ALL_SIZES} - allowed_sizes):
            if name == "overwrite" and self.table:
                continue  # which may be there
            if getattr(self, name) not in (None, False) and not (self.modality and name in _CODEC_ONLY):
                others = ", ".join(sorted(map(named, allowed_sizes)))
                yield Problem(name, f"given, {subject} has none; it has {others}")
        for name in sorted({"preset", *_MODEL_SIZES}):
            if self.checkpoint is not None and getattr(self, name) is not None:
                yield Problem(name, "given, the checkpoint says it already")
        if (
            self.modality
            and self.preset
            and self.preset not in (presets := MODALITIES[self.modality].presets)
        ):
            yield Problem("preset", f"{self.preset!r} given, allowed: {', '.join(presets)}")

    def chosen(self, names: Mapping[str, object]) -> dict[str, int]:
        """Those of the sizes `names` that are not left to their default."""
        return {name: value for name in sorted(names) if (value := getattr(self, name)) is not None}

    def _sizes(self) -> set[str]:
        """Sizes that the subject has."""
        if self.modality is not None:
            return {*MODALITIES[self.modality].sizes, *MODALITIES[self.modality].model_sizes}
        return {"image_size"} if self.timm is not None else {"source_length", "target_length", "image_size"}


_MODEL_SIZES = {name for modality in MODALITIES.values() for name in modality.model_sizes}
_ALL_SIZES = _MODEL_SIZES | {name for modality in MODALITIES.values() for name in modality.sizes}

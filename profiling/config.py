"""What `profile-flops` does; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from data.files.errors import flag_of, raise_config_errors
from profiling.modalities import MODALITIES
from profiling.timed.latency import LatencyConfig

_ALLOWED: dict[str, frozenset[str]] = {
    **{f"--modality {name}": modality.flags for name, modality in MODALITIES.items()},
    "--timm": frozenset({"image_size"}),
    "--hf-config": frozenset({"source_length", "target_length", "image_size"}),
}
_CODEC_ONLY = {"checkpoint", "preset", "output", "overwrite", "plot"}
_PRESET_ONLY = frozenset[str]().union(*(modality.preset_sizes for modality in MODALITIES.values()))


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
    overwrite: bool = False
    """Replace a FLOPs file that other settings made."""
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
            if getattr(self, name) not in (None, False) and not fits:
                others = ", ".join(sorted(map(flag_of, allowed)))
                errors.append(f"{flag_of(name)}: given, {self.subject} has none; it has {others}")
        if self.checkpoint is not None:
            for name in sorted(_PRESET_ONLY | {"preset"}):
                if getattr(self, name) is not None:
                    errors.append(f"{flag_of(name)}: given, the checkpoint says it already")
        if self.modality is not None and self.preset is not None:
            presets = MODALITIES[self.modality].presets
            if self.preset not in presets:
                errors.append(f"--preset: {self.preset!r} given, allowed: {', '.join(presets)}")
        raise_config_errors(errors)

    @property
    def subject(self) -> str:
        """The flag that says what is counted."""
        if self.modality is not None:
            return f"--modality {self.modality}"
        return "--timm" if self.timm is not None else "--hf-config"

    def given(self, names: Iterable[str]) -> dict[str, int]:
        """Those of the sizes `names` that are not left to their default."""
        return {name: value for name in sorted(names) if (value := getattr(self, name)) is not None}

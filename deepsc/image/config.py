"""Configurations of image codecs; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from data.files.errors import ToolkitError, raise_config_errors
from deepsc.codec.config import CodecConfig, empty_text_errors, size_errors
from deepsc.train.config import RunConfig

AUGMENTATIONS = ("deit", "light", "none")
LARGEST_SIDE = 4096
"""Pixels a side of what a codec takes: 64 MiB an image and channel as floats."""
MOST_PATCHES = 2**16
"""Of an image; each attends to every other."""


@dataclass(frozen=True, kw_only=True)
class ImagePreset:
    """Size of an image codec and the training that suits it."""

    width: int
    heads: int
    depth: int
    image_size: int
    """Pixels a side."""
    patch_size: int
    drop_path: float
    augment: str
    """"deit": RandAugment, mixup, cutmix, erasing; "light": shifts and flips; "none"."""
    learning_rate: float
    """Peak, after warm-up."""
    warmup_steps: int
    batch_tokens: int
    """Largest number of tokens in a batch: images times patches and the class token."""
    epochs: int


IMAGE_PRESETS = {
    "tiny": ImagePreset(
        width=48, heads=3, depth=4, image_size=32, patch_size=8, drop_path=0.0, augment="none",
        learning_rate=2e-3, warmup_steps=50, batch_tokens=1088, epochs=10,
    ),
    "deit-tiny": ImagePreset(
        width=192, heads=3, depth=12, image_size=224, patch_size=16, drop_path=0.1, augment="deit",
        learning_rate=1e-3, warmup_steps=2000, batch_tokens=12608, epochs=300,
    ),
    "deit-small": ImagePreset(
        width=384, heads=6, depth=12, image_size=224, patch_size=16, drop_path=0.1, augment="deit",
        learning_rate=5e-4, warmup_steps=2000, batch_tokens=12608, epochs=300,
    ),
}  # fmt: skip
"""deit-tiny, deit-small: timm's deit_tiny_patch16_224, deit_small_patch16_224 (Touvron et al., 2021)."""


@dataclass(frozen=True, kw_only=True)
class ImageCodecConfig(CodecConfig):
    """Architecture of an image codec: a DeiT cut after block `split`, and at the cut the JSC codec.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    classes: int
    width: int
    heads: int
    depth: int
    """Transformer blocks in all."""
    split: int
    """Blocks at the UE; the other depth - split run at the server (6 and 6: F^I of section V)."""
    image_size: int
    """Pixels a side."""
    patch_size: int
    drop_path: float = 0.0
    k: tuple[int, ...] = ()
    """Complex channel symbols per token the codec is trained for, rising; empty for the local model."""

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> ImageCodecConfig:
        """Config of a preset, with fields changed; the cut is in the middle unless `split` is among them."""
        size = IMAGE_PRESETS[preset]
        names = ("width", "heads", "depth", "image_size", "patch_size", "drop_path")
        fields = {name: getattr(size, name) for name in names} | changes
        fields.setdefault("split", max(1, fields["depth"] // 2))
        return cls(preset=preset, **fields)

    @property
    def uplinks(self) -> tuple[tuple[int, ...], ...]:
        """One transmission: k."""
        return (self.k,) if self.k else ()

    @property
    def tokens(self) -> int:
        """S^I: patches and the class token; all of them cross the channel."""
        return (self.image_size // self.patch_size) ** 2 + 1

    @property
    def model_name(self) -> dict[str, Any]:
        """What tells this model from another where FLOPs and accuracy are concerned."""
        names = ("preset", "width", "heads", "depth", "split", "image_size", "patch_size", "classes")
        return {"name": "image-deit", **{name: getattr(self, name) for name in names}}

    def architecture_errors(self) -> list[str]:
        """Sizes below 1, heads that do not divide the width, a cut outside the blocks, half patches."""
        errors = size_errors(self, "classes", "width", "heads", "depth", "image_size", "patch_size")
        if not errors:
            if self.width % self.heads:
                errors.append(f"width: {self.width} given, a multiple of the {self.heads} heads is allowed")
            most = max(1, self.depth - 1)
            if not 1 <= self.split <= most:
                errors.append(f"--split: {self.split} given, 1 to {most} is allowed (--depth)")
            errors += patch_errors(self.image_size, self.patch_size)
        if not 0 <= self.drop_path < 1:
            errors.append(f"drop_path: {self.drop_path} given, [0, 1) is allowed")
        return errors


def patch_errors(image_size: int, patch_size: int) -> list[str]:
    """Errors if the image is too large, cut into too many patches, or not tiled by them."""
    if image_size > LARGEST_SIDE:
        return [f"--image-size: {image_size} given, at most {LARGEST_SIDE} is allowed"]
    if image_size % patch_size:
        return [f"--image-size: {image_size} given, a multiple of --patch-size {patch_size} is allowed"]
    if (patches := (image_size // patch_size) ** 2) > MOST_PATCHES:
        return [
            f"--patch-size: {patch_size} given, which cuts --image-size {image_size} into {patches} patches; "
            f"at most {MOST_PATCHES} are allowed"
        ]
    return []


@dataclass(frozen=True, kw_only=True)
class ImageSetConfig:
    """Which images; the arguments of `data.images.load.load_images`."""

    dataset: str
    """"cifar10", "easy-vqa", "digits", or "folder" for `folder`."""
    data_dir: str | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        raise_config_errors(empty_text_errors(self))


@dataclass(frozen=True, kw_only=True)
class ImageRunConfig(RunConfig):
    """What `train-deepsc --modality image` does.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    modality: ClassVar[str] = "image"
    presets: ClassVar[Mapping[str, ImagePreset]] = IMAGE_PRESETS
    tasks: ClassVar[tuple[str, ...]] = ("classify",)

    corpus: ImageSetConfig
    preset: str = "deit-small"
    task: str = "classify"
    """"classify"; `build-accuracy-map --task retrieve` measures retrieval with the same models."""
    k: tuple[int, ...] = (16,)
    image_size: int | None = None
    """Pixels a side; None: the preset's, as for the next three."""
    patch_size: int | None = None
    depth: int | None = None
    """Transformer blocks in all; fewer than the preset's make a slice of its model."""
    split: int | None = None
    """Blocks at the UE; None: half of them."""
    augment: str | None = None
    """None: the preset's."""
    skip_bad: bool = False
    """Leave out images of the corpus's folder that cannot be read, instead of an error that lists them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.skip_bad and self.corpus.dataset != "folder":
            raise ToolkitError(f"--skip-bad: given, --dataset {self.corpus.dataset} has no --folder to check")
        if not self.init_from:  # else the checkpoint says what the sizes go with; before the images are read
            ImageCodecConfig.from_preset(self.preset, classes=1, **self.sizes, **self.channel_fields)
        if self.augment is not None and self.augment not in AUGMENTATIONS:
            raise ToolkitError(f"--augment: {self.augment!r} given, allowed: {', '.join(AUGMENTATIONS)}")

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        """One transmission: k."""
        return {"k": self.k}

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that were given and replace the preset's."""
        names = ("image_size", "patch_size", "depth", "split")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

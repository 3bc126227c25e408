"""Configurations of image codecs; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from typing_extensions import override

from data.settings import Flag, Problem, Range, named
from deepsc.codec.config import CodecConfig, Layers, Size, TrainedK, head_problems
from deepsc.config import Preset, RunConfig, SetConfig

AUGMENTATIONS = ("deit", "light", "flips", "none")
STEMS = ("tf_efficientnet_lite0",)
"""Convolutional networks of timm's whose first stages may embed the patches, see `deepsc.image.stem`."""
STEM_STRIDE = 16
"""Pixels a side of a token of a stem's."""
LARGEST_SIDE = 4096
"""Pixels a side of what a codec takes: 64 MiB an image and channel as floats."""
MOST_PATCHES = 2**16
"""Of an image; each attends to every other."""


@dataclass(frozen=True, kw_only=True)
class ImagePreset(Preset):
    """Size of an image codec and the training that suits it."""

    width: int
    heads: int
    depth: int
    image_size: int
    """Pixels a side."""
    patch_size: int
    drop_path: float
    augment: str
    """"deit": RandAugment, mixup, cutmix, erasing; "light": shifts and flips; "flips"; "none"."""


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


_OF_THE_STEM = {"stem", "freeze_stem"}
"""Fields that a plain DeiT has no use for."""


@dataclass(frozen=True, kw_only=True)
class HybridConfig(CodecConfig):
    """Architecture of a codec whose images a DeiT encodes, or a hybrid.

    A hybrid's patches are embedded by its `stem`, a convolutional network (Dosovitskiy et al., 2021).
    """

    image_size: Size
    """Pixels a side."""
    patch_size: Size
    stem: Annotated[str | None, Range(choices=STEMS)] = None
    """Network that embeds the patches, of `patch_size` 16, in a hybrid; None: a plain DeiT."""
    freeze_stem: bool = False
    """Whether the stem stays as it starts, its batch norm's statistics too."""

    @classmethod
    @override
    def from_preset(cls, preset: str, **changes: Any) -> Self:
        """Config of a preset, with fields changed; with a stem, patches are of its stride."""
        defaults = {"patch_size": STEM_STRIDE} if changes.get("stem") else {}
        return super().from_preset(preset, **defaults | changes)

    @override
    def to_dict(self) -> dict[str, Any]:
        """Fields as JSON knows them; a plain DeiT has none of the stem, as in earlier releases."""
        fields = super().to_dict()
        return {name: value for name, value in fields.items() if self.stem or name not in _OF_THE_STEM}

    @property
    def image_tokens(self) -> int:
        """S^I: patches and the class token; all of them cross the channel."""
        return (self.image_size // self.patch_size) ** 2 + 1

    @override
    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        stride = f"{STEM_STRIDE}, the stride of {named('stem')} {self.stem},"
        if self.stem and self.patch_size != STEM_STRIDE:
            yield Problem("patch_size", f"{self.patch_size} given, {stride} is allowed")
        elif self.stem and self.image_size % STEM_STRIDE:
            yield Problem("image_size", f"{self.image_size} given, a multiple of {stride} is allowed")
        elif self.freeze_stem and not self.stem:
            yield Problem("freeze_stem", f"given, {named('stem')} is needed: there is none to freeze")
        else:
            yield from patch_problems(self.image_size, self.patch_size)


@dataclass(frozen=True, kw_only=True)
class ImageCodecConfig(HybridConfig):
    """Architecture of an image codec: a DeiT cut after block `split`, and at the cut the JSC codec.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    presets: ClassVar[Mapping[str, ImagePreset]] = IMAGE_PRESETS

    classes: Size
    width: Size
    heads: Size
    depth: Layers
    """Transformer blocks in all."""
    split: int
    """Blocks at the UE; the other depth - split run at the server (6 and 6: F^I of section V)."""
    drop_path: Annotated[float, Range(0, below=1)] = 0.0
    k: TrainedK = ()
    """Complex channel symbols per token the codec is trained for, rising; empty for the local model."""

    @classmethod
    @override
    def from_preset(cls, preset: str, **changes: Any) -> Self:
        """Config of a preset, with fields changed; the cut is in the middle unless `split` is among them."""
        depth = changes.get("depth", cls.presets[preset].depth)
        return super().from_preset(preset, **{"split": max(1, depth // 2)} | changes)

    @property
    @override
    def model_name(self) -> dict[str, Any]:
        names = ("preset", "width", "heads", "depth", "split", "image_size", "patch_size", "classes")
        named_as = {"name": "image-hybrid-deit", "stem": self.stem} if self.stem else {"name": "image-deit"}
        return {**named_as, **{name: getattr(self, name) for name in names}}

    @override
    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from head_problems(self, "width", "heads")
        most = max(1, self.depth - 1)
        if not 1 <= self.split <= most:
            yield Problem("split", f"{self.split} given, 1 to {most} is allowed ({named('depth')})")


def patch_problems(image_size: int, patch_size: int) -> Iterator[Problem]:
    """A problem if the image is too large, cut into too many patches, or not tiled by them."""
    if image_size > LARGEST_SIDE:
        yield Problem("image_size", f"{image_size} given, at most {LARGEST_SIDE} is allowed")
    elif image_size % patch_size:
        allowed = f"a multiple of {named('patch_size')} {patch_size}"
        yield Problem("image_size", f"{image_size} given, {allowed} is allowed")
    elif (patches := (image_size // patch_size) ** 2) > MOST_PATCHES:
        cuts = f"which cuts {named('image_size')} {image_size} into {patches} patches"
        yield Problem("patch_size", f"{patch_size} given, {cuts}; at most {MOST_PATCHES} are allowed")


@dataclass(frozen=True, kw_only=True)
class ImageSetConfig(SetConfig):
    """Which images; the arguments of `data.images.load.load_images`."""

    own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {"folder": ("folder",)}
    read_by: ClassVar[Mapping[str, tuple[str, ...]]] = {"data_dir": ("cifar10", "imagenette")}

    dataset: Annotated[str, Flag(metavar="NAME")] = "cifar10"
    """CIFAR-10; imagenette: photographs; digits: scikit-learn's; easy-vqa: its images, by shape."""
    folder: Annotated[str | None, Flag(metavar="DIR")] = None
    """Own images: DIR/train/CLASS/FILE and DIR/test/CLASS/FILE."""


OwnSize = Annotated[int | None, Range(1), Flag(metavar="N")]
"""Type of a size that replaces the preset's; None: the preset's."""


@dataclass(frozen=True, kw_only=True)
class HybridRunConfig(RunConfig):
    """What `train-deepsc` does where a DeiT encodes images."""

    start_names: ClassVar[tuple[str, ...]] = (*RunConfig.start_names, "stem_weights")

    image_size: OwnSize = None
    """Pixels a side, such as 32 for CIFAR-10."""
    patch_size: OwnSize = None
    """Pixels a side of a token."""
    stem: Annotated[str | None, Range(choices=STEMS)] = None
    """Network of timm's that embeds the patches, which makes the DeiT a hybrid."""
    stem_weights: Annotated[str | None, Flag(metavar="FILE")] = None
    """The stem's weights, timm's or of the same tensors in its order; without it, those of timm's hub."""
    freeze_stem: bool = False
    """Leave the stem as it is; its features are computed once where images are at most mirrored."""

    @property
    @override
    def codec_fields(self) -> dict[str, Any]:
        return {**super().codec_fields, "freeze_stem": self.freeze_stem}

    @override
    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.stem_weights is not None:
            for name in ("init_from", "pretrained"):
                if getattr(self, name):
                    yield Problem("stem_weights", f"given beside {named(name)}, which brings the stem's")
            if not self.stem and not self.init_from:
                yield Problem("stem_weights", f"given, {named('stem')} is needed: it says what they are of")


@dataclass(frozen=True, kw_only=True)
class ImageRunConfig(HybridRunConfig):
    """What `train-deepsc --modality image` does."""

    modality: ClassVar[str] = "image"
    presets: ClassVar[Mapping[str, ImagePreset]] = IMAGE_PRESETS
    tasks: ClassVar[tuple[str, ...]] = ("classify",)
    size_names: ClassVar[tuple[str, ...]] = ("image_size", "patch_size", "depth", "split", "stem")

    corpus: ImageSetConfig
    preset: str = "deit-small"
    """Size of the model: tiny, deit-tiny or deit-small."""
    task: str = "classify"
    """Classify; `build-accuracy-map --task retrieve` measures retrieval with the same models."""
    k: TrainedK = (16,)
    """Complex channel symbols per token, eq. (4)'s k."""
    depth: OwnSize = None
    """Transformer blocks; fewer than the preset's make a slice of its model."""
    split: OwnSize = None
    """Blocks at the user equipment; without it, half of them."""
    augment: Annotated[str | None, Range(choices=AUGMENTATIONS)] = None
    """Deit: RandAugment, mixup, erasing; light: shifts and flips; without it, the preset's, or flips with a
    frozen stem."""
    skip_bad: bool = False
    """Leave out images of the folder that cannot be read, instead of listing them and ending."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from (others := list(super().problems()))
        if self.skip_bad and self.corpus.dataset != "folder":
            yield Problem("skip_bad", f"given, {named('dataset')} {self.corpus.dataset} has no "
                          f"{named('folder')} to check")  # fmt: skip
        if not others and not self.init_from:  # else the checkpoint says what the sizes go with
            yield from ImageCodecConfig.preset_problems(  # before the images are read
                self.preset, classes=1, **self.sizes, **self.codec_fields
            )

"""What the image codec trains on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.batching import LazyBatches
from data.files.errors import ToolkitError
from data.files.provenance import sha256_of
from data.images.load import load_images
from data.images.sets import ImageSet, ImageSplit
from data.settings import named
from deepsc.image.config import IMAGE_PRESETS, ImageCodecConfig, ImageRunConfig
from deepsc.image.evaluate import require_same_classes
from deepsc.image.features import StemFeatures
from deepsc.image.model import ImageBatch, ImageCodec, pretrained_deit
from deepsc.image.pixels import DeiTRecipe, shift_and_flip, to_tensor
from deepsc.image.stem import Stem, pretrained_stem
from deepsc.modality import Checkpoint, Dataset, Material

logger = logging.getLogger(__name__)

_STEM = "vit.patch_embed.backbone."
"""Of the names of a codec's parameters, those of its stem."""
_AT_MOST_MIRRORED = ("flips", "none")
"""Augmentations in which an image is one of two."""


class ImageBatches:
    """Images, dealt to batches and augmented.

    Args:
        split: the images.
        image_size: pixels a side.
        size: images in a batch.
        augment: "deit", "light", "flips" or "none".
        classes: number of classes.
        seed: of shuffling and augmentation; None keeps the images in order and as they are.
        features: what a frozen stem makes of the images, to be dealt in their place where images are at most
            mirrored; None: the images are.
    """

    def __init__(
        self,
        split: ImageSplit,
        *,
        image_size: int,
        size: int,
        augment: str,
        classes: int,
        seed: int | None,
        features: StemFeatures | None = None,
    ) -> None:
        self._split, self._image_size, self._size, self._seed = split, image_size, size, seed
        self._features = features
        self._augment = augment if seed is not None else "none"
        self._recipe = DeiTRecipe(image_size=image_size, classes=classes) if self._augment == "deit" else None

    def __call__(self, epoch: int) -> Sequence[ImageBatch]:
        """Batches of an epoch, the same whenever asked for the same epoch."""
        order = np.arange(len(self._split))
        if self._seed is not None:
            np.random.default_rng((self._seed, epoch)).shuffle(order)
        rows = [order[start : start + self._size].tolist() for start in range(0, len(order), self._size)]
        if self._augment == "deit" and len(rows[-1]) < 2:  # mixup needs a pair
            rows.pop()
        if self._features is not None and self._seed is not None:
            _ = self._features.stored  # made here, before processes that make batches are forked off
        return LazyBatches(rows, lambda row, number: self._batch(row, epoch * len(rows) + number))

    def _batch(self, rows: Sequence[int], number: int) -> ImageBatch:
        chosen = self._split.take(rows)
        images, target = chosen.images, torch.from_numpy(chosen.labels)
        seed = (self._seed or 0) * 1_000_003 + number
        if self._recipe is not None:
            mixed, shares = self._recipe(images, target, seed=seed)
            return ImageBatch(images=mixed, target=shares)
        flips = None
        if self._augment == "flips":
            flips = np.random.default_rng(seed).random(len(rows)) < 0.5
        if self._features is not None:
            return ImageBatch(images=self._features.take(rows, flips=flips), target=target)
        batch = to_tensor(images, image_size=self._image_size)
        if flips is not None:
            batch[flips] = batch[flips].flip(-1)
        if self._augment == "light":
            batch = shift_and_flip(batch, shift=self._image_size // 8, flip=True, seed=seed)
        return ImageBatch(images=batch, target=target)


def material(config: ImageRunConfig, initial: Checkpoint | None) -> Material:
    """Images, codec config and weights of a run; see `deepsc.modality.Material`."""
    images = load_images(**dataclasses.asdict(config.corpus), skip_bad=config.skip_bad)
    if initial is not None:
        assert isinstance(initial.codec.config, ImageCodecConfig)
        codec_config = dataclasses.replace(
            initial.codec.config, freeze_stem=config.freeze_stem, **config.channel_fields
        )
        _require_classes(config, codec_config, initial, images)
        if initial.codec.config.freeze_stem and not config.freeze_stem:
            logger.info(
                "%s %s left its stem as it was, this run trains it; %s would not",
                named("init_from"), config.init_from, named("freeze_stem"),
            )  # fmt: skip
    else:
        codec_config = ImageCodecConfig.from_preset(
            config.preset,
            classes=len(images.classes),
            freeze_stem=config.freeze_stem,
            **config.sizes,
            **config.channel_fields,
        )
    start = _start_of(config, codec_config, initial)
    augment = config.augment or ("flips" if config.freeze_stem else IMAGE_PRESETS[config.preset].augment)
    options: dict[str, Any] = {
        "image_size": codec_config.image_size,
        "size": max(2, config.training.batch_tokens // codec_config.tokens),
        "augment": augment,
        "classes": len(images.classes),
    }

    def batches(split: ImageSplit, seed: int | None) -> ImageBatches:
        features = None
        if codec_config.freeze_stem and (seed is None or augment in _AT_MOST_MIRRORED):
            features = StemFeatures(
                split,
                _frozen_stem(codec_config, initial, start.weights),
                image_size=codec_config.image_size,
                device=config.device,
                mirrored=seed is not None and augment == "flips",
            )
        return ImageBatches(split, seed=seed, features=features, **options)

    dataset = Dataset.of(images)
    if start.stem is not None:
        read = {f"weights of {start.stem['name']}": start.stem["sha256"]}
        dataset = dataclasses.replace(dataset, sha256={**dataset.sha256, **read})
    return Material(
        dataset=dataset,
        codec_config=codec_config,
        batches=lambda: batches(images.train, config.training.seed),
        validation=lambda: batches(images.validation, None)(0),
        weights=start.weights,
        weights_file=start.file,
        description={"class_names": list(images.classes)} | ({"stem": start.stem} if start.stem else {}),
    )


def _require_classes(
    config: ImageRunConfig, codec_config: ImageCodecConfig, initial: Checkpoint, images: ImageSet
) -> None:
    """Check that the checkpoint that a run starts from is of the classes of its images."""
    if codec_config.classes != len(images.classes):
        file = Path(str(config.init_from)) / "model.safetensors"
        raise ToolkitError(
            f"{named('init_from')}: {config.init_from} was trained for {codec_config.classes} classes, "
            f"{images.name} has {len(images.classes)}; {named('pretrained')} {file} starts from all of "
            "it but the classifier"
        )
    require_same_classes("init_from", str(config.init_from), initial.document, images)


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What an image codec starts from besides chance and a checkpoint."""

    weights: Mapping[str, Tensor]
    """Published ones, by name of the codec's parameters."""
    file: Path | None
    """What the DeiT's were read from, where it is known."""
    stem: Mapping[str, str] | None
    """What config.json says of a hybrid's stem: its name, and the SHA-256 of the file of its weights."""


def _start_of(config: ImageRunConfig, codec_config: ImageCodecConfig, initial: Checkpoint | None) -> _Start:
    """Published weights of a run, and where those of its stem are from."""
    name = codec_config.stem
    if initial is not None:
        return _Start(weights={}, file=None, stem=initial.document["stem"] if name else None)
    if config.pretrained is not None:
        reference = ImageCodec(dataclasses.replace(codec_config, k=()))
        deit, file = pretrained_deit(config.pretrained, reference.vit)
        weights, stem_file = {f"vit.{key}": tensor for key, tensor in deit.items()}, file
    elif name is not None:
        stem, stem_file = pretrained_stem(name, config.stem_weights)
        weights, file = {f"{_STEM}{key}": tensor for key, tensor in stem.items()}, None
    else:
        return _Start(weights={}, file=None, stem=None)
    told = {"name": name, "sha256": sha256_of(stem_file) if stem_file else "not known"} if name else None
    return _Start(weights=weights, file=file, stem=told)


def _frozen_stem(config: ImageCodecConfig, initial: Checkpoint | None, weights: Mapping[str, Tensor]) -> Stem:
    """The stem as the run starts, and ends."""
    assert config.stem is not None
    source = weights if initial is None else initial.codec.state_dict()
    stem = Stem(config.stem, frozen=True)
    stem.load_state_dict(
        {key.removeprefix(_STEM): tensor for key, tensor in source.items() if key.startswith(_STEM)},
        strict=initial is not None,  # published weights may lack counters that nothing reads
    )
    return stem

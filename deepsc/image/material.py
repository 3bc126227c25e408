"""What the image codec trains on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.batching import LazyBatches
from data.files.errors import ToolkitError
from data.images.load import load_images
from data.images.sets import ImageSet, ImageSplit
from data.settings import named
from deepsc.checkpoint import WEIGHTS
from deepsc.image.config import IMAGE_PRESETS, ImageCodecConfig, ImageRunConfig
from deepsc.image.evaluate import require_same_classes
from deepsc.image.features import StemFeatures
from deepsc.image.model import ImageBatch, ImageCodec
from deepsc.image.pixels import DeiTRecipe, shift_and_flip, to_tensor
from deepsc.image.start import start_of
from deepsc.modality import Checkpoint, Dataset, Material
from deepsc.zoo.find import resolve

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
            self._features.make()
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
        codec_config = dataclasses.replace(initial.codec.config, **config.codec_fields)
        _require_classes(config, codec_config, initial, images)
    else:
        codec_config = ImageCodecConfig.from_preset(
            config.preset, classes=len(images.classes), **config.sizes, **config.codec_fields
        )
    start = start_of(
        config,
        codec_config,
        initial,
        prefix="vit.",
        deit=lambda: ImageCodec(dataclasses.replace(codec_config, k=())).vit,
    )
    augment = config.augment or ("flips" if config.freeze_stem else IMAGE_PRESETS[config.preset].augment)
    options: dict[str, Any] = {
        "image_size": codec_config.image_size,
        "size": max(2, config.training.batch_tokens // codec_config.image_tokens),
        "augment": augment,
        "classes": len(images.classes),
    }

    def batches(split: ImageSplit, seed: int | None) -> ImageBatches:
        features = None
        if codec_config.freeze_stem and (seed is None or augment in _AT_MOST_MIRRORED):
            features = StemFeatures(
                split.images,
                start.frozen_stem,
                image_size=codec_config.image_size,
                device=config.device,
                mirrored=seed is not None and augment == "flips",
            )
        return ImageBatches(split, seed=seed, features=features, **options)

    return Material(
        dataset=start.read(Dataset.of(images)),
        codec_config=codec_config,
        batches=lambda: batches(images.train, config.training.seed),
        validation=lambda: batches(images.validation, None)(0),
        weights=start.weights,
        weights_file=start.file,
        description={"class_names": list(images.classes)} | start.description,
    )


def _require_classes(
    config: ImageRunConfig, codec_config: ImageCodecConfig, initial: Checkpoint, images: ImageSet
) -> None:
    """Check that the checkpoint that a run starts from is of the classes of its images."""
    if codec_config.classes != len(images.classes):
        file = Path(resolve(str(config.init_from), "local", setting="init_from")) / WEIGHTS
        raise ToolkitError(
            f"{named('init_from')}: {config.init_from} was trained for {codec_config.classes} classes, "
            f"{images.name} has {len(images.classes)}; {named('pretrained')} {file} starts from all of "
            "it but the classifier"
        )
    require_same_classes("init_from", str(config.init_from), initial.document, images)

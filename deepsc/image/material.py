"""What the image codec trains on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.batching import LazyBatches
from data.files.errors import ToolkitError
from data.images.load import load_images
from data.images.sets import ImageSplit
from data.settings import named
from deepsc.image.config import IMAGE_PRESETS, ImageCodecConfig, ImageRunConfig
from deepsc.image.evaluate import require_same_classes
from deepsc.image.model import ImageBatch, ImageCodec, pretrained_deit
from deepsc.image.pixels import DeiTRecipe, shift_and_flip, to_tensor
from deepsc.modality import Checkpoint, Dataset, Material


class ImageBatches:
    """Images, dealt to batches and augmented.

    Args:
        split: the images.
        image_size: pixels a side.
        size: images in a batch.
        augment: "deit", "light" or "none".
        classes: number of classes.
        seed: of shuffling and augmentation; None keeps the images in order and as they are.
    """

    def __init__(
        self, split: ImageSplit, *, image_size: int, size: int, augment: str, classes: int, seed: int | None
    ) -> None:
        self._split, self._image_size, self._size, self._seed = split, image_size, size, seed
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
        return LazyBatches(rows, lambda row, number: self._batch(row, epoch * len(rows) + number))

    def _batch(self, rows: Sequence[int], number: int) -> ImageBatch:
        chosen = self._split.take(rows)
        images, target = chosen.images, torch.from_numpy(chosen.labels)
        seed = (self._seed or 0) * 1_000_003 + number
        if self._recipe is not None:
            mixed, shares = self._recipe(images, target, seed=seed)
            return ImageBatch(images=mixed, target=shares)
        batch = to_tensor(images, image_size=self._image_size)
        if self._augment == "light":
            batch = shift_and_flip(batch, shift=self._image_size // 8, flip=True, seed=seed)
        return ImageBatch(images=batch, target=target)


def material(config: ImageRunConfig, initial: Checkpoint | None) -> Material:
    """Images, codec config and weights of a run; see `deepsc.modality.Material`."""
    images = load_images(**dataclasses.asdict(config.corpus), skip_bad=config.skip_bad)
    if initial is not None:
        assert isinstance(initial.codec.config, ImageCodecConfig)
        codec_config = dataclasses.replace(initial.codec.config, **config.channel_fields)
        if codec_config.classes != len(images.classes):
            file = Path(str(config.init_from)) / "model.safetensors"
            raise ToolkitError(
                f"{named('init_from')}: {config.init_from} was trained for {codec_config.classes} classes, "
                f"{images.name} has {len(images.classes)}; {named('pretrained')} {file} starts from all of "
                "it but the classifier"
            )
        require_same_classes("init_from", str(config.init_from), initial.document, images)
    else:
        codec_config = ImageCodecConfig.from_preset(
            config.preset, classes=len(images.classes), **config.sizes, **config.channel_fields
        )
    weights: dict[str, Tensor] = {}
    weights_file = None
    if config.pretrained is not None:
        reference = ImageCodec(dataclasses.replace(codec_config, k=()))
        deit, weights_file = pretrained_deit(config.pretrained, reference.vit)
        weights = {f"vit.{name}": tensor for name, tensor in deit.items()}
    options: dict[str, Any] = {
        "image_size": codec_config.image_size,
        "size": max(2, config.training.batch_tokens // codec_config.tokens),
        "augment": config.augment or IMAGE_PRESETS[config.preset].augment,
        "classes": len(images.classes),
    }
    return Material(
        dataset=Dataset.of(images),
        codec_config=codec_config,
        batches=lambda: ImageBatches(images.train, seed=config.training.seed, **options),
        validation=lambda: ImageBatches(images.validation, seed=None, **options)(0),
        weights=weights,
        weights_file=weights_file,
        description={"class_names": list(images.classes)},
    )

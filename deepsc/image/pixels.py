"""Images as the codecs take them: resized, normalised as DeiT's are, augmented while training."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, Mixup, create_transform
from torch import Tensor
from torchvision.transforms.v2 import Compose, InterpolationMode, RandomCrop, RandomHorizontalFlip
from torchvision.transforms.v2 import functional as transforms

from data.images.read import Pixels

_CROP_SHARE = 0.875
"""Of a larger image's shorter side, as DeiT is evaluated."""


def to_tensor(images: Iterable[Pixels], *, image_size: int, whole: bool = False) -> Tensor:
    """Images as DeiT's evaluation has them: resized, cropped in the middle, normalised.

    Args:
        images: (H, W, 3) each, of any size; larger ones are resized to let the crop be 87.5 % of them. One
            is resized before the next is asked for, so that photographs are not in memory together.
        image_size: pixels a side.
        whole: stretch images to the square instead and cut nothing off, as a question may be about the edge.

    Returns:
        (B, 3, image_size, image_size).
    """
    fit = _stretched if whole else _fitted
    return normalise(torch.stack([fit(torch.from_numpy(image.copy()), image_size) for image in images]))


def normalise(pixels: Tensor) -> Tensor:
    """Bytes (B, H, W, 3) to (B, 3, H, W), ImageNet's mean taken off, divided by its deviation."""
    mean, deviation = torch.tensor(IMAGENET_DEFAULT_MEAN), torch.tensor(IMAGENET_DEFAULT_STD)
    return ((pixels.float() / 255 - mean) / deviation).permute(0, 3, 1, 2).contiguous()


def _fitted(pixels: Tensor, size: int) -> Tensor:
    """(H, W, 3), resized and cropped to (size, size, 3)."""
    shorter, longer = sorted(pixels.shape[:2])
    if pixels.shape[:2] == (size, size):
        return pixels
    scaled = size if shorter <= size else round(size / _CROP_SHARE)
    if longer > 2 * shorter:
        return _middle(pixels, size, scaled=scaled)
    resized = transforms.resize(
        pixels.permute(2, 0, 1), [scaled], interpolation=InterpolationMode.BICUBIC, antialias=True
    )
    return transforms.center_crop(resized, [size, size]).permute(1, 2, 0)


def _middle(pixels: Tensor, size: int, *, scaled: int) -> Tensor:
    """`_fitted` of a thin image, from its middle alone: the whole would be enlarged with its length squared.

    Args:
        pixels: (H, W, 3).
        size: pixels a side of the crop.
        scaled: pixels of the shorter side before the crop.

    Returns:
        (size, size, 3). Pillow filters as torchvision does, and can be told what part to compute.
    """
    box = []
    for side in pixels.shape[:2]:
        resized = int(scaled * side / min(pixels.shape[:2]))
        start = round((resized - size) / 2)
        box.append((start * side / resized, (start + size) * side / resized))
    (top, bottom), (left, right) = box
    crop = Image.fromarray(pixels.numpy()).resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, right, bottom)
    )
    return torch.from_numpy(np.array(crop))


def shrunk(pixels: Pixels, *, image_size: int) -> Pixels:
    """A larger image as the codec has it, (image_size, image_size, 3); a smaller one as it is, (H, W, 3)."""
    if min(pixels.shape[:2]) <= image_size:
        return pixels
    return _fitted(torch.from_numpy(pixels.copy()), image_size).numpy()


def _stretched(pixels: Tensor, size: int) -> Tensor:
    """(H, W, 3), resized to (size, size, 3)."""
    if pixels.shape[:2] == (size, size):
        return pixels
    resized = transforms.resize(
        pixels.permute(2, 0, 1), [size, size], interpolation=InterpolationMode.BICUBIC, antialias=True
    )
    return resized.permute(1, 2, 0)


def shift_and_flip(images: Tensor, *, shift: int, flip: bool, seed: int) -> Tensor:
    """Each image moved by up to `shift` pixels a way, its edge drawn out behind it, and perhaps mirrored.

    Args:
        images: (B, 3, H, W).
        shift: pixels.
        flip: mirror half of the images, left to right.
        seed: everything random follows from it.

    Returns:
        (B, 3, H, W).
    """
    height, width = images.shape[2:]
    crop = RandomCrop((height, width), padding=shift, padding_mode="edge")
    transform = Compose([crop, RandomHorizontalFlip(0.5 if flip else 0.0)])
    with _global_seed(seed):
        return torch.stack([transform(image) for image in images])


class DeiTRecipe:
    """DeiT's augmentation (Touvron et al., 2021, table 9) by timm: RandAugment, erasing, mixup and cutmix.

    Left out: repeated augmentation, which pays off on batches of a thousand. Label smoothing is the loss's.
    RandAugment's jitter stays below magnitude 9: beyond, timm posterizes to 0 bits, which Pillow refuses.

    Args:
        image_size: pixels a side; up to 32, the crop is a shift, as in DeiT's own code.
        classes: number of classes.
    """

    def __init__(self, *, image_size: int, classes: int) -> None:
        self._transform = create_transform(
            image_size,
            is_training=True,
            color_jitter=0.3,
            auto_augment="rand-m9-mmax9-mstd0.5-inc1",
            interpolation="bicubic",
            re_prob=0.25,
            re_mode="pixel",
            re_count=1,
            mean=IMAGENET_DEFAULT_MEAN,
            std=IMAGENET_DEFAULT_STD,
        )
        self._image_size, self._small = image_size, image_size <= 32
        if self._small:
            self._transform.transforms[0] = RandomCrop(image_size, padding=4)
        self._mixup = Mixup(
            mixup_alpha=0.8,
            cutmix_alpha=1.0,
            prob=1.0,
            switch_prob=0.5,
            label_smoothing=0.0,
            num_classes=classes,
        )

    def _image(self, pixels: Pixels) -> Image.Image:
        if self._small:  # the crop that shifts needs an image of its own size
            pixels = _fitted(torch.from_numpy(pixels.copy()), self._image_size).numpy()
        return Image.fromarray(pixels)

    def __call__(self, images: Sequence[Pixels], labels: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (H, W, 3) each; of an odd number, which mixup cannot pair, the last is left out.
            labels: (B,), class indices.
            seed: everything random follows from it.

        Returns:
            Images (B, 3, H, W) and class probabilities (B, classes).
        """
        even = len(images) - len(images) % 2
        with _global_seed(seed):
            batch = torch.stack([self._transform(self._image(pixels)) for pixels in images[:even]])
            mixed, target = self._mixup(batch, labels[:even])
        return mixed, target


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Seed the generators that timm's transforms draw from, and put them back afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002

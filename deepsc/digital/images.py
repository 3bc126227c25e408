"""Images as bits: WebP at several sizes and qualities."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.images.read import Pixels, read_image
from data.images.sets import ImageSplit

WEBP_QUALITIES = (0, 10, 30, 60, 90)
SCALES = (0.25, 0.5, 1.0)
"""Share of the image's side that is coded; the receiver enlarges it again."""
_WEBP_KNOWN = 27
"""Bytes of a lossy WebP file that follow from its format, size and length: the RIFF container's header (20),
and start code, width and height in the VP8 frame's (7; RFC 6386, 9.1)."""


@dataclass(frozen=True)
class ImageVersions:
    """Images as WebP at several sizes and qualities."""

    bits: NDArray[np.int64]
    """(images, versions)."""
    distortion: NDArray[np.float64]
    """(images, versions), mean squared error of a pixel's colour, 0 to 255²."""
    files: Sequence[Sequence[bytes]]
    """Of each image, its versions."""
    sizes: Sequence[tuple[int, int]]
    """Width and height of each image."""

    def image(self, number: int, version: int) -> Pixels:
        """A version of an image, (H, W, 3), as the receiver has it."""
        return _enlarged(self.files[number][version], self.sizes[number])


def image_versions(split: ImageSplit) -> ImageVersions:
    """Each image as WebP at several sizes and qualities."""
    files, distortion = [], []
    sizes = [(image.shape[1], image.shape[0]) for image in split.images]
    for image, size in zip(split.images, sizes, strict=True):
        files.append([
            _webp(image, scale=scale, quality=quality)
            for scale, quality in itertools.product(SCALES, WEBP_QUALITIES)
        ])  # fmt: skip
        distortion.append([
            np.square(np.subtract(_enlarged(data, size), image, dtype=np.float64)).mean()
            for data in files[-1]
        ])  # fmt: skip
    # Without what the receiver knows, and with the bits that say which scale it is.
    scale_bits = (len(SCALES) - 1).bit_length()
    bits = [[scale_bits + 8 * (len(data) - _WEBP_KNOWN) for data in versions] for versions in files]
    return ImageVersions(np.array(bits, dtype=np.int64), np.array(distortion), files, sizes)


def _enlarged(data: bytes, size: tuple[int, int]) -> Pixels:
    """A file's pixels at the width and height of the original."""
    pixels = Image.fromarray(read_image(io.BytesIO(data)))
    return np.asarray(pixels.resize(size, Image.Resampling.BICUBIC))


def _webp(image: Pixels, *, scale: float, quality: int) -> bytes:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    stream = io.BytesIO()
    Image.fromarray(image).resize((width, height), Image.Resampling.BOX).save(
        stream, "WEBP", quality=quality, method=4
    )
    return stream.getvalue()

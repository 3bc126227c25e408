"""Images as bits: WebP at several sizes and qualities."""

from __future__ import annotations

import io
import itertools
from typing import NamedTuple

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


class ImageVersions(NamedTuple):
    """Images as WebP at several sizes and qualities."""

    bits: NDArray[np.int64]
    """(images, versions)."""
    distortion: NDArray[np.float64]
    """(images, versions), mean squared error of a pixel's colour, 0 to 255²."""
    versions: list[ImageSplit]
    """The images of each version as the receiver has them."""


def image_versions(split: ImageSplit) -> ImageVersions:
    """Each image as WebP at several sizes and qualities."""
    bits, errors, versions = [], [], []
    for scale, quality in itertools.product(SCALES, WEBP_QUALITIES):
        coded = [_webp(image, scale=scale, quality=quality) for image in split.images]
        # Without what the receiver knows, and with the bits that say which scale it is.
        bits.append([(len(SCALES) - 1).bit_length() + 8 * (len(data) - _WEBP_KNOWN) for data in coded])
        decoded: list[Pixels] = []
        squared = []
        for image, data in zip(split.images, coded, strict=True):
            pixels = Image.fromarray(read_image(io.BytesIO(data)))
            size = (image.shape[1], image.shape[0])
            decoded.append(np.asarray(pixels.resize(size, Image.Resampling.BICUBIC)))
            squared.append(float(np.square(np.subtract(decoded[-1], image, dtype=np.float64)).mean()))
        errors.append(squared)
        versions.append(ImageSplit(images=decoded, labels=split.labels))
    return ImageVersions(np.array(bits, dtype=np.int64).T, np.array(errors).T, versions)


def _webp(image: Pixels, *, scale: float, quality: int) -> bytes:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    stream = io.BytesIO()
    Image.fromarray(image).resize((width, height), Image.Resampling.BOX).save(
        stream, "WEBP", quality=quality, method=4
    )
    return stream.getvalue()

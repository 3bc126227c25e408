"""The digital baseline: source code, idealised capacity-achieving channel code, and then the local model.

In the channel uses that the codec would have, S k of them, the source's bits are delivered without error if
they fit the capacity, S k log2(1 + snr |h|^2), and not at all otherwise. No real channel code does that at
these lengths, so that none does better with these source codes: a cliff in the SNR all the same.
"""

from __future__ import annotations

import heapq
import io
import itertools
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from data.images import ImageSplit, Pixels, read_image
from deepsc.channels import Channel
from deepsc.modality import Measurer

Counts = NDArray[np.int64]

WEBP_QUALITIES = (0, 30, 60, 90)
SCALES = (0.5, 1.0)
"""Share of the image's side that is coded; the receiver enlarges it again."""
_WEBP_KNOWN = 27
"""Bytes of a lossy WebP file that follow from its format, size and length: the RIFF container's header (20),
and start code, width and height in the VP8 frame's (7; RFC 6386, 9.1)."""


class Digital(Measurer):
    """Delivers the largest of each item's versions whose bits fit the capacity.

    Args:
        bits: (items, versions), size of each version.
        counts: (items, versions, statistics), what the local model makes of each version.
        nothing: (items, statistics), what the receiver makes of silence.
        tokens: (items,), S.
        channel: draws the gains; the transmitter knows them, as the codec's does.
    """

    def __init__(
        self,
        *,
        bits: Counts,
        counts: Counts,
        nothing: Counts,
        tokens: Counts,
        channel: Channel,
    ) -> None:
        self._bits, self._counts, self._nothing = bits, counts, nothing
        self._tokens, self._channel = tokens, channel

    def measure(self, *, k: int, snr_db: float, seed: int) -> tuple[Counts, dict[str, float]]:
        """Send every item once; see `deepsc.modality.Measurer`."""
        items = len(self._tokens)
        generator = torch.Generator().manual_seed(seed)
        gain = self._channel.draw_gain((items, 1, 1), generator=generator, device=torch.device("cpu"))
        snr = 10 ** (snr_db / 10) * gain.abs().square().reshape(items).double().numpy()
        budget = self._tokens * k * np.log2(1 + snr)  # (items,), bits
        fits = np.less_equal(self._bits, budget[:, None])  # (items, versions)
        best = np.where(fits, self._bits, -1).argmax(axis=1)
        chosen = self._counts[np.arange(items), best]  # (items, statistics)
        return np.where(np.any(fits, axis=1)[:, None], chosen, self._nothing), {}


def huffman_lengths(sentences: Iterable[str]) -> NDArray[np.int64]:
    """Bits of each byte, (256,), in the Huffman code for sentences; every byte is counted once more."""
    counts = Counter(dict.fromkeys(range(256), 1))
    for sentence in sentences:
        counts.update(sentence.encode())
    lengths = np.zeros(256, dtype=np.int64)
    ticket = itertools.count()  # settles ties
    heap = [(count, next(ticket), [byte]) for byte, count in counts.items()]
    heapq.heapify(heap)
    while len(heap) > 1:
        (first, _, left), (second, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[left + right] += 1
        heapq.heappush(heap, (first + second, next(ticket), left + right))
    return lengths


def text_bits(sentences: Sequence[str], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of each sentence by Huffman or zlib's deflate, whichever is shorter, and one that says which."""

    def deflated(data: bytes) -> int:
        coder = zlib.compressobj(9, wbits=-15)
        return 8 * len(coder.compress(data) + coder.flush())

    encoded = [sentence.encode() for sentence in sentences]
    return np.array(
        [1 + min(int(lengths[list(data)].sum()), deflated(data)) for data in encoded], dtype=np.int64
    )


def image_versions(split: ImageSplit) -> tuple[NDArray[np.int64], list[ImageSplit]]:
    """Each image as WebP at several sizes and qualities, from the coarsest to the finest.

    Returns:
        Bits (images, versions), and the images of each version as the receiver has them.
    """
    bits, versions = [], []
    for scale, quality in itertools.product(SCALES, WEBP_QUALITIES):
        coded = [_webp(image, scale=scale, quality=quality) for image in split.images]
        # Without what the receiver knows, and with the bits that say which scale it is.
        bits.append([(len(SCALES) - 1).bit_length() + 8 * (len(data) - _WEBP_KNOWN) for data in coded])
        decoded: list[Pixels] = []
        for image, data in zip(split.images, coded, strict=True):
            pixels = Image.fromarray(read_image(io.BytesIO(data)))
            size = (image.shape[1], image.shape[0])
            decoded.append(np.asarray(pixels.resize(size, Image.Resampling.BICUBIC)))
        versions.append(ImageSplit(images=decoded, labels=split.labels))
    return np.array(bits, dtype=np.int64).T, versions


def _webp(image: Pixels, *, scale: float, quality: int) -> bytes:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    stream = io.BytesIO()
    Image.fromarray(image).resize((width, height), Image.Resampling.BOX).save(
        stream, "WEBP", quality=quality, method=4
    )
    return stream.getvalue()

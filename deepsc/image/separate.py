"""Images by separate source and channel coding: their digital baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.images.sets import ImageSplit
from deepsc.digital import Digital, channel_code, image_versions
from deepsc.image.config import ImageCodecConfig
from deepsc.image.evaluate import ImageEvaluator
from deepsc.image.pixels import shrunk
from deepsc.link.channel import Channel
from deepsc.modality import Checkpoint


def separate_images(
    checkpoint: Checkpoint, split: ImageSplit, local: ImageEvaluator, *, channel: Channel, code: str
) -> Digital:
    """The baseline on test images; see `deepsc.digital`.

    Of WebP's sizes and qualities those are kept of which more images are recognised than of any smaller one.
    They are chosen on the test images themselves, which favours the baseline.

    Args:
        checkpoint: the local model, whose tokens make the number of channel uses.
        split: test images.
        local: measures the local model on them.
        channel: the uplink.
        code: name of the channel code.

    Raises:
        ToolkitError: if there is no such code, or its packages are missing.
    """
    config = checkpoint.codec.config
    assert isinstance(config, ImageCodecConfig)
    # Photographs are coded at the size that the codec sends; whole, they would need more symbols.
    sent = ImageSplit(
        images=[shrunk(image, image_size=config.image_size) for image in split.images], labels=split.labels
    )

    def answers(images: ImageSplit) -> NDArray[np.int64]:
        return local.on(images).measure(k=0, snr_db=0.0, seed=0)[0]

    bits, versions = image_versions(sent)
    counts = np.stack([answers(version) for version in versions], axis=1)  # (images, versions, 2)
    kept = _worthwhile(bits.mean(axis=0), counts[..., 0].sum(axis=0))
    grey = ImageSplit(
        images=[np.full_like(sent.images[0], 128)] * config.classes, labels=np.arange(config.classes)
    )
    return Digital(
        bits=bits[:, kept],
        counts=counts[:, kept],
        nothing=answers(grey)[split.labels],  # the model says the same class of each
        tokens=np.full(len(split), config.image_tokens),
        channel=channel,
        code=channel_code(code),
    )


def _worthwhile(size: NDArray[np.float64], right: NDArray[np.int64]) -> list[int]:
    """Versions of which more images are right than of any smaller one, from the smallest."""
    kept: list[int] = []
    for version in size.argsort(kind="stable").tolist():
        if not kept or right[version] > right[kept[-1]]:
            kept.append(version)
    return kept

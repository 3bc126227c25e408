"""Images by separate source and channel coding: their digital baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.images.sets import ImageSplit
from deepsc.digital import Digital, ImageVersions, channel_code, image_versions
from deepsc.image.config import ImageCodecConfig
from deepsc.image.evaluate import ImageEvaluator
from deepsc.image.pixels import shrunk
from deepsc.link.channel import Channel
from deepsc.modality import Checkpoint


def separate_images(
    checkpoint: Checkpoint, split: ImageSplit, local: ImageEvaluator, *, channel: Channel, code: str
) -> Digital:
    """The baseline on test images; see `deepsc.digital`.

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
    versions = image_versions(sent)
    grey = ImageSplit(
        images=[np.full_like(sent.images[0], 128)] * config.classes, labels=np.arange(config.classes)
    )
    return Digital(
        bits=versions.bits,
        distortion=versions.distortion,
        outcome=_Answers(local, versions, split.labels),
        nothing=_counts(local, grey)[split.labels],  # the model says the same class of each
        tokens=np.full(len(split), config.image_tokens),
        channel=channel,
        code=channel_code(code),
    )


class _Answers:
    """What the local model makes of versions of images, each looked at when it first arrives."""

    def __init__(self, local: ImageEvaluator, versions: ImageVersions, labels: NDArray[np.int64]) -> None:
        self._local, self._versions, self._labels = local, versions, labels
        self._known = np.zeros((*versions.bits.shape, 2), dtype=np.int64)  # right, and looked at

    def __call__(self, images: NDArray[np.int64], versions: NDArray[np.int64]) -> NDArray[np.int64]:
        """(rows,) each to (rows, 2)."""
        new = self._known[images, versions, 1] == 0
        for version in np.unique(versions[new]).tolist():
            rows = images[new & (versions == version)]
            received = [self._versions.image(row, version) for row in rows.tolist()]
            split = ImageSplit(images=received, labels=self._labels[rows])
            self._known[rows, version] = _counts(self._local, split)
        return self._known[images, versions]


def _counts(local: ImageEvaluator, images: ImageSplit) -> NDArray[np.int64]:
    """Right or not, and 1: (images, 2)."""
    return local.on(images).measure(k=0, snr_db=0.0, seed=0)[0]

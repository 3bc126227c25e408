"""How an image codec is measured: classification and retrieval."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.files.errors import ToolkitError
from data.images.sets import ImageSet, ImageSplit
from data.settings import named
from deepsc.image.model import ImageCodec
from deepsc.image.pixels import to_tensor
from deepsc.link.channel import Channel
from deepsc.link.transmission import link_at
from deepsc.modality import Evaluator

GALLERY_IMAGES = 2000
"""Training images that retrieval ranks."""


NEIGHBOURS = 20
"""That vote in the nearest-neighbour classifier, as is usual for DINO's kNN."""


_EVALUATION_BATCH = 250
"""Images that share a draw of noise."""
_AT_ONCE = 10
"""Images that the blocks take at once: their activations stay in the processor's cache."""


GALLERY_SEED = -1
"""Of the gallery's fading and noise; those of queries are 0 and above, so that they share none of it."""


def require_same_classes(setting: str, folder: str, document: Mapping[str, Any], images: ImageSet) -> None:
    """Check that a checkpoint numbers the classes as a set does; those of earlier releases do not say.

    Args:
        setting: that names the checkpoint.
        folder: of the checkpoint.
        document: its config.json.
        images: the set.

    Raises:
        ToolkitError: if a class has another name.
    """
    stored, names = document.get("class_names"), list(images.classes)
    if stored is not None and stored != names:
        raise ToolkitError(
            f"{named(setting)}: {folder} was trained for the classes {stored}, {images.name} has {names}; "
            "another class would be meant by each number"
        )


class ImageEvaluator(Evaluator):
    """Classification accuracy on test images; encoder features are computed once and serve every k and SNR.

    Args:
        codec: the codec, or the local model.
        split: test images.
        channel: what lies between UE and server; None for the local model.
    """

    metric = "accuracy"

    def __init__(self, codec: ImageCodec, split: ImageSplit, *, channel: Channel | None) -> None:
        self._codec, self._channel = codec.eval(), channel
        self._split = split
        self._features: list[Tensor] | None = None  # made when they are asked for

    def on(self, split: ImageSplit) -> Self:
        """The same measure on other images."""
        other = copy.copy(self)
        other._split, other._features = split, None
        return other

    @property
    def _labels(self) -> Tensor:
        return torch.from_numpy(self._split.labels)

    @torch.inference_mode()
    def measure(self, *, k: int, snr_db: float, seed: int) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Send every image once; see `Evaluator.measure`. Counts are (images, 2): right or not, and 1."""
        right = [
            self._codec.classify(embedding).argmax(dim=1).cpu()
            for embedding in self._embeddings(k, snr_db, seed)
        ]
        return hits(torch.cat(right) == self._labels), {}

    @torch.inference_mode()
    def _embeddings(self, k: int, snr_db: float, seed: int) -> list[Tensor]:
        if self._features is None:
            self._features = encode_images(self._codec, self._split)
        embeddings = []
        for number, features in enumerate(self._features):
            link = link_at(self._channel, k=k, snr_db=snr_db, like=features, seed=(seed, number))
            received = self._codec.transmit(features, link)
            embeddings.append(torch.cat([self._codec.embed(part) for part in received.split(_AT_ONCE)]))
        return embeddings

    @staticmethod
    def signature() -> str:
        """Definition of the metric."""
        return "% of test images whose likeliest class is theirs"


class RetrievalEvaluator(ImageEvaluator):
    """Retrieval: a gallery of training images, ranked by the cosine between its embeddings and the received.

    The gallery is embedded by the same model; where there is a channel, its images cross it at the codec's
    largest k and highest SNR, as a gallery would be filled.

    Args:
        codec: the codec, or the local model.
        split: test images, the queries.
        gallery: images to rank.
        channel: what lies between UE and server; None for the local model.
    """

    metric = "recall@1"

    def __init__(
        self, codec: ImageCodec, split: ImageSplit, *, gallery: ImageSplit, channel: Channel | None
    ) -> None:
        super().__init__(codec, split, channel=channel)
        k = codec.config.k[-1] if codec.config.k else 0
        stored = self.on(gallery)
        self._gallery = _unit(stored._embeddings(k, codec.config.snr_range_db[1], GALLERY_SEED))
        self._gallery_labels = stored._labels

    @torch.inference_mode()
    def measure(self, *, k: int, snr_db: float, seed: int) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Send every query once; see `Evaluator.measure`. Counts are (images, 2): recall@1, and 1."""
        similarity = _unit(self._embeddings(k, snr_db, seed)) @ self._gallery.T  # (queries, gallery)
        order = similarity.argsort(dim=1, descending=True, stable=True)
        relevant = self._gallery_labels[order] == self._labels.unsqueeze(1)  # (queries, gallery)
        rank = torch.arange(1, relevant.shape[1] + 1)
        precision = relevant.cumsum(dim=1) / rank
        average = (precision * relevant).sum(dim=1) / relevant.sum(dim=1).clamp_min(1)
        votes = torch.nn.functional.one_hot(self._gallery_labels[order[:, :NEIGHBOURS]]).sum(dim=1)
        figures = {
            "recall@5": relevant[:, :5].any(dim=1).double().mean().item() * 100,
            "mAP": average.double().mean().item() * 100,
            f"{NEIGHBOURS}-NN accuracy": (votes.argmax(dim=1) == self._labels).double().mean().item() * 100,
        }
        return hits(relevant[:, 0]), figures

    @staticmethod
    def signature() -> str:
        """Definition of the metric."""
        return f"% of queries whose nearest of up to {GALLERY_IMAGES} training images is of their class"


@torch.inference_mode()
def encode_images(codec: ImageCodec, split: ImageSplit) -> list[Tensor]:
    """Run the semantic encoder over images, in batches of features (B, S, width)."""
    device, size = next(codec.parameters()).device, codec.config.image_size
    features = []
    for start in range(0, len(split), _EVALUATION_BATCH):
        images = to_tensor(split.images[start : start + _EVALUATION_BATCH], image_size=size)
        parts = [codec.encode(part.to(device)) for part in images.split(_AT_ONCE)]
        features.append(torch.cat(parts))
    return features


def hits(right: Tensor) -> NDArray[np.int64]:
    """(items,) of right or wrong to counts, (items, 2)."""
    return torch.stack((right.long(), torch.ones_like(right, dtype=torch.long)), dim=1).numpy()


def _unit(embeddings: list[Tensor]) -> Tensor:
    return torch.nn.functional.normalize(torch.cat(embeddings), dim=1).cpu()

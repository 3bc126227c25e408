"""What the image codec trains on, and how it is measured."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.artifacts import ToolkitError
from data.batching import LazyBatches
from data.images import ImageSet, ImageSplit, load_images
from deepsc.channels import Channel
from deepsc.checkpoint import Checkpoint
from deepsc.image import ImageBatch, ImageCodec, pretrained_deit
from deepsc.image_config import IMAGE_PRESETS, ImageCodecConfig, ImageRunConfig
from deepsc.link import link_at
from deepsc.modality import Dataset, Evaluator, Material
from deepsc.pixels import DeiTRecipe, shift_and_flip, to_tensor

GALLERY_IMAGES = 2000
"""Training images that retrieval ranks."""
NEIGHBOURS = 20
"""That vote in the nearest-neighbour classifier, as is usual for DINO's kNN."""
_EVALUATION_BATCH = 250
_GALLERY_SEED = -1
"""Of the gallery's fading and noise; those of queries are 0 and above, so that they share none of it."""


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


def image_material(config: ImageRunConfig, initial: Checkpoint | None) -> Material:
    """Images, codec config and weights of a run; see `deepsc.modality.Material`."""
    images = load_images(**dataclasses.asdict(config.corpus), skip_bad=config.skip_bad)
    if initial is not None:
        assert isinstance(initial.codec.config, ImageCodecConfig)
        codec_config = dataclasses.replace(initial.codec.config, **config.channel_fields)
        if codec_config.classes != len(images.classes):
            file = Path(str(config.init_from)) / "model.safetensors"
            raise ToolkitError(
                f"--init-from: {config.init_from} was trained for {codec_config.classes} classes, "
                f"{images.name} has {len(images.classes)}; --pretrained {file} starts from all of it but "
                "the classifier"
            )
        require_same_classes("--init-from", str(config.init_from), initial.document, images)
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


def require_same_classes(flag: str, folder: str, document: Mapping[str, Any], images: ImageSet) -> None:
    """Check that a checkpoint numbers the classes as a set does; those of earlier releases do not say.

    Args:
        flag: that names the checkpoint.
        folder: of the checkpoint.
        document: its config.json.
        images: the set.

    Raises:
        ToolkitError: if a class has another name.
    """
    stored, names = document.get("class_names"), list(images.classes)
    if stored is not None and stored != names:
        raise ToolkitError(
            f"{flag}: {folder} was trained for the classes {stored}, {images.name} has {names}; another "
            "class would be meant by each number"
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
        return [
            self._codec.embed(
                self._codec.transmit(
                    features, link_at(self._channel, k=k, snr_db=snr_db, like=features, seed=(seed, number))
                )
            )
            for number, features in enumerate(self._features)
        ]

    @staticmethod
    def score(counts: NDArray[np.int64]) -> float:
        """Accuracy of summed counts, in per cent."""
        return 100 * float(counts[0]) / float(counts[1])

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
        self._gallery = _unit(stored._embeddings(k, codec.config.snr_range_db[1], _GALLERY_SEED))
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
    device = next(codec.parameters()).device
    batches = range(0, len(split), _EVALUATION_BATCH)
    return [
        codec.encode(
            to_tensor(split.images[start : start + _EVALUATION_BATCH], image_size=codec.config.image_size).to(
                device
            )
        )
        for start in batches
    ]


def hits(right: Tensor) -> NDArray[np.int64]:
    """(items,) of right or wrong to counts, (items, 2)."""
    return torch.stack((right.long(), torch.ones_like(right, dtype=torch.long)), dim=1).numpy()


def _unit(embeddings: list[Tensor]) -> Tensor:
    return torch.nn.functional.normalize(torch.cat(embeddings), dim=1).cpu()

"""Images, classified or retrieved."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data.artifacts import ToolkitError
from data.cli import int_list, positive_int
from deepsc.config import TrainConfig
from deepsc.image_config import AUGMENTATIONS, ImageCodecConfig, ImageRunConfig, ImageSetConfig
from deepsc.modality import Dataset, Material, Modality, TestData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.images import ImageSplit
    from deepsc.channels import Channel
    from deepsc.checkpoint import Checkpoint
    from deepsc.codec import Codec
    from deepsc.digital import Digital
    from deepsc.image_run import ImageEvaluator

_DATASET = "cifar10"


class ImageModality(Modality[ImageRunConfig]):
    """A DeiT, cut between two of its blocks."""

    name = "image"
    run_config = ImageRunConfig
    codec_config = ImageCodecConfig
    corpus_config = ImageSetConfig
    further_tasks = ("retrieve",)
    data_dir_datasets = ("cifar10",)
    example_flags = "--dataset digits --preset tiny"
    example_k = "--k 1,2,4,8"

    def add_flags(self, model: argparse._ArgumentGroup, data: argparse._ArgumentGroup) -> None:
        """Add k, the sizes that go to timm, and the images."""
        from data.images import DATASETS

        model.add_argument("--k", type=int_list, default=(16,), metavar="K[,K...]",
                           help="complex channel symbols per token, eq. (4)'s k")  # fmt: skip
        for flag, what in (
            ("--image-size", "pixels a side, such as 32 for CIFAR-10"),
            ("--patch-size", "pixels a side of a token"),
            ("--depth", "Transformer blocks; fewer than the preset's make a slice of its model"),
            ("--split", "blocks at the user equipment; without it, half of them"),
        ):
            model.add_argument(flag, type=positive_int, metavar="N", help=what)
        model.add_argument("--augment", choices=AUGMENTATIONS,
                           help="deit: RandAugment, mixup, erasing; light: shifts and flips")  # fmt: skip
        # No default: it shows whether the flag was given.
        data.add_argument("--dataset", choices=DATASETS, help="digits: scikit-learn's; easy-vqa: its images, "
                          f"by shape (default: {_DATASET})")  # fmt: skip
        data.add_argument(
            "--folder", metavar="DIR", help="own images: DIR/train/CLASS/FILE and DIR/test/CLASS/FILE"
        )

    def config_from_args(
        self, args: argparse.Namespace, *, training: TrainConfig, **shared: Any
    ) -> ImageRunConfig:
        """Flags to config."""
        if args.folder is not None and args.dataset is not None:
            raise ToolkitError(f"--dataset: {args.dataset!r} given, --folder has none")
        dataset = "folder" if args.folder is not None else args.dataset or _DATASET
        names = ("k", "image_size", "patch_size", "depth", "split", "augment")
        return ImageRunConfig(
            corpus=ImageSetConfig(dataset=dataset, data_dir=args.data_dir, folder=args.folder),
            training=training,
            **{name: getattr(args, name) for name in names},
            **shared,
        )

    def codec(self, config: ImageCodecConfig) -> Codec:
        """The model."""
        from deepsc.image import ImageCodec

        return ImageCodec(config)

    def material(self, config: ImageRunConfig, initial: Checkpoint | None) -> Material:
        """Images and starting weights."""
        from deepsc.image_run import image_material

        return image_material(config, initial)

    def test_data(
        self,
        document: Mapping[str, Any],
        *,
        data_dir: str | None,
        limit: int | None,
        options: Mapping[str, Any],
    ) -> TestData:
        """Test images, and the gallery where the document's task is "retrieve"; no options."""
        import numpy as np

        from data.images import ImageSplit, load_images
        from deepsc.image_run import GALLERY_IMAGES, ImageEvaluator, RetrievalEvaluator

        images = load_images(**dict(document["corpus"]) | {"data_dir": data_dir})
        split, gallery = images.test.head(limit), images.train.draw(GALLERY_IMAGES)
        retrieval = document["task"] == "retrieve"

        def evaluate(checkpoint: Checkpoint, channel: Channel | None) -> ImageEvaluator:
            from deepsc.image import ImageCodec

            assert isinstance(checkpoint.codec, ImageCodec)
            if retrieval:
                return RetrievalEvaluator(checkpoint.codec, split, gallery=gallery, channel=channel)
            return ImageEvaluator(checkpoint.codec, split, channel=channel)

        def digital(checkpoint: Checkpoint, channel: Channel) -> Digital:
            from deepsc.digital import Digital, image_versions

            local = evaluate(checkpoint, None)

            def answers(images: ImageSplit) -> NDArray[np.int64]:
                return local.on(images).measure(k=0, snr_db=0.0, seed=0)[0]

            assert isinstance(checkpoint.codec.config, ImageCodecConfig)
            bits, versions = image_versions(split)
            grey = [np.full_like(image, 128) for image in split.images]
            return Digital(
                bits=bits,
                counts=np.stack([answers(version) for version in versions], axis=1),
                nothing=answers(ImageSplit(images=grey, labels=split.labels)),
                tokens=np.full(len(split), checkpoint.codec.config.tokens),
                channel=channel,
            )

        return TestData(
            dataset=Dataset.of(images),
            items=len(split),
            fingerprint=hashlib.sha256(f"{dict(images.sha256)} {len(split)}".encode()).hexdigest(),
            scorer=RetrievalEvaluator if retrieval else ImageEvaluator,
            evaluator=evaluate,
            digital=digital,
        )


MODALITY = ImageModality()

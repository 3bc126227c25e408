"""Images, classified or retrieved."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data.files.errors import ToolkitError
from data.terminal.flag_types import int_list, positive_int
from deepsc.image.config import (
    AUGMENTATIONS,
    ImageCodecConfig,
    ImageRunConfig,
    ImageSetConfig,
)
from deepsc.modality import Dataset, Material, Modality, TestData
from deepsc.train.config import TrainConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.images.sets import ImageSplit
    from deepsc.codec.base import Codec
    from deepsc.codec.checkpoint import Checkpoint
    from deepsc.digital import Digital
    from deepsc.image.evaluate import ImageEvaluator
    from deepsc.link.channel import Channel

_DATASET = "cifar10"


class ImageModality(Modality[ImageRunConfig]):
    """A DeiT, cut between two of its blocks."""

    name = "image"
    run_config = ImageRunConfig
    codec_config = ImageCodecConfig
    corpus_config = ImageSetConfig
    further_tasks = ("retrieve",)
    sweep_options = ("skip_bad",)
    data_dir_datasets = ("cifar10",)
    example_flags = "--dataset digits --preset tiny"
    example_k = "--k 1,2,4,8"

    def add_flags(self, model: argparse._ArgumentGroup, data: argparse._ArgumentGroup) -> None:
        """Add k, the sizes that go to timm, and the images."""
        from data.images.load import DATASETS

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
        data.add_argument("--skip-bad", action="store_true", help="leave out images of --folder that cannot "
                          "be read, instead of listing them and ending")  # fmt: skip

    def config_from_args(
        self, args: argparse.Namespace, *, training: TrainConfig, **shared: Any
    ) -> ImageRunConfig:
        """Flags to config."""
        if args.folder is not None and args.dataset is not None:
            raise ToolkitError(f"--dataset: {args.dataset!r} given, --folder has none")
        dataset = "folder" if args.folder is not None else args.dataset or _DATASET
        names = ("k", "image_size", "patch_size", "depth", "split", "augment", "skip_bad")
        return ImageRunConfig(
            corpus=ImageSetConfig(dataset=dataset, data_dir=args.data_dir, folder=args.folder),
            training=training,
            **{name: getattr(args, name) for name in names},
            **shared,
        )

    def codec(self, config: ImageCodecConfig) -> Codec:
        """The model."""
        from deepsc.image.model import ImageCodec

        return ImageCodec(config)

    def material(self, config: ImageRunConfig, initial: Checkpoint | None) -> Material:
        """Images and starting weights."""
        from deepsc.image.material import image_material

        return image_material(config, initial)

    def test_data(
        self,
        document: Mapping[str, Any],
        *,
        data_dir: str | None,
        limit: int | None,
        options: Mapping[str, Any],
    ) -> TestData:
        """Test images, and the gallery where the document's task is "retrieve"."""
        import numpy as np

        from data.images.load import load_images
        from data.images.sets import ImageSplit
        from deepsc.image.evaluate import (
            GALLERY_IMAGES,
            ImageEvaluator,
            RetrievalEvaluator,
            require_same_classes,
        )

        corpus = dict(document["corpus"])
        if options["skip_bad"] and corpus["dataset"] != "folder":
            raise ToolkitError(f"--skip-bad: given, {corpus['dataset']} has no --folder to check")
        images = load_images(**corpus | {"data_dir": data_dir}, skip_bad=options["skip_bad"])
        require_same_classes("--local", "the local model", document, images)
        split = images.test.head(limit)
        retrieval = document["task"] == "retrieve"

        def evaluate(checkpoint: Checkpoint, channel: Channel | None) -> ImageEvaluator:
            from deepsc.image.model import ImageCodec

            assert isinstance(checkpoint.codec, ImageCodec)
            if retrieval:
                gallery = images.train.draw(GALLERY_IMAGES)
                return RetrievalEvaluator(checkpoint.codec, split, gallery=gallery, channel=channel)
            return ImageEvaluator(checkpoint.codec, split, channel=channel)

        def digital(checkpoint: Checkpoint, channel: Channel, code: str) -> Digital:
            from deepsc.digital import Digital, channel_code, image_versions
            from deepsc.image.pixels import shrunk

            assert isinstance(checkpoint.codec.config, ImageCodecConfig)
            size = checkpoint.codec.config.image_size
            # Photographs are coded at the size that the codec sends; whole, they would need more symbols.
            seen = ImageSplit(
                images=[shrunk(image, image_size=size) for image in split.images], labels=split.labels
            )
            local = evaluate(checkpoint, None)

            def answers(images: ImageSplit) -> NDArray[np.int64]:
                return local.on(images).measure(k=0, snr_db=0.0, seed=0)[0]

            bits, versions = image_versions(seen)
            grey = [np.full_like(image, 128) for image in seen.images]
            return Digital(
                bits=bits,
                counts=np.stack([answers(version) for version in versions], axis=1),
                nothing=answers(ImageSplit(images=grey, labels=split.labels)),
                tokens=np.full(len(split), checkpoint.codec.config.tokens),
                channel=channel,
                code=channel_code(code),
            )

        return TestData(
            dataset=Dataset.of(images),
            items=len(split),
            fingerprint=hashlib.sha256(f"{dict(images.sha256)} {len(split)}".encode()).hexdigest(),
            scorer=RetrievalEvaluator if retrieval else ImageEvaluator,
            evaluator=evaluate,
            digital=digital,
            source_codes=("WebP",),
        )


MODALITY = ImageModality()

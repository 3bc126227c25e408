"""Images, classified or retrieved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from data.files.errors import ToolkitError
from data.settings import named
from deepsc.image.config import (
    ImageCodecConfig,
    ImageRunConfig,
    ImageSetConfig,
)
from deepsc.modality import Checkpoint, Dataset, Modality, TestData

if TYPE_CHECKING:
    from deepsc.digital import Digital
    from deepsc.image.evaluate import ImageEvaluator
    from deepsc.link.channel import Channel


class ImageModality(Modality[ImageRunConfig]):
    """A DeiT, cut between two of its blocks."""

    name = "image"
    run_config = ImageRunConfig
    codec_config = ImageCodecConfig
    codec_name = "ImageCodec"
    corpus_config = ImageSetConfig
    further_tasks = ("retrieve",)
    sweep_options = ("skip_bad",)
    example_flags = "--dataset digits --preset tiny"
    example_k = "--k 1,2,4,8"

    @override
    def test_data(
        self,
        document: Mapping[str, Any],
        *,
        data_dir: str | None,
        limit: int | None,
        options: Mapping[str, Any],
    ) -> TestData:
        """Test images, and the gallery where the document's task is "retrieve"."""
        from data.images.load import load_images
        from deepsc.image.evaluate import (
            GALLERY_IMAGES,
            ImageEvaluator,
            RetrievalEvaluator,
            require_same_classes,
        )

        corpus = dict(document["corpus"])
        if options["skip_bad"] and corpus["dataset"] != "folder":
            raise ToolkitError(
                f"{named('skip_bad')}: given, {corpus['dataset']} has no {named('folder')} to check"
            )
        images = load_images(**corpus | {"data_dir": data_dir}, skip_bad=options["skip_bad"])
        require_same_classes("local", "the local model", document, images)
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
            from deepsc.image.separate import separate_images

            return separate_images(checkpoint, split, evaluate(checkpoint, None), channel=channel, code=code)

        return TestData(
            dataset=Dataset.of(images),
            items=len(split),
            fingerprint=hashlib.sha256(f"{dict(images.sha256)} {len(split)}".encode()).hexdigest(),
            scorer=RetrievalEvaluator if retrieval else ImageEvaluator,
            evaluator=evaluate,
            digital=digital,
            source_codes=("WebP, of least squared error",),
            whole=len(images.test),
        )


MODALITY = ImageModality()

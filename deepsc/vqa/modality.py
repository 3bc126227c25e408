"""Visual question answering: a question and an image, sent apart and answered together."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data.terminal.flag_types import int_list, positive_int
from deepsc.modality import Dataset, Material, Modality, TestData
from deepsc.train.config import TrainConfig
from deepsc.vqa.config import VQACodecConfig, VQARunConfig, VQASetConfig

if TYPE_CHECKING:
    from deepsc.codec.base import Codec
    from deepsc.codec.checkpoint import Checkpoint
    from deepsc.link.channel import Channel
    from deepsc.vqa.evaluate import VQAEvaluator


class VQAModality(Modality[VQARunConfig]):
    """Two encoders at the UE, fusion at the server."""

    name = "vqa"
    run_config = VQARunConfig
    codec_config = VQACodecConfig
    corpus_config = VQASetConfig
    data_dir_datasets = ("vqa-v2", "clevr")
    example_flags = "--preset tiny"
    example_k = "--k-text 1,4 --k-image 1,4"
    has_text = True
    transmissions = ("text", "image")

    def add_flags(self, model: argparse._ArgumentGroup, data: argparse._ArgumentGroup) -> None:
        """Add k^T and k^I, the sizes that go to timm, and the questions."""
        from data.questions.load import DATASETS

        model.add_argument("--k-text", type=int_list, default=(8,), metavar="K[,K...]",
                           help="complex channel symbols per question token")  # fmt: skip
        model.add_argument("--k-image", type=int_list, default=(16,), metavar="K[,K...]",
                           help="complex channel symbols per image token")  # fmt: skip
        model.add_argument("--image-size", type=positive_int, metavar="N", help="pixels a side")
        model.add_argument("--patch-size", type=positive_int, metavar="N", help="pixels a side of a token")
        data.add_argument("--dataset", choices=DATASETS, default="easy-vqa",
                          help="easy-vqa: shapes; the others as published, from --data-dir")  # fmt: skip

    def config_from_args(
        self, args: argparse.Namespace, *, training: TrainConfig, **shared: Any
    ) -> VQARunConfig:
        """Flags to config."""
        names = ("k_text", "k_image", "image_size", "patch_size")
        return VQARunConfig(
            corpus=VQASetConfig(dataset=args.dataset, data_dir=args.data_dir),
            training=training,
            **{name: getattr(args, name) for name in names},
            **shared,
        )

    def codec(self, config: VQACodecConfig) -> Codec:
        """The model."""
        from deepsc.vqa.model import VQACodec

        return VQACodec(config)

    def material(self, config: VQARunConfig, initial: Checkpoint | None) -> Material:
        """Images, questions, tokenizer and starting weights."""
        from deepsc.vqa.material import vqa_material

        return vqa_material(config, initial)

    def test_data(
        self,
        document: Mapping[str, Any],
        *,
        data_dir: str | None,
        limit: int | None,
        options: Mapping[str, Any],
    ) -> TestData:
        """Test images with their questions; `limit` counts images. No options."""
        from data.questions.load import load_vqa
        from deepsc.vqa.evaluate import VQAEvaluator

        vqa = load_vqa(**dict(document["corpus"]) | {"data_dir": data_dir})
        split = vqa.test.head(limit)

        def evaluator(checkpoint: Checkpoint, channel: Channel | None) -> VQAEvaluator:
            from deepsc.vqa.model import VQACodec

            assert isinstance(checkpoint.codec, VQACodec)
            assert checkpoint.tokenizer is not None
            return VQAEvaluator(checkpoint.codec, checkpoint.tokenizer, split, channel=channel)

        return TestData(
            dataset=Dataset.of(vqa),
            items=len(split.questions),
            fingerprint=hashlib.sha256(f"{dict(vqa.sha256)} {len(split.questions)}".encode()).hexdigest(),
            scorer=VQAEvaluator,
            evaluator=evaluator,
        )


MODALITY = VQAModality()

"""Visual question answering: a question and an image, sent apart and answered together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from deepsc.modality import Checkpoint, Dataset, Modality, TestData
from deepsc.vqa.config import VQACodecConfig, VQARunConfig, VQASetConfig

if TYPE_CHECKING:
    from deepsc.link.channel import Channel
    from deepsc.vqa.evaluate import VQAEvaluator


class VQAModality(Modality[VQARunConfig]):
    """Question tokens and image features, sent apart; the server encodes, fuses and classifies."""

    name = "vqa"
    run_config = VQARunConfig
    codec_config = VQACodecConfig
    codec_name = "VQACodec"
    corpus_config = VQASetConfig
    example_flags = "--preset tiny"
    example_k = "--k-text 1,4 --k-image 1,4"
    has_text = True
    transmissions = ("text", "image")

    @override
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
            language_prior=lambda: vqa.language_prior(split.questions),
            whole=len(vqa.test.images),
        )


MODALITY = VQAModality()

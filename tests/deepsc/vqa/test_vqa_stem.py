"""Hybrid VQA codecs: the stem's features are kept, and the UE's FLOPs count the stem."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from support.micro_media import vqa_run

from data.files.errors import ToolkitError
from data.questions.load import load_vqa
from deepsc.image.features import StemFeatures
from deepsc.image.pixels import to_tensor
from deepsc.image.stem import Stem
from deepsc.train.run import train_codec
from deepsc.vqa.config import VQACodecConfig
from deepsc.vqa.material import material
from deepsc.vqa.model import VQACodec
from profiling.closed.parts import split
from profiling.closed.vqa import vqa_parts

NAME = "tf_efficientnet_lite0"
OF_THE_STEM = "image_encoder.patch_embed.backbone."


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.save(timm.create_model(NAME).state_dict(), path)
    return path


def hybrid_run(output: Path, clevr: Path, weights: Path, **changes: Any) -> Any:
    fields = {"stem": NAME, "stem_weights": str(weights), "freeze_stem": True, "image_size": 32}
    return vqa_run(output, clevr, **fields | changes)


def test_a_frozen_stem_stays_and_its_codec_starts_from_the_local_model(
    weights: Path, clevr: Path, tmp_path: Path
) -> None:
    local = train_codec(hybrid_run(tmp_path / "local", clevr, weights, training={"channel": "none"}))
    codec = train_codec(
        vqa_run(tmp_path / "codec", clevr, init_from=str(tmp_path / "local"), freeze_stem=True)
    )
    published = torch.load(weights)
    for checkpoint in (local, codec):
        state = checkpoint.codec.state_dict()
        stem = {name: tensor for name, tensor in state.items() if ".backbone." in name}
        assert len(stem) > 100
        for name, tensor in stem.items():
            if "num_batches" not in name:
                assert torch.equal(
                    tensor, published[name.removeprefix("image_encoder.patch_embed.backbone.")]
                )
        assert checkpoint.document["stem"]["name"] == NAME
        assert checkpoint.codec.config.model_name["name"] == "vqa-hybrid-deit"


def test_batches_hold_the_stems_features_of_each_image(weights: Path, clevr: Path) -> None:
    config = hybrid_run(Path("unused"), clevr, weights)
    found = material(config, None)
    batch = found.validation()[0]
    images = load_vqa(dataset="clevr", data_dir=clevr).validation.images[: batch.sizes[1]]
    codec = VQACodec(found.codec_config).eval()
    codec.load_state_dict(dict(found.weights), strict=False)
    with torch.inference_mode():
        made = codec.image_encoder.patch_embed.backbone(to_tensor(images, image_size=32, whole=True))
        assert torch.allclose(batch.images, made, rtol=2e-3, atol=1e-3)
        assert torch.allclose(codec.encode_image(batch.images), codec.encode_image(made), atol=1e-2)


def test_features_of_whole_images_have_a_file_of_their_own(weights: Path) -> None:
    """An image codec cuts the edges off, about which a question may be."""
    stem = Stem(NAME, frozen=True)
    images = [np.full((40, 60, 3), 7, dtype=np.uint8)]
    cropped, whole = (
        StemFeatures(images, stem, image_size=32, device="cpu", mirrored=False, whole=whole).path
        for whole in (False, True)
    )
    assert cropped != whole


def test_flops_count_the_stem_at_the_ue() -> None:
    plain, hybrid = (
        vqa_parts(
            VQACodecConfig.from_preset("tiny", answers=("a", "b"), k_text=(4,), k_image=(4,), **changes),
            source_length=8, k_text=4, k_image=4,
        )
        for changes in ({"patch_size": 16}, {"stem": NAME})
    )  # fmt: skip
    assert split(hybrid).ue > split(plain).ue
    assert split(hybrid).server == split(plain).server


def test_a_stem_that_does_not_fit_is_refused(clevr: Path, weights: Path) -> None:
    with pytest.raises(ToolkitError, match=r"image_size: 40 given, a multiple of 16, the stride of stem"):
        hybrid_run(Path("unused"), clevr, weights, image_size=40)
    with pytest.raises(ToolkitError, match=r"freeze_stem: given, stem is needed"):
        vqa_run(Path("unused"), clevr, freeze_stem=True)

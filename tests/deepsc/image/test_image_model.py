"""Image codec: timm's own DeiT, what crosses the channel, batches, pretrained weights, evaluation."""

import contextlib
import dataclasses
import itertools
import shutil
import weakref
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from support.micro_media import image_run
from torchvision.transforms.v2 import functional as transforms

from data.files.errors import ToolkitError
from data.files.provenance import sha256_of
from data.images import read as image_files
from data.images.load import load_images
from data.images.read import read_image
from data.images.sets import ImageSet
from deepsc.checkpoint import (
    Checkpoint,
    from_pretrained,
    read_config,
    write_config,
)
from deepsc.codec.pretrained import weights_file
from deepsc.command import main
from deepsc.image.config import ImageCodecConfig, ImageRunConfig, ImageSetConfig
from deepsc.image.evaluate import (
    NEIGHBOURS,
    ImageEvaluator,
    RetrievalEvaluator,
    encode_images,
)
from deepsc.image.material import ImageBatches
from deepsc.image.model import ImageCodec, pretrained_deit
from deepsc.image.pixels import normalise, shift_and_flip, to_tensor
from deepsc.link.channel import Channel
from deepsc.link.transmission import link_at
from deepsc.modality import modality
from deepsc.train.run import train_codec
from deepsc.zoo.find import FOLDER


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images(dataset="digits")


@pytest.fixture(scope="module")
def local(image_folders: dict[str, Path]) -> ImageCodec:
    return codec_of(from_pretrained(image_folders["local"]))


@pytest.fixture(scope="module")
def trained(image_folders: dict[str, Path]) -> ImageCodec:
    return codec_of(from_pretrained(image_folders["codec"]))


def codec_of(checkpoint: Checkpoint) -> ImageCodec:
    assert isinstance(checkpoint.codec, ImageCodec)
    return checkpoint.codec


def tiny(**changes: Any) -> ImageCodec:
    torch.manual_seed(0)
    return ImageCodec(ImageCodecConfig.from_preset("tiny", **{"classes": 10, **changes}))


@pytest.mark.parametrize(
    ("preset", "name", "million"),
    [("deit-small", "deit_small_patch16_224", 22.05), ("deit-tiny", "deit_tiny_patch16_224", 5.72)],
)
def test_presets_are_timms_own_deits(preset: str, name: str, million: float) -> None:
    config = ImageCodecConfig.from_preset(preset, classes=1000)
    assert (config.depth, config.split, config.image_tokens) == (12, 6, 197), (
        "F^I = 6 and S^I = 197 of section V"
    )
    with torch.device("meta"):
        ours, theirs = ImageCodec(config).vit, timm.create_model(name)
    shapes = [{key: tuple(value.shape) for key, value in m.state_dict().items()} for m in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in ours.parameters()) / 1e6 == pytest.approx(million, abs=0.02)


@pytest.mark.parametrize("split", [1, 2, 3])
def test_the_local_model_is_timms_wherever_it_is_cut(split: int) -> None:
    codec = tiny(split=split).eval()
    images = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        ours = codec.classify(codec.embed(codec.transmit(codec.encode(images), None)))
        assert torch.equal(ours, codec.vit(images))


def test_sizes_go_to_timm_and_a_slice_is_cut_in_the_middle() -> None:
    config = ImageCodecConfig.from_preset("deit-small", classes=10, image_size=32, patch_size=4, depth=6)
    assert (config.image_tokens, config.split, config.width) == (65, 3, 384)
    assert config.model_name == {
        "name": "image-deit", "preset": "deit-small", "width": 384, "heads": 6, "depth": 6, "split": 3,
        "image_size": 32, "patch_size": 4, "classes": 10,
    }  # fmt: skip
    assert ImageCodecConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"patch_size": 5}, "a multiple of patch_size 5 is allowed"),
        ({"split": 4}, "split: 4 given, 1 to 3 is allowed"),
        ({"split": 0}, "split"),
        ({"k": (4, 2)}, "k"),
        ({"heads": 5}, "heads"),
    ],
)
def test_wrong_configs_name_the_flag(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(ToolkitError, match=flag):
        tiny(**changes)


def test_k_symbols_of_every_token_cross_the_channel(
    trained: ImageCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[torch.Tensor] = []
    receive = Channel.receive

    def keep(self: Channel, x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        sent.append(x)
        return receive(self, x, *arguments, **options)

    monkeypatch.setattr(Channel, "receive", keep)
    features = trained.encode(torch.randn(2, 3, 32, 32))
    for k in (1, 4):
        trained.transmit(features, link_at(Channel(), k=k, snr_db=0.0, like=features, seed=(0, 0)))
        assert sent[-1].shape == (2, 17, 4)
        assert (sent[-1] != 0).sum(dim=2).tolist() == [[k] * 17] * 2
        energy = sent[-1].abs().square().sum(dim=(1, 2)) / (17 * k)
        assert torch.allclose(energy, torch.ones(2), atol=1e-4)


def test_a_codec_starts_from_the_local_model(image_folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(image_run(tmp_path / "codec", init_from=str(image_folders["local"])), stop_after_steps=0)
    start = train_codec(image_run(tmp_path / "codec", init_from=str(image_folders["local"]), resume=True))
    before, after = from_pretrained(image_folders["local"]).codec.state_dict(), start.codec.state_dict()
    assert set(after) - set(before) == {name for name in after if "jsc_" in name}
    moved = max((after[name] - before[name]).abs().max().item() for name in before)
    assert 0 < moved < 0.1
    assert start.document["init_from"] == from_pretrained(image_folders["local"]).sha256


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """Augmentation, too, follows from the position in the run."""
    changes: dict[str, Any] = {"augment": "deit", "training": {"batch_tokens": 6000, "checkpoint_steps": 1}}
    whole = train_codec(image_run(tmp_path / "whole", **changes))
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(image_run(tmp_path / "killed", **changes), stop_after_steps=2)
    resumed = train_codec(image_run(tmp_path / "killed", resume=True, **changes))
    for name, value in whole.codec.state_dict().items():
        assert torch.equal(value, resumed.codec.state_dict()[name]), name


@pytest.mark.parametrize("augment", ["deit", "light", "none"])
def test_an_epochs_batches_are_the_same_whenever_asked_for(digits: ImageSet, augment: str) -> None:
    split = digits.train.head(33)
    options: dict[str, Any] = {"image_size": 16, "size": 16, "augment": augment, "classes": 10}
    batches = ImageBatches(split, seed=3, **options)
    once, again, next_epoch = batches(0), ImageBatches(split, seed=3, **options)(0), batches(1)
    assert len(once) == (2 if augment == "deit" else 3), "mixup cannot pair a lone last image"
    python_state = torch.random.get_rng_state()
    for number in reversed(range(len(once))):
        assert torch.equal(once[number].images, again[number].images)
        assert torch.equal(once[number].target, again[number].target)
    assert torch.equal(torch.random.get_rng_state(), python_state), "no global generator is moved on"
    assert not torch.equal(once[0].images, next_epoch[0].images)
    if augment == "deit":
        assert torch.allclose(once[0].target.sum(dim=1), torch.ones(16))
        assert (once[0].target.max(dim=1).values < 1).any(), "images are mixed"
    else:
        seen = torch.cat([once[number].target for number in range(3)])
        assert sorted(seen.tolist()) == sorted(split.labels.tolist())


def test_shifts_draw_out_the_edge() -> None:
    images = torch.full((40, 3, 9, 9), 2.0)
    images[:, :, 4, 3] = 5.0
    moved = shift_and_flip(images, shift=2, flip=True, seed=0)
    assert (moved == 2.0).sum(dim=(1, 2, 3)).tolist() == [3 * 80] * 40, "the ground stays what it was"
    dots = {(y, x) for _, y, x in (moved[:, 0] == 5.0).nonzero().tolist()}
    assert {y for y, _ in dots} == {2, 3, 4, 5, 6}
    assert {x for _, x in dots} == {1, 2, 3, 4, 5, 6, 7}, "from 3, and mirrored from 5"


def test_validation_batches_are_in_order_and_not_augmented(digits: ImageSet) -> None:
    batches = ImageBatches(digits.validation, image_size=32, size=50, augment="deit", classes=10, seed=None)(
        0
    )
    assert batches[1].target.tolist() == digits.validation.labels[50:100].tolist()
    assert torch.equal(batches[0].images, to_tensor(digits.validation.images[:50], image_size=32))


def test_larger_images_are_cropped_in_the_middle() -> None:
    image = np.zeros((80, 160, 3), dtype=np.uint8)
    image[:, 60:100] = 255  # the middle quarter
    tensor = to_tensor([image], image_size=35)[0]
    assert tensor.shape == (3, 35, 35)
    assert tensor[0, 17, 17] > 2
    assert tensor[0, 17, 0] < -2
    stretched = to_tensor([image], image_size=40, whole=True)[0]
    assert [(column > 2).item() for column in stretched[0, 20, ::10]] == [False, False, True, False]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("shorter", "longer"), [(1, 64), (1, 65), (3, 200), (20, 101), (70, 400), (71, 399)])
def test_the_middle_of_a_thin_image_is_as_of_the_whole(shorter: int, longer: int, turned: bool) -> None:
    draw = np.random.default_rng(longer)
    image = draw.integers(80, 176, (shorter, longer, 3), dtype=np.uint8)  # no filter leaves 0 to 255
    image = image.transpose(1, 0, 2) if turned else image
    resized = transforms.resize(
        torch.from_numpy(image.copy()).permute(2, 0, 1), [32 if shorter <= 32 else 37],
        interpolation=transforms.InterpolationMode.BICUBIC, antialias=True,
    )  # fmt: skip
    whole = normalise(transforms.center_crop(resized, [32, 32]).permute(1, 2, 0)[None])
    thin = to_tensor([image], image_size=32)
    assert (thin - whole).abs().max() < 0.04, "two levels"


@pytest.mark.parametrize("shape", [(1, 4000, 3), (4000, 1, 3)])
def test_a_thin_image_takes_no_memory_by_its_length(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    resize = transforms.resize

    def keep(image: torch.Tensor, size: list[int], **options: Any) -> torch.Tensor:
        sizes.append((resized := resize(image, size, **options)).numel())
        return resized

    monkeypatch.setattr(transforms, "resize", keep)
    for whole in (False, True):
        assert to_tensor([np.zeros(shape, np.uint8)], image_size=224, whole=whole).shape == (1, 3, 224, 224)
    assert max(sizes) < 16 * 224 * 224 * 3


# Folders of photographs


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of red and blue images, larger than the codec's; those that are decoded are kept track of."""
    for split, (label, colour) in itertools.product(
        ("train", "test"), (("blue", (0, 0, 200)), ("red", (200, 0, 0)))
    ):
        folder = tmp_path / "photographs" / split / label
        folder.mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (60, 40), colour).save(folder / f"{number}.png")
    return tmp_path / "photographs"


def folder_run(folder: Path, output: Path, **changes: Any) -> ImageRunConfig:
    return image_run(output, corpus=ImageSetConfig(dataset="folder", folder=str(folder)), **changes)


@pytest.mark.parametrize("augment", ["deit", "light", "none"])
def test_one_photograph_is_in_memory_at_a_time(
    photographs: Path, augment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is resized before the next is decoded."""
    images = load_images(dataset="folder", folder=photographs)
    photographs_read: list[weakref.ref[Any]] = []
    most = 0

    class Photograph(np.ndarray):
        pass

    def read(path: Path) -> np.ndarray:
        nonlocal most
        pixels = read_image(path).view(Photograph)
        photographs_read.append(weakref.ref(pixels))
        most = max(most, sum(one() is not None for one in photographs_read))
        return pixels

    monkeypatch.setattr(image_files, "read_image", read)
    options: dict[str, Any] = {"image_size": 32, "augment": augment, "classes": 2}
    batch = ImageBatches(images.train, size=16, seed=0, **options)(0)[0]
    assert batch.images.shape == (16, 3, 32, 32)
    encode_images(tiny(classes=2), images.test)
    assert 1 <= most <= 2


@pytest.mark.parametrize("task", ["classify", "retrieve"])
def test_a_gallery_is_read_for_retrieval_alone(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    read: list[Path] = []

    def keep(path: Path, **options: Any) -> np.ndarray:
        read.append(path)
        return read_image(path, **options)

    load_images(dataset="folder", folder=photographs)  # checks every image, once
    monkeypatch.setattr(image_files, "read_image", keep)
    corpus = dataclasses.asdict(ImageSetConfig(dataset="folder", folder=str(photographs)))
    test = modality("image").test_data(
        {"corpus": corpus, "task": task}, data_dir=None, limit=5, options={"skip_bad": False}
    )
    assert not read
    checkpoint = Checkpoint(
        codec=tiny(classes=2), tokenizer=None, document={}, metrics={}, sha256="", file_sha256=""
    )
    test.evaluator(checkpoint, None).measure(k=0, snr_db=0.0, seed=0)
    assert len({path for path in read if path.parts[-3] == "test"}) == 5
    assert bool([path for path in read if path.parts[-3] == "train"]) == (task == "retrieve")


def test_a_corrupt_photograph_shows_before_the_training(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train/red/x.png", "test/blue/y.png"):
        (photographs / name).write_bytes(b"no image")
    output = tmp_path / "run"
    flags = ["--modality", "image", "--preset", "tiny", "--epochs", "1", "--k", "2", "--output", str(output)]
    assert main([*flags, "--folder", str(photographs)]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ("2 of 50 images", "x.png", "y.png", "--skip-bad"))
    assert not output.exists()
    assert main([*flags, "--folder", str(photographs), "--skip-bad"]) == 0
    assert "skip_bad" not in read_config(output)["corpus"], "earlier releases read it, too"
    capsys.readouterr()
    assert main([*flags, "--dataset", "digits", "--skip-bad"]) == 2
    assert "--skip-bad: given, --dataset digits has no --folder to check" in capsys.readouterr().err
    document = read_config(output)
    options: dict[str, Any] = {"data_dir": None, "limit": None}
    with pytest.raises(ToolkitError, match="2 of 50 images are bad"):
        modality("image").test_data(document, options={"skip_bad": False}, **options)
    assert modality("image").test_data(document, options={"skip_bad": True}, **options).items == 24
    digits = {"corpus": {"dataset": "digits"}, "task": "classify"}
    with pytest.raises(ToolkitError, match="skip_bad: given, digits has no folder"):
        modality("image").test_data(digits, options={"skip_bad": True}, **options)


def test_a_checkpoint_holds_its_class_names(photographs: Path, tmp_path: Path) -> None:
    """A renamed class would be taken for another: numbers of classes go by the order of their names."""
    run = folder_run(photographs, tmp_path / "run", training={"checkpoint_steps": 1, "epochs": 9})
    with contextlib.suppress(ToolkitError):  # its first epoch may not be over
        train_codec(run, stop_after_steps=1)
    document = read_config(run.output)
    assert document["class_names"] == ["blue", "red"]
    for split in ("train", "test"):
        (photographs / split / "blue").rename(photographs / split / "violet")
    resumed = dataclasses.replace(run, resume=True)
    with pytest.raises(ToolkitError, match=r"class_names was \['blue', 'red'\], is now \['red', 'violet'\]"):
        train_codec(resumed)
    options: dict[str, Any] = {"data_dir": None, "limit": None, "options": {"skip_bad": False}}
    with pytest.raises(ToolkitError, match=r"^local: .* trained for the classes \['blue', 'red'\]"):
        modality("image").test_data(document, **options)
    # A checkpoint of an earlier release, which does not say.
    earlier = {name: value for name, value in document.items() if name != "class_names"}
    write_config(run.output, {n: v for n, v in earlier.items() if n not in ("kind", "schema_version")})
    trained = train_codec(resumed)
    assert "class_names" not in trained.document
    modality("image").test_data(trained.document, **options)
    start = folder_run(photographs, tmp_path / "start", init_from=run.output)
    assert train_codec(start).document["class_names"] == ["red", "violet"]
    for split in ("train", "test"):
        (photographs / split / "red").rename(photographs / split / "orange")
    with pytest.raises(ToolkitError, match=r"^init_from: .*start was trained for the classes"):
        train_codec(folder_run(photographs, tmp_path / "again", init_from=start.output))


@pytest.mark.parametrize(
    ("kind", "flags", "message"),
    [
        ("image", ["--image-size", "1000000"], "--image-size: 1000000 given, at most 4096 is allowed"),
        ("image", ["--image-size", "1000000", "--patch-size", "1000000"], "at most 4096 is allowed"),
        ("image", ["--image-size", "4096", "--patch-size", "1"], "at most 65536 are allowed"),
        ("image", ["--image-size", "33"], "a multiple of --patch-size 8 is allowed"),
        ("image", ["--split", "9"], "--split: 9 given, 1 to 3 is allowed"),
        ("vqa", ["--image-size", "1000000"], "--image-size: 1000000 given, at most 4096 is allowed"),
        ("vqa", ["--image-size", "4096", "--patch-size", "1"], "at most 65536 are allowed"),
    ],
)
def test_a_wrong_size_shows_before_the_images_are_read(
    kind: str, flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = {"image": ["--folder", str(tmp_path / "no")], "vqa": ["--data-dir", str(tmp_path / "no")]}
    common = ["--modality", kind, "--preset", "tiny", *nowhere[kind], "--output", str(tmp_path / "run")]
    assert main([*common, *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_pretrained_weights_are_made_to_fit(tmp_path: Path) -> None:
    torch.manual_seed(1)
    published = timm.create_model("deit_small_patch16_224", embed_dim=48, num_heads=3, depth=4)
    path = tmp_path / "deit.safetensors"
    save_file(published.state_dict(), str(path))
    for changes in ({}, {"depth": 2}, {"image_size": 64, "patch_size": 16}):
        codec = tiny(**changes)
        weights, file = pretrained_deit(str(path), codec.vit)
        assert file == path
        assert {key for key in codec.vit.state_dict() if not key.startswith("head")} == set(weights)
        assert torch.equal(weights["blocks.1.mlp.fc1.weight"], published.blocks[1].mlp.fc1.weight)
        assert weights["pos_embed"].shape == codec.vit.pos_embed.shape
    run = train_codec(
        image_run(tmp_path / "run", pretrained=str(path), training={"channel": "none", "learning_rate": 1e-6})
    )
    ours = codec_of(run).vit.blocks[3].attn.qkv.weight
    assert torch.allclose(ours, published.blocks[3].attn.qkv.weight, atol=1e-3)
    assert run.document["init_from"] == sha256_of(path)
    assert "initial" not in run.document["provenance"], "the file is of no checkpoint"
    with pytest.raises(ToolkitError, match=r"^pretrained: .*does not fit"):
        pretrained_deit(str(path), tiny(width=96).vit)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ToolkitError, match=r"^pretrained: no DeiT weights"):
        pretrained_deit(str(tmp_path / "text.pth"), codec.vit)


def test_a_run_is_resumed_from_the_same_pretrained_weights_alone(
    image_folders: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "start.safetensors"
    shutil.copy(image_folders["local"] / "model.safetensors", path)
    run = image_run(tmp_path / "run", pretrained=str(path), resume=True, training={"checkpoint_steps": 1})
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(run, stop_after_steps=1)
    shutil.copy(image_folders["codec"] / "model.safetensors", path)
    with pytest.raises(ToolkitError, match=r"resume: .* holds another run: init_from was"):
        train_codec(run)


def test_hub_weights_are_told_by_the_file_in_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository, commit = tmp_path / "models--timm--deit_tiny_patch16_224.fb_in1k", "0" * 40
    for folder in ("refs", f"snapshots/{commit}"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    published = timm.create_model("deit_tiny_patch16_224")
    save_file(published.state_dict(), str(repository / "snapshots" / commit / "model.safetensors"))
    codec = ImageCodec(ImageCodecConfig.from_preset("deit-tiny", classes=10))
    weights, file = pretrained_deit("deit_tiny_patch16_224.fb_in1k", codec.vit)
    assert torch.equal(weights["cls_token"], published.cls_token)
    assert file == repository / "snapshots" / commit / "model.safetensors"


def test_gallery_and_queries_meet_fading_and_noise_of_their_own(
    trained: ImageCodec, digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[torch.Tensor] = []
    receive = Channel.receive

    def keep(
        self: Channel, x: torch.Tensor, gain: torch.Tensor, snr_db: torch.Tensor, **options: Any
    ) -> torch.Tensor:
        y = receive(self, x, gain, snr_db, **options)
        met.append(torch.cat((gain.flatten(), (y - gain * x).flatten())))
        return y

    monkeypatch.setattr(Channel, "receive", keep)
    split, snr_db = digits.test.head(100), trained.config.snr_range_db[1]

    def counts(seed: int) -> list[list[int]]:
        evaluator = RetrievalEvaluator(trained, split, gallery=split, channel=Channel(kind="rayleigh"))
        return evaluator.measure(k=4, snr_db=snr_db, seed=seed)[0].tolist()

    assert counts(0) == counts(0)
    counts(1)
    gallery, queries, again, same_queries, _, other_queries = met
    assert torch.equal(gallery, again)
    assert torch.equal(queries, same_queries)
    for one, other in ((gallery, queries), (gallery, other_queries), (queries, other_queries)):
        correlation = (one * other.conj()).mean().abs() / (one.std() * other.std())
        assert correlation < 0.1


@pytest.mark.parametrize("classes", [3, 12])
def test_a_run_for_other_classes_names_the_flag_that_keeps_the_rest(
    image_folders: dict[str, Path], tmp_path: Path, classes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, label in itertools.product(("train", "test"), range(classes)):
        folder = tmp_path / "images" / split / f"class{label:02}"
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = np.full((32, 32, 3), 20 * label + number, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    run, local = tmp_path / "run", image_folders["local"]
    common = ["--modality", "image", "--folder", str(tmp_path / "images"), "--preset", "tiny", "--k", "2",
              "--epochs", "1", "--output", str(run)]  # fmt: skip
    assert main([*common, "--init-from", str(local)]) == 2
    weights = local / "model.safetensors"
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert (
        f"--init-from: {local} was trained for 10 classes, images has {classes}; --pretrained {weights} "
        in error
    )
    assert main([*common, "--preset", "deit-tiny", "--init-from", "image-cifar10-deit-tiny"]) == 2
    shipped = FOLDER / "image-cifar10-deit-tiny" / "local" / "model.safetensors"
    assert f"--pretrained {shipped} " in capsys.readouterr().err
    assert not run.exists()
    assert main([*common, "--pretrained", str(weights)]) == 0
    ours, theirs = from_pretrained(run).codec, from_pretrained(local).codec
    assert ours.state_dict()["vit.head.weight"].shape[0] == classes
    name = "vit.blocks.0.attn.qkv.weight"
    assert torch.allclose(ours.state_dict()[name], theirs.state_dict()[name], atol=0.05)


def test_accuracy_is_the_share_of_right_classes(local: ImageCodec, digits: ImageSet) -> None:
    split = digits.test.head(300)
    counts, _ = ImageEvaluator(local, split, channel=None).measure(k=0, snr_db=0.0, seed=0)
    with torch.inference_mode():
        predicted = local.vit(to_tensor(split.images, image_size=32)).argmax(dim=1).numpy()
    assert counts[:, 0].tolist() == (predicted == split.labels).tolist()
    score = ImageEvaluator.score(counts.sum(axis=0))
    assert score == pytest.approx(100 * (predicted == split.labels).mean())
    assert score > 50, "it has learned something, so that the other tests can fail"


def test_more_symbols_and_less_noise_help(trained: ImageCodec, digits: ImageSet) -> None:
    evaluator = ImageEvaluator(trained, digits.test, channel=Channel())
    score = {
        (k, snr): ImageEvaluator.score(evaluator.measure(k=k, snr_db=snr, seed=0)[0].sum(axis=0))
        for k in (1, 4)
        for snr in (-6.0, 18.0)
    }
    assert score[4, 18.0] > score[1, -6.0] + 10


def test_retrieval_ranks_the_gallery(local: ImageCodec, digits: ImageSet) -> None:
    queries, gallery = digits.test.head(40), digits.train.head(150)
    evaluator = RetrievalEvaluator(local, queries, gallery=gallery, channel=None)
    counts, figures = evaluator.measure(k=0, snr_db=0.0, seed=0)
    others = evaluator.on(digits.validation)
    assert len(others.measure(k=0, snr_db=0.0, seed=0)[0]) == len(digits.validation)
    for same in (evaluator, others.on(queries)):
        assert np.array_equal(counts, same.measure(k=0, snr_db=0.0, seed=0)[0]), "the gallery stays"
    with torch.inference_mode():
        mine, theirs = (
            torch.nn.functional.normalize(
                local.vit.forward_head(
                    local.vit.forward_features(to_tensor(split.images, image_size=32)), pre_logits=True
                ),
                dim=1,
            ).numpy()
            for split in (queries, gallery)
        )
    precision, first, fifth, voted = [], [], [], []
    for query, label in zip(mine, queries.labels, strict=True):
        ranked = gallery.labels[np.argsort(-(theirs @ query), kind="stable")]
        relevant = ranked == label
        places = np.flatnonzero(relevant)
        precision.append(np.mean([(i + 1) / (place + 1) for i, place in enumerate(places)]))
        first.append(relevant[0])
        fifth.append(relevant[:5].any())
        voted.append(np.bincount(ranked[:NEIGHBOURS], minlength=10).argmax() == label)
    assert counts[:, 0].tolist() == [int(value) for value in first]
    assert figures["recall@5"] == pytest.approx(100 * np.mean(fifth))
    assert figures["mAP"] == pytest.approx(100 * np.mean(precision), abs=1e-3)
    assert figures[f"{NEIGHBOURS}-NN accuracy"] == pytest.approx(100 * np.mean(voted))


def test_a_run_refuses_what_it_cannot_do(tmp_path: Path, image_folders: dict[str, Path]) -> None:
    with pytest.raises(ToolkitError, match=r"preset: 'huge'.*task: 'paint'.*k: none given"):
        image_run(tmp_path, preset="huge", task="paint", k=())
    with pytest.raises(ToolkitError, match="augment"):
        image_run(tmp_path, augment="heavy")
    local = str(image_folders["local"])
    with pytest.raises(
        ToolkitError, match=f"preset: 'deit-small' given, or by default, init_from {local} has 'tiny'"
    ):
        train_codec(image_run(tmp_path / "run", init_from=local, preset="deit-small"))
    with pytest.raises(ToolkitError, match="depth: 6 given"):
        train_codec(image_run(tmp_path / "run", init_from=local, depth=6))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ToolkitError, match="init_from: given beside pretrained"):
        image_run(tmp_path, init_from="a", pretrained="b")
    assert ImageRunConfig.modality == "image"


@pytest.mark.parametrize("name", ["a/b/c", "hf-hub:x", "no such file"])
def test_what_no_hub_can_name_has_no_weights_file(name: str) -> None:
    assert weights_file(name) is None

"""Image sets: splits, labels, layouts, damage."""

import errno
import hashlib
import io
import itertools
import logging
import os
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10, Imagenette

from data.download import cache_dir
from data.files.errors import ToolkitError
from data.images import imagenette
from data.images import load as images
from data.images import read as image_files
from data.images.load import load_images
from data.images.read import ImageFiles, Pixels, read_image
from data.images.sets import ImageSet, ImageSplit, fingerprint
from data.splits import hold_out


def jpeg(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (value, value, value)).save(stream, "JPEG")
    return stream.getvalue()


def write_tar(path: Path, *, per_class: int = 20) -> None:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for split in ("train", "test"):
            for value, label in enumerate(("airplane", "truck")):
                for number in range(per_class):
                    data = jpeg(100 * value + number)
                    member = tarfile.TarInfo(f"{split}/{label}/{number:04d}.jpg")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder of cats and dogs, 12 each in train and in test."""
    for split, label, number in itertools.product(("train", "test"), ("cat", "dog"), range(12)):
        write_image(tmp_path / "pets" / split / label / f"{number}.png")
    return tmp_path / "pets"


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, "PNG")


def refused(folder: Path, **options: bool) -> str:
    with pytest.raises(ToolkitError) as error:
        load_images(dataset="folder", folder=folder, **options)  # type: ignore[arg-type]
    return str(error.value)


def test_digits_are_whole_and_their_splits_disjoint() -> None:
    digits = load_images(dataset="digits")
    sizes = [len(split) for split in (digits.train, digits.validation, digits.test)]
    assert sum(sizes) == 1797
    assert sizes[2] == 1797 // 5
    assert digits.classes == tuple("0123456789")
    assert digits.test.images[0].shape == (8, 8, 3)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = {image.tobytes(): target for image, target in zip(bunch.images, bunch.target, strict=True)}
    for image, label in zip(digits.test.images, digits.test.labels, strict=True):
        original = np.round(image[..., 0].astype(float) * 16 / 255)
        assert known[original.tobytes()] == label


def test_splits_are_the_same_each_time_and_share_nothing() -> None:
    train, held_out = hold_out(100)
    assert (train, held_out) == hold_out(100)
    assert sorted(train + held_out) == list(range(100))
    assert len(held_out) == 10


def test_the_official_cifar10_is_read_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of its layout, with the checksums of these ones in place of the published."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
    labels = [number % 2 for number in range(30)]

    def write(name: str, content: dict[str, object]) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    parts = {"data_batch_1": slice(0, 20), "test_batch": slice(20, 30)}
    sums = {
        name: write(name, {"data": pixels[part].reshape(-1, 3072), "labels": labels[part]})
        for name, part in parts.items()
    }
    meta = write("batches.meta", {"label_names": ["cat", "ship"]})
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": meta})
    cifar = load_images(dataset="cifar10", data_dir=tmp_path)
    assert (cifar.name, cifar.synthetic, cifar.classes) == ("CIFAR-10", False, ("cat", "ship"))
    assert [len(split) for split in (cifar.train, cifar.validation, cifar.test)] == [18, 2, 10]
    for image, label, number in zip(cifar.test.images, cifar.test.labels, range(20, 30), strict=True):
        assert np.array_equal(image, pixels[number].transpose(1, 2, 0))
        assert label == labels[number]
    seen = {image.tobytes() for split in (cifar.train, cifar.validation) for image in split.images}
    assert seen == {pixels[number].transpose(1, 2, 0).tobytes() for number in range(20)}


def test_cifar10_is_read_from_the_jpeg_tar_and_named_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cifar10" / "cifar10-jpeg.tar.gz"
    write_tar(path)
    with pytest.raises(ToolkitError, match="SHA-256 differs"):
        load_images(dataset="cifar10", data_dir=tmp_path)
    monkeypatch.setattr(images, "_CIFAR10_TAR_SHA256", images.fetch.__globals__["sha256_of"](path))
    cifar = load_images(dataset="cifar10", data_dir=tmp_path)
    assert cifar.name == "CIFAR-10 (JPEG)"
    assert cifar.classes == ("airplane", "truck")
    assert [len(split) for split in (cifar.train, cifar.validation, cifar.test)] == [36, 4, 40]
    assert cifar.test.labels[:4].tolist() == [0, 1, 0, 1], "the first N test images are of all classes"
    gallery = cifar.train.draw(12).labels
    assert 3 <= gallery.sum() <= 9, "a draw is of all classes, though the files lie class by class"
    assert gallery.tolist() == cifar.train.draw(12).labels.tolist()
    for split in (cifar.train, cifar.validation, cifar.test):
        for image, label in zip(split.images, split.labels, strict=True):
            assert abs(int(image.mean()) // 100 - label) == 0


def test_a_folder_of_images_is_read_lazily(tmp_path: Path) -> None:
    for split, count in (("train", 10), ("test", 3)):
        for value, label in enumerate(("cat", "dog")):
            folder = tmp_path / "pets" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (20, 10), (value, number, 0)).save(folder / f"{number}.png")
            (folder / "notes.txt").write_text("no image")
    pets = load_images(dataset="folder", folder=tmp_path / "pets")
    assert (pets.name, pets.classes) == ("pets", ("cat", "dog"))
    assert [len(split) for split in (pets.train, pets.validation, pets.test)] == [18, 2, 6]
    assert pets.test.images[5].tolist()[0][0] == [1, 2, 0]
    assert pets.test.head(4).labels.tolist() == [0, 1, 0, 1], "the first N test images are of all classes"
    assert len(pets.test.head(2).images) == 2
    (tmp_path / "pets" / "test" / "dog" / "2.png").write_bytes(b"no image")
    with pytest.raises(ToolkitError, match=r"2\.png: not a readable image"):
        pets.test.images[5]
    (tmp_path / "pets" / "test" / "horse").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pets" / "test" / "horse" / "0.png")
    with pytest.raises(ToolkitError, match="no training images of horse"):
        load_images(dataset="folder", folder=tmp_path / "pets")
    with pytest.raises(ToolkitError, match=r"folder: .*nowhere: no such folder"):
        load_images(dataset="folder", folder=tmp_path / "nowhere")


# What is in a folder


@pytest.mark.parametrize(
    "name",
    [
        "train/.ipynb_checkpoints/0.png", "test/.ipynb_checkpoints/0.png", "train/cat/._0.png",
        "train/cat/.hidden.png", "train/cat/.hidden/0.png", "test/__MACOSX/0.png", "train/cat/__MACOSX/0.png",
        "train/cat/Thumbs.db", "train/.DS_Store", ".DS_Store", "__MACOSX/train/cat/0.png", ".git/0.png",
        "train/@eaDir/0.png", "train/$RECYCLE.BIN/0.png", "validation/.cache/0.png",
        "train/#recycle/0.png", "train/#snapshot/0.png", "train/@Recycle/0.png",
        "test/System Volume Information/0.png",
    ],
)  # fmt: skip
def test_hidden_files_are_neither_classes_nor_images(
    pets: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = load_images(dataset="folder", folder=pets)
    (pets / name).parent.mkdir(parents=True, exist_ok=True)
    (pets / name).write_bytes(b"no image")
    same = load_images(dataset="folder", folder=pets)
    assert (same.classes, same.sha256) == (("cat", "dog"), expected.sha256)
    assert "left out" not in caplog.text


def test_what_is_left_out_of_a_folder_is_said(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pets / "train" / "cat" / "scan.tif").write_bytes(b"no image of ours")
    load_images(dataset="folder", folder=pets)
    assert "1 files or folders in the folders of classes are left out, such as cat/scan.tif" in caplog.text


def test_one_class_alone_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split, number in itertools.product(("train", "test"), range(12)):
        write_image(tmp_path / split / "cat" / f"{number}.png")
    load_images(dataset="folder", folder=tmp_path)
    assert "cat is the only class" in caplog.text


def test_a_folder_of_another_layout_is_told_from_none(pets: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"folder: {tmp_path / 'none'}: no such folder"
    assert refused(pets / "train") == f"folder: {pets / 'train' / 'train'}: no such folder"
    file = pets / "train" / "cat" / "0.png"
    assert refused(file) == f"folder: {file}: not a folder"
    (pets / "validation").write_text("")
    assert refused(pets) == f"folder: {pets / 'validation'}: not a folder"
    (tmp_path / "empty" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "empty" / "test").mkdir()
    assert refused(tmp_path / "empty") == f"folder: {tmp_path / 'empty'} holds no images in train/CLASS/"
    assert "File name too long" in refused(tmp_path / ("x" * 300))
    write_image(pets / "train" / "\udcff" / "0.png")
    (pets / "validation").unlink()
    assert "folder: '\\udcff' given, a name in UTF-8 is allowed" in refused(pets)


def test_a_folder_that_may_not_be_entered_is_one_line(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def iterdir(self: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "iterdir", iterdir)  # root, who may run the tests, may enter every folder
    assert refused(pets) == f"{pets / 'train'}: cannot be read (Permission denied)"


# Bad images


def test_all_bad_images_are_listed_before_anything_else(
    pets: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, "JPEG")
    (pets / "train" / "cat" / "cut.jpg").write_bytes(buffer.getvalue()[:-400])
    (pets / "train" / "dog" / "text.png").write_text("no image")
    (pets / "test" / "dog" / "link.png").symlink_to(pets / "nowhere")
    message = refused(pets)
    assert message.startswith("folder: 3 of 51 images are bad: ")
    for part in (
        "cut.jpg: cannot be read (image file is truncated", "link.png: cannot be read (no such file)",
        "text.png: cannot be read (cannot identify image file)", "give skip_bad",
    ):  # fmt: skip
        assert part in message
    caplog.clear()
    kept = load_images(dataset="folder", folder=pets, skip_bad=True)
    assert [len(split) for split in (kept.train, kept.validation, kept.test)] == [22, 2, 24]
    assert "skip_bad: 3 images are left out" in caplog.text
    assert all(name in caplog.text for name in ("cut.jpg", "text.png", "link.png"))
    for number in range(9):
        (pets / "train" / "cat" / f"{number}.png").write_bytes(b"")
    caplog.clear()
    assert "and 7 more, which the log names" in refused(pets)
    assert caplog.text.count("cannot be read") == 12


def test_a_class_whose_training_images_are_all_bad_is_missing(pets: Path) -> None:
    for path in (pets / "train" / "dog").iterdir():
        path.write_bytes(b"no image")
    assert "no training images of dog" in refused(pets, skip_bad=True)


def test_images_are_decoded_once_until_a_file_changes(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def count(path: Path, **options: bool) -> Pixels:
        read.append(path)
        return read_image(path, **options)

    monkeypatch.setattr(image_files, "read_image", count)
    load_images(dataset="folder", folder=pets)
    assert len(read) == 48
    load_images(dataset="folder", folder=pets)
    assert len(read) == 48
    (pets / "test" / "dog" / "3.png").write_bytes(b"no image")
    assert "3.png" in refused(pets)
    assert len(read) == 96
    assert "3.png" in refused(pets), "bad images are remembered too"
    assert len(read) == 96
    for path in (cache_dir() / "checked").iterdir():
        path.write_text("damaged")
    assert "3.png" in refused(pets)
    monkeypatch.setenv("DEEPSC_CACHE", "/dev/null")
    assert "3.png" in refused(pets), "no cache to be had"


def test_long_reading_tells_of_itself(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    load_images(dataset="folder", folder=pets)
    assert "checking the images of folder: 48 of 48 images to do" in caplog.messages
    path = tmp_path / "cifar10" / "cifar10-jpeg.tar.gz"
    write_tar(path)
    monkeypatch.setattr(images, "_CIFAR10_TAR_SHA256", images.fetch.__globals__["sha256_of"](path))
    load_images(dataset="cifar10", data_dir=tmp_path)
    assert "unpacking CIFAR-10: 60000 of 60000 images to do" in caplog.messages


def test_no_image_is_decoded_before_it_is_asked_for() -> None:
    split = ImageSplit(images=ImageFiles([Path("nowhere")] * 4), labels=np.arange(4))
    for part in (split.head(3), split.draw(3), split.take([2, 0]), split.take([2, 0, 1]).head(2)):
        assert len(part.images) == len(part)
        with pytest.raises(ToolkitError, match="no such file"):
            part.images[0]
    pixels = [np.full((1, 1, 3), number, np.uint8) for number in range(4)]
    taken = ImageSplit(images=pixels, labels=np.arange(4)).take([3, 1, 0])
    assert [image[0, 0, 0] for image in taken.images] == taken.labels.tolist() == [3, 1, 0]
    assert [image[0, 0, 0] for image in taken.images[1:]] == [1, 0]


def test_grey_of_any_depth_is_read_from_a_folder(pets: Path) -> None:
    (pets / "train" / "cat" / "x.PGM").write_bytes(b"P2 1 1 4095\n2048\n")
    (pets / "train" / "cat" / "y.pbm").write_bytes(b"P4 1 1\n\x00")
    found = load_images(dataset="folder", folder=pets)
    assert len(found.train) + len(found.validation) == 26


def test_mistakes_name_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="dataset: 'svhn' given, allowed: cifar10"):
        load_images(dataset="svhn")
    with pytest.raises(ToolkitError, match="folder: none given"):
        load_images(dataset="folder")
    with pytest.raises(ToolkitError, match=r"no CIFAR-10 to be had.*data_dir"):
        load_images(dataset="cifar10", data_dir=tmp_path)


# Imagenette


UNSEEN, SEEN = "ILSVRC2012_val_0000000{}.JPEG", "n0_{}.JPEG"


def imagenette_files() -> Iterator[tuple[str, str, str]]:
    """Folder, class and file name: two of each class and folder that ImageNet's training set has, one not."""
    for (folder, label), number in itertools.product(
        itertools.product(("train", "val"), imagenette.CLASSES), range(3)
    ):
        yield folder, label, (SEEN if number else UNSEEN).format(number)


def colour(folder: str, label: str, name: str) -> tuple[int, int, int]:
    """That tells the images apart."""
    return 200 * (folder == "val"), 20 * list(imagenette.CLASSES).index(label), 100 * name.startswith("n0_")


def require_imagenette(found: ImageSet) -> None:
    assert not found.synthetic
    assert found.classes[:2] == ("tench", "English springer")
    assert [len(split) for split in (found.train, found.validation, found.test)] == [20, 20, 20]
    for split, red, blue in ((found.train, 0, 100), (found.validation, 200, 100)):
        for image, label in zip(split.images, split.labels, strict=True):
            assert np.abs(image.reshape(-1, 3).mean(axis=0) - (red, 20 * label, blue)).max() < 4
    assert found.test.labels[:10].tolist() == list(range(10)), "the first N test images are of all classes"
    for image, label in zip(found.test.images, found.test.labels, strict=True):
        assert np.abs(image.reshape(-1, 3).mean(axis=0)[1:] - (20 * label, 0)).max() < 4
    assert len(found.test.images[3:5]) == 2


def test_imagenette_is_tested_on_what_imagenet_weights_have_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / imagenette.TAR
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for names in imagenette_files():
            stream = io.BytesIO()
            Image.new("RGB", (24, 24), colour(*names)).save(stream, "JPEG")
            member = tarfile.TarInfo("/".join(names))
            member.size = len(stream.getvalue())
            tar.addfile(member, io.BytesIO(stream.getvalue()))
    with pytest.raises(ToolkitError, match="SHA-256 differs"):
        load_images(dataset="imagenette", data_dir=tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(imagenette, "TAR_SHA256", digest)
    found = load_images(dataset="imagenette", data_dir=tmp_path)
    require_imagenette(found)
    assert (found.name, found.sha256) == ("Imagenette (224 px)", {imagenette.TAR: digest})
    assert fingerprint(found.train.images) != fingerprint(found.validation.images)


def test_imagenette_as_torchvision_unpacks_it(tmp_path: Path) -> None:
    for folder, label, name in imagenette_files():
        path = tmp_path / "imagenette2-320" / folder / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), colour(folder, label, name)).save(path, "JPEG")
    found = load_images(dataset="imagenette", data_dir=tmp_path)
    require_imagenette(found)
    assert found.name == "Imagenette"
    assert [*found.sha256] == ["images, names and sizes"]


def test_without_imagenette_an_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolkitError, match=r"holds neither imagenette/.* with data_dir or \$DEEPSC_DATA"):
        load_images(dataset="imagenette", data_dir=tmp_path)
    monkeypatch.delenv("DEEPSC_DATA", raising=False)
    monkeypatch.setenv("DEEPSC_CACHE", str(tmp_path))
    monkeypatch.setattr(
        Imagenette, "_ARCHIVES", {"320px": ((tmp_path / "imagenette2-320.tgz").as_uri(), None)}
    )
    with pytest.raises(ToolkitError, match=r"no Imagenette to be had .* with no network, put "):
        load_images(dataset="imagenette")
    with tarfile.open(tmp_path / "imagenette2-320.tgz", "w:gz") as tar:  # torchvision unpacks what is there
        for folder, label, name in imagenette_files():
            stream = io.BytesIO()
            Image.new("RGB", (24, 24), colour(folder, label, name)).save(stream, "JPEG")
            member = tarfile.TarInfo(f"imagenette2-320/{folder}/{label}/{name}")
            member.size = len(stream.getvalue())
            tar.addfile(member, io.BytesIO(stream.getvalue()))
    require_imagenette(load_images(dataset="imagenette"))


def test_a_file_of_no_class_of_imagenettes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "imagenette2-320" / "train" / "n99999999" / "a.JPEG"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (24, 24)).save(path, "JPEG")
    (tmp_path / "imagenette2-320" / "val").mkdir()
    with pytest.raises(ToolkitError, match=r"imagenette2-320: damaged or foreign"):
        load_images(dataset="imagenette", data_dir=tmp_path)

"""Image sets: splits, labels, layouts, damage."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from data import images
from data.artifacts import ToolkitError
from data.images import hold_out, load_images


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
    with pytest.raises(ToolkitError, match=r"--folder: .*nowhere holds no images"):
        load_images(dataset="folder", folder=tmp_path / "nowhere")


def test_mistakes_name_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="--dataset: 'svhn' given, allowed: cifar10"):
        load_images(dataset="svhn")
    with pytest.raises(ToolkitError, match="--folder: none given"):
        load_images(dataset="folder")
    with pytest.raises(ToolkitError, match=r"no CIFAR-10 to be had.*--data-dir"):
        load_images(dataset="cifar10", data_dir=tmp_path)

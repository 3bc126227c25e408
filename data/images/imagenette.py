"""Imagenette: photographs of ten ImageNet classes, tested on those that ImageNet weights have not seen.

Its folders train and val mix photographs of ImageNet's training set, which published weights are trained on,
with photographs of its validation set. The latter, of both folders, are the test split here; the others are
training and validation images, as their folder says.
"""

from __future__ import annotations

import io
import math
import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.download import cache_dir, fetch
from data.files.errors import ToolkitError, named, parsing
from data.files.lock import locked
from data.files.paths import is_file, is_folder
from data.images.read import ImageFiles, Pixels, checksums, image_paths, read_image
from data.images.sets import ImageSet, ImageSplit, in_turn
from data.splits import SPLITS

CLASSES = {
    "n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player",
    "n03000684": "chain saw", "n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck",
    "n03425413": "gas pump", "n03445777": "golf ball", "n03888257": "parachute",
}  # fmt: skip
"""Names by WordNet's number, in the order of the labels."""
UNSEEN = "ILSVRC2012_val_"
"""What the names of photographs of ImageNet's validation set begin with."""
TAR = "imagenette/imagenette-224.tar"
TAR_SHA256 = "f94f5bcb02aaa1b5002b44d176e87ca8d3461b5607f0699cc94b8ed3783c8d5a"
_TAR_HOME = "https://github.com/thunderInfy/imagenette"
_SIZE, _FOLDER = "320px", "imagenette2-320"
"""Of torchvision's three sizes the one for 224 pixels, and the folder that it unpacks to."""
_SPLIT_OF = {"train": "train", "val": "validation"}
"""By Imagenette's folder, where ImageNet's training set has the photograph."""
_ORDER = list(CLASSES)


class _Member(NamedTuple):
    """One photograph in a tar."""

    name: str
    offset: int
    size: int


class TarImages(Sequence[Pixels]):
    """Images in a tar that is not compressed, decoded when asked for.

    Args:
        path: of the tar.
        sha256: its checksum.
        members: the images.
    """

    def __init__(self, path: Path, sha256: str, members: Sequence[_Member]) -> None:
        self._path, self._sha256, self._members = path, sha256, tuple(members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return TarImages(self._path, self._sha256, self._members[index])
        member = self._members[index]
        with self._path.open("rb") as stream:
            stream.seek(member.offset)
            return read_image(io.BytesIO(stream.read(member.size)))

    def mark(self, row: int) -> bytes:
        """What changes when an image does."""
        return f"{self._sha256} {self._members[row]}".encode()


def imagenette(data_dir: str | os.PathLike[str] | None) -> ImageSet:
    """Imagenette by torchvision, or the copies of 224 pixels where the data folder holds those.

    Raises:
        ToolkitError: if the data are missing or damaged.
    """
    folder = data_dir or os.environ.get("DEEPSC_DATA")
    if folder and is_file(Path(folder) / TAR):
        return _from_tar(fetch(TAR, url=_TAR_HOME, sha256=TAR_SHA256, data_dir=folder))
    root = (Path(folder) if folder else cache_dir()) / _FOLDER
    if not is_folder(root):
        if folder:
            raise ToolkitError(
                f"{folder}: holds neither {TAR} nor torchvision's {_FOLDER}; name a folder that does with "
                f"{named('data_dir')} or $DEEPSC_DATA, or none to have it downloaded"
            )
        _download(root)
    return _from_files(root)


def _download(root: Path) -> None:
    from torchvision.datasets import Imagenette  # loads torch: only where it is needed

    try:
        # torchvision unpacks into the folder that it takes for the whole set, however far it came.
        with (
            locked(root.with_suffix(".lock"), wait_s=math.inf, setting=None),
            tempfile.TemporaryDirectory(dir=root.parent) as unfinished,
        ):
            if is_folder(root):  # another process was faster
                return
            archive = root.with_suffix(".tgz")
            if is_file(archive):  # fetched by hand
                os.link(archive, Path(unfinished) / archive.name)
            Imagenette(unfinished, split="train", size=_SIZE, download=True)
            (Path(unfinished) / _FOLDER).rename(root)
    except (OSError, RuntimeError, EOFError) as error:
        raise ToolkitError(
            f"{root}: no Imagenette to be had ({' '.join(str(error).split())}); with no network, put {TAR} "
            f"or torchvision's {_FOLDER} into a folder and name it with {named('data_dir')} or $DEEPSC_DATA"
        ) from error


def _from_tar(path: Path) -> ImageSet:
    try:
        with tarfile.open(path, "r:") as tar:
            members = sorted(
                _Member(member.name, member.offset_data, member.size) for member in tar if member.isfile()
            )
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise ToolkitError(f"{path}: not the tar of Imagenette that it should be ({error})") from error
    images = TarImages(path, TAR_SHA256, members)
    with parsing(path):
        return _dealt("Imagenette (224 px)", [member.name for member in members], images, {TAR: TAR_SHA256})


def _from_files(root: Path) -> ImageSet:
    paths = [path for folder in _SPLIT_OF for path in image_paths(root / folder)]
    sums = checksums("Imagenette", images=paths, files=[])
    with parsing(root):
        names = [path.relative_to(root).as_posix() for path in paths]
        return _dealt("Imagenette", names, ImageFiles(paths), sums)


def _dealt(name: str, files: Sequence[str], images: Sequence[Pixels], sha256: Mapping[str, str]) -> ImageSet:
    """The set of images in files, each named FOLDER/WNID/FILE."""
    rows: dict[str, list[tuple[str, int]]] = {split: [] for split in SPLITS}
    labels = []
    for row, (folder, wnid, file) in enumerate(name.split("/") for name in files):
        split = "test" if file.startswith(UNSEEN) else _SPLIT_OF[folder]
        rows[split].append((wnid, row))
        labels.append(_ORDER.index(wnid))
    rows["test"] = in_turn(rows["test"])
    whole = ImageSplit(images=images, labels=np.array(labels, dtype=np.int64))
    splits = {split: whole.take([row for _, row in chosen]) for split, chosen in rows.items()}
    return ImageSet(name=name, synthetic=False, classes=tuple(CLASSES.values()), sha256=sha256, **splits)

"""Image files to pixels."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL import __version__ as _pillow_version

from data.download import cache_dir
from data.files.documents import read_json, write_json
from data.files.errors import ToolkitError
from data.files.paths import is_folder, require_file
from data.files.provenance import sha256_of
from data.images.formats import FORMATS, SUFFIXES
from data.terminal.progress import Progress

logger = logging.getLogger(__name__)

LARGEST_IMAGE = 2**28
"""Bytes of an image file: what as many pixels as Pillow decodes without a warning take uncompressed."""
_SYSTEM_NAMES = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",
    "@eadir", "#recycle", "#snapshot", "@recycle", "lost+found", "icon\r",
}  # fmt: skip
"""What operating systems and network drives add to folders, in lower case, besides what begins with a dot."""
# How a camera's pixels must be turned to be upright, by the tag of their file.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_MOST_THREADS = 4
_LISTED = 5
"""Bad images that an error names; of more, the log does."""

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB."""


class ImageFiles(Sequence[Pixels]):
    """Image files, decoded when asked for.

    Args:
        paths: the files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return ImageFiles(self.paths[index]) if isinstance(index, slice) else read_image(self.paths[index])

    def mark(self, row: int) -> bytes:
        """What changes when an image does: its file's place, size and time."""
        return _stamp(self.paths[row]).encode(errors="surrogatepass")


def read_image(source: Path | io.BytesIO, *, small: bool = False) -> Pixels:
    """Decode an image file to RGB, upright as its EXIF orientation says; 16-bit levels are scaled to 8 bits.

    Args:
        source: the file.
        small: read a JPEG at an eighth of its size, which takes less time and finds the same damage.

    Raises:
        ToolkitError: if it is missing, damaged, too large or of floating-point levels.
    """
    if isinstance(source, Path):
        require_file(source, largest=LARGEST_IMAGE)
    try:
        with Image.open(source, formats=FORMATS) as image:
            if small:
                image.draft(None, (1, 1))
            image.load()
            turn = _UPRIGHT.get(_orientation(image))
            pixels = _rgb(image)
            return np.asarray(pixels if turn is None else pixels.transpose(turn))
    except Exception as error:  # Pillow's decoders raise whatever they stumble over
        raise ToolkitError(f"{source}: not a readable image ({error})") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data, beside pixels that are whole
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    """Pillow clips levels above 255, and so makes 16-bit grey white."""
    if image.mode == "F":
        raise ValueError("floating-point levels have no range; save it as 8 or 16 bits")
    if image.mode.startswith("I"):  # whole numbers to 65535: Pillow scales those of a PGM file
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def image_paths(folder: Path) -> Iterator[Path]:
    """Image files one folder below `folder`, in the order of their names.

    Hidden files and folders and those of operating systems are left out; other files are counted in the log.
    """
    foreign = []
    for label in sorted(folder.iterdir()):
        if not _is_hidden(label) and is_folder(label):
            for path in sorted(label.iterdir()):
                if _is_hidden(path):
                    continue
                if path.suffix.lower() in SUFFIXES:
                    yield path
                else:
                    foreign.append(path)
    if foreign:
        logger.warning(
            "%s: %d files or folders in the folders of classes are left out, such as %s; images end in %s",
            folder, len(foreign), foreign[0].relative_to(folder), ", ".join(sorted(SUFFIXES)),
        )  # fmt: skip


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _SYSTEM_NAMES


def bad_images(paths: Sequence[Path], *, what: str, skip_bad: bool = False) -> set[Path]:
    """Decode every image once, so that damage shows before a training and not after it.

    The cache folder keeps what is found until a file changes.

    Args:
        paths: the images.
        what: their set, as errors begin.
        skip_bad: name those that cannot be read in the log, instead of an error.

    Returns:
        Those that cannot be read; empty without `skip_bad`.

    Raises:
        ToolkitError: if one cannot be read, listing all.
    """
    bad = _reasons(paths, what=what)
    lines = [f"{path}: cannot be read ({reason})" for path, reason in bad.items()]
    if skip_bad or len(bad) > _LISTED:
        for line in lines:
            logger.warning("%s", line)
    if skip_bad or not bad:
        return set(bad)
    more = f"; and {len(bad) - _LISTED} more, which the log names" if len(bad) > _LISTED else ""
    raise ToolkitError(
        f"{what}: {len(bad)} of {len(paths)} images are bad: {'; '.join(lines[:_LISTED])}{more}"
    )


def checksums(name: str, *, images: Sequence[Path], files: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of files beside images, by name, and of the images' names and sizes; decodes every image.

    Raises:
        ToolkitError: if an image cannot be read; `name` is that of the set.
    """
    bad_images(images, what=name)
    listing = "".join(f"{path.name} {path.stat().st_size}\n" for path in images)
    sums = {f"{path.parent.name}/{path.name}": sha256_of(path) for path in files}
    return sums | {"images, names and sizes": hashlib.sha256(listing.encode()).hexdigest()}


def _reasons(paths: Sequence[Path], *, what: str) -> Mapping[Path, str]:
    """Why images cannot be read, by path."""
    listing = "\n".join([_pillow_version, *map(_stamp, paths)])
    digest = hashlib.sha256(listing.encode(errors="surrogatepass")).hexdigest()
    with suppress(ToolkitError, OSError, KeyError, ValueError, IndexError, AttributeError, RuntimeError):
        stored = read_json(cache_dir() / "checked" / f"{digest}.json")  # else there is none, or it is damaged
        return {paths[int(number)]: str(reason) for number, reason in stored["bad"].items()}
    bad = {}
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    try:
        with Progress(f"checking the images of {what}", total=len(paths), done=0, unit="image") as progress:
            for number, reason in enumerate(pool.map(_reason, paths)):
                if reason is not None:
                    bad[number] = reason
                progress.update()
    finally:
        pool.shutdown(cancel_futures=True)
    with suppress(ToolkitError, RuntimeError):  # no cache to be had: checked again the next time
        write_json(cache_dir() / "checked" / f"{digest}.json", {"bad": bad})
    return {paths[number]: reason for number, reason in bad.items()}


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
        return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return f"{path.absolute()} {error}"


def _reason(path: Path) -> str | None:
    try:
        read_image(path, small=True)
    except ToolkitError as error:
        reason = str(error.__cause__ or error)  # Pillow names the file at the end
        return reason.removeprefix(f"{path}: ").removesuffix(f" {str(path)!r}")
    except (OSError, ValueError) as error:  # such as a folder that may not be entered
        return str(error)
    return None

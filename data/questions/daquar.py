"""DAQUAR: people's questions about photographs of rooms (Malinowski and Fritz, 2014; NYU Depth V2)."""

from __future__ import annotations

import re
import tarfile
import tempfile
from pathlib import Path

from data.download import cache_dir
from data.files.errors import ToolkitError, named, parsing
from data.files.paths import is_file, is_folder, require_file
from data.files.provenance import sha256_of

TAR = "daquar-256.tar.gz"
"""Of all that is in the folder, which may be there unpacked as well."""
_HOME = "https://github.com/tezansahu/VQA-With-Multimodal-Transformers"
QUESTIONS = "all_qa_pairs.txt"
"""Question and answer on alternate lines; a question names its image."""
_LISTS = {"train": "train_images_list.txt", "test": "test_images_list.txt"}
_SUFFIXES = (".jpg", ".png")
LARGEST_LIST = 2**26
"""Bytes of a file of text; the published questions have 1 MB."""
_IMAGE = re.compile(r"\bimage\d+\b")
_CLOSING = re.compile(r"\s+(in|of|on)\s+(the|this)\s+image\d+\s*\?\s*$")
"""How nearly all questions end."""


def published(folder: Path) -> tuple[dict[str, dict[str, Path]], list[tuple[str, str, str]], list[Path]]:
    """What was published, from an unpacked folder or from the tar in it.

    A question's image is told beside it, so its name is taken out of the words, and with it the
    "in the image7" that nearly all of them end in.

    Args:
        folder: `daquar`, with the tar, or with the lists, the questions and `images/`.

    Returns:
        Image files by name, of each split; (image, question, answer); the files of text.

    Raises:
        ToolkitError: if a file is missing or damaged.
    """
    if is_file(folder / TAR):
        folder = _unpacked(folder / TAR)
    elif not is_file(folder / QUESTIONS):
        raise ToolkitError(
            f"{folder}: holds neither {TAR} nor {QUESTIONS} (from {_HOME}); name the folder that "
            f"holds {folder.name}/ with {named('data_dir')} or $DEEPSC_DATA"
        )
    files = [folder / name for name in (QUESTIONS, *_LISTS.values())]
    paths = {
        split: {image: _image(folder / "images", image) for image in _lines(folder / name)}
        for split, name in _LISTS.items()
    }
    lines = _lines(files[0])
    with parsing(files[0]):
        if len(lines) % 2:
            raise ValueError("a question without an answer")
        questions = [_question(text, answer) for text, answer in zip(lines[::2], lines[1::2], strict=True)]
    return paths, questions, files


def _question(text: str, answer: str) -> tuple[str, str, str]:
    images = _IMAGE.findall(text)
    if not images:
        raise ValueError(f"{text!r} names no image")
    return images[-1], _IMAGE.sub("image", _CLOSING.sub(" ?", text)), answer


def _lines(path: Path) -> list[str]:
    require_file(path, largest=LARGEST_LIST)
    with parsing(path):
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _image(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise ToolkitError(f"{folder.parent}: {name!r} is no bare name of an image")
    return next((path for suffix in _SUFFIXES if is_file(path := folder / f"{name}{suffix}")), folder / name)


def _unpacked(tar: Path) -> Path:
    """Folder of the cache that holds what the tar does; unpacked the first time."""
    folder = cache_dir() / sha256_of(tar)[:16] / "daquar"
    if is_folder(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished, tarfile.open(tar) as archive:
            whole = Path(unfinished) / folder.name
            archive.extractall(whole, filter="data")
            whole.rename(folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        if is_folder(folder):  # another process was faster
            return folder
        raise ToolkitError(f"{folder}: cannot unpack {tar} ({error})") from error
    return folder

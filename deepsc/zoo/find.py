"""From what a user calls a codec to its folder. Free of torch: `transmit --help` is quick.

A release is a folder of two checkpoints, the codec and its local model, with the maps that were measured on
them, their FLOPs file and a model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from data.files.documents import read_json
from data.files.errors import ToolkitError
from data.files.paths import exists, is_file
from data.settings import named

FOLDER = Path(__file__).parent
CODEC: Final = "codec"
LOCAL: Final = "local"
MAPS = "maps"
"""Folders of a release: two checkpoints, and the maps."""
CARD, FLOPS = "card.md", "flops.json"
"""Files of a release."""
DEFAULTS: Mapping[str, str] = {
    "text": "text-multi30k-en-de-medium",
    "image": "image-imagenette-deit-small",
    "vqa": "vqa-easy-vqa-medium",
}
"""The codec of each modality that is taken where none is named."""


def list_codecs() -> tuple[str, ...]:
    """Names of the codecs that ship, sorted."""
    return tuple(sorted(path.parents[1].name for path in FOLDER.glob(f"*/{CODEC}/config.json")))


def release_of(place: str) -> Path | None:
    """The folder of a release.

    Args:
        place: a folder, or the name of a codec that ships.

    Returns:
        None if it is no release.
    """
    if is_file(Path(place) / CODEC / "config.json"):
        return Path(place)
    return FOLDER / place if not exists(place) and place in list_codecs() else None


def map_path(release: Path, channel: str) -> Path:
    """Where a release keeps the accuracy map of its codec over a channel, for the task it was trained for.

    Args:
        release: the folder.
        channel: "awgn", "rayleigh", or of separate coding "awgn-digital-ldpc" and the like.

    Raises:
        ToolkitError: if the codec is missing or damaged.
    """
    task = read_json(release / CODEC / "config.json")["task"]
    return release / MAPS / f"{map_stem(task, channel)}.json"


def map_stem(task: str, channel: str) -> str:
    """Name of a codec's map in a release, without its suffix."""
    return f"{task}-{channel}"


def resolve(place: str, part: Literal["codec", "local"], *, setting: str) -> str:
    """The folder of a checkpoint, where a release stands for both of its own.

    Args:
        place: a checkpoint's folder, a release, or the name of a codec that ships.
        part: which checkpoint of a release.
        setting: that names the place, for the error.

    Raises:
        ToolkitError: if it is a word that names neither a folder nor a codec.
    """
    if (release := release_of(place)) is not None:
        return str(release / part)
    if len(Path(place).parts) == 1 and not exists(place):
        names = ", ".join(list_codecs()) or "none ships"
        raise ToolkitError(
            f"{named(setting)}: {place!r} given, a folder that is there is allowed, or the name of a codec "
            f"that ships: {names}"
        )
    return place

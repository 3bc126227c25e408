"""The page of the model zoo, docs/model-zoo.md, and its plots, from the cards and maps of what ships.

python -m accuracy_maps.release.page docs
"""

from __future__ import annotations

import sys
from pathlib import Path

from accuracy_maps.bimodal import BimodalMap
from accuracy_maps.map import AccuracyMap
from accuracy_maps.release.card import release_maps, size_mb
from accuracy_maps.show.plot import plot_bimodal, plot_map
from data.files.atomic import write_text
from deepsc.zoo.find import CARD, DEFAULTS, FOLDER, list_codecs, map_path

_HEAD = """\
# Model zoo

These codecs come with the package, weights included. `transmit` and `deepsc.load(NAME)` use them. Where none
is named, `transmit` sends with the default of each modality, and `optimize` reads its maps and FLOPs file.
The defaults are {defaults}.
A name stands for a folder in `build-accuracy-map --codec NAME --local NAME`,
`profile-flops --checkpoint NAME` and `train-deepsc --init-from NAME`.

`python -m accuracy_maps.release` makes such a folder of a codec of yours ([files](file-formats.md)), and
`python -m accuracy_maps.release.page docs` writes this page and its plots. A plot shows the ratio of the
accuracy over an AWGN channel to the local model's. Dashed: separate coding in as many symbols.
"""


def zoo_page() -> str:
    """The page, Markdown: the cards, their headings one level lower."""
    total = sum(size_mb(FOLDER / name) for name in list_codecs())
    defaults = ", ".join(f"`{name}`" for name in DEFAULTS.values())
    parts = [_HEAD.format(defaults=defaults), f"In all {total:.1f} MB.\n"]
    for name in list_codecs():
        heading, *card = (FOLDER / name / CARD).read_text(encoding="utf-8").splitlines()
        lines = [heading, "", f"![ratio against SNR](figures/{name}.png)", *card]
        parts.append("\n".join(f"#{line}" if line.startswith("#") else line for line in lines) + "\n")
    return "\n".join(parts)


def plot_release(release: Path, path: Path) -> None:
    """Draw a release's map on AWGN as a PNG, with separate coding beside it where it was measured.

    Of its channel codes 5G LDPC is drawn, else the best code of that length.

    Args:
        release: the folder.
        path: where.

    Raises:
        ToolkitError: if a map is missing or damaged.
    """
    maps = release_maps(release)
    own = maps[map_path(release, "awgn").stem]
    if isinstance(own, BimodalMap):
        plot_bimodal(own, path)
        return
    coded = {
        one.model["code"]: one
        for one in maps.values()
        if isinstance(one, AccuracyMap) and one.channel == own.channel and "code" in one.model
    }
    plot_map(own, path, beside=[coded[code] for code in ("ldpc", "finite") if code in coded][:1])


if __name__ == "__main__":
    docs = Path(sys.argv[1])
    write_text(docs / "model-zoo.md", zoo_page())
    for name in list_codecs():
        plot_release(FOLDER / name, docs / "figures" / f"{name}.png")

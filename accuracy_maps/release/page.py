"""The page of the model zoo, from the cards of the codecs that ship: docs/model-zoo.md.

python -m accuracy_maps.release.page > docs/model-zoo.md
"""

from __future__ import annotations

from accuracy_maps.release.card import size_mb
from deepsc.zoo.find import CARD, FOLDER, list_codecs

_HEAD = """\
# Model zoo

These codecs come with the package, weights included. `transmit` and `deepsc.load(NAME)` use them. `optimize` reads
their maps and FLOPs files where it is given none.
A name stands for a folder in `build-accuracy-map --codec NAME --local NAME`,
`profile-flops --checkpoint NAME` and `train-deepsc --init-from NAME`.

`python -m accuracy_maps.release` makes such a folder of a codec of yours ([files](file-formats.md)), and
`python -m accuracy_maps.release.page` writes this page.
"""


def zoo_page() -> str:
    """The page, Markdown: the cards, their headings one level lower."""
    total = sum(size_mb(FOLDER / name) for name in list_codecs())
    parts = [_HEAD, f"In all {total:.1f} MB.\n"]
    for name in list_codecs():
        card = (FOLDER / name / CARD).read_text(encoding="utf-8")
        parts.append(
            "\n".join(f"#{line}" if line.startswith("#") else line for line in card.splitlines()) + "\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    print(zoo_page(), end="")

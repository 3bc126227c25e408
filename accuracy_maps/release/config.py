"""What `python -m accuracy_maps.release` is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from data.settings import Flag, Problem, Settings
from deepsc.codec.config import empty_texts


@dataclass(frozen=True, kw_only=True)
class ReleaseConfig(Settings):
    """Which models and files a release is made of."""

    codec: Annotated[str, Flag(metavar="DIR")]
    """Checkpoint from train-deepsc; or a release, to make it anew."""
    local: Annotated[str, Flag(metavar="DIR")]
    """Its local model; or a release."""
    maps: Annotated[tuple[str, ...], Flag("--map", metavar="FILE", nargs="+")] = ()
    """Maps of the released weights: make the release once without, measure it, make it again with them."""
    flops: Annotated[str | None, Flag(metavar="FILE")] = None
    """What profile-flops wrote for the codec."""
    output: Annotated[str, Flag(metavar="DIR")]
    """Folder of the release; its name is the codec's."""

    def problems(self) -> Iterator[Problem]:
        """A problem for each name that names nothing."""
        yield from empty_texts(self)

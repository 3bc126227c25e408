"""Features of a frozen stem, computed once and kept in a file: an epoch then costs the Transformer alone.

They are what the stem makes of each image and of its mirror image, as float16, in the cache folder. A file is
named by all that its content follows from, so that it is never read for other images or weights. Of several
processes that need the same file at once, such as those of torchrun, one computes it and the others wait.
"""

from __future__ import annotations

import hashlib
import logging
import math
import tokenize
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.download import cache_dir
from data.files.atomic import atomic_path
from data.files.errors import ToolkitError, parsing
from data.files.lock import locked
from data.files.paths import exists, require_file
from data.images.read import Pixels
from data.images.sets import fingerprint
from data.terminal.progress import Progress
from deepsc.image.config import STEM_STRIDE
from deepsc.image.pixels import to_tensor
from deepsc.image.stem import Stem

logger = logging.getLogger(__name__)

FOLDER = "stem-features"
"""Of the cache."""
_VERSION = 1
"""Of what a file holds; another when images are prepared otherwise."""
_BATCH = 8
"""Images at once: their activations stay in the processor's cache."""


class StemFeatures:
    """What a frozen stem makes of images: of each, upright and mirrored.

    Args:
        images: what it reads.
        stem: with its weights.
        image_size: pixels a side, a multiple of 16.
        device: where the stem is to run.
        mirrored: whether mirror images are asked for.
        whole: as of `deepsc.image.pixels.to_tensor`.
    """

    def __init__(
        self,
        images: Sequence[Pixels],
        stem: Stem,
        *,
        image_size: int,
        device: str,
        mirrored: bool,
        whole: bool = False,
    ) -> None:
        self._images, self._stem, self._device = images, stem.eval(), device
        self._image_size, self._whole = image_size, whole
        side = image_size // STEM_STRIDE
        self._shape = (len(images), 1 + mirrored, stem.num_features, side, side)

    def take(self, rows: Sequence[int], *, flips: NDArray[np.bool_] | None = None) -> Tensor:
        """Features of some images.

        Args:
            rows: which images.
            flips: which of these are to be mirrored, (B,); None: none.

        Returns:
            (B, 112, H / 16, W / 16), float32.
        """
        side = np.zeros(len(rows), dtype=np.int64) if flips is None else flips.astype(np.int64)
        return torch.from_numpy(self.stored[np.asarray(rows), side].astype(np.float32))

    def make(self) -> None:
        """Make the file now: processes that deal batches, forked off later, have no use of a GPU."""
        _ = self.stored

    @cached_property
    def stored(self) -> NDArray[np.float16]:
        """All features, (N, 1 or 2, 112, H / 16, W / 16), mapped from the file, which is made first.

        Raises:
            ToolkitError: if an image is damaged, or the cache cannot be written.
        """
        path = self.path
        with suppress(ToolkitError):  # of a damaged file `_kept` warns, once
            return read_features(path, self._shape)
        with locked(path.with_suffix(".lock"), wait_s=math.inf, setting=None):
            if (kept := self._kept(path)) is not None:  # by another process, meanwhile
                return kept
            self._write(path)
            return read_features(path, self._shape)

    def _kept(self, path: Path) -> NDArray[np.float16] | None:
        """What the file holds; None if there is none, or it is damaged."""
        if not exists(path):
            return None
        try:
            return read_features(path, self._shape)
        except ToolkitError as error:
            logger.warning("%s", error)
            return None

    @cached_property
    def path(self) -> Path:
        """The file, named by the images, the stem's weights and the size."""
        parts: tuple[object, ...] = (_VERSION, fingerprint(self._images), self._stem.digest(), self._shape)
        parts += ("whole",) if self._whole else ()
        return cache_dir() / FOLDER / f"{hashlib.sha256(repr(parts).encode()).hexdigest()}.npy"

    def _write(self, path: Path) -> None:
        size = int(np.prod(self._shape)) * np.dtype(np.float16).itemsize
        logger.info("%s: features of the stem, %.0f MB, are computed once", path, size / 1e6)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            header = {"descr": "<f2", "fortran_order": False, "shape": self._shape}
            np.lib.format.write_array_header_1_0(stream, header)
            self._compute(stream)

    @torch.inference_mode()
    def _compute(self, stream: IO[bytes]) -> None:
        """Write the features of all images, in their order."""
        stem = self._stem.to(self._device)
        starts = range(0, len(self._images), _BATCH)
        with Progress("features of the stem", total=len(starts), done=0, unit="step") as progress:
            for start in starts:
                images = self._images[start : start + _BATCH]
                pixels = to_tensor(images, image_size=self._image_size, whole=self._whole)  # (B, 3, H, W)
                pixels = pixels.to(self._device)
                sides = [pixels, pixels.flip(-1)][: self._shape[1]]
                made = torch.stack([stem(side) for side in sides], dim=1)  # (B, 1 or 2, 112, H / 16, W / 16)
                stream.write(made.half().cpu().numpy().astype("<f2").tobytes())
                progress.update()
        stem.cpu()


def read_features(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """Features as a file holds them, mapped into memory.

    Args:
        path: of the file.
        shape: that they are of.

    Raises:
        ToolkitError: if it is missing, damaged or of another shape.
    """
    require_file(path)
    with parsing(path):
        try:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
        except (SyntaxError, tokenize.TokenError) as error:  # numpy reads the header as Python
            raise ValueError(f"no header of an array: {error}") from error
        if stored.shape != shape or stored.dtype != np.float16:
            raise ValueError(f"{stored.dtype} {stored.shape} given, float16 {shape} is needed")
        return stored

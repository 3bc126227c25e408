"""CPU seconds of a training step of a hybrid image codec: its stem trained, frozen, or its features on disk.

    python benchmarks/stem_steps.py --dataset cifar10 --image-size 96 --data-dir DATA

A step is the batch, the loss, its gradient and AdamW; "batch" is the share of decoding and augmenting images,
or of reading features. All ways are of the same images, mirrored at random, and take turns. "features, plain
AdamW" is AdamW as torch takes it by default, the others are fused as `train-deepsc` has it. Weights are drawn
at random, which costs what others do. Times are medians of CPU seconds of this process on one thread: other
work on the machine does not count, as far as it leaves the caches alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from flag_types import positive_int
from training_step import take_step

from data.files.errors import ToolkitError
from data.images.load import DATASETS, load_images
from data.images.sets import ImageSet
from data.terminal.command import Parser
from deepsc.image.config import IMAGE_PRESETS, STEMS, ImageCodecConfig
from deepsc.image.features import StemFeatures
from deepsc.image.material import ImageBatches
from deepsc.image.model import ImageCodec
from deepsc.train.loop import attend_by_plain_products

WAYS = ("stem trained", "stem frozen", "features", "features, plain AdamW")


class Way:
    """One way to train; every `step` is one more.

    Args:
        name: one of `WAYS`.
        images: the set.
        config: of the codec, its stem not frozen.
        size: images in a batch.
    """

    def __init__(self, name: str, images: ImageSet, config: ImageCodecConfig, *, size: int) -> None:
        frozen = name != "stem trained"
        torch.manual_seed(0)
        fields = config.to_dict() | {"freeze_stem": frozen}
        self._codec = ImageCodec(ImageCodecConfig.from_dict(fields)).train()
        attend_by_plain_products(self._codec)
        split, features = images.train.draw(size), None
        if name.startswith("features"):
            features = StemFeatures(
                split.images, self._codec.vit.patch_embed.backbone, image_size=config.image_size,
                device="cpu", mirrored=True,
            )  # fmt: skip
        self._batches = ImageBatches(
            split, image_size=config.image_size, size=size, augment="flips", classes=config.classes, seed=0,
            features=features,
        )  # fmt: skip
        self._optimizer = torch.optim.AdamW(self._codec.parameters(), fused="plain" not in name)
        self._epoch = 0
        self._batches(0)  # features are computed, once

    def step(self) -> tuple[float, float]:
        """CPU seconds of the batch, and of the whole step."""
        start = time.process_time()
        batch = self._batches(self._epoch)[0]
        made = time.process_time() - start
        take_step(self._codec, self._optimizer, batch)
        self._epoch += 1
        return made, time.process_time() - start


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(prog="stem_steps.py", description=__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--preset", choices=IMAGE_PRESETS, default="deit-small")
    parser.add_argument("--image-size", type=positive_int, default=96)
    parser.add_argument("--images", type=positive_int, default=32, help="in a batch (%(default)s)")
    parser.add_argument("--steps", type=positive_int, default=5, help="each, after one more (%(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        images = load_images(dataset=args.dataset, data_dir=args.data_dir)
        config = ImageCodecConfig.from_preset(
            args.preset, classes=len(images.classes), stem=STEMS[0], image_size=args.image_size
        )
        with tempfile.TemporaryDirectory() as cache, mock.patch.dict("os.environ", DEEPSC_CACHE=cache):
            ways = {name: Way(name, images, config, size=args.images) for name in WAYS}
            rounds = [{name: way.step() for name, way in ways.items()} for _ in range(1 + args.steps)][1:]
            kept = sum(path.stat().st_size for path in Path(cache).rglob("*.npy")) / args.images
    except ToolkitError as error:
        parser.error(str(error))
    print(
        f"{images.name}, {args.preset} with {STEMS[0]}, {config.image_size} px, {args.images} images a step"
    )
    print(f"{'':<24}{'batch':>10}{'step':>10}{'against trained':>17}")
    whole = {}
    for name in WAYS:
        batch, step = np.median([times[name] for times in rounds], axis=0)
        whole[name] = step
        print(f"{name:<24}{batch:>10.3f}{step:>10.3f}{whole[WAYS[0]] / step:>16.2f}x")
    print(f"features on disk: {kept / 1e3:.1f} kB an image")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

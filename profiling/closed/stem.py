"""FLOPs of a hybrid's stem, EfficientNet-Lite0 up to stride 16, from its table of layers.

Tan and Le (2019), table 1, first five stages; Lite: without squeeze-and-excitation, of width 1.0. A stage is
of inverted residual blocks (Sandler et al., 2018): a 1x1 convolution that widens sixfold, a depthwise one, a
1x1 convolution that narrows. The first stage does not widen.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from profiling.closed.layers import convolution
from profiling.units import Macs

_COLOURS = 3
_FIRST = 32  # channels of the first convolution, 3x3 of stride 2
CHANNELS = 112
"""Of the stem's features."""


class _Stage(NamedTuple):
    blocks: int
    kernel: int
    stride: int
    """Of its first block."""
    widening: int
    channels: int


_STAGES = (
    _Stage(blocks=1, kernel=3, stride=1, widening=1, channels=16),
    _Stage(blocks=2, kernel=3, stride=2, widening=6, channels=24),
    _Stage(blocks=2, kernel=5, stride=2, widening=6, channels=40),
    _Stage(blocks=3, kernel=3, stride=2, widening=6, channels=80),
    _Stage(blocks=3, kernel=5, stride=1, widening=6, channels=CHANNELS),
)


def stem(prefix: str, *, image_size: int) -> dict[str, Macs]:
    """Multiply-adds of the stem for one image.

    Args:
        prefix: path of its module.
        image_size: pixels a side, a multiple of 16.
    """
    side, n_in = image_size // 2, _FIRST
    counts: Counter[str] = Counter()
    for stage in _STAGES:
        for block in range(stage.blocks):
            wide = stage.widening * n_in
            narrow = "conv_pw" if stage.widening == 1 else "conv_pwl"
            if stage.widening > 1:
                counts["conv_pw"] += convolution(side**2, 1, n_in, wide).count
            side //= stage.stride if block == 0 else 1
            counts["conv_dw"] += convolution(side**2, stage.kernel**2, 1, wide).count
            counts[narrow] += convolution(side**2, 1, wide, stage.channels).count
            n_in = stage.channels
    blocks = {f"{prefix}.blocks.*.*.{name}": Macs(count) for name, count in counts.items()}
    return {f"{prefix}.conv_stem": convolution((image_size // 2) ** 2, 9, _COLOURS, _FIRST), **blocks}

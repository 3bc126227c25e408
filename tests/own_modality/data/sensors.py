"""A made-up modality's data: windows of noisy sensor readings, to be told apart by their slope."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = 3
WINDOW = 8


def load_sensors(*, dataset: str, data_dir: str | None = None) -> dict[str, tuple[NDArray, NDArray]]:
    """Readings (windows, WINDOW) and classes (windows,) by split."""
    draw = np.random.default_rng(0)
    splits = {}
    for name, count in (("train", 600), ("validation", 60), ("test", 120)):
        labels = draw.integers(CLASSES, size=count)
        ramp = np.linspace(-1, 1, WINDOW)
        readings = (labels - 1)[:, None] * ramp + draw.normal(0, 0.3, (count, WINDOW))
        splits[name] = readings.astype(np.float32), labels
    return splits

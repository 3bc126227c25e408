"""Training, validation and test: which there are, and how items are held out."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
"""What a data set is split into."""
VALIDATION_SHARE = 10
"""One training image of so many is put aside for validation, where a set brings no validation split."""


def hold_out(count: int, *, share: int = VALIDATION_SHARE) -> tuple[list[int], list[int]]:
    """Deal `count` items to training and validation, one of `share` to the latter, always the same."""
    import numpy as np  # not for --help

    order = np.random.default_rng(0).permutation(count)
    size = count // share
    return sorted(order[size:].tolist()), sorted(order[:size].tolist())

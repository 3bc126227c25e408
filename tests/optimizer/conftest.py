"""Synthetic inputs: a logistic accuracy map and FLOPs files of a large and a small text model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accuracy_maps import AccuracyMap
from optimizer.config import EpisodeConfig
from optimizer.tasks import Tasks, text_tasks
from profiling import FlopsFile

LARGE, SMALL = 2.5e9, 2e7
"""FLOP a sentence: a Transformer-base, for which offloading pays, and a toy, for which it does not."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_map() -> Callable[..., AccuracyMap]:
    def make(**changes: Any) -> AccuracyMap:
        snr_db = tuple(float(snr) for snr in range(-10, 25, 2))
        ratio = np.array([1 / (1 + np.exp(-0.6 * (np.array(snr_db) - middle))) for middle in (6.0, 3.0)])
        fields: dict[str, Any] = {
            "modality": "text", "task": "translate", "channel": "awgn", "metric": "BLEU",
            "model": {"name": "toy"}, "synthetic": True, "k": (8, 16), "snr_db": snr_db,
            "accuracy": 30 * ratio, "accuracy_low": 29 * ratio, "accuracy_high": 31 * ratio,
            "ratio_low": 0.97 * ratio, "ratio_high": 1.03 * ratio,
            "local_accuracy": 30.0, "local_low": 29.0, "local_high": 31.0,
        }  # fmt: skip
        return AccuracyMap(**fields | changes)

    return make


@pytest.fixture
def make_flops() -> Callable[..., FlopsFile]:
    def make(flops: float = LARGE, **changes: Any) -> FlopsFile:
        fields: dict[str, Any] = {
            "modality": "text", "model": {"name": "toy"}, "k": 16, "source_length": 20, "target_length": 20,
            "decoding": "greedy, KV cache",
            "local_flops": flops, "ue_flops": 0.4 * flops, "server_flops": 0.7 * flops,
        }  # fmt: skip
        return FlopsFile(**fields | changes)

    return make


@pytest.fixture
def make_tasks(
    make_map: Callable[..., AccuracyMap], make_flops: Callable[..., FlopsFile]
) -> Callable[..., Tasks]:
    def make(flops: float = LARGE, *, k: int = 16, **episode: Any) -> Tasks:
        config = EpisodeConfig(**episode)
        channel = "rayleigh" if config.csi == "statistical" else "awgn"
        return text_tasks(make_map(channel=channel), make_flops(flops), episode=config, k=k)

    return make


@pytest.fixture
def files(
    tmp_path: Path, make_map: Callable[..., AccuracyMap], make_flops: Callable[..., FlopsFile]
) -> tuple[Path, Path]:
    """An accuracy map and a FLOPs file on disk."""
    make_map().save(tmp_path / "map.json")
    make_flops().save(tmp_path / "flops.json")
    return tmp_path / "map.json", tmp_path / "flops.json"

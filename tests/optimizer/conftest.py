"""Synthetic inputs: logistic accuracy maps and FLOPs files of a large and a small text model, an image and a
VQA model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accuracy_maps import AccuracyMap
from optimizer.world.config import EpisodeConfig
from optimizer.world.devices import UeDevices
from optimizer.world.tasks import Tasks, workload
from optimizer.world.tasks import make_tasks as tasks_of
from profiling import FlopsFile

LARGE, SMALL = 2.5e9, 2e7
"""FLOP a sentence: a Transformer-base, for which offloading pays, and a toy, for which it does not."""
IMAGE, VQA = 9.2e9, 11.5e9
"""FLOP an image of a DeiT-small, and with a question."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def make_flops() -> Callable[..., FlopsFile]:
    def make(flops: float = LARGE, **changes: Any) -> FlopsFile:
        fields: dict[str, Any] = {
            "modality": "text", "model": {"name": "toy"}, "k": 16, "source_length": 20, "target_length": 20,
            "decoding": "greedy, KV cache",
            "local_flops": flops, "ue_flops": 0.4 * flops, "server_flops": 0.7 * flops,
        }  # fmt: skip
        if changes.get("modality") == "vqa":  # the question is a sentence; the length given is the image's
            image_length = changes.pop("source_length", 197)
            fields |= {"k": None, "k_text": 16, "k_image": 16, "image_length": image_length}
        return FlopsFile(**fields | changes)

    return make


@pytest.fixture
def make_tasks(
    make_map: Callable[..., AccuracyMap], make_flops: Callable[..., FlopsFile]
) -> Callable[..., Tasks]:
    """Tasks of four text UEs, or of `mix`; a text model of `flops` a sentence."""

    def make(
        flops: float = LARGE,
        *,
        mix: tuple[str, ...] = ("text",) * 4,
        k: tuple[int, ...] = (16,),
        **episode: Any,
    ) -> Tasks:
        config = EpisodeConfig(mix=mix, **episode)
        channel = "rayleigh" if config.csi == "statistical" else "awgn"
        sizes = {"text": (flops, 20), "image": (IMAGE, 197), "vqa": (VQA, 197)}
        workloads = {
            modality: workload(
                make_map(channel=channel, modality=modality),
                make_flops(sizes[modality][0], modality=modality, source_length=sizes[modality][1]),
                modality=modality,
                episode=config,
                k=[(16, own) if modality == "vqa" else (own,) for own in k],
            )
            for modality in set(mix)
        }
        return tasks_of(workloads, mix)

    return make


@pytest.fixture
def slow_devices() -> Callable[[int], UeDevices]:
    """Devices of up to four UEs that differ in everything; computing takes them longer than Table I's UE."""

    def make(ues: int) -> UeDevices:
        def column(*values: float) -> torch.Tensor:
            return torch.tensor(values[:ues], dtype=torch.float64)

        return UeDevices(
            local_flops_per_cycle=column(256.0, 1024.0, 512.0, 128.0),
            local_clock_min_hz=column(0.1e9, 0.3e9, 0.6e9, 0.5e9),
            local_clock_max_hz=column(1.5e9, 0.9e9, 1.0e9, 2.0e9),
            local_energy_coefficient=column(1e-27, 8e-27, 3e-27, 1e-28),
            circuit_power_w=column(0.5, 0.1, 1.0, 0.3),
            power_min_dbm=column(10.0, 18.0, 0.0, 5.0),
            power_max_dbm=column(20.0, 24.0, 15.0, 10.0),
        )

    return make


@pytest.fixture
def files(
    tmp_path: Path, make_map: Callable[..., AccuracyMap], make_flops: Callable[..., FlopsFile]
) -> tuple[Path, Path]:
    """An accuracy map and a FLOPs file of text on disk."""
    make_map().save(tmp_path / "map.json")
    make_flops().save(tmp_path / "flops.json")
    return tmp_path / "map.json", tmp_path / "flops.json"

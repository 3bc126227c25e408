"""A small accuracy map made by hand, and one made from scratch by the command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scratch_runs import scratch

from accuracy_maps import AccuracyMap


@pytest.fixture
def make_map() -> Callable[..., AccuracyMap]:
    """Maps of two k and three SNRs: make_map(k=..., accuracy=...)."""

    def make(**changes: Any) -> AccuracyMap:
        accuracy = np.array([[10.0, 20.0, 30.0], [15.0, 25.0, 38.0]])
        fields: dict[str, Any] = {
            "modality": "text", "task": "translate", "channel": "awgn",
            "metric": "sacreBLEU nrefs:1|case:mixed", "synthetic": True,
            "model": {"name": "toy", "preset": "micro"},
            "k": (4, 8), "snr_db": (-6.0, 0.0, 12.0),
            "accuracy": accuracy, "accuracy_low": accuracy - 1, "accuracy_high": accuracy + 1,
            "ratio_low": accuracy / 40 - 0.05, "ratio_high": accuracy / 40 + 0.05,
            "local_accuracy": 40.0, "local_low": 39.0, "local_high": 41.0,
            "other_metrics": {"BLEU-1": {"local": 0.7, "cells": (accuracy / 60).tolist()}},
            "provenance": {"seed": 3, "dataset": "captions en-de (synthetic)"},
        }  # fmt: skip
        return AccuracyMap(**fields | changes)

    return make


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a family that was trained and swept without interruption. Read only."""
    import torch

    from accuracy_maps.command import main

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main(scratch(folder)) == 0
    return folder

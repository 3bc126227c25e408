"""A tiny family made from scratch, for the tests of the command and of Ray."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

SHARED = ["--dataset", "captions", "--caption-count", "400", "--preset", "tiny", "--batch-tokens", "512",
          "--epochs", "3"]  # fmt: skip
FAMILY = ["--", *SHARED, "--k", "2,8", "--", "--epochs", "2"]


def sweep_flags(folder: Path) -> list[str]:
    return ["--modality", "text", "--device", "cpu", "--snr-db=-6,6,18", "--limit", "60",
            "--output", str(folder / "map.json")]  # fmt: skip


def scratch(folder: Path, *more: str) -> list[str]:
    return [*sweep_flags(folder), "--from-scratch", *more, *FAMILY]


def assert_same_family(folder: Path, other: Path) -> None:
    """Weights, optimizer and cells, bit for bit."""
    for run in ("map-local", "map-codec"):
        for name in ("model.safetensors", "state.safetensors"):
            one, two = load_file(folder / run / name), load_file(other / run / name)
            assert one.keys() == two.keys()
            assert all(torch.equal(tensor, two[key]) for key, tensor in one.items())
    assert (folder / "map.csv").read_bytes() == (other / "map.csv").read_bytes()
    one, two = (json.loads((each / "map.json").read_text()) for each in (folder, other))
    del one["provenance"], two["provenance"]
    assert one == two

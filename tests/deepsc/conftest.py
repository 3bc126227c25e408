"""Tiny runs on synthetic captions, trained once and shared; a preset that trains in a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from data.parallel import ParallelCorpus
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.config import TEXT_PRESETS, CorpusConfig, TextPreset, TextRunConfig, TrainConfig
from deepsc.text_run import load_corpus, train_text

MICRO = TextPreset(
    d_model=16, layers=1, heads=2, d_ff=32, vocab_size=320, dropout=0.1, learning_rate=1e-2, warmup_steps=5,
    batch_tokens=512, epochs=2,
)  # fmt: skip
CAPTIONS = CorpusConfig(dataset="captions", caption_count=120)


@pytest.fixture(autouse=True)
def micro_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--preset micro`, in these tests alone."""
    torch.set_num_threads(1)
    monkeypatch.setitem(TEXT_PRESETS, "micro", MICRO)


def run_config(output: Path, *, training: dict[str, Any] | None = None, **changes: Any) -> TextRunConfig:
    schedule: dict[str, Any] = {"epochs": 2, "batch_tokens": 512, "learning_rate": 1e-2, "warmup_steps": 5}
    fields: dict[str, Any] = {"corpus": CAPTIONS, "preset": "micro", "k": (2, 4, 6), "output": str(output)}
    return TextRunConfig(training=TrainConfig(**schedule | (training or {})), **fields | changes)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., TextRunConfig]:
    """Configs of runs in `tmp_path`: make_run("name", training={...}, k=...)."""

    def make(name: str = "run", **changes: Any) -> TextRunConfig:
        return run_config(tmp_path / name, **changes)

    return make


@pytest.fixture(scope="session")
def corpus() -> ParallelCorpus:
    return load_corpus(CAPTIONS, task="translate")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained local model and a channel codec that started from it. Read only: copy to change."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TEXT_PRESETS, "micro", MICRO)
        torch.set_num_threads(1)
        train_text(run_config(root / "local", training={"channel": "none", "epochs": 15}))
        train_text(run_config(root / "codec", training={"epochs": 10}, init_from=str(root / "local")))
    return {"local": root / "local", "codec": root / "codec"}


@pytest.fixture(scope="session")
def local(folders: dict[str, Path]) -> Checkpoint:
    return from_pretrained(folders["local"])


@pytest.fixture(scope="session")
def trained(folders: dict[str, Path]) -> Checkpoint:
    """The channel codec."""
    return from_pretrained(folders["codec"])

"""A text codec that trains in seconds on synthetic captions, for every suite that needs one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from deepsc.config import TrainConfig
from deepsc.text.config import (
    TEXT_PRESETS,
    CorpusConfig,
    TextPreset,
    TextRunConfig,
)

MICRO = TextPreset(
    d_model=32, layers=1, heads=2, d_ff=64, vocab_size=700, dropout=0.1,
    context_layers=1, bigrams=2**12,
    learning_rate=1e-2, warmup_steps=5, batch_tokens=512, epochs=2,
)  # fmt: skip
CAPTIONS = CorpusConfig(dataset="captions", caption_count=120)
MORE_CAPTIONS = CorpusConfig(dataset="captions", caption_count=800)
"""Enough for a few right words after some seconds."""


def use_micro_preset(patch: pytest.MonkeyPatch) -> None:
    """`--preset micro`, on one thread."""
    torch.set_num_threads(1)
    patch.setitem(TEXT_PRESETS, "micro", MICRO)


def run_config(output: Path, *, training: dict[str, Any] | None = None, **changes: Any) -> TextRunConfig:
    schedule: dict[str, Any] = {"epochs": 2, "batch_tokens": 512, "learning_rate": 1e-2, "warmup_steps": 5}
    fields: dict[str, Any] = {"corpus": CAPTIONS, "preset": "micro", "k": (2, 4, 6), "output": str(output)}
    return TextRunConfig(training=TrainConfig.from_dict(schedule | (training or {})), **fields | changes)

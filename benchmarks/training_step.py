"""The training step that the benchmarks time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from deepsc.codec.base import Codec


def take_step(
    codec: Codec,
    optimizer: torch.optim.Optimizer,
    batch: Any,
    autocast: AbstractContextManager[Any] | None = None,
) -> None:
    """Loss of a local model on a batch, its gradient, and the optimizer's step."""
    optimizer.zero_grad(set_to_none=True)
    with autocast or nullcontext():
        loss = codec.loss(batch, label_smoothing=0.1)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
    optimizer.step()

"""Several processes that train one codec, as `accelerate launch` or torchrun starts them.

Each takes its share of every batch's items. Losses and gradients are summed with the weight that each share
has in the batch's mean, so that a step is the one that a single process would take, but for dropout and for
the batch norm of a stem that is trained: each process draws and normalises for itself. Rank 0 alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those of the run; one alone unless a launcher says otherwise."""

    rank: int = 0
    count: int = 1
    on_this_machine: int = 1
    """How many of them share its cores."""

    @property
    def writes(self) -> bool:
        """Whether this one writes checkpoints, records and progress."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """Sum over the processes, the same in each to the last bit."""
        if self.count > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over the processes."""
        if self.count > 1:
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            flat = self.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
            parts = flat.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def agree_on(self, model: nn.Module) -> None:
        """Give every process the weights of the first one."""
        if self.count > 1:
            for parameter in model.parameters():
                dist.broadcast(parameter.data, src=0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def join(device: str) -> Iterator[tuple[Processes, str]]:
    """Join the processes that a launcher started, over NCCL on GPUs and gloo elsewhere.

    Args:
        device: as `--device` names it; "cuda" becomes each process's own GPU.

    Yields:
        The processes, and the device of this one.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(), device
        return
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", count))
        yield Processes(rank=dist.get_rank(), count=count, on_this_machine=neighbours), device
    finally:
        dist.destroy_process_group()

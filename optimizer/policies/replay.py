"""What DQN and MATD3 learn from: experiences that are remembered, beside a target network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from data.files.errors import ToolkitError
from data.files.schema import typed
from optimizer.policies.learner import C, Learner, part_of

GRADIENT_NORM_MAX = 10.0
"""Gradients longer than this are shortened to it."""


class Memory:
    """The last experiences, overwritten in turn.

    Args:
        size: rows there is room for.
        row: an experience's tensors by name, for their shapes, types and device.
    """

    def __init__(self, size: int, row: Mapping[str, Tensor]) -> None:
        self._size, self.next, self.count = size, 0, 0
        self.columns = {name: value.new_zeros((size, *value.shape)) for name, value in row.items()}

    def add(self, **columns: Tensor) -> None:
        """Add rows, (n, ...) each; of more than there is room for, the last."""
        columns = {name: value[-self._size :] for name, value in columns.items()}
        rows = columns["action"].shape[0]
        at = (torch.arange(rows, device=columns["action"].device) + self.next) % self._size
        for name, value in columns.items():
            self.columns[name][at] = value
        self.next = (self.next + rows) % self._size
        self.count = min(self.count + rows, self._size)

    def restore(self, columns: Mapping[str, Tensor], at: int, count: int) -> None:
        """Take back the columns, the row that is written next and the number of rows that are written.

        Raises:
            KeyError, ToolkitError: if they are of another memory.
        """
        for name, column in self.columns.items():
            if columns[name].shape != column.shape or columns[name].dtype != column.dtype:
                raise ToolkitError(f"memory.{name} is of another size or type")
            column.copy_(columns[name])
        if not (0 <= at < self._size and 0 <= count <= self._size):
            raise ToolkitError(
                f"memory of {count} rows, {at} the next, given, up to {self._size} are allowed"
            )
        self.next, self.count = at, count

    def draw(self, rows: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Some rows, with replacement."""
        at = torch.randint(self.count, (rows,), generator=generator, device=generator.device)
        return {name: value[at] for name, value in self.columns.items()}


class ReplayLearner(Learner[C]):
    """A learner of what it remembers, beside a target network; see `Learner`. `prepare` calls `remember`."""

    _target: nn.Module
    _memory: Memory
    _updated: int

    def remember(self, size: int, row: Mapping[str, Tensor]) -> None:
        """Begin with an empty `Memory`, the network as its own target, and no updates."""
        self._target = copy.deepcopy(self.network)
        self._memory = Memory(size, row)
        self._updated = 0

    @override
    def tensors(self) -> dict[str, Tensor]:
        target = {f"target.{name}": value for name, value in self._target.state_dict().items()}
        return target | {f"memory.{name}": value for name, value in self._memory.columns.items()}

    @override
    def head(self) -> dict[str, Any]:
        return {"memory": [self._memory.next, self._memory.count], "updated": self._updated}

    @override
    def restore_state(self, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
        self._target.load_state_dict(part_of(tensors, "target."))
        self._memory.restore(part_of(tensors, "memory."), *typed(head, "memory", tuple[int, int]))
        self._updated = typed(head, "updated", int)

"""Counting a module as it runs: torch's FlopCounterMode and fvcore's FlopCountAnalysis, side by side.

Both count matrix products. What else each counts, and what it passes over, is named operator by operator: no
tool's zero is taken for a cost of zero.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from profiling.parts import FLOPS_PER_MULTIPLY_ADD
from profiling.workloads import Workload

_FVCORE_ESTIMATES = frozenset({"layer_norm", "batch_norm", "group_norm", "instance_norm"})
"""fvcore's guesses per element, no multiply-adds: reported beside the products, never added to them."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One counter's view of one workload. 1 multiply-add = 2 FLOPs."""

    matrix_flops: int
    """Matrix products."""
    by_operator: Mapping[str, int]
    """`matrix_flops` by operator."""
    estimated: Mapping[str, int]
    """What the counter adds for operators that are no matrix products, FLOPs; not in `matrix_flops`."""
    not_counted: Mapping[str, int]
    """Operators the counter has no formula for. FlopCounterMode: elements they write; fvcore: calls."""


class _Uncounted(TorchDispatchMode):
    """Elements written by operators that FlopCounterMode has no formula for. Views write none."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket not in flop_registry and not func.is_view:
            written = sum(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
            self.elements[str(func._overloadpacket)] += written
        return result


@torch.no_grad()
def count_with_torch(run: Callable[[], object]) -> Measurement:
    """Count what `run` does with torch.utils.flop_counter.FlopCounterMode.

    Returns:
        Matrix products in FLOPs, and the elements written by every other operator.
    """
    # Entered last, FlopCounterMode sees an operator first and hands on what it decomposes it to.
    with _Uncounted() as uncounted, FlopCounterMode(display=False) as counter:
        run()
    counts = counter.get_flop_counts().get("Global", {})
    return Measurement(
        matrix_flops=int(counter.get_total_flops()),
        by_operator={str(name): int(flops) for name, flops in counts.items()},
        estimated={},
        not_counted=dict(sorted(uncounted.elements.items())),
    )


@torch.no_grad()
def count_with_fvcore(workload: Workload) -> Measurement:
    """Count a workload with fvcore's FlopCountAnalysis, by jit tracing.

    fvcore calls one multiply-add one flop: its matrix products are doubled here. Its LayerNorm count is 5
    operations per element; it is kept apart, as it is. Operators on fvcore's own list of free ones
    (reshapes, but also clamp and relu) it does not name; `count_with_torch` does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit being old, and of a trace holding for its shapes alone
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(workload.module, workload.inputs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        counts = analysis.by_operator()
        not_counted = analysis.unsupported_ops()
    products = {
        name: FLOPS_PER_MULTIPLY_ADD * int(count)
        for name, count in counts.items()
        if name not in _FVCORE_ESTIMATES
    }
    return Measurement(
        matrix_flops=sum(products.values()),
        by_operator=products,
        estimated={name: int(count) for name, count in counts.items() if name in _FVCORE_ESTIMATES},
        not_counted=dict(sorted(not_counted.items())),
    )

"""Counting a module with other tools: torch's FlopCounterMode and fvcore's FlopCountAnalysis, side by side.

Both count matrix products, by module and by operator, and so can be compared with `operators`.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import deepsc.link.bigrams  # noqa: F401  registers its operator
from profiling.counted.copies import CPU, Workload, copied
from profiling.counted.running import as_products, by_module, collapse, without_traces
from profiling.units import Flops, Macs

OUR_OPERATORS = frozenset({"sparse_mm"})
"""Registered by our codecs with torch; the other tools are told what they multiply."""
_FVCORE_PRODUCTS = frozenset({"addmm", "bmm", "conv", "einsum", "linear", "matmul", "mm"}) | OUR_OPERATORS
"""What fvcore counts in multiply-adds; all else is a guess per element of the result."""


def _sparse_flops(
    starts: Sequence[int],
    columns: Sequence[int],
    values: Sequence[int],
    dense: Sequence[int],
    out_shape: Sequence[int],
) -> int:
    """FlopCounterMode's formula for `deepsc.link.bigrams.sparse_mm`, from the shapes."""
    return Macs(values[0] * dense[1]).flops.count


def _sparse_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """fvcore's handle for it, from the values of a trace."""
    _, _, values, dense = (value.type().sizes() for value in inputs)
    return values[0] * dense[1]


_OUR_FORMULAS = {torch.ops.deepsc.sparse_mm: _sparse_flops}


@dataclass(frozen=True, kw_only=True)
class TorchCount:
    """What FlopCounterMode counts."""

    modules: Mapping[str, Flops]
    """Matrix products by module path, each module's own."""
    operators: Mapping[str, Flops]
    """The same by operator."""

    @property
    def total(self) -> Flops:
        """Matrix products of all modules."""
        return Flops.total(self.modules.values())


@dataclass(frozen=True, kw_only=True)
class FvcoreCount:
    """What fvcore counts. It calls a multiply-add a flop."""

    modules: Mapping[str, Macs]
    """Matrix products by module path, each module's own."""
    operators: Mapping[str, Macs]
    """The same by operator, convolutions of all kinds as `conv`."""
    estimates: Mapping[str, int]
    """What it adds for operators that are no matrix products, in operations: LayerNorm at 5 per element."""
    passed_over: Mapping[str, int]
    """Calls of operators that it names as not counted."""

    @property
    def total(self) -> Macs:
        """Matrix products of all modules."""
        return Macs.total(self.modules.values())


def count_with_torch(workload: Workload) -> TorchCount:
    """Count a forward pass with torch.utils.flop_counter.FlopCounterMode."""
    module, counter = workload.module, FlopCounterMode(display=False, custom_mapping=_OUR_FORMULAS)
    # Its own counts by module go astray where a module is called from two places.
    with as_products(), _frozen(module), by_module(module, counter.get_total_flops) as modules, counter:
        workload.run()
    return TorchCount(
        modules={path: Flops(count) for path, count in modules.items() if count},
        operators={
            packet.__name__: Flops(count)
            for packet, count in counter.get_flop_counts().get("Global", {}).items()
            if count
        },
    )


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient, for FlopCounterMode fails where one is a module's input."""
    with_gradient = [
        parameter
        for parameter in module.parameters()
        if parameter.requires_grad and parameter.is_leaf and not is_lazy(parameter)
    ]
    for parameter in with_gradient:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in with_gradient:
            parameter.requires_grad_(True)


def count_with_fvcore(workload: Workload) -> FvcoreCount:
    """Count a forward pass with fvcore's FlopCountAnalysis, by jit tracing.

    Operators on fvcore's own list of free ones (reshapes, but also clamp and relu) it does not name;
    `profiling.counted.operators` does.
    """
    try:
        by_module, passed_over = _trace(workload)
    except Exception:
        if not any(tensor.is_meta for tensor in tree_leaves(workload.inputs) if isinstance(tensor, Tensor)):
            raise
        # While jit traces, sizes are tensors, which a convolution on the meta device refuses.
        by_module, passed_over = _trace(copied(workload, CPU))
    products = {
        path: sum(int(count) for name, count in counts.items() if name in _FVCORE_PRODUCTS)
        for path, counts in by_module.items()
    }
    total = by_module[""].items()
    return FvcoreCount(
        modules={path: Macs(count) for path, count in _without_submodules(products).items()},
        operators={name: Macs(int(count)) for name, count in total if name in _FVCORE_PRODUCTS and count},
        estimates={name: int(count) for name, count in total if name not in _FVCORE_PRODUCTS},
        passed_over=dict(sorted(passed_over.items())),
    )


def _trace(workload: Workload) -> tuple[Mapping[str, Mapping[str, float]], Mapping[str, int]]:
    with (
        warnings.catch_warnings(),
        without_traces(),
        workload.alone(),
        mock.patch.object(nn.functional, "scaled_dot_product_attention", _attention),
    ):
        warnings.simplefilter("ignore")  # of torch.jit being old, and of a trace holding for its shapes alone
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(workload.module, workload.inputs)
        analysis.set_op_handle("deepsc::sparse_mm", _sparse_macs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return analysis.by_module_and_operator(), analysis.unsupported_ops()


def _without_submodules(totals: Mapping[str, int]) -> dict[str, int]:
    """Each module's count without its submodules', summed over layers; modules without any are left out."""
    rest: Counter[str] = Counter()
    for path, count in totals.items():
        rest[collapse(path)] += count
        parent = path
        while parent:
            parent = parent.rpartition(".")[0]
            if parent in totals:
                rest[collapse(parent)] -= count
                break
    return {path: count for path, count in rest.items() if count}


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`torch.nn.functional.scaled_dot_product_attention` as its documentation has it, for inference."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    weights = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
    if is_causal:
        allowed = torch.ones(weights.shape[-2:], dtype=torch.bool, device=query.device).tril()
        weights = weights.masked_fill(~allowed, float("-inf"))
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            weights = weights.masked_fill(~attn_mask, float("-inf"))
        else:
            weights = weights + attn_mask
    return weights.softmax(-1) @ value

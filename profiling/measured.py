"""Counting a module as it runs: torch's FlopCounterMode and fvcore's FlopCountAnalysis, side by side.

Both count matrix products, by module. What else each counts, and what it passes over, is named: no tool's
zero is taken for a cost of zero. Attention runs as plain products while it is counted, without the fast path
and the fused kernels, some of which either tool counts as nothing.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from profiling.operators import cause_of, has_bias, is_product, is_view
from profiling.units import Flops, Macs

_FVCORE_ESTIMATES = frozenset({"layer_norm", "batch_norm", "group_norm", "instance_norm"})
"""fvcore's guesses per element, no multiply-adds; also upsampling and pooling, which it names by operator."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A module and the inputs of one forward pass."""

    module: nn.Module
    inputs: tuple[Any, ...]

    def run(self) -> object:
        """Run the forward pass."""
        return self.module(*self.inputs)


@dataclass(frozen=True, kw_only=True)
class TorchCount:
    """What FlopCounterMode counts."""

    modules: Mapping[str, Flops]
    """Matrix products by module path, each module's own."""
    elements: Mapping[str, int]
    """Elements written by operators that are no matrix products, by cause; see `profiling.operators`."""
    uncounted: Mapping[str, int]
    """Calls of operators that nobody can name."""

    @property
    def total(self) -> Flops:
        """Matrix products of all modules."""
        return Flops.total(self.modules.values())


@dataclass(frozen=True, kw_only=True)
class FvcoreCount:
    """What fvcore counts. It calls a multiply-add a flop."""

    modules: Mapping[str, Macs]
    """Matrix products by module path, each module's own."""
    estimates: Mapping[str, int]
    """What it adds for operators that are no matrix products, in operations: LayerNorm at 5 per element."""
    passed_over: Mapping[str, int]
    """Calls of operators that it names as not counted."""

    @property
    def total(self) -> Macs:
        """Matrix products of all modules."""
        return Macs.total(self.modules.values())


class _Others(TorchDispatchMode):
    """Elements written by operators that FlopCounterMode has no formula for. Views write none."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.uncounted: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        written = sum(tensor.numel() for tensor in tensors)
        if is_product(func):
            if has_bias(func, args):
                self.elements["bias"] += written
        elif not is_view(func):
            cause = cause_of(func)
            if cause is None:
                self.uncounted[str(func._overloadpacket)] += 1
            else:  # of a normalisation the result alone, not its means and deviations
                self.elements[cause] += tensors[0].numel() if cause == "normalisation" else written
        return result


@contextmanager
def plain_attention() -> Iterator[None]:
    """Run attention as two matrix products and a softmax, whichever module asks for it."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with mock.patch.object(nn.functional, "scaled_dot_product_attention", _attention):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def by_module(module: nn.Module, read: Callable[[], int]) -> Iterator[Counter[str]]:
    """What a rising count gains while each module runs, without its submodules, summed over layers.

    Args:
        module: runs inside the context.
        read: the count.
    """
    paths = {submodule: collapse(path) for path, submodule in module.named_modules()}
    gains: Counter[str] = Counter()
    running, seen = [""], read()

    def settle() -> None:
        nonlocal seen
        now = read()
        gains[running[-1]] += now - seen
        seen = now

    def enter(submodule: nn.Module, inputs: object) -> None:
        settle()
        running.append(paths[submodule])

    def leave(submodule: nn.Module, inputs: object, output: object) -> None:
        settle()
        running.pop()

    hooks = [
        hook
        for submodule in paths
        for hook in (submodule.register_forward_pre_hook(enter), submodule.register_forward_hook(leave))
    ]
    try:
        yield gains
        settle()
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def count_with_torch(workload: Workload) -> TorchCount:
    """Count a forward pass with torch.utils.flop_counter.FlopCounterMode."""
    module, counter = workload.module, FlopCounterMode(display=False)
    # Its own counts by module go astray where a module is called from two places. Entered last, it sees an
    # operator first and hands on what it decomposes it to.
    with (
        plain_attention(),
        _frozen(module),
        by_module(module, counter.get_total_flops) as modules,
        _Others() as others,
        counter,
    ):
        workload.run()
    return TorchCount(
        modules={path: Flops(count) for path, count in modules.items() if count},
        elements=dict(sorted(others.elements.items())),
        uncounted=dict(sorted(others.uncounted.items())),
    )


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient, for FlopCounterMode fails where one is a module's input."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@torch.no_grad()
def count_with_fvcore(workload: Workload) -> FvcoreCount:
    """Count a forward pass with fvcore's FlopCountAnalysis, by jit tracing.

    Operators on fvcore's own list of free ones (reshapes, but also clamp and relu) it does not name;
    `count_with_torch` does.
    """
    try:
        by_module, passed_over = _trace(workload)
    except (TypeError, AssertionError):
        # While jit traces, sizes are tensors, which a convolution on the meta device refuses.
        with _on_cpu(workload) as real:
            by_module, passed_over = _trace(real)
    products = {
        path: sum(int(count) for name, count in counts.items() if not _is_estimate(name))
        for path, counts in by_module.items()
    }
    return FvcoreCount(
        modules={path: Macs(count) for path, count in _own(products).items()},
        estimates={name: int(count) for name, count in by_module[""].items() if _is_estimate(name)},
        passed_over=dict(sorted(passed_over.items())),
    )


def _trace(workload: Workload) -> tuple[Mapping[str, Mapping[str, float]], Mapping[str, int]]:
    with warnings.catch_warnings(), plain_attention():
        warnings.simplefilter("ignore")  # of torch.jit being old, and of a trace holding for its shapes alone
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(workload.module, workload.inputs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return analysis.by_module_and_operator(), analysis.unsupported_ops()


@contextmanager
def _on_cpu(workload: Workload) -> Iterator[Workload]:
    """A workload of the meta device on the CPU for a while, all weights 0."""
    module = workload.module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.zero_()
    try:
        yield Workload(
            module=module,
            inputs=tree_map_only(Tensor, lambda x: torch.zeros_like(x, device="cpu"), workload.inputs),
        )
    finally:
        module.to("meta")


def collapse(path: str) -> str:
    """A module's path with every layer's index replaced by `*`."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path)


def _own(totals: Mapping[str, int]) -> dict[str, int]:
    """Each module's count without its submodules', summed over layers; modules without any are left out."""
    own = dict(totals)
    for path, count in totals.items():
        parent = path
        while parent:
            parent = parent.rpartition(".")[0]
            if parent in totals:
                own[parent] -= count
                break
    collapsed: Counter[str] = Counter()
    for path, count in own.items():
        collapsed[collapse(path)] += count
    return {path: count for path, count in collapsed.items() if count}


def _is_estimate(operator: str) -> bool:
    return operator in _FVCORE_ESTIMATES or "upsample" in operator or "pool" in operator


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

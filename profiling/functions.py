"""A closed form for any module: the layer formulas applied to every call of a torch function that multiplies.

Where `profiling.measured` counts the operators a call ends up as, this counts the call itself, from the
shapes it is given. The two share no code, so a layer that one of them does not know shows as a difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from profiling.layers import ModuleMacs, convolution, linear, scores
from profiling.measured import Workload, by_module
from profiling.residuals import BADDBMM, FUSED, MASKED, PADDED_BY_NAME, RECURRENT
from profiling.units import Macs


class _Calls(TorchFunctionMode):
    """Counts calls."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0
        self.by_kind: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if formula := _FORMULAS.get(func):
            macs = formula(result, *args, **kwargs).count
            self.macs += macs
            self.by_kind[_kind(func, *args, **kwargs)] += macs
            if func is nn.functional.scaled_dot_product_attention and _is_causal(*args, **kwargs):
                queries, keys = args[0].shape[-2], args[1].shape[-2]
                self.by_kind[MASKED] += macs * (queries - 1) // (2 * keys) if queries == keys else 0
        return result


@torch.no_grad()
def count_calls(workload: Workload) -> tuple[ModuleMacs, dict[str, Macs]]:
    """Closed form of a forward pass.

    Returns:
        Multiply-adds by module path, each module's own; and those of them that `residuals.PASSED_OVER` names
        and those behind a causal mask, by kind.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Calls() as calls, by_module(workload.module, lambda: calls.macs) as modules:
            workload.run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    kinds = {kind: Macs(count) for kind, count in calls.by_kind.items() if kind and count}
    return {path: Macs(count) for path, count in modules.items() if count}, kinds


def _linear(result: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Macs:
    return linear(x.numel() // x.shape[-1], weight.shape[1], weight.shape[0])


def _matmul(result: Tensor, left: Tensor, right: Tensor, **_: Any) -> Macs:
    return Macs(result.numel() * left.shape[-1])


def _addmm(result: Tensor, added: Tensor, left: Tensor, right: Tensor, **_: Any) -> Macs:
    return _matmul(result, left, right)


def _einsum(result: Tensor, equation: str, *operands: Any) -> Macs:
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if len(terms) != 2 or "." in equation:
        return Macs(0)  # the counters will disagree and say where
    sizes = {
        label: size
        for term, x in zip(terms, tensors, strict=True)
        for label, size in zip(term, x.shape, strict=True)
    }
    return Macs(math.prod(sizes.values()))


def _convolve(result: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> Macs:
    # weight is (n_out, n_in / groups, *kernel)
    positions = result.numel() // weight.shape[0]
    return convolution(positions, math.prod(weight.shape[2:]), weight.shape[1], weight.shape[0])


def _convolve_transposed(result: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> Macs:
    # weight is (n_in, n_out / groups, *kernel); every input element meets every weight of its channel
    return Macs(x.numel() * math.prod(weight.shape[1:]))


def _attention(result: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Macs:
    # heads and batch in front, (..., queries, width) and (..., keys, width); values may be of another width
    pairs = result.numel() // result.shape[-1] * key.shape[-2]
    return Macs(pairs * (query.shape[-1] + value.shape[-1]))


def _multi_head(
    result: Any, query: Tensor, key: Tensor, value: Tensor, width: int, *_: Any, **__: Any
) -> Macs:
    # (length, batch, width), or without batch
    queries, keys = query.numel() // width, key.numel() // key.shape[-1]
    length = key.shape[0]
    return (
        2 * linear(queries, width, width)  # Q and output
        + linear(keys, key.shape[-1], width)
        + linear(keys, value.shape[-1], width)
        + scores(queries * length, width)
    )


def _recurrent(result: Any, x: Tensor, state: Any, weights: Any, *_: Any, **__: Any) -> Macs:
    # Input-to-hidden, hidden-to-hidden and projection matrices of each layer and direction, once a step
    steps = x.numel() // x.shape[-1]
    return Macs(steps * sum(weight.numel() for weight in weights if weight.ndim == 2))


def _is_causal(*args: Any, is_causal: bool = False, **_: Any) -> bool:
    return bool(args[5]) if len(args) > 5 else is_causal


def _kind(func: Any, *args: Any, padding: Any = None, **_: Any) -> str:
    if _FORMULAS[func] is _convolve and isinstance(args[4] if len(args) > 4 else padding, str):
        return PADDED_BY_NAME
    return _KINDS.get(func, "")


_KINDS: dict[Any, str] = {
    nn.functional.scaled_dot_product_attention: FUSED,
    torch.baddbmm: BADDBMM,
    Tensor.baddbmm: BADDBMM,
    torch.lstm: RECURRENT,
    torch.gru: RECURRENT,
    torch.rnn_tanh: RECURRENT,
    torch.rnn_relu: RECURRENT,
}
_FORMULAS: dict[Any, Callable[..., Macs]] = {
    nn.functional.linear: _linear,
    **dict.fromkeys((torch.matmul, torch.bmm, torch.mm), _matmul),
    **dict.fromkeys((Tensor.matmul, Tensor.__matmul__, Tensor.bmm, Tensor.mm), _matmul),
    **dict.fromkeys((torch.addmm, torch.baddbmm, Tensor.addmm, Tensor.baddbmm), _addmm),
    torch.functional.einsum: _einsum,
    **dict.fromkeys((nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d), _convolve),
    **dict.fromkeys(
        (nn.functional.conv_transpose1d, nn.functional.conv_transpose2d, nn.functional.conv_transpose3d),
        _convolve_transposed,
    ),
    nn.functional.scaled_dot_product_attention: _attention,
    nn.functional.multi_head_attention_forward: _multi_head,
    **dict.fromkeys((torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu), _recurrent),
}  # fmt: skip

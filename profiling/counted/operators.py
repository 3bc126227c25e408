"""Counting a module by the operators it dispatches: every matrix product with its real shapes.

torch brings each call down to a closed set of operators: its own composite kernels and decompositions run
until a matrix product is left, or an operator that torch tags as free of products. einsum, attention,
recurrent and bilinear layers so come out as `mm`, `bmm`, `addmm` and `convolution`, whatever called them.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from profiling.counted.copies import Workload
from profiling.counted.linear_algebra import FORMULAS as LINEAR_ALGEBRA
from profiling.counted.running import as_products, by_module
from profiling.units import Macs

_REAL_OF_COMPLEX = 4
"""Real multiply-adds in a complex one."""
_FREE_TAGS = frozenset({"pointwise", "reduction", "core", "view_copy", "inplace_view"})
"""Tags of operators without matrix products; products that are in the core set have a formula here."""
_UNTAGGED = frozenset((
    "_embedding_bag_forward_only", "embedding_renorm", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "fractional_max_pool2d", "fractional_max_pool3d", "max_unpool2d", "max_unpool3d", "ps_roi_align",
    "ps_roi_pool", "roi_align", "roi_pool", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa",
    "grid_sampler_3d", "histc", "index_reduce", "kthvalue", "_logcumsumexp", "masked_select", "median",
    "mode", "multinomial", "nms", "put", "_ctc_loss", "_unique2", "unique_consecutive", "unique_dim",
    "_sparse_coo_tensor_with_dims_and_tensors", "_coalesce",
))  # fmt: skip
"""Lookup, pooling, resampling and order statistics, which torch neither tags nor decomposes."""
_MOST_DEEP = 16
"""How often an operator may come down to itself."""
_KERNELS = (
    "CompositeImplicitAutograd",
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
)


@dataclass(frozen=True, kw_only=True)
class ProductCount:
    """What a forward pass dispatches."""

    modules: Mapping[str, Macs]
    """Matrix products by module path, each module's own."""
    operators: Mapping[str, Macs]
    """The same by the operator that was called, as a jit trace names it: `linear`, `einsum`, `lstm`."""
    kernels: Mapping[str, Macs]
    """The same by the operator that FlopCounterMode meets: `addmm`, `bmm`, `mv`."""
    complex: Mapping[str, Macs]
    """Those of `kernels` that are products of complex numbers, at 4 multiply-adds each."""
    sparse: Mapping[str, Macs]
    """What a dense product of each of `kernels` would have more, where it reads a sparse matrix."""
    masked: Mapping[str, Macs]
    """Those of `operators` behind a causal mask, which are computed all the same."""
    elements: Mapping[str, int]
    """Elements written by operators that are no matrix products, by operator."""
    uncounted: Mapping[str, int]
    """Calls of operators that may hold products and have no formula."""

    @property
    def total(self) -> Macs:
        """Matrix products of all modules."""
        return Macs.total(self.modules.values())


def count_products(workload: Workload, *, below_autograd: bool = True) -> ProductCount:
    """Count the matrix products of a forward pass, run on whatever device the workload is on.

    Args:
        workload: runs once.
        below_autograd: see operators under the names they are called by. A module that takes gradients in its
            forward pass needs autograd, and has those of its kernels.
    """
    dispatched = _Dispatched()
    with (
        as_products(),
        _below_autograd(below_autograd),
        by_module(workload.module, lambda: dispatched.macs) as modules,
        dispatched,
    ):
        workload.run()
    return ProductCount(
        modules=_macs(modules),
        operators=_macs(dispatched.operators),
        kernels=_macs(dispatched.kernels),
        complex=_macs(dispatched.complex),
        sparse=_macs(dispatched.sparse),
        masked=_macs(dispatched.masked),
        elements={name: count for name, count in sorted(dispatched.elements.items()) if count},
        uncounted=dict(sorted(dispatched.uncounted.items())),
    )


class _Dispatched(TorchDispatchMode):
    """Counts products, and names everything else."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0
        self.operators: Counter[str] = Counter()
        self.kernels: Counter[str] = Counter()
        self.complex: Counter[str] = Counter()
        self.sparse: Counter[str] = Counter()
        self.masked: Counter[str] = Counter()
        self.elements: Counter[str] = Counter()
        self.uncounted: Counter[str] = Counter()
        self._chain: list[Any] = []  # the operator that was called, and what it has come down to
        self._written: Counter[str] = Counter()  # elements of the outermost call

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self._chain:
            return self._run(func, args, kwargs or {})
        before = self.macs
        try:
            return self._run(func, args, kwargs or {})
        finally:
            if self.macs == before:  # no product inside: named by the call, not by what it comes down to
                self.elements[_plain_name(func)] += self._written.total()
            else:
                self.elements += self._written
            self._written.clear()

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._chain.append(func)
        try:
            if isinstance(func, OpOverload):
                arguments = _arguments(func, args, kwargs)
                if macs := _FORMULAS.get(_name(func).removesuffix("_")):
                    result = func(*args, **kwargs)
                    self._product(macs(result, arguments), arguments, result)
                    return result
                if _name(func) == "scaled_dot_product_attention":
                    self.masked["attention"] += _masked(arguments)
                if _is_free(func) or not (_multiplies(arguments) or _is_composite(func)):
                    return self._free(func(*args, **kwargs), func)
            deep = self._chain.count(func) > _MOST_DEEP  # `roll` comes down to itself, an axis at a time
            kernel = None if deep else _kernel(func)
            if kernel is not None:
                with self:
                    return kernel(*args, **kwargs)
            result = func(*args, **kwargs)
            if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
                self.uncounted[str(getattr(func, "_overloadpacket", func))] += 1
            return result
        finally:
            self._chain.pop()

    def _product(self, macs: int, arguments: dict[str, Any], result: Any) -> None:
        tensors = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)]
        kernels = (_name(func) for func in self._chain if not _is_composite(func))
        composite = _name(self._chain[-1])  # all convolutions come down to one kernel
        kernel = next(kernels, "convolution" if "conv" in composite else composite)
        if any(_is_sparse(tensor) for tensor in tensors):
            left = next(arguments[name] for name in ("mat1", "mat", "self") if name in arguments)
            self.sparse[kernel] += result.numel() * left.shape[-1] - macs
        if any(tensor.is_complex() for tensor in tensors):
            macs *= _REAL_OF_COMPLEX
            self.complex[kernel] += macs
        self.macs += macs
        self.operators[_name(self._chain[0])] += macs
        self.kernels[kernel] += macs
        if "add" in _name(self._chain[-1]) or arguments.get("bias") is not None:
            self._written["bias"] += result.numel() if isinstance(result, Tensor) else 0

    def _free(self, result: Any, func: OpOverload) -> Any:
        if not _is_view(func):  # of several results the first: not a normalisation's means and deviations
            first = result[0] if isinstance(result, tuple) and result else result
            written = sum(leaf.numel() for leaf in tree_leaves(first) if isinstance(leaf, Tensor))
            self._written[_plain_name(func)] += written
        return result


def _matrix(first: str, second: str) -> Callable[[Any, dict[str, Any]], int]:
    """Product of two arguments; a matrix or a batch of them times a matrix, a batch or a vector."""

    def macs(result: Any, arguments: dict[str, Any]) -> int:
        left, right = arguments[first], arguments[second]
        if _is_sparse(left) and _is_sparse(right):
            return _sparse_products(left, right)
        if _is_sparse(right):
            return _stored(right) * left.shape[:-1].numel()
        return _stored(left) * (right.shape[-1] if right.ndim > 1 else 1)

    return macs


def _is_sparse(matrix: Tensor) -> bool:
    return matrix.layout not in (torch.strided, torch._mkldnn)  # type: ignore[attr-defined]


def _stored(matrix: Tensor) -> int:
    """Elements that a product reads: of a sparse matrix those that it holds."""
    if not _is_sparse(matrix):
        return matrix.numel()
    return (matrix._values() if matrix.layout == torch.sparse_coo else matrix.values()).numel()


def _sparse_products(left: Tensor, right: Tensor) -> int:
    columns = left.to_sparse_coo().coalesce().indices()[-1].bincount(minlength=left.shape[-1])
    rows = right.to_sparse_coo().coalesce().indices()[0].bincount(minlength=left.shape[-1])
    return int(columns @ rows)


def _dots(result: Any, arguments: dict[str, Any]) -> int:
    dim = arguments.get("dim", -1)
    return result.numel() * max(arguments["x"].shape[dim], arguments["y"].shape[dim])


def _packed(result: Any, arguments: dict[str, Any]) -> int:
    left = arguments["self"]  # the other matrix is stored in a layout of its own
    return result.numel() * left.shape[-1]


def _grouped(result: Any, arguments: dict[str, Any]) -> int:
    left, right = arguments["self"], arguments["mat2"]  # every row, or column, meets one group
    groups = left.shape[0] if left.ndim == 3 and right.ndim == 2 else 1
    return left.numel() * right.shape[-1] // groups


def _convolution(result: Any, arguments: dict[str, Any]) -> int:
    x, weight = arguments["input" if "input" in arguments else "self"], arguments["weight"]
    if arguments.get("transposed"):  # (n_in, n_out / groups, *kernel)
        return x.numel() * math.prod(weight.shape[1:])
    return result.numel() * math.prod(weight.shape[1:])  # (n_out, n_in / groups, *kernel)


def _convolution_transposed(result: Any, arguments: dict[str, Any]) -> int:
    return _convolution(result, arguments | {"transposed": True})


def _convolution_gradient(result: Any, arguments: dict[str, Any]) -> int:
    forward = _convolution(arguments["grad_output"], arguments)
    return forward * sum(arguments["output_mask"][:2])  # of the input, of the weight


def _time_convolution(result: Any, arguments: dict[str, Any]) -> int:
    return result.numel() * math.prod(arguments["weight"].shape[:2])  # (kernel, n_in, n_out)


def _attention(result: Any, arguments: dict[str, Any]) -> int:
    query, key, value = (arguments[name] for name in ("query", "key", "value"))
    return query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])


_FORMULAS: dict[str, Callable[[Any, dict[str, Any]], int]] = {
    **dict.fromkeys(("mm", "bmm", "_int_mm", "_scaled_mm"), _matrix("self", "mat2")),
    "mv": _matrix("self", "vec"),
    "dot": _matrix("self", "tensor"),
    "vdot": _matrix("self", "other"),
    "linalg_vecdot": _dots,  # torch computes it element by element, and the einsum "bi,bi->b" as a product
    **dict.fromkeys(("addmm", "_addmm_activation"), _matrix("mat1", "mat2")),
    "addmv": _matrix("mat", "vec"),
    **dict.fromkeys(("baddbmm", "addbmm"), _matrix("batch1", "batch2")),
    **dict.fromkeys(("_weight_int4pack_mm", "_weight_int8pack_mm"), _packed),
    **dict.fromkeys(("_grouped_mm", "_scaled_grouped_mm"), _grouped),
    # Whole calls of convolutions, for torch computes a complex one by three real ones.
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "convolution", "_convolution", "deform_conv2d"), _convolution
    ),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _convolution_transposed),
    "convolution_backward": _convolution_gradient,
    "conv_tbc": _time_convolution,
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ),
        _attention,
    ),
    **LINEAR_ALGEBRA,
    "sparse_mm": lambda result, arguments: arguments["values"].numel() * result.shape[1],  # of our codecs
}  # fmt: skip
"""Multiply-adds of the operators that multiply, from their result and arguments."""


def _masked(arguments: dict[str, Any]) -> int:
    """Multiply-adds behind the causal mask of an attention that has as many queries as keys."""
    queries, keys = arguments["query"].shape[-2], arguments["key"].shape[-2]
    if not arguments.get("is_causal") or queries != keys:
        return 0
    return _attention(None, arguments) * (queries - 1) // (2 * keys) if keys else 0


def _name(func: Any) -> str:
    return str(func._overloadpacket.__name__ if isinstance(func, OpOverload) else func.name())


def _plain_name(func: Any) -> str:
    return _name(func).strip("_").removeprefix("native_")


def _arguments(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    names = (argument.name for argument in func._schema.arguments)
    return dict(zip(names, args, strict=False)) | kwargs


def _multiplies(arguments: dict[str, Any]) -> bool:
    """Whether an operator has numbers to multiply: it reads a tensor, and not integers or booleans alone."""
    return any(
        leaf.is_floating_point() or leaf.is_complex()
        for leaf in tree_leaves(arguments)
        if isinstance(leaf, Tensor)
    )


@functools.cache
def _is_free(func: OpOverload) -> bool:
    """Whether an operator holds no matrix product, by torch's tags of it or of what it does out of place."""
    if _is_view(func) or _name(func).removesuffix("_") in _UNTAGGED:
        return True
    if _name(func).startswith("_fft"):  # in the core set, and neither a product nor free
        return False
    packet = getattr(torch.ops.aten, _name(func).rstrip("_"), None) if func.namespace == "aten" else None
    overloads = [func, *(getattr(packet, name) for name in packet.overloads())] if packet else [func]
    return any(tag.name in _FREE_TAGS for overload in overloads for tag in overload.tags)


def _is_view(func: OpOverload) -> bool:
    """Whether an operator only looks at its input another way, and so writes nothing."""
    return func.is_view or torch.Tag.inplace_view in func.tags or _name(func) in ("detach", "alias")


@functools.cache
def _is_composite(func: Any) -> bool:
    """Whether FlopCounterMode looks inside an operator."""
    return (
        isinstance(func, OpOverload)
        and func._overloadpacket not in flop_registry
        and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), _KERNELS[0])
    )


@functools.cache
def _kernel(func: Any) -> Callable[..., Any] | None:
    """What torch has for an operator in terms of others: a composite kernel, or a decomposition."""
    if isinstance(func, HigherOrderOperator):
        return func.py_kernels.get(torch._C.DispatchKey.CompositeExplicitAutograd)
    composite, *others = (
        functools.partial(func._op_dk, getattr(torch._C.DispatchKey, key))
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)
        else None
        for key in _KERNELS
    )
    if composite is not None:
        return composite
    from torch._decomp import decomposition_table  # a slow import, and few operators come this far

    return next(filter(None, (decomposition_table.get(func), *others)), None)


@contextmanager
def _below_autograd(active: bool) -> Iterator[None]:
    """Let composite operators through to dispatch modes; autograd would take them apart first."""
    guard = torch._C._AutoDispatchBelowAutograd() if active else None
    try:
        yield
    finally:
        del guard


def _macs(counts: Mapping[str, int]) -> dict[str, Macs]:
    return {name: Macs(count) for name, count in counts.items() if count}

"""Names for the operators that are no matrix products, so that what stays out of a count is said by name.

An operator without a name here is an uncounted one, and an error unless it is allowed: a tool's zero is never
taken for a cost of zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

_NAMES = {
    "normalisation": (
        "native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit_no_training "
        "_native_batch_norm_legit cudnn_batch_norm _fused_rms_norm"
    ),
    "softmax": "_softmax _log_softmax _safe_softmax",
    "activation": (
        "gelu silu relu relu_ sigmoid tanh hardtanh hardswish hardsigmoid elu leaky_relu mish softplus "
        "silu_ hardswish_ hardtanh_ leaky_relu_ prelu _prelu_kernel log_sigmoid_forward glu"
    ),
    "embedding": "embedding _embedding_bag",
    "pooling": (
        "avg_pool1d avg_pool2d avg_pool3d max_pool2d_with_indices max_pool3d_with_indices "
        "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d"
    ),
    "reduction": (
        "sum mean amax amin argmax argmin max min any all cumsum cumprod prod var std var_mean std_mean "
        "linalg_vector_norm norm topk sort logsumexp bincount"
    ),
    "copy": (
        "_to_copy clone copy_ cat stack index _unsafe_index index_select gather scatter scatter_add "
        "index_put index_put_ select_scatter slice_scatter constant_pad_nd pad repeat roll flip "
        "masked_select _unsafe_view "
        "masked_fill masked_fill_ where tril triu im2col upsample_nearest2d upsample_bilinear2d "
        "upsample_bicubic2d _upsample_bicubic2d_aa _upsample_bilinear2d_aa grid_sampler_2d one_hot "
        "unsafe_split unsafe_chunk resolve_conj repeat_interleave unfold lift_fresh lift_fresh_copy "
        "channel_shuffle pixel_shuffle _local_scalar_dense equal"
    ),
    "creation": (
        "arange linspace full full_like ones ones_like zeros zeros_like empty empty_like empty_strided "
        "new_empty new_empty_strided new_full new_ones new_zeros scalar_tensor eye fill_ zero_ rand randn "
        "rand_like randn_like bernoulli_ native_dropout randint"
    ),
}
_CAUSE = {operator: cause for cause, operators in _NAMES.items() for operator in operators.split()}


def is_product(operator: Any) -> bool:
    """Whether FlopCounterMode has a formula for an aten operator."""
    return operator._overloadpacket in flop_registry


def cause_of(operator: Any) -> str | None:
    """Why an aten operator is not among the matrix products; None if no one knows."""
    name = operator._overloadpacket.__name__
    if operator.namespace != "aten":
        return None
    if name in _CAUSE:
        return _CAUSE[name]
    return "elementwise" if torch.Tag.pointwise in operator.tags else None


def is_view(operator: Any) -> bool:
    """Whether an aten operator only looks at its input another way, and so writes nothing."""
    name = operator._overloadpacket.__name__
    return operator.is_view or torch.Tag.inplace_view in operator.tags or name in ("detach", "alias")


def has_bias(operator: Any, args: tuple[Any, ...]) -> bool:
    """Whether a matrix product adds a bias to its result as well."""
    name = operator._overloadpacket.__name__
    if name in ("addmm", "baddbmm"):
        return True
    return "convolution" in name and len(args) > 2 and args[2] is not None

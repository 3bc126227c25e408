"""How a module runs while it is counted, whatever counts it, and what a count gains in each submodule.

Attention and recurrent layers run as plain products, without the fast path and the fused kernels, some of
which one tool or another counts as nothing.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def as_products() -> Iterator[None]:
    """Run modules as the matrix products they are made of, without fused kernels."""
    fused_recurrence = torch._C._get_mkldnn_enabled()  # torch.backends.mkldnn.flags would warn of TF32
    torch._C._set_mkldnn_enabled(False)
    try:
        with without_traces(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch._C._set_mkldnn_enabled(fused_recurrence)


@contextmanager
def without_traces() -> Iterator[None]:
    """Run modules as they are written: nothing compiled, no gradient; random generators are put back."""
    dynamo = "torch._dynamo" in sys.modules  # else nothing is compiled, and the import is slow
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  the global one
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
            torch.compiler.set_stance("force_eager") if dynamo else nullcontext(),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def by_module(module: nn.Module, read: Callable[[], int]) -> Iterator[Counter[str]]:
    """What a rising count gains while each module runs, without its submodules, summed over layers.

    Args:
        module: runs inside the context.
        read: the count.
    """
    paths = {
        submodule: collapse(path)
        for path, submodule in module.named_modules()
        if not isinstance(submodule, torch.jit.ScriptModule)  # takes no hooks, and counts for what holds it
    }
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
        for hook in (
            submodule.register_forward_pre_hook(enter),
            submodule.register_forward_hook(leave, always_call=True),
        )
    ]
    try:
        yield gains
        settle()
    finally:
        for hook in hooks:
            hook.remove()


def collapse(path: str) -> str:
    """A module's path with every layer's index replaced by `*`."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path)

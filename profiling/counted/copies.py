"""What runs to be counted: a module with inputs; of the user's own module always a copy."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.modules import module as every_module
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode

from data.files.errors import ToolkitError

META, CPU = torch.device("meta"), torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A module and the inputs of one forward pass."""

    module: nn.Module
    inputs: tuple[Any, ...]

    def run(self) -> object:
        """Run the forward pass."""
        with self.alone():
            return self.module(*self.inputs)

    def alone(self) -> AbstractContextManager[None]:
        """What the forward pass runs in, whoever calls it."""
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Copy(Workload):
    """A copy of a workload, which does not run the modules of the original."""

    originals: frozenset[int]
    """`id` of every module that was copied."""
    copies: frozenset[int]
    """`id` of every copy."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Refuse a module of the original, or any other with weights that was there before, as it is called.

        Raises:
            ToolkitError: before the module runs.
        """
        new: set[int] = set()  # made by the forward pass itself

        def note(module: nn.Module, name: str, tensor: object) -> None:
            new.add(id(module))

        def refuse(module: nn.Module, inputs: object) -> None:
            if id(module) in self.copies or id(module) in new:
                return
            tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
            if id(module) in self.originals or tensors:
                raise ToolkitError(
                    f"{type(self.module).__name__}: the model calls a module that its copy still shares with "
                    f"the original (a closure, weak reference or global): {type(module).__name__}; reach it "
                    "as an attribute of the model instead, for the original is never run"
                )

        hooks = (
            every_module.register_module_forward_pre_hook(refuse),
            every_module.register_module_parameter_registration_hook(note),
            every_module.register_module_buffer_registration_hook(note),
        )
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Using `torch.compile.* global hooks")
                yield
        finally:
            for hook in hooks:
                hook.remove()


class Method(nn.Module):
    """A codec's method as a module whose submodules are the codec's."""

    def __init__(self, codec: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        for name, module in codec.named_children():
            self.add_module(name, module)
        self._method: Callable[..., Any] = run

    def forward(self, *inputs: Tensor) -> Any:
        """Run the method."""
        return self._method(*inputs)


def for_counting(model: nn.Module) -> None:
    """Set a model, in place, to inference, and transformers' attention in it to what runs on shapes alone."""
    model.eval()
    for module in model.modules():
        set_attention: Any = getattr(module, "set_attn_implementation", None)
        if set_attention is not None:
            set_attention("eager")  # masks of the others look at values


def copied(workload: Workload, device: torch.device) -> Copy:
    """A workload whose module and inputs are copies on another device, in evaluation mode, without gradients.

    What the module refers to is copied with it: tensors that are no parameters, bound methods, hooks. On the
    meta device a copy holds no data; what comes from the meta device is 0 elsewhere. The lengths of a packed
    sequence stay on the CPU, where torch wants them.

    Raises:
        ToolkitError: if Python cannot copy the module.
    """
    module = getattr(workload.module, "_orig_mod", workload.module)  # of torch.compile
    originals, memo = {id(submodule) for submodule in module.modules()}, dict[int, Any]()
    try:
        with _To(device), mock.patch.object(PackedSequence, "__deepcopy__", _copy_packed, create=True):
            module, inputs = copy.deepcopy((module, workload.inputs), memo)
    except Exception as error:  # whatever a class raises that was not made to be copied
        raise ToolkitError(
            f"{type(module).__name__}: Python cannot copy it, and the original is never run: {error}"
        ) from error
    for submodule in module.modules():
        if isinstance(submodule, nn.DataParallel):
            submodule.device_ids = []  # else it asks for its weights on its graphics cards
    for parameter in module.parameters():
        if parameter.is_leaf and not is_lazy(parameter):  # those of a scripted module are none
            parameter.requires_grad_(False)
    beside = {key: value for key, value in memo.items() if isinstance(value, nn.Module)}  # in lists, inputs
    originals |= beside.keys()
    copies = {id(submodule) for submodule in (*module.modules(), *beside.values())}
    return Copy(
        module=module.eval(),
        inputs=inputs,
        originals=frozenset(originals),
        copies=frozenset(copies - originals),
    )


def _copy_packed(packed: PackedSequence, memo: dict[int, Any]) -> PackedSequence:
    lengths = packed.batch_sizes.detach().to(CPU, copy=True)
    order, back = copy.deepcopy((packed.sorted_indices, packed.unsorted_indices), memo)
    return PackedSequence(copy.deepcopy(packed.data, memo), lengths, order, back)


class _To(TorchFunctionMode):
    """Puts the copies of tensors on a device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.clone:  # by which a parameter copies itself
            return self._moved(args[0])
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = self._moved(tensor)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))

    def _moved(self, tensor: Tensor) -> Tensor:
        if is_lazy(tensor):  # without a shape yet
            return type(tensor)(device=self._device, dtype=tensor.dtype)  # type: ignore[call-arg]
        if tensor.is_meta and self._device != META:
            return torch.zeros_like(tensor, device=self._device)
        return tensor.detach().to(self._device, copy=True)

"""What runs to be counted: a module with inputs; of the user's own module always a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
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
        return self.module(*self.inputs)


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


def copied(workload: Workload, device: torch.device) -> Workload:
    """A workload whose module and inputs are copies on another device, in evaluation mode, without gradients.

    What the module refers to is copied with it: tensors that are no parameters, bound methods, hooks. On the
    meta device a copy holds no data; what comes from the meta device is 0 elsewhere.

    Raises:
        ToolkitError: if Python cannot copy the module.
    """
    module = getattr(workload.module, "_orig_mod", workload.module)  # of torch.compile
    try:
        with _To(device):
            module, inputs = copy.deepcopy((module, workload.inputs))
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
    return Workload(module=module.eval(), inputs=inputs)


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

"""The device a command runs on."""

from __future__ import annotations

from data.files.errors import ToolkitError, first_line
from data.settings import named

_KINDS = ("cpu", "cuda", "mps", "xpu")


def resolve_device(name: str | None) -> str:
    """The device a flag names, checked; without a name, CUDA where there is one.

    Raises:
        ToolkitError: if it is not to be had.
    """
    if name is not None and name.partition(":")[0] not in _KINDS:
        allowed = ", ".join(_KINDS)
        raise ToolkitError(
            f"{named('device')}: {name!r} given, allowed: {allowed}, or one of several, such as cuda:1"
        )
    import torch

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name is None else name
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ToolkitError(
            f"{named('device')}: {chosen!r} given, torch cannot use it here: {first_line(error)}"
        ) from error
    return chosen


def device_name(device: str) -> str:
    """What provenance says of a device: the GPU's product name; "cpu" and what is not here as it is."""
    import torch

    if device.startswith("cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    return device

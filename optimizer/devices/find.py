"""From what a user calls a device to its file. Free of torch: `optimize --help` is quick."""

from __future__ import annotations

from pathlib import Path

from data.files.errors import ToolkitError
from data.settings import named

FOLDER = Path(__file__).parent
PAPER = "paper"
"""The paper's devices. Their numbers are the defaults of `optimizer.world.config.SystemConfig`."""


def shipped_devices(role: str) -> tuple[str, ...]:
    """Names of the devices that ship.

    Args:
        role: "ue" or "server".
    """
    return tuple(sorted(path.stem for path in (FOLDER / role).glob("*.json")))


def device_path(device: str, *, role: str) -> Path:
    """The file of a device.

    Args:
        device: a shipped device's name, or a file: what has a suffix or a folder.
        role: "ue" or "server".

    Raises:
        ToolkitError: if it is no file and no device of that name ships.
    """
    path = Path(device)
    if path.suffix or len(path.parts) > 1:
        return path
    names = shipped_devices(role)
    if device not in names:
        raise ToolkitError(
            f"{named(f'{role}_device')}: {device!r} given, {', '.join(names)} or a device file "
            "(such as nano.json, which profile-flops writes) is allowed"
        )
    return FOLDER / role / f"{device}.json"

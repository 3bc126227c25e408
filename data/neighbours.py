"""Refuses a file of somebody else, such as data.py, that hides one of the five packages.

Each of them executes this file when it is imported, by its path: the name `data` may be a stranger's. The
first one looks at all five.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

HOUSE = Path(__file__).parents[1]
PACKAGES = ("data", "deepsc", "accuracy_maps", "profiling", "optimizer")
COMMANDS = ("train-deepsc", "build-accuracy-map", "profile-flops", "optimize", "transmit")


def stranger(package: str) -> str | None:
    """File that is imported instead of a package of ours; None if there is none."""
    try:
        spec = find_spec(package)
    except ValueError:  # a module that was put there by hand
        return None
    if spec is None or not spec.origin:
        return None
    is_ours = b"neighbours.py" in Path(spec.origin).read_bytes()
    return None if is_ours else spec.origin


def refuse_strangers() -> None:
    """End on one line that names the file in the way.

    Raises:
        ImportError: if there is one; a command exits with status 2.
    """
    beside = os.listdir(HOUSE)
    for package in PACKAGES:
        if package in beside and (file := stranger(package)):
            line = f"{file}: hides the package {package} of deepsc-toolkit; rename or move it"
            command = Path(sys.argv[0]).stem if sys.argv else ""
            if command in COMMANDS:
                print(f"{command}: error: {line}", file=sys.stderr)
                raise SystemExit(2)
            raise ImportError(line)


if "data.moved" not in sys.modules:
    refuse_strangers()
    import_module("data.moved")

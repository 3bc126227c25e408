"""What tests need beside the package: skipped without it, or failed under DEEPSC_REQUIRE_ALL=1, as in CI."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def missing(what: str) -> None:
    """Skip the test, or fail it where everything must be there."""
    if os.environ.get("DEEPSC_REQUIRE_ALL") == "1":
        pytest.fail(f"{what}, and DEEPSC_REQUIRE_ALL=1 asks for everything", pytrace=False)
    pytest.skip(what, allow_module_level=True)


def need(module: str, *, extra: str) -> ModuleType:
    """A module of an extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        missing(f"{module} is not installed (pip install 'deepsc-toolkit[{extra}]')")
        raise

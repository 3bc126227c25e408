"""The micro preset, and configs of micro runs. The trained ones are in tests/conftest.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.micro_codec import run_config, use_micro_preset

from deepsc.text.config import TextRunConfig


@pytest.fixture(autouse=True)
def micro_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--preset micro`, in these tests alone."""
    use_micro_preset(monkeypatch)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., TextRunConfig]:
    """Configs of runs in `tmp_path`: make_run("name", training={...}, k=...)."""

    def make(name: str = "run", **changes: Any) -> TextRunConfig:
        return run_config(tmp_path / name, **changes)

    return make

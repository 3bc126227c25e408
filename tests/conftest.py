"""Micro runs, trained once and shared by the suites of deepsc and accuracy_maps.

deepsc is imported where a fixture needs it, so that the other suites start without transformers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from data.parallel import ParallelCorpus
    from deepsc.checkpoint import Checkpoint

settings.register_profile("toolkit", derandomize=True, deadline=None, database=None)
settings.load_profile("toolkit")


@pytest.fixture(scope="session")
def corpus() -> ParallelCorpus:
    from micro_codec import MORE_CAPTIONS

    from deepsc.text_run import load_corpus

    return load_corpus(MORE_CAPTIONS, task="translate")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained local model and a channel codec that started from it. Read only: copy to change."""
    from micro_codec import MORE_CAPTIONS, run_config, use_micro_preset

    from deepsc.text_run import train_text

    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        use_micro_preset(patch)
        training = {"epochs": 6, "batch_tokens": 256, "channel": "none"}
        train_text(run_config(root / "local", corpus=MORE_CAPTIONS, training=training))
        training = {"epochs": 10, "batch_tokens": 2048}
        train_text(
            run_config(root / "codec", corpus=MORE_CAPTIONS, training=training, init_from=str(root / "local"))
        )
    return {"local": root / "local", "codec": root / "codec"}


@pytest.fixture(scope="session")
def local(folders: dict[str, Path]) -> Checkpoint:
    from deepsc.checkpoint import from_pretrained

    return from_pretrained(folders["local"])


@pytest.fixture(scope="session")
def trained(folders: dict[str, Path]) -> Checkpoint:
    """The channel codec."""
    from deepsc.checkpoint import from_pretrained

    return from_pretrained(folders["codec"])

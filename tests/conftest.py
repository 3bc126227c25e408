"""Micro runs, trained once and shared by the suites of deepsc and accuracy_maps.

deepsc is imported where a fixture needs it, so that the other suites start without transformers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.house import PACKAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from data.text.parallel import ParallelCorpus
    from deepsc.checkpoint import Checkpoint

settings.register_profile("toolkit", derandomize=True, deadline=None, database=None)
settings.load_profile("toolkit")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of the tests' own, for their commands too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPSC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _no_level_left() -> Iterator[None]:
    """A test fails that leaves one of our loggers with a level: tests after it would miss its lines."""
    yield
    left = []
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] in PACKAGES and isinstance(logger, logging.Logger) and logger.level:
            logger.setLevel(logging.NOTSET)
            left.append(name)
    assert not left


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that matplotlib has saved, as they come."""
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.fixture(scope="session")
def corpus() -> ParallelCorpus:
    from support.micro_codec import MORE_CAPTIONS

    from deepsc.text.material import load_corpus

    return load_corpus(MORE_CAPTIONS, task="translate")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained local model and a channel codec that started from it. Read only: copy to change."""
    from support.micro_codec import MORE_CAPTIONS, run_config, use_micro_preset

    from deepsc.train.run import train_codec

    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        use_micro_preset(patch)
        training = {"epochs": 6, "batch_tokens": 256, "channel": "none"}
        train_codec(run_config(root / "local", corpus=MORE_CAPTIONS, training=training))
        training = {"epochs": 10, "batch_tokens": 2048}
        train_codec(
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


@pytest.fixture(scope="session")
def clevr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with questions about coloured squares in CLEVR's layout."""
    from support.micro_media import write_clevr

    return write_clevr(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def image_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A local model of digits and a codec that started from it. Read only: copy to change."""
    from support.micro_media import image_run

    from deepsc.train.run import train_codec

    root = tmp_path_factory.mktemp("image-runs")
    train_codec(image_run(root / "local", training={"channel": "none", "epochs": 6, "batch_tokens": 544}))
    train_codec(
        image_run(root / "codec", training={"epochs": 1, "batch_tokens": 544}, init_from=str(root / "local"))
    )
    return {"local": root / "local", "codec": root / "codec"}


@pytest.fixture(scope="session")
def vqa_folders(tmp_path_factory: pytest.TempPathFactory, clevr: Path) -> dict[str, Path]:
    """A local model of coloured squares and a codec that started from it. Read only: copy to change."""
    from support.micro_media import vqa_run

    from deepsc.train.run import train_codec

    root = tmp_path_factory.mktemp("vqa-runs")
    train_codec(vqa_run(root / "local", clevr, training={"channel": "none", "epochs": 12}))
    train_codec(vqa_run(root / "codec", clevr, training={"epochs": 4}, init_from=str(root / "local")))
    return {"local": root / "local", "codec": root / "codec"}

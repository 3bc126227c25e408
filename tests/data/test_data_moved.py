"""Module paths of version 0.1 still lead to what they held, with one warning each."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from data.moved import MOVED

ROOT = Path(__file__).parents[2]
PROMISED = {
    "data": "parallel captions tokenizer artifacts cli typed page vqa images",
    "deepsc": "channels jsc text image_config vqa_config training run evaluation pixels digital",
    "accuracy_maps": "build config",
    "profiling": "appendix_a user_model latency",
    "optimizer": "config inputs tasks physics environment views mappo dqn policies bound episode_bound "
    "evaluation experiment",
}
"""Paths that pages and scripts of 0.1 import."""
HELD = {
    "data.artifacts": ("ToolkitError", "read_json", "write_json", "sha256_of", "atomic_path", "provenance"),
    "data.cli": ("Parser", "run_command", "align"),
    "data.images": ("load_images", "read_image", "ImageSet"),
    "data.page": ("write_page", "check_html"),
    "data.parallel": ("ParallelCorpus", "load_parallel", "split_by_hash"),
    "data.vqa": ("load_vqa", "VQASet", "Question"),
    "optimizer.config": ("EpisodeConfig", "Inputs", "SystemConfig"),
    "optimizer.mappo": ("MappoConfig", "MappoTrainer"),
    "optimizer.views": ("CentralOffloading", "ParallelOffloading"),
}


@pytest.mark.parametrize(
    "path", [f"{top}.{name}" for top, names in PROMISED.items() for name in names.split()]
)
def test_an_old_path_leads_to_what_it_held(path: str) -> None:
    if path in MOVED:
        sys.modules.pop(path, None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module(path)
    ours = [str(warning.message) for warning in caught if path in str(warning.message)]
    assert len(ours) == (path in MOVED)
    for place in MOVED.get(path, ()):
        assert place in ours[0]
        importlib.import_module(place)
    for name in HELD.get(path, ()):
        assert getattr(module, name) is not None


def test_the_warning_points_to_the_users_line_and_comes_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from data.captions import caption_pairs\n"
        "import data.captions, data.text.captions\n"
        "print(data.captions is data.text.captions, next(caption_pairs())[0])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.startswith("True ")
    assert done.stderr.count("DeprecationWarning") == 1
    assert (
        f"{script}:1: DeprecationWarning: data.captions has moved: import data.text.captions" in done.stderr
    )


def test_a_path_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"data\.nothing"):
        importlib.import_module("data.nothing")

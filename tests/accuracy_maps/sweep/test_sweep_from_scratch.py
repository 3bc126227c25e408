"""From data to map in one command: planned, killed and resumed."""

import json
import logging
import os
import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from support.micro_media import image_run, vqa_run
from support.scratch_runs import assert_same_family, scratch, sweep_flags

from accuracy_maps.command import family, main
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.engine import LocalEngine
from accuracy_maps.sweep.from_scratch import train_run
from accuracy_maps.sweep.timing import time_cells
from data.files.errors import command_line
from deepsc.image.config import STEMS
from deepsc.text.evaluate import TextEvaluator


def test_the_command_trains_both_models_and_sweeps(undisturbed: Path) -> None:
    local, codec = (
        json.loads((undisturbed / f"map-{name}" / "config.json").read_text()) for name in ("local", "codec")
    )
    assert (local["training"]["channel"], local["training"]["epochs"]) == ("none", 3)
    assert (codec["training"]["channel"], codec["training"]["epochs"]) == ("awgn", 2), "behind the second --"
    assert codec["codec"]["k"] == [2, 8]
    assert codec["init_from"] is not None
    one = json.loads((undisturbed / "map.json").read_text())
    assert (one["k"], one["snr_db"]) == ([2, 8], [-6, 6, 18])
    assert one["provenance"]["engine"] == "local"


def test_given_again_the_command_finds_all_of_it_done(
    undisturbed: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.is_file()}
    assert main(scratch(undisturbed)) == 0
    # What goes before are the long steps of looking: reading the data, building the models.
    assert caplog.messages[-1] == f"finished already: {undisturbed / 'map.json'}; remove it to measure again"
    assert not any(word in caplog.text for word in ("plan for", "steps to do", "cells to do"))
    assert main([*scratch(undisturbed)[:-1], "1"]) == 2
    assert "map-codec holds another run: training.epochs was 2, is now 1" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.is_file()}
    assert after == before


KILLED = """
import os, signal, sys
import data.files.tensors
from accuracy_maps.command import main
from accuracy_maps.sweep.measure import Sweep
from deepsc.text.evaluate import TextEvaluator
place, calls = sys.argv[1], []
write, measure = data.files.tensors.save_file, Sweep.measure
def written(tensors, path, metadata):
    if f"map-{place}" in str(path):
        calls.append(path)
    if place == "local" and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(tensors, path, metadata)
    if place == "codec" and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
def measured(self, group):
    calls.append(group)
    if place == "cell" and len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(self, group)
data.files.tensors.save_file = written
Sweep.measure, TextEvaluator.together = measured, 2
main(sys.argv[2:])
"""


def test_killed_in_each_phase_it_ends_as_if_undisturbed(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kill -9 in training, while a checkpoint is written, and between cells; the same command each time."""
    for place in ("local", "codec", "cell"):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, place, *scratch(tmp_path)], capture_output=True, text=True,
            check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},  # as many as here: sums depend on it
        )  # fmt: skip
        assert killed.returncode == -9, killed.stderr
        assert not (tmp_path / "map.json").exists()
        if place == "codec":
            assert list((tmp_path / "map-codec").glob(".*.part")), "killed in the middle of writing"
    trained, steps = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *args: trained.append(args) or steps(*args))
    measured: list[Any] = []
    measure = TextEvaluator.measure_together

    def count(self: TextEvaluator, points: Any, *, seed: int) -> Any:
        measured.extend(points)
        return measure(self, points, seed=seed)

    monkeypatch.setattr(TextEvaluator, "measure_together", count)
    caplog.set_level(logging.INFO)
    assert main(scratch(tmp_path)) == 0
    assert not trained, "trained and timed before the last kill"
    assert len(measured) == 7 - 3, "three cells were measured before the last kill"
    assert "map-local: trained" in caplog.text
    assert "4 of 7 cells to measure, about" in caplog.text
    assert_same_family(tmp_path, undisturbed)
    assert not list(tmp_path.rglob(".*"))


def test_the_plan_comes_first_and_says_what_was_measured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopError(Exception):
        pass

    def call(_: LocalEngine, function: Any, argument: Any, *, what: str) -> Any:
        if function is train_run:
            raise StopError
        return function(argument)

    monkeypatch.setattr(LocalEngine, "call", call)
    caplog.set_level(logging.INFO)
    with pytest.raises(StopError):
        main(scratch(tmp_path))
    plan = caplog.text
    assert plan.count("without validation") == 2
    assert "s a step, as timed" in plan
    assert re.search(
        r"7 of 7 cells to measure, at most about \d+ s \(timed on 16 of 50 test items with untrained", plan
    )
    assert not list(tmp_path.iterdir()), "timing leaves nothing"


def test_a_map_that_is_there_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "map.json").write_text("{}")
    assert main(scratch(tmp_path)) == 2
    says = (
        "is there, but not all of its trained models; give another --output, or --overwrite to replace it\n"
    )
    assert capsys.readouterr().err.endswith(says)
    (tmp_path / "map.json").unlink()
    (tmp_path / "map.csv").mkdir()
    assert main(scratch(tmp_path)) == 2
    assert "map.csv: it is no file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["map.csv"]


@pytest.mark.parametrize("modality", ["image", "vqa"])
def test_cells_of_every_modality_are_timed(
    modality: str, clevr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In proportion to the items, on a clock that ticks once a look."""
    monkeypatch.setattr("accuracy_maps.sweep.timing.time.perf_counter", iter([5.0, 7.0]).__next__)
    run = image_run(tmp_path) if modality == "image" else vqa_run(tmp_path, clevr)
    config = MapConfig(
        codecs=("codec",), local="local", output="map.json", limit=40,
        data_dir=None if modality == "image" else str(clevr),
    )  # fmt: skip
    found = time_cells((config, run))
    assert 0 < found.timed_items < found.items
    assert found.seconds_per_cell == pytest.approx(2.0 * found.items / found.timed_items)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--from-scratch", "--", "--output", "x"], "--output: given behind --"),
        (["--from-scratch", "--", "--init-from=x"], "--init-from=x: given behind --"),
        (["--from-scratch", "--", "--dataset", "captions", "--", "--channel", "none"], "needs a channel"),
        (["--from-scratch", "--k", "3", "--", "--dataset", "captions"], "--k: [3] given, the codec will be"),
        (["--from-scratch", "--baseline", "digital"], "--from-scratch and --baseline"),
        (["--from-scratch", "--task", "reconstruct", "--", "--dataset", "captions"], "--task: 'reconstruct'"),
        (["--from-scratch", "--codec", "a", "b"], "--codec: 2 given"),
        (["--from-scratch", "--", "--epochs", "0"], "--epochs"),
        (["--local", "x", "--", "--epochs", "1"], "--: given without --from-scratch"),
        ([], "--local: none given"),
        (["--local", "x", "--ray-address", "auto"], "--codec: none given"),
    ],
)
def test_what_does_not_go_together_is_refused(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main([*sweep_flags(tmp_path), *flags])
    except SystemExit as stop:  # argparse's own errors
        status = stop.code
    assert status == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("text", ["--dataset", "captions", "--preset", "tiny", "--consistency", "1", "--bpe-dropout", "0.1"]),
        (
            "image",
            ["--dataset", "digits", "--image-size", "32", "--stem", STEMS[0], "--stem-weights", "x.pth"],
        ),
    ],
)
def test_what_the_local_model_alone_reads_is_not_the_codecs(name: str, flags: list[str]) -> None:
    config = MapConfig(codecs=("codec",), local="local", output="map.json")
    with command_line():
        runs = family(flags, config, name=name)
    names = (*runs.local.local_names, *runs.local.start_names)
    assert any(attrgetter(setting)(runs.local) for setting in names)
    assert not any(attrgetter(setting)(runs.codec) for setting in names)
    assert runs.codec.init_from == "local"

"""From data to map in one command: planned, killed and resumed, here and on a Ray cluster."""

import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from micro_media import image_run, vqa_run
from safetensors.torch import load_file

from accuracy_maps.calibrate import time_cells
from accuracy_maps.command import main
from accuracy_maps.config import MapConfig
from accuracy_maps.engine import LocalEngine
from accuracy_maps.scratch import train_run
from accuracy_maps.sweep import Group, Sweep
from deepsc.evaluation import TextEvaluator

SHARED = ["--dataset", "captions", "--caption-count", "400", "--preset", "tiny", "--batch-tokens", "512",
          "--epochs", "3"]  # fmt: skip
FAMILY = ["--", *SHARED, "--k", "2,8", "--", "--epochs", "2"]


def sweep_flags(folder: Path) -> list[str]:
    return ["--modality", "text", "--device", "cpu", "--snr-db=-6,6,18", "--limit", "60",
            "--output", str(folder / "map.json")]  # fmt: skip


def scratch(folder: Path, *more: str) -> list[str]:
    return [*sweep_flags(folder), "--from-scratch", *more, *FAMILY]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main(scratch(folder)) == 0
    return folder


def assert_same_family(folder: Path, other: Path) -> None:
    """Weights, optimizer and cells, bit for bit."""
    for run in ("map-local", "map-codec"):
        for name in ("model.safetensors", "state.safetensors"):
            one, two = load_file(folder / run / name), load_file(other / run / name)
            assert one.keys() == two.keys()
            assert all(torch.equal(tensor, two[key]) for key, tensor in one.items())
    assert (folder / "map.csv").read_bytes() == (other / "map.csv").read_bytes()
    one, two = (json.loads((each / "map.json").read_text()) for each in (folder, other))
    del one["provenance"], two["provenance"]
    assert one == two


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


KILLED = """
import os, signal, sys
import deepsc.checkpoint
from accuracy_maps.command import main
from accuracy_maps.sweep import Sweep
from deepsc.evaluation import TextEvaluator
place, calls = sys.argv[1], []
write, measure = deepsc.checkpoint.save_file, Sweep.measure
def written(tensors, path, metadata):
    if f"map-{place}" in path:
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
deepsc.checkpoint.save_file = written
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


@pytest.mark.parametrize("modality", ["image", "vqa"])
def test_cells_of_every_modality_are_timed(
    modality: str, clevr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In proportion to the items, on a clock that ticks once a look."""
    monkeypatch.setattr("accuracy_maps.calibrate.time.perf_counter", iter([5.0, 7.0]).__next__)
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
        (["--from-scratch", "--codec", "a", "b"], "--codec: 2 given"),
        (["--from-scratch", "--", "--epochs", "0"], "--epochs"),
        (["--local", "x", "--", "--epochs", "1"], "--: given without --from-scratch"),
        ([], "--local: none given"),
        (["--local", "x", "--ray-address", "auto"], "no config.json"),
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


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU each on this machine, patient with processes that start slowly on a busy one."""
    for name in ("RAY_worker_register_timeout_seconds", "RAY_raylet_start_wait_time_s"):
        os.environ.setdefault(name, "600")
    os.environ.setdefault("RAY_health_check_timeout_ms", "120000")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    torch.set_num_threads(1)
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_ray_trains_and_measures_the_same_and_survives_the_loss_of_a_node(
    cluster: Any, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node is lost while it measures a cell; the cell is measured on the other."""
    import ray

    from accuracy_maps import engine_ray

    begun, folder = tmp_path / "begun", tmp_path / "runs"
    begun.mkdir()
    head, measure, lost = cluster.head_node.node_id, engine_ray._measure, []

    def measure_slowly(*args: Any) -> Any:
        """Both nodes begin a cell; that of the node to be lost never ends."""
        node = ray.get_runtime_context().get_node_id()
        (begun / node).touch()
        while node != head or len(list(begun.iterdir())) < 2:
            time.sleep(0.1)
        return measure(*args)

    def lose_a_node(self: engine_ray.RayEngine, sweep: Sweep, groups: list[Group]) -> Any:
        for result in every_result(self, sweep, groups):
            if not lost:
                lost.extend(cluster.worker_nodes)
                cluster.remove_node(lost[0], allow_graceful=False)
            yield result

    every_result = engine_ray.RayEngine.measure
    monkeypatch.setattr(TextEvaluator, "together", 1)
    monkeypatch.setattr(engine_ray, "_measure", measure_slowly)
    monkeypatch.setattr(engine_ray.RayEngine, "measure", lose_a_node)
    assert main(scratch(folder, "--engine", "ray", "--ray-address", cluster.address)) == 0
    assert {path.name for path in begun.iterdir()} == {head, lost[0].node_id}
    for _ in range(600):  # the cluster takes its time to call a node dead
        if sum(node["Alive"] for node in ray.nodes()) == 1:
            break
        time.sleep(0.1)
    else:
        pytest.fail("no node was lost")
    assert json.loads((folder / "map.json").read_text())["provenance"]["engine"] == "ray"
    assert_same_family(folder, undisturbed)


def test_a_node_that_sees_other_data_is_refused(cluster: Any, undisturbed: Path, tmp_path: Path) -> None:
    from accuracy_maps.engine_ray import RayEngine
    from data.artifacts import ToolkitError

    config = MapConfig(
        codecs=(str(undisturbed / "map-codec"),), local=str(undisturbed / "map-local"),
        output=str(tmp_path / "map.json"), limit=5, snr_db=(0.0,),
    )  # fmt: skip
    sweep = Sweep(config)
    sweep.config = dataclasses.replace(config, limit=6)  # what the node will open
    engine = RayEngine(address=cluster.address, device="cpu")
    with pytest.raises(ToolkitError, match="sees other checkpoints or data"):
        list(engine.measure(sweep, sweep.groups[:1]))

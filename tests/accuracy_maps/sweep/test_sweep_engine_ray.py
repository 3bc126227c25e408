"""The Ray engine on a cluster of nodes on this machine: same results, lost nodes, crashes, GPUs."""

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.needed import need
from support.scratch_runs import FAMILY, assert_same_family, scratch

from accuracy_maps.command import family, main
from accuracy_maps.sweep import engine_ray
from accuracy_maps.sweep.build import measure_cells
from accuracy_maps.sweep.cells import CellStore
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.engine_ray import RayEngine
from accuracy_maps.sweep.measure import Group, Sweep
from data.files.errors import ToolkitError
from data.files.lock import LOCK_NAME
from deepsc.text.evaluate import TextEvaluator

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node of one CPU on this machine, patient with processes that start slowly on a busy one."""
    for name in ("RAY_worker_register_timeout_seconds", "RAY_raylet_start_wait_time_s"):
        os.environ.setdefault(name, "600")
    os.environ.setdefault("RAY_health_check_timeout_ms", "120000")
    ray = need("ray", extra="ray")
    from ray.cluster_utils import Cluster

    torch.set_num_threads(1)
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def other(cluster: Any) -> Iterator[Any]:
    """A second node, for one test."""
    node = cluster.add_node(**NODE)
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it never came")


def test_ray_trains_and_measures_the_same_and_survives_the_loss_of_a_node(
    cluster: Any, other: Any, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node is lost while it measures a cell; the cell is measured on the other."""
    import ray

    begun, folder = tmp_path / "begun", tmp_path / "runs"
    begun.mkdir()
    head, measure, lost = cluster.head_node.node_id, engine_ray._measure, []

    def measure_slowly(*args: Any) -> Any:
        """Both nodes begin a codec's cell; that of the node to be lost never ends."""
        if next(one for one in args if isinstance(one, Group)).model is None:  # measured first, alone
            return measure(*args)
        node = ray.get_runtime_context().get_node_id()
        (begun / node).touch()
        while node != head or len(list(begun.iterdir())) < 2:
            time.sleep(0.1)
        return measure(*args)

    def lose_a_node(self: engine_ray.RayEngine, sweep: Sweep, groups: list[Group]) -> Any:
        for result in every_result(self, sweep, groups):
            if not lost and groups[0].model is not None:
                lost.append(other)
                cluster.remove_node(other, allow_graceful=False)
            yield result

    every_result = engine_ray.RayEngine.measure
    monkeypatch.setattr(TextEvaluator, "together", 1)
    monkeypatch.setattr(engine_ray, "_measure", measure_slowly)
    monkeypatch.setattr(engine_ray.RayEngine, "measure", lose_a_node)
    assert main(scratch(folder, "--engine", "ray", "--ray-address", cluster.address)) == 0
    assert {path.name for path in begun.iterdir()} == {head, other.node_id}
    wait_until(lambda: sum(node["Alive"] for node in ray.nodes()) == 1)
    assert json.loads((folder / "map.json").read_text())["provenance"]["engine"] == "ray"
    assert_same_family(folder, undisturbed)


def small_sweep(undisturbed: Path, folder: Path) -> Sweep:
    config = MapConfig(
        codecs=(str(undisturbed / "map-codec"),), local=str(undisturbed / "map-local"),
        output=str(folder / "map.json"), limit=16, snr_db=(0.0,),
    )  # fmt: skip
    return Sweep(config)


def test_a_training_goes_on_when_its_node_is_lost_in_the_middle(
    cluster: Any, other: Any, undisturbed: Path, tmp_path: Path
) -> None:
    """It was in its second epoch, and held the run's lock."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    head, busy, begun = cluster.head_node.node_id, tmp_path / "busy", tmp_path / "begun"
    map_config = MapConfig(codecs=("unused",), local=str(tmp_path / "run"), output="unused.json")
    run = family(FAMILY[1:], map_config, name="text").local

    def keep_busy() -> None:
        busy.touch()
        while not begun.exists():
            time.sleep(0.1)

    def train_and_hang(run: Any) -> str:
        from accuracy_maps.sweep.from_scratch import train_run
        from deepsc.train import loop as training

        node = ray.get_runtime_context().get_node_id()
        validate, calls = training.validation_loss, []

        def hang(*args: Any) -> float:
            calls.append(args)
            if len(calls) == 2:
                begun.touch()
                time.sleep(3600)
            return validate(*args)

        if node != head:
            training.validation_loss = hang
        train_run(run)
        return node

    engine = RayEngine(address=cluster.address, device="cpu")
    on_head = NodeAffinitySchedulingStrategy(head, soft=False)
    ray.remote(keep_busy).options(num_cpus=1, scheduling_strategy=on_head).remote()
    wait_until(busy.exists)

    def lose() -> None:
        wait_until(begun.exists)
        cluster.remove_node(other, allow_graceful=False)

    loser = threading.Thread(target=lose)
    loser.start()
    assert engine.call(train_and_hang, run, what="training") == head
    loser.join()
    for name in ("model.safetensors", "state.safetensors"):
        one, two = load_file(tmp_path / "run" / name), load_file(undisturbed / "map-local" / name)
        assert all(torch.equal(tensor, two[key]) for key, tensor in one.items())
    assert not (tmp_path / "run" / LOCK_NAME).exists()


def test_a_task_asks_for_a_gpu_where_there_is_one(cluster: Any) -> None:
    """A logical one, which Ray counts without looking at the hardware."""
    import ray

    with pytest.raises(ToolkitError, match="no node has 1 GPU for a task"):
        RayEngine(address=cluster.address, device="cuda")
    node = cluster.add_node(**NODE, num_gpus=1)
    try:
        wait_until(lambda: ray.cluster_resources().get("GPU") == 1)
        engine = RayEngine(address=cluster.address)
        assert engine.device == "cuda"

        def seen(_: None) -> tuple[str, dict[str, float], str]:
            context = ray.get_runtime_context()
            return (
                context.get_node_id(), context.get_assigned_resources(),
                os.environ["CUDA_VISIBLE_DEVICES"],
            )  # fmt: skip

        node_id, resources, visible = engine.call(seen, None, what="a look")
        assert (node_id, resources["GPU"], visible) == (node.node_id, 1, "0")
    finally:
        cluster.remove_node(node)


def test_a_process_that_crashes_is_one_line_or_one_more_attempt(
    cluster: Any, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    crashed, measure = tmp_path / "crashed", engine_ray._measure

    def crash(_: None) -> None:
        os._exit(1)

    def crash_once(config: MapConfig, fingerprint: str, group: Group, threads: int) -> Any:
        if group.model is not None and not crashed.exists():
            crashed.touch()
            os._exit(1)
        return measure(config, fingerprint, group, threads)

    monkeypatch.setattr(engine_ray, "MAX_RETRIES", 0)
    monkeypatch.setattr(engine_ray, "_measure", crash_once)
    engine = RayEngine(address=cluster.address, device="cpu")
    with pytest.raises(ToolkitError, match=r"the training failed \(WorkerCrashedError: .*same command again"):
        engine.call(crash, None, what="the training")
    sweep = small_sweep(undisturbed, tmp_path)
    cells = measure_cells(sweep, CellStore(tmp_path / "cells", sweep.plan), engine)
    assert crashed.exists()
    assert len(cells) == 3
    assert "k2_snr0_draws1, k8_snr0_draws1 failed, attempt 1 of 3: WorkerCrashedError" in caplog.text


@pytest.mark.parametrize("name", ["OutOfMemoryError", "NodeDiedError", "GetTimeoutError", "RaySystemError"])
def test_rays_own_errors_are_told_in_a_line(
    name: str, cluster: Any, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In a training at once, in the sweep once the cell has failed three times; never a traceback."""
    import ray

    def fail(*_: object) -> None:
        raise getattr(ray.exceptions, name)("gone,\nall of it")

    for task in ("_call", "_measure"):  # what would be thrown away
        monkeypatch.setattr(engine_ray, task, lambda *_: None)
    monkeypatch.setattr(RayEngine, "_get", fail)
    assert main(scratch(tmp_path, "--engine", "ray", "--ray-address", cluster.address)) == 2
    error = capsys.readouterr().err
    assert f"timing some steps of the local model failed ({name}: " in error
    assert error.count("\n") == 1
    sweep, engine = small_sweep(undisturbed, tmp_path), RayEngine(address=cluster.address, device="cpu")
    with pytest.raises(ToolkitError, match=rf"1 of 3 cells failed 3 times, such as .*{name}"):
        measure_cells(sweep, CellStore(tmp_path / "cells", sweep.plan), engine)
    assert caplog.text.count("failed, attempt") == 3, "the local model, before the others"


def test_a_node_that_sees_other_data_is_refused(cluster: Any, undisturbed: Path, tmp_path: Path) -> None:
    sweep = small_sweep(undisturbed, tmp_path)
    sweep.config = dataclasses.replace(sweep.config, limit=17)  # what the node will open
    engine = RayEngine(address=cluster.address, device="cpu")
    with pytest.raises(ToolkitError, match="sees other checkpoints or data"):
        list(engine.measure(sweep, sweep.groups[:1]))

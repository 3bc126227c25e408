"""The policy file: what it holds, what it is refused for, and what differs from where it plays."""

import json
from dataclasses import replace

import pytest
import torch

from data.files.errors import ToolkitError
from data.files.tensors import read_tensors, write_tensors
from optimizer.policies.config import DqnConfig, MappoConfig
from optimizer.policies.dqn import DqnPolicy, DqnTrainer
from optimizer.policies.mappo import MappoTrainer
from optimizer.policies.networks import LearnedPolicy
from optimizer.policies.policy_file import world_of
from optimizer.world.channel import GainTable
from optimizer.world.config import OF_0_1, EpisodeConfig, SystemConfig

MIX = ("text", "image", "vqa", "vqa")
KINDS = {
    "mappo": (MappoTrainer, MappoConfig(copies=2, hidden=8), LearnedPolicy),
    "dqn": (DqnTrainer, DqnConfig(double=False, copies=2, hidden=8), DqnPolicy),
    "ddqn": (DqnTrainer, DqnConfig(double=True, copies=2, hidden=8), DqnPolicy),
}


@pytest.fixture
def world(make_tasks):
    return {"system": SystemConfig(), "episode": EpisodeConfig(mix=MIX), "tasks": make_tasks(mix=MIX)}


def saved(kind, world, path):
    make, config, _ = KINDS[kind]
    learner = make(config, **world, generator=torch.Generator().manual_seed(0))
    learner.save_policy(path)
    return learner


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind, world, tmp_path, caplog):
    path = tmp_path / f"{kind}-0.safetensors"
    learner = saved(kind, world, path)
    loaded = KINDS[kind][2].load(path, **world)
    view = learner._environment.view()
    first, second = (policy.act(view, torch.Generator()) for policy in (learner.policy, loaded))
    assert all(torch.equal(value, vars(second)[name]) for name, value in vars(first).items())
    assert loaded.sees == learner.policy.sees
    assert not caplog.records, "the world is the same"


def test_the_file_says_what_it_was_trained_for(world, tmp_path):
    path = tmp_path / "policy.safetensors"
    saved("mappo", world, path)
    head = read_tensors(path)[1]
    trained_for = head["trained_for"]
    assert head["learner"] == "mappo"
    assert trained_for["episode"]["observation"] == "announced"
    assert trained_for["episode"]["mix"] == list(MIX)
    assert trained_for["system"]["local_clock_max_hz"] == 1.28e9
    assert set(trained_for["tasks"]) == {"text", "image", "vqa"}
    assert trained_for["tasks"]["text"]["symbols"] == [10 * 20 * 16]  # S k of a paragraph
    assert len(trained_for["digest"]) == 8


def test_other_ways_are_another_world(world):
    """With gains or without."""
    here = torch.ones(1, 1, 2, dtype=torch.float64)
    tables = [
        GainTable(position_m=position_m, gain=gain)
        for position_m in (here, 2.0 * here)
        for gain in (None, torch.full((1, 1), 1e-9, dtype=torch.float64))
    ]
    digests = [
        world_of(world["system"], world["episode"], replace(world["tasks"], gains=table))["digest"]
        for table in tables
    ]
    assert len(set(digests)) == len(tables)


def test_a_file_of_an_earlier_release_counts_as_of_the_defaults(world, tmp_path, caplog):
    path = tmp_path / "policy.safetensors"
    saved("mappo", world, path)
    weights, head = read_tensors(path)
    for part, kind in (("system", SystemConfig), ("episode", EpisodeConfig)):
        kept = head["trained_for"][part]
        head["trained_for"][part] = {name: kept[name] for name in OF_0_1[kind]}
    write_tensors(path, weights, head)
    LearnedPolicy.load(path, **world)
    assert not caplog.records
    LearnedPolicy.load(path, **world | {"episode": replace(world["episode"], other_cells=6)})
    assert "other_cells was 0, is 6" in caplog.text


def test_what_differs_is_one_line_of_flags(world, tmp_path, make_tasks, caplog):
    path = tmp_path / "policy.safetensors"
    saved("mappo", world, path)
    changed = {
        "system": replace(world["system"], noise_dbm_hz=-170.0, local_clock_max_hz=1.5e9),
        "episode": EpisodeConfig(mix=MIX, beta=0.25),
        "tasks": make_tasks(mix=MIX, k=(8,)),
    }
    LearnedPolicy.load(path, **changed)
    (record,) = caplog.records
    line = record.getMessage()
    assert "\n" not in line
    assert str(path) in line
    for part in (
        "noise_dbm_hz was -160.0, is -170.0", "beta was 0.5, is 0.25",
        "ue_device: local_clock_max_hz was 1280000000.0, is 1500000000.0",
        "k_text: text symbols was [3200.0], is [1600.0]",
    ):  # fmt: skip
        assert part in line


@pytest.mark.parametrize("kind", KINDS)
def test_other_observations_or_choices_of_k_are_refused(kind, world, tmp_path, make_tasks):
    path = tmp_path / "policy.safetensors"
    saved(kind, world, path)
    load = KINDS[kind][2].load
    episode = replace(world["episode"], observation="lookups")
    with pytest.raises(ToolkitError, match="observation was announced, is lookups") as caught:
        load(path, **world | {"episode": episode})
    assert "\n" not in str(caught.value)
    with pytest.raises(ToolkitError, match="joint_k was 1, is 2"):
        load(path, **world | {"tasks": make_tasks(mix=MIX, k=(8, 16))})


def test_unusable_files_are_refused(world, tmp_path):
    good = tmp_path / "policy.safetensors"
    saved("mappo", world, good)
    whole = good.read_bytes()
    weights, head = read_tensors(good)

    def changed(name, **changes):
        path = tmp_path / name
        write_tensors(path, weights, json.loads(json.dumps(head)) | changes)
        return path

    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(whole[: len(whole) // 2])
    sizes = head["sizes"]
    for path in (
        truncated, tmp_path / "missing.safetensors", changed("kind.safetensors", kind="offloading-papers"),
        changed("hidden.safetensors", sizes=sizes | {"hidden": 9}),
        changed("critic.safetensors", sizes=sizes | {"critic": "own"}),
    ):  # fmt: skip
        with pytest.raises(ToolkitError, match=path.name):
            LearnedPolicy.load(path, **world)
    with pytest.raises(ToolkitError, match="schema version 6 given, 7 is read; train anew"):
        LearnedPolicy.load(changed("old.safetensors", schema_version=6), **world)
    with pytest.raises(ToolkitError, match="a policy of mappo given, one of dqn or ddqn is allowed"):
        DqnPolicy.load(good, **world)
    other = tmp_path / "dqn.safetensors"
    saved("dqn", world, other)
    weights, head = read_tensors(other)
    for name in ("levels", "requests"):
        for value in (0, 10**9):
            sizes = head["sizes"] | {name: value}
            with pytest.raises(ToolkitError, match="weights do not fit"):
                DqnPolicy.load(changed("levels.safetensors", learner="dqn", sizes=sizes), **world)

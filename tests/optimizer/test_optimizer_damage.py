"""Damaged policies, MAPPO checkpoints, results and input files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.full_disk import files_limited_to
from support.mutations import (
    FOREIGN,
    damaged_bytes,
    damaged_documents,
    hostile_pickle,
    outcome,
    refused_for_size,
)

from data.files.documents import LARGEST_JSON
from data.files.errors import ToolkitError
from data.files.tensors import LARGEST_TENSORS
from optimizer.command import main
from optimizer.policies.config import MappoConfig
from optimizer.policies.mappo import MappoTrainer
from optimizer.policies.networks import ActorCritic, LearnedPolicy
from optimizer.study.results import read_results
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.tasks import Tasks
from optimizer.world.view import OBSERVATION_SIZE

SYSTEM = SystemConfig()


def refused(read: Callable[[], object], path: Path) -> None:
    assert outcome(read, path) is None


def head_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as stored:
        return json.loads(stored.metadata()["head"])


def save(path: Path, tensors: dict[str, torch.Tensor], head: object) -> None:
    save_file(tensors, path, metadata={"head": head if isinstance(head, str) else json.dumps(head)})


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    network = ActorCritic(
        hidden=8, codes=2, clock_when_offloading=False, learn_clock=True,
        learn_power=False, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    path = tmp_path / "policy" / "mappo-0.safetensors"
    network.save(path)
    return path


def use(path: Path) -> None:
    """Whatever was accepted acts."""
    found = outcome(lambda: LearnedPolicy.load(path), path)
    if found is not None:
        heads = found._network.actions(torch.zeros(3, 2, OBSERVATION_SIZE))
        assert torch.isfinite(heads.mode().to_physical(SYSTEM).power_w).all()


def test_a_policy_with_damaged_bytes(policy: Path) -> None:
    @settings(max_examples=120)
    @given(content=damaged_bytes(policy.read_bytes()))
    def check(content: bytes) -> None:
        policy.write_bytes(content)
        use(policy)

    check()


def test_a_policy_with_a_hostile_head(policy: Path) -> None:
    tensors, head = load_file(policy), head_of(policy)

    @settings(max_examples=80)
    @given(text=damaged_documents(head))
    def check(text: str) -> None:
        save(policy, tensors, text)
        use(policy)

    check()


@pytest.mark.parametrize(
    "change", [{"hidden": 10**9}, {"hidden": 2**20}, {"codes": 10**9}, {"hidden": 0}, {"learn_clock": "no"}]
)
def test_a_policy_of_absurd_size(policy: Path, change: dict[str, Any]) -> None:
    save(policy, load_file(policy), head_of(policy) | change)
    refused(lambda: LearnedPolicy.load(policy), policy)


def test_a_huge_policy_and_huge_results(policy: Path, tmp_path: Path) -> None:
    read = lambda: LearnedPolicy.load(policy)  # noqa: E731
    refused_for_size(read, policy, largest=LARGEST_TENSORS)
    refused_for_size(lambda: read_results(tmp_path), tmp_path / "results.json", largest=LARGEST_JSON)


def test_a_policy_that_is_not_finite(policy: Path) -> None:
    tensors = load_file(policy)
    tensors["log_scale"].fill_(float("nan"))
    save(policy, tensors, head_of(policy))
    refused(lambda: LearnedPolicy.load(policy), policy)


def test_a_policy_that_is_a_pickle(policy: Path, tmp_path: Path) -> None:
    policy.write_bytes(hostile_pickle(tmp_path / "ran"))
    refused(lambda: LearnedPolicy.load(policy), policy)
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def trainer(make_tasks: Callable[..., Tasks]) -> Callable[[], MappoTrainer]:
    tasks = make_tasks()

    def make() -> MappoTrainer:
        return MappoTrainer(
            MappoConfig(episodes=1, copies=2, hidden=8, epochs=1, batch_steps=16), system=SYSTEM,
            episode=EpisodeConfig(mix=("text",) * 4), tasks=tasks,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip

    return make


@pytest.fixture
def checkpoint(trainer: Callable[[], MappoTrainer], tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "mappo.safetensors"
    trainer().train(checkpoint=path)
    return path


def test_on_a_full_disk_the_old_checkpoint_and_policy_survive(
    trainer: Callable[[], MappoTrainer], checkpoint: Path, policy: Path
) -> None:
    """The error is one clear line, nothing half-written stays, and training goes on from the old one."""
    one = trainer()
    one.restore(checkpoint)
    for path, write in ((checkpoint, one.save), (policy, one.network.save)):
        before = path.read_bytes()
        with files_limited_to(1000), pytest.raises(ToolkitError, match=rf"^cannot write {path}: .*") as error:
            write(path)
        assert "\n" not in str(error.value)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]
    go_on(trainer, checkpoint)
    use(policy)


def go_on(trainer: Callable[[], MappoTrainer], path: Path) -> None:
    """Restore, and do the update after it."""
    one = trainer()

    def restore() -> bool:
        one.restore(path)
        return True

    if outcome(restore, path):
        one.update(one.play()[0])


def test_a_mappo_checkpoint_with_damaged_bytes(trainer: Callable[[], MappoTrainer], checkpoint: Path) -> None:
    @settings(max_examples=60)
    @given(content=damaged_bytes(checkpoint.read_bytes()))
    def check(content: bytes) -> None:
        checkpoint.write_bytes(content)
        go_on(trainer, checkpoint)

    check()


def test_a_mappo_checkpoint_with_a_hostile_head(
    trainer: Callable[[], MappoTrainer], checkpoint: Path
) -> None:
    tensors, head = load_file(checkpoint), head_of(checkpoint)

    @settings(max_examples=60)
    @given(text=damaged_documents(head))
    def check(text: str) -> None:
        save(checkpoint, tensors, text)
        go_on(trainer, checkpoint)

    check()


@pytest.mark.parametrize("what", ["shape", "missing", "generator", "generator's type", "not finite"])
def test_a_mappo_checkpoint_of_foreign_tensors(
    trainer: Callable[[], MappoTrainer], checkpoint: Path, what: str
) -> None:
    tensors = load_file(checkpoint)
    name = "adam.1.exp_avg"  # the first parameter is a number
    if what == "shape":
        tensors[name] = tensors[name][:1].clone()
    elif what == "missing":
        del tensors[name]
    elif what == "not finite":
        tensors[name].fill_(float("inf"))
    else:
        state = tensors["generator"]
        tensors["generator"] = state[:9].clone() if what == "generator" else state.float()
    save(checkpoint, tensors, head_of(checkpoint))
    refused(lambda: trainer().restore(checkpoint), checkpoint)


@pytest.fixture
def run(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """A command whose results are there."""
    flags = [
        "--text-map", str(files[0]), "--flops", str(files[1]), "--ues", "text:2", "--episodes", "1",
        "--test-episodes", "16", "--no-bound", "--learners", "mappo", "--seeds", "1",
        "--output", str(tmp_path / "figures"),
    ]  # fmt: skip
    assert main(["train", *flags[:-1], str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return flags


def test_damaged_results(run: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    path = folder / "results.json"
    whole = path.read_bytes()
    document = json.loads(whole)
    for name in ("local", "greedy", "random", "remote", "central", "exhaustive"):  # one policy is enough
        document["policies"].pop(name, None)

    @settings(max_examples=120)
    @given(
        content=damaged_documents(document, skip=("accuracy_maps", "flops")).map(str.encode)
        | damaged_bytes(whole)
    )
    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = outcome(lambda: read_results(folder), path)
        if found is not None:
            assert all(isinstance(one["qoe"]["value"], float | int) for one in found["policies"].values())

    check()


@pytest.mark.parametrize("flag", ["--text-map", "--flops"])
def test_foreign_inputs_are_one_line_and_nothing_is_written(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    path = files[flag == "--flops"]
    before = set(tmp_path.iterdir())
    for content in FOREIGN:
        path.write_bytes(content)
        given_files = ["--text-map", str(files[0]), "--flops", str(files[1])]
        assert main([*given_files, "--ues", "text:2", "--output", str(tmp_path / "out")]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert str(path) in line
        assert len(line) < 2500
        assert set(tmp_path.iterdir()) == before

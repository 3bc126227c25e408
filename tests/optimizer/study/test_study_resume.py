"""A killed run goes on after its last finished seed, and no run replaces another's results."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.full_disk import files_limited_to
from support.mutations import damaged_bytes, damaged_documents, outcome

import data.files.atomic
import data.files.tensors
import optimizer.study.plots
import optimizer.study.train
from data.files import atomic
from optimizer.command import main, parser
from optimizer.policies.baselines import POLICIES
from optimizer.study.evaluate import summarise
from optimizer.study.resume import SeedResult
from optimizer.world.config import OF_0_1, EpisodeConfig, SystemConfig


@pytest.fixture
def flags(files: tuple[Path, Path]) -> list[str]:
    """Of a run of two seeds that takes a second."""
    return [
        "--text-map", str(files[0]), "--flops", str(files[1]), "--ues", "text:1", "--learners", "mappo,dqn",
        "--episodes", "1", "--test-episodes", "16", "--seeds", "2",
    ]  # fmt: skip


def test_a_killed_run_redoes_its_unfinished_seed_alone(flags, tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(["train", *flags, "--output", str(whole)]) == 0
    play, played = optimizer.study.train.play, []

    def counted(policy, **test):
        played.append(test["seed"])
        if len(played) == len(POLICIES) + 4:  # the second policy of the second seed
            raise KeyboardInterrupt
        return play(policy, **test)

    monkeypatch.setattr(optimizer.study.train, "play", counted)
    assert main(["train", *flags, "--output", str(killed)]) == 130
    assert not (killed / "results.json").exists()
    left = [killed / ".results.json.x.deepsc.part", killed / "checkpoints" / ".seed-1.y.deepsc.part"]
    for path in left:  # of a process that was killed, where this one was interrupted
        path.touch()
    atomic._swept.clear()
    first, second = dict.fromkeys(played)
    played[:] = [0] * 100  # never at the count that kills
    assert main(["train", *flags, "--output", str(killed)]) == 0
    assert set(played[100:]) == {second} != {first}
    assert len(played) == 100 + len(POLICIES) + 2
    assert not [path for path in left if path.exists()]
    ours, theirs = (json.loads((folder / "results.json").read_text()) for folder in (killed, whole))
    for name in ("policies", "bound", "learning_curves", "other_learning_curves"):
        assert ours[name] == theirs[name]
    assert len(list((killed / "tensorboard").iterdir())) == 2 * 2, "one of each learner and seed"


def test_another_runs_folder_is_refused(flags, files, tmp_path, capsys):
    out = tmp_path / "out"
    call = ["train", *flags, "--no-bound", "--output", str(out)]
    assert main(call) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert main([*call, "--beta", "0.3", "--seeds", "1"]) == 2
    assert (
        "is of another run: episode.beta was 0.5, is now 0.3; seeds was 2, is now 1"
        in capsys.readouterr().err
    )
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    out.rename(tmp_path / "moved")
    call[-1] = str(tmp_path / "moved")
    assert main(call) == 0, "where the folder lies is no part of the config"
    document = json.loads(files[0].read_text())
    document["local_high"] += 0.5
    files[0].write_text(json.dumps(document))
    capsys.readouterr()
    assert main(call) == 2
    assert "is of another run: files was " in capsys.readouterr().err


def test_a_run_of_an_earlier_release_counts_as_of_the_defaults(flags, tmp_path, capsys):
    """Release 0.1 had no device and no world beyond the paper's."""
    call = ["train", *flags, "--no-bound", "--output", str(tmp_path / "out")]
    assert main(call) == 0
    results = tmp_path / "out" / "results.json"
    document = json.loads(results.read_text())
    config = document["provenance"]["config"]
    del config["device"], config["inputs"]["ue_device"], config["inputs"]["server_device"]
    for part, kind in (("system", SystemConfig), ("episode", EpisodeConfig)):
        config[part] = {name: value for name, value in config[part].items() if name in OF_0_1[kind]}
        assert len(config[part]) == len(OF_0_1[kind])
    results.write_text(json.dumps(document))
    assert main(call) == 0
    document["provenance"]["config"]["device"] = "cuda"
    results.write_text(json.dumps(document))
    capsys.readouterr()
    assert main(call) == 2
    assert "is of another run: device was cuda" in capsys.readouterr().err


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_on_a_full_disk_the_old_results_survive_and_the_run_goes_on(flags, tmp_path, monkeypatch, capsys):
    """Each kind of file in turn finds no room in the second seed, or at the end: always one line."""
    out = tmp_path / "out"
    call = ["train", *flags, "--no-bound", "--output", str(out)]
    assert main(call) == 0
    finished, write = contents(out), data.files.atomic.atomic_path
    for full in ("results.json", "learning_curve.png", "results.csv", "checkpoints/seed-1-", "mappo-1.",
                 "checkpoints/mappo-1-"):  # fmt: skip

        @contextmanager
        def without_room(path, full=full):
            limit = 100 if str(path.relative_to(out)).startswith(full) else 10**9
            with files_limited_to(limit), write(path) as temporary:
                yield temporary

        for path in out.glob("checkpoints/seed-1-*"):  # else that seed is done
            path.unlink()
        if full == "checkpoints/mappo-1-":  # else that training is done
            next(out.glob(f"{full}*")).unlink()
        before = contents(out)
        with monkeypatch.context() as patch:
            for module in (data.files.atomic, data.files.tensors, optimizer.study.plots):
                patch.setattr(module, "atomic_path", without_room)
            capsys.readouterr()
            assert main(call) == 2, full
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"optimize train: error: cannot write {out / full}")
        assert "File too large" in error
        after = contents(out)
        assert not [path for path in after if path.name.startswith(".")]
        changed = {path for path in after if after[path] != before.get(path)}
        assert not [path for path in changed if str(path.relative_to(out)).startswith(full)]
        assert after[out / "results.json"] == finished[out / "results.json"]
    assert main(call) == 0
    ours, theirs = json.loads((out / "results.json").read_text()), json.loads(finished[out / "results.json"])
    for name in ("policies", "learning_curves", "other_learning_curves"):
        assert ours[name] == theirs[name]


def test_pareto_keeps_to_its_own_folder(flags, tmp_path, capsys):
    assert "runs/pareto" in parser("pareto").format_help()
    assert "runs/pareto" not in parser("train").format_help()
    out = tmp_path / "out"
    call = ["pareto", *flags[:6], "--episodes", "1", "--test-episodes", "16", "--output", str(out), "--betas"]
    assert main([*call, "0,1"]) == 0
    assert main([*call, "0,1"]) == 0
    assert main([*call, "0,0.5"]) == 2
    assert "is of another run: betas was " in capsys.readouterr().err


def test_a_seed_that_is_damaged(flags, tmp_path):
    call = ["train", *flags[:-2], "--seeds", "1", "--no-bound", "--output", str(tmp_path / "out")]
    assert main(call) == 0
    (path,) = (tmp_path / "out" / "checkpoints").glob("seed-*")
    whole = path.read_bytes()
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}  # else they are the file
    with safe_open(path, framework="pt") as stored:
        head = json.loads(stored.metadata()["head"])
    learners = ("mappo", "dqn")
    expected = {"policies": [*learners, *POLICIES], "learners": learners, "episodes": 16, "bounded": False}
    assert set(SeedResult.load(path, **expected).scores) == {*learners, *POLICIES}

    def use() -> None:
        found = outcome(lambda: SeedResult.load(path, **expected), path)
        if found is not None:
            assert set(found.curves) == set(learners)
            for name, scores in found.scores.items():
                summarise([scores], None, sees=found.sees[name])

    @settings(max_examples=40)
    @given(content=damaged_bytes(whole))
    def bytes_damaged(content: bytes) -> None:
        path.write_bytes(content)
        use()

    @settings(max_examples=60)
    @given(text=damaged_documents(head))
    def head_damaged(text: str) -> None:
        save_file(tensors, path, metadata={"head": text})
        use()

    bytes_damaged()
    head_damaged()
    for name in ("local/qoe", "dqn/queue"):
        save_file({**tensors, name: tensors[name][:3].clone()}, path, metadata={"head": json.dumps(head)})
        assert outcome(lambda: SeedResult.load(path, **expected), path) is None

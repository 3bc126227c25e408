"""Locks: one holder at a time, none left by a kill -9, and every command that writes for long takes one."""

import logging
import threading
from pathlib import Path

import pytest
from support.holder import held_elsewhere

from accuracy_maps.command import main as build_accuracy_map
from data.files.errors import ToolkitError
from data.files.lock import LOCK_NAME, locked
from deepsc.command import main as train_deepsc
from optimizer.command import main as optimize


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "run" / LOCK_NAME
    with held_elsewhere(lock):
        message = r"run: another process writes there, and holds \.lock; wait"
        with pytest.raises(ToolkitError, match=message), locked(lock):
            pytest.fail("two hold it")
        assert lock.exists(), "the other's"
    assert lock.exists(), "kill -9 leaves the file, and no lock"
    with locked(lock):
        pass
    assert not list(lock.parent.iterdir())


def test_whoever_waits_takes_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lock = tmp_path / LOCK_NAME
    with held_elsewhere(lock) as other:
        threading.Timer(2.0, other.kill).start()
        with locked(lock, wait_s=60):
            assert other.wait() == -9
    assert "another process writes there; waiting up to 60 s" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(ToolkitError, match=r"output: cannot write .*file"),
        locked(tmp_path / "file" / LOCK_NAME),
    ):
        pass


FAMILY = ["--", "--dataset", "captions", "--caption-count", "60", "--preset", "tiny", "--k", "2"]


@pytest.mark.parametrize("command", ["train-deepsc", "sweep", "from scratch", "train", "figures", "pareto"])
def test_each_command_refuses_a_folder_that_another_process_writes(
    command: str, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, status 2, nothing written."""
    run, text = tmp_path / "run", ["--modality", "text", "--device", "cpu"]
    lock, output = run / LOCK_NAME, ["--output", str(run)]
    to_map = ["--output", str(run / "map.json"), "--limit", "16", "--snr-db", "0"]
    learn = ["--ues", "text:1", "--episodes", "1", *output]
    if command in ("sweep", "from scratch"):
        lock = run / ".map.json.lock"
    with held_elsewhere(lock):
        if command == "train-deepsc":
            status = train_deepsc([*text, *FAMILY[1:], *output])
        elif command == "sweep":
            trained = ["--codec", str(folders["codec"]), "--local", str(folders["local"])]
            status = build_accuracy_map([*text, *trained, *to_map])
        elif command == "from scratch":
            status = build_accuracy_map([*text, "--from-scratch", *to_map, *FAMILY])
        else:
            status = optimize([command, *learn])
        assert list(run.iterdir()) == [lock]
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert printed.err.count("\n") == 1
    assert f"{run}: another process writes there" in printed.err

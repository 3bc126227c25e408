"""Progress without a terminal: a line at the start, then one a minute; on a terminal the bar alone."""

import io
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from support.micro_codec import run_config, use_micro_preset

from data.terminal import progress
from data.terminal.progress import Progress, announced


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def work(seconds: list[float], *, quiet: bool = False) -> None:
    """7 steps of 25 s each, after 3 that were done before."""
    with Progress("training runs/codec", total=10, done=3, unit="step", quiet=quiet) as bar:
        for _ in range(7):
            seconds[0] += 25
            bar.update()
            bar.show(loss=1.0)


def test_without_a_terminal_the_log_tells(seconds: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    work(seconds)
    assert caplog.messages == [
        "training runs/codec: 7 of 10 steps to do",
        "training runs/codec: 60 % done, about 2 min left",
        "training runs/codec: 90 % done, about 25 s left",
    ]
    caplog.clear()
    work(seconds, quiet=True)
    assert not caplog.messages


def test_on_a_terminal_the_bar_tells(
    seconds: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    work(seconds)
    assert not caplog.messages
    assert "training runs/codec: 100%" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()


def test_work_of_unknown_length_is_said_only_if_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with announced("reading the corpus"):
        pass
    assert not caplog.messages
    monkeypatch.setattr(progress, "SILENT_S", 0.01)

    @announced("reading the corpus")
    def read() -> None:
        while not caplog.messages:
            time.sleep(0.01)

    read()
    assert caplog.messages == ["reading the corpus ..."]
    assert 0 < progress.SILENT_S <= 2


def test_trainings_and_sweeps_tell(
    folders: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from accuracy_maps.command import main
    from deepsc.train.run import train_codec

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    use_micro_preset(monkeypatch)
    train_codec(run_config(tmp_path / "run", training={"epochs": 1}))
    flags: list[Any] = [
        "--modality",
        "text",
        "--device",
        "cpu",
        "--limit",
        "16",
        "--snr-db",
        "0",
        "--k",
        "2,4",
    ]
    models = ["--codec", str(folders["codec"]), "--local", str(folders["local"])]
    assert main([*flags, *models, "--output", str(tmp_path / "map.json")]) == 0
    for what, unit in (
        (f"training {tmp_path / 'run'}", "step"),
        (f"sweep of {tmp_path / 'map.json'}", "cell"),
    ):
        told = [line for line in caplog.messages if line.startswith(f"{what}: ")]
        assert told[0].endswith(f" {unit}s to do")
        assert told[-1] == f"{what}: 100 % done, about 0 s left"

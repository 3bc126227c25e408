"""The warning of a busy machine."""

import logging
import time
from collections.abc import Iterator

import pytest
import torch

from deepsc.train import pace


def look(
    monkeypatch: pytest.MonkeyPatch, *, waits: list[float | None], threads: int = 2, after: float = 30
) -> None:
    """Look once, `after` seconds from the start, between which threads waited as the two `waits` say."""
    clock, waited = iter((0.0, after)), iter(waits)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(pace, "waited_s", lambda: next(waited))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    pace.Pace().look()


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, logger="deepsc"):
        yield


def test_threads_that_wait_are_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look(monkeypatch, waits=[5.0, 35.0])
    assert "2 threads waited 50 % of their time" in caplog.text
    assert "OMP_NUM_THREADS=1" in caplog.text


@pytest.mark.parametrize(
    ("waits", "threads", "after"),
    [
        ([5.0, 6.0], 2, 30.0),  # a quiet machine
        ([5.0, 35.0], 1, 30.0),  # nothing to be done about it
        ([5.0, 15.0], 2, 10.0),  # too soon to tell
        ([None, None], 2, 30.0),  # no such kernel
    ],
)
def test_else_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    waits: list[float | None],
    threads: int,
    after: float,
) -> None:
    look(monkeypatch, waits=waits, threads=threads, after=after)
    assert not caplog.records


def test_a_machine_that_gets_busy_later_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, waited = iter((0.0, 30.0, 60.0, 90.0)), iter((0.0, 1.0, 31.0))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(pace, "waited_s", lambda: next(waited))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    one = pace.Pace()
    one.look()
    assert not caplog.records
    one.look()
    assert "2 threads waited 50 %" in caplog.text
    one.look()
    assert len(caplog.records) == 1


def test_the_kernel_says_how_long_threads_waited() -> None:
    before = pace.waited_s()
    if before is None:
        pytest.skip("no /proc/self/task/*/schedstat here")
    sum(range(10**6))
    after = pace.waited_s()
    assert after is not None
    assert after >= before >= 0

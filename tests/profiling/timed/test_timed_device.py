"""A device file of a timing: what is measured, what is given and what is assumed, each tagged."""

from pathlib import Path

import pytest

from data.files.errors import ToolkitError
from profiling import DeviceFile, Flops
from profiling.command import main
from profiling.timed import device, energy, latency
from profiling.timed.device import DeviceConfig, device_file
from profiling.timed.latency import Latency, LatencyConfig, Timing


def timing(flops: int, seconds: float, **fields: float) -> Timing:
    measured = {"energy_j": None, "clock_hz": None} | fields
    return Timing(
        part="encoder",
        flops=Flops(flops),
        median_s=seconds,
        low_s=seconds,
        high_s=seconds,
        runs=3,
        **measured,
    )


def timed(*timings: Timing, idle_w: float | None = None) -> Latency:
    meter = "RAPL" if idle_w is not None else None
    alpha = energy.energy_coefficient([])
    return Latency(
        config=LatencyConfig(), threads=2, device="toy CPU", meter=meter, timings=timings, alpha=alpha,
        idle_w=idle_w,
    )  # fmt: skip


def test_what_the_caller_gives_is_tagged_so() -> None:
    """6 GFLOP in 3 s at a given 1 GHz are 2 FLOP a cycle."""
    given = DeviceConfig(
        path="x", clock_max_hz=1e9, clock_min_hz=5e8, active_power_w=4.0, active_power_min_w=0.6,
        static_power_w=0.5,
    )  # fmt: skip
    found = device_file(timed(timing(2 * 10**9, 1.0), timing(4 * 10**9, 2.0)), given, {"seed": None})
    assert (found.name, found.role, found.capacity) == ("toy CPU", "ue", "effective")
    assert found.flops_per_cycle.value == pytest.approx(2.0)
    assert found.flops_per_cycle.basis == "measured"
    assert found.energy_coefficient == pytest.approx(4e-27)
    for name in ("clock_min_hz", "clock_max_hz", "active_power_w", "active_power_min_w", "static_power_w"):
        assert getattr(found, name).basis == "given"
    assert (found.number("transmit_min_dbm"), found.number("transmit_max_dbm")) == (18.0, 24.0)
    assert found.transmit_max_dbm is not None
    assert found.transmit_max_dbm.basis == "assumed"
    assert len(found.provenance["timings"]) == 2


def test_a_meter_says_clock_and_powers() -> None:
    """12 J in 3 s are 4 W, 1 W of it static; at twice the clock alpha f^3 makes 24 W of the other 3."""
    points = (
        timing(2 * 10**9, 1.0, energy_j=4.0, clock_hz=1e9),
        timing(4 * 10**9, 2.0, energy_j=8.0, clock_hz=1e9),
    )
    found = device_file(timed(*points, idle_w=1.0), DeviceConfig(path="x"), {})
    assert found.number("clock_max_hz") == 1e9
    assert found.number("static_power_w") == 1.0
    assert found.active_power_w.value == pytest.approx(3.0)
    assert found.active_power_w.basis == found.clock_max_hz.basis == "measured"
    faster = device_file(timed(*points, idle_w=1.0), DeviceConfig(path="x", clock_max_hz=2e9), {})
    assert faster.active_power_w.value == pytest.approx(24.0)
    assert faster.energy_coefficient == pytest.approx(found.energy_coefficient)
    assert faster.flops_per_cycle.value == pytest.approx(2.0), "at the clock of the timing"


def test_a_server_has_no_radio() -> None:
    given = DeviceConfig(path="x", role="server", clock_max_hz=1e9, active_power_w=40.0)
    found = device_file(timed(timing(10**9, 1.0)), given, {})
    assert found.static_power_w is found.transmit_max_dbm is None


def test_ranges_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(
        ToolkitError, match=r"clock_min_hz: 2e\+09 given, at most clock_max_hz 1e\+09 is allowed"
    ):
        DeviceConfig(path="x", clock_min_hz=2e9, clock_max_hz=1e9)


CODEC = ["--modality", "text", "--preset", "tiny", "--k", "4", "--source-length", "3", "--target-length", "2"]
GIVEN = ["--clock-max-hz", "1e9", "--active-power-w", "3", "--static-power-w", "1"]


@pytest.fixture
def without_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (latency, device):
        monkeypatch.setattr(module, "find_meter", lambda name: None)


@pytest.mark.usefixtures("without_meter")
def test_the_command_writes_one(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    call = [*CODEC, "--output", str(tmp_path / "flops.json"), "--latency", "--device-file", str(path), *GIVEN]
    assert main(call) == 0
    found = DeviceFile.load(path, role="ue")
    timings = found.provenance["timings"]
    rate = sum(one["flops"]["count"] for one in timings) / sum(one["median_s"] for one in timings)
    assert found.flops_per_cycle.value == pytest.approx(rate / 1e9)
    assert found.provenance["config"]["preset"] == "tiny"
    assert main(call) == 0, "an earlier call's is written anew"


@pytest.mark.usefixtures("without_meter")
@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (
            ["--latency", "--device-file", "x.json"],
            "--clock-max-hz, --active-power-w, --static-power-w: none given",
        ),
        (["--device-file", "x.json", *GIVEN], "--device-file: given, profile-flops --latency is needed"),
        (["--latency", *GIVEN], "--device-file: none given, one is needed"),
        (
            ["--latency", "--device-file", "notes.txt", *GIVEN],
            "notes.txt is there, and not made by profile-flops",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_is_timed(
    flags: list[str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*CODEC, "--output", "flops.json", *flags]) == 2
    assert error in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

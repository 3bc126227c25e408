"""Timing, energy meters and the coefficient alpha. No test depends on how long anything takes."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from data.files.errors import ToolkitError
from deepsc.text.config import TextCodecConfig
from profiling import Flops, report
from profiling.counted.copies import Workload
from profiling.profile import profile_codec, time_codec
from profiling.timed import latency
from profiling.timed.energy import (
    ASSUMED_ALPHA,
    EnergyPoint,
    NvmlMeter,
    RaplMeter,
    energy_coefficient,
    find_meter,
)
from profiling.timed.latency import LatencyConfig, time_workloads

BRIEF = LatencyConfig(threads=1, batch=2, min_run_s=0.01, flops_per_cycle=10.0, clock_hz=100.0)


class FakeMeter:
    """1 J a reading."""

    name = "fake"

    def __init__(self) -> None:
        self.readings = 0

    def read_j(self) -> float:
        self.readings += 1
        return float(self.readings)

    def clock_hz(self) -> float:
        return 2e9


def run() -> dict[str, Workload]:
    return {"layer": Workload(module=nn.Linear(4, 4), inputs=(torch.zeros(2, 4),))}


def test_every_part_of_a_codec_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "find_meter", lambda device: None)
    profile = profile_codec(
        TextCodecConfig.from_preset("tiny", k=(4,)), k=4, source_length=3, target_length=2
    )
    timed = time_codec(profile, BRIEF)
    assert timed.latency is not None
    assert [timing.part for timing in timed.latency.timings] == [part.name for part in profile.parts]
    for timing, part in zip(timed.latency.timings, profile.parts, strict=True):
        assert timing.flops == 2 * part.corrected  # of the batch
        assert 0 < timing.low_s <= timing.median_s <= timing.high_s
        assert timing.flops_per_s == timing.flops.count / timing.median_s
        assert timing.energy_j is None
        assert timing.runs >= 1
    assert timed.latency.threads == 1
    text = "\n".join(report.notes(timed))
    assert "no meter" in text
    assert "assumed, not measured" in text
    fields = report.flops_file(timed, {}).breakdown["latency"]
    assert fields["meter"] is None
    assert [part["part"] for part in fields["parts"]] == [part.name for part in profile.parts]
    table = report.tables(timed)[-1]
    assert "n f = 0.00 GFLOP/s" in table.title
    rows = {row[0]: row for row in table.rows}
    local = [timed.latency.timings[i] for i in (2, 3)]  # eq. (3)'s c is of the task without the JSC codec
    rate = sum(timing.flops.count for timing in local) / sum(timing.median_s for timing in local)
    assert float(rows["local task"][3]) == pytest.approx(rate / 1e9, abs=1e-3)
    assert rows.keys() >= {"UE's share", "server's share", "channel codec"}


def test_energy_is_of_one_run_and_gives_alpha(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "find_meter", lambda device: FakeMeter())
    monkeypatch.setattr(latency, "_ENERGY_S", 0.001)
    timed = time_workloads(run(), {"layer": Flops(32)}, BRIEF)
    (timing,) = timed.timings
    repetitions = -(-0.001 // timing.median_s)  # rounded up
    assert timing.energy_j == pytest.approx(1 / max(1, repetitions))
    assert timed.meter == "fake"
    assert timed.alpha.source == "measured, 1 points at 2000 to 2000 MHz"
    assert timed.alpha.alpha == pytest.approx(timing.energy_j / (timing.median_s * 2e9**3))


def test_lower_precision_runs_under_autocast() -> None:
    seen = []

    class Look(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            seen.append(y.dtype)
            return y

    config = LatencyConfig(dtype="bfloat16", min_run_s=0.001)
    time_workloads(
        {"look": Workload(module=Look(4, 4), inputs=(torch.zeros(1, 4),))}, {"look": Flops(1)}, config
    )
    assert set(seen) == {torch.bfloat16}


def test_bad_settings_are_listed_all_at_once() -> None:
    with pytest.raises(ToolkitError, match=r"dtype: 'int8'.*batch: 0.*clock_hz: -1"):
        LatencyConfig(dtype="int8", batch=0, clock_hz=-1)
    with pytest.raises(ToolkitError, match=r"device: 'meat' given"):
        time_workloads(run(), {"layer": Flops(1)}, LatencyConfig(device="meat"))


def rapl(root: Path, *, energy: int) -> None:
    for zone, value in (("intel-rapl:0", energy), ("intel-rapl:0:0", 10**6), ("intel-rapl:1", 2 * energy)):
        folder = root / zone
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "energy_uj").write_text(f"{value}\n")
        (folder / "max_energy_range_uj").write_text("999999\n")


def test_rapl_adds_packages_alone_and_knows_a_wrapped_counter(tmp_path: Path) -> None:
    rapl(tmp_path, energy=400_000)
    meter = RaplMeter(tmp_path, tmp_path)
    assert meter.clock_hz() is None
    rapl(tmp_path, energy=450_000)
    assert meter.read_j() == pytest.approx(0.15)
    rapl(tmp_path, energy=10_000)  # both counters wrap at 1 J
    assert meter.read_j() == pytest.approx(0.15 + 0.56 + 0.12)
    clock = tmp_path / "cpu0" / "cpufreq"
    clock.mkdir(parents=True)
    (clock / "scaling_cur_freq").write_text("2500000\n")
    assert meter.clock_hz() == 2.5e9


def test_without_a_meter_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no RAPL zone"):
        RaplMeter(tmp_path, tmp_path)
    if not torch.cuda.is_available():
        assert find_meter("cuda") is None


def test_nvml_reads_millijoules_and_megahertz() -> None:
    nvml = SimpleNamespace(
        NVML_CLOCK_SM=1,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: f"gpu{index}",
        nvmlDeviceGetTotalEnergyConsumption=lambda gpu: 2500,
        nvmlDeviceGetClockInfo=lambda gpu, clock: 1410,
    )
    meter = NvmlMeter(1, nvml)
    assert (meter.read_j(), meter.clock_hz()) == (2.5, 1.41e9)


def test_alpha_is_fitted_or_assumed() -> None:
    points = [
        EnergyPoint(latency_s=t, clock_hz=f, energy_j=3e-27 * t * f**3) for t, f in ((1.0, 1e9), (0.4, 2e9))
    ]
    fitted = energy_coefficient(points)
    assert fitted.alpha == pytest.approx(3e-27)
    assert fitted.source == "measured, 2 points at 1000 to 2000 MHz"
    assumed = energy_coefficient([])
    assert assumed.alpha == ASSUMED_ALPHA
    assert assumed.source.startswith("assumed")


def test_the_assumed_alpha_is_the_optimizers() -> None:
    from optimizer.world.config import SystemConfig

    assert SystemConfig().local_energy_coefficient == ASSUMED_ALPHA
    assert pytest.approx(10, abs=0.01) == ASSUMED_ALPHA * 1.28e9**3

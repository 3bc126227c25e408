"""Energy from the machine's own meter where it has one, and the coefficient alpha of E = alpha t f^3.

Nothing is estimated from a data sheet: without a meter there is no energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ASSUMED_ALPHA = 4.77e-27
"""W/Hz^3, the optimizer's `local_energy_coefficient`: 10 W at Table I's 1.28 GHz."""
_RAPL = Path("/sys/class/powercap")
_CPUFREQ = Path("/sys/devices/system/cpu")


class Meter(Protocol):
    """Counts energy and knows the clock."""

    name: str

    def read_j(self) -> float:
        """Energy since some moment in the past, in J."""

    def clock_hz(self) -> float | None:
        """Current clock, None where the machine does not say."""


class RaplMeter:
    """Intel's and AMD's running average power limit: energy of all CPU packages, idle draw included.

    Args:
        root: where the kernel keeps the zones.
        cpufreq: where it keeps the clocks.
    """

    def __init__(self, root: Path = _RAPL, cpufreq: Path = _CPUFREQ) -> None:
        self.name = "RAPL"
        self._cpufreq = cpufreq
        # intel-rapl:0 is a package, intel-rapl:0:0 a part of it that would count twice.
        self._zones = sorted(zone for zone in root.glob("intel-rapl:*") if zone.name.count(":") == 1)
        self._last = [self._read(zone) for zone in self._zones]
        if not self._zones:
            raise OSError(f"no RAPL zone in {root}")
        self._ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
        self._total_uj = 0

    def read_j(self) -> float:
        """Energy since the meter was made; a counter that has wrapped around is put right."""
        for i, zone in enumerate(self._zones):
            now = self._read(zone)
            self._total_uj += (now - self._last[i]) % (self._ranges[i] + 1)
            self._last[i] = now
        return self._total_uj / 1e6

    def clock_hz(self) -> float | None:
        """Mean over the CPUs."""
        clocks = [int(file.read_text()) for file in self._cpufreq.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
        return 1e3 * sum(clocks) / len(clocks) if clocks else None

    @staticmethod
    def _read(zone: Path) -> int:
        return int((zone / "energy_uj").read_text())


class NvmlMeter:
    """NVIDIA's management library: energy of a whole GPU, idle draw included.

    Args:
        index: which GPU.
        nvml: the library, `pynvml`.
    """

    def __init__(self, index: int, nvml: Any) -> None:
        nvml.nvmlInit()
        self.name = "NVML"
        self._nvml = nvml
        self._gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        self.read_j()

    def read_j(self) -> float:
        """Energy since the driver was loaded."""
        return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu) / 1e3

    def clock_hz(self) -> float | None:
        """Clock of the streaming multiprocessors."""
        return 1e6 * self._nvml.nvmlDeviceGetClockInfo(self._gpu, self._nvml.NVML_CLOCK_SM)


def find_meter(device: str) -> Meter | None:
    """The meter of "cpu", "cuda" or "cuda:1"; None where there is none or it may not be read."""
    if device.startswith("cuda"):
        try:
            import pynvml
        except ImportError:
            return None
        try:
            return NvmlMeter(int(device.partition(":")[2] or 0), pynvml)
        except pynvml.NVMLError:
            return None
    try:
        return RaplMeter()
    except OSError:  # no such interface, or root's alone
        return None


@dataclass(frozen=True, kw_only=True)
class EnergyPoint:
    """One measured execution."""

    latency_s: float
    clock_hz: float
    energy_j: float


@dataclass(frozen=True, kw_only=True)
class EnergyCoefficient:
    """alpha of section II-D's E = alpha t f^3."""

    alpha: float
    """W/Hz^3."""
    source: str
    """"measured" with its points, or "assumed" with its reason."""


def energy_coefficient(points: Sequence[EnergyPoint]) -> EnergyCoefficient:
    """Least squares through the origin where there are points, else the optimizer's value, tagged so."""
    if not points:
        return EnergyCoefficient(
            alpha=ASSUMED_ALPHA, source="assumed, not measured: 10 W at 1.28 GHz as in the optimizer"
        )
    x = [point.latency_s * point.clock_hz**3 for point in points]
    y = [point.energy_j for point in points]
    alpha = sum(a * b for a, b in zip(x, y, strict=True)) / sum(a * a for a in x)
    clocks = sorted({round(point.clock_hz / 1e6) for point in points})
    return EnergyCoefficient(
        alpha=alpha, source=f"measured, {len(points)} points at {clocks[0]} to {clocks[-1]} MHz"
    )

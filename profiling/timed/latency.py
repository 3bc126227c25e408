"""How long each part takes on this device, and so the effective capacity c of eq. (3)."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from data.device import resolve_device
from data.settings import Flag, Range, Settings
from profiling.timed.energy import EnergyCoefficient, EnergyPoint, Meter, energy_coefficient, find_meter
from profiling.units import Flops

if TYPE_CHECKING:
    import torch

    from profiling.counted.copies import Workload

_ENERGY_S = 1.0
"""How long a part runs between two readings of a meter: many of its updates."""


@dataclass(frozen=True, kw_only=True)
class LatencyConfig(Settings):
    """How parts are timed."""

    device: Annotated[str, Flag(metavar="DEVICE", help="cpu, cuda, cuda:1")] = "cpu"
    threads: Annotated[int | None, Range(1), Flag(metavar="N", help="CPU threads (torch's choice)")] = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products; bfloat16 runs under autocast, weights in float32."""
    batch: Annotated[int, Range(1), Flag(metavar="B")] = 1
    """Tasks at once."""
    min_run_s: Annotated[float, Range(above=0)] = 0.5
    """A part is repeated for at least this long."""
    flops_per_cycle: Annotated[float, Range(above=0), Flag(metavar="N")] = 1024.0
    """n of eq. (3) to compare with; Table I's UE."""
    clock_hz: Annotated[float, Range(above=0), Flag(metavar="F")] = 1.28e9
    """f of eq. (3) to compare with; Table I's UE."""

    @property
    def theoretical_flops_per_s(self) -> float:
        """c = n f of eq. (3)."""
        return self.flops_per_cycle * self.clock_hz


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One part, timed."""

    part: str
    flops: Flops
    """Corrected count of all tasks of the batch."""
    median_s: float
    """Median over the runs, of the whole batch."""
    low_s: float
    """First quartile."""
    high_s: float
    """Third quartile."""
    runs: int
    energy_j: float | None
    """Of the whole batch, by `meter`; None without one."""
    clock_hz: float | None
    """While it ran; None where the machine does not say."""

    @property
    def flops_per_s(self) -> float:
        """Effective c of eq. (3)."""
        return self.flops.count / self.median_s


@dataclass(frozen=True, kw_only=True)
class Latency:
    """All parts timed on one device."""

    config: LatencyConfig
    threads: int
    device: str
    """What torch or the operating system calls it."""
    meter: str | None
    """Name of the energy meter."""
    timings: tuple[Timing, ...]
    alpha: EnergyCoefficient
    idle_w: float | None = None
    """Power by the meter over a second without work; None without one."""


def time_workloads(
    workloads: Mapping[str, Workload], flops: Mapping[str, Flops], config: LatencyConfig
) -> Latency:
    """Time modules with torch.utils.benchmark.

    Args:
        workloads: by part, on the config's device, for its batch.
        flops: corrected count of one task, by part.
        config: how to time.
    """
    import torch
    from torch.utils.benchmark import Timer

    device = torch.device(resolve_device(config.device))
    threads = config.threads or torch.get_num_threads()
    meter = find_meter(config.device)
    timings = []
    for name, workload in workloads.items():
        run = _runner(workload, device, config.dtype)
        run()  # first-time allocations and kernel choice are no part of a task
        timer = Timer(stmt="run()", globals={"run": run}, num_threads=threads)
        times = timer.blocked_autorange(min_run_time=config.min_run_s).times
        low, median, high = statistics.quantiles(times, n=4) if len(times) > 1 else 3 * times
        energy_j, clock_hz = _energy(run, meter, median) if meter else (None, None)
        timings.append(
            Timing(
                part=name,
                flops=config.batch * flops[name],
                median_s=median,
                low_s=low,
                high_s=high,
                runs=len(times),
                energy_j=energy_j,
                clock_hz=clock_hz,
            )
        )
    return Latency(
        config=config,
        threads=threads,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        meter=meter.name if meter else None,
        timings=tuple(timings),
        alpha=energy_coefficient(_points(timings)),
        idle_w=_idle_w(meter) if meter else None,
    )


def _runner(workload: Workload, device: torch.device, dtype: str) -> Callable[[], Any]:
    import torch

    lower = dtype != "float32"

    def run() -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=lower):
            workload.run()

    return run


def _energy(run: Callable[[], Any], meter: Meter, median_s: float) -> tuple[float, float | None]:
    repetitions = max(1, math.ceil(_ENERGY_S / median_s))
    before = meter.read_j()
    for _ in range(repetitions):
        run()
    clock_hz = meter.clock_hz()
    return (meter.read_j() - before) / repetitions, clock_hz


def _idle_w(meter: Meter) -> float:
    before, started = meter.read_j(), time.perf_counter()
    time.sleep(_ENERGY_S)
    return (meter.read_j() - before) / (time.perf_counter() - started)


def _points(timings: Sequence[Timing]) -> list[EnergyPoint]:
    return [
        EnergyPoint(latency_s=timing.median_s, clock_hz=timing.clock_hz, energy_j=timing.energy_j)
        for timing in timings
        if timing.clock_hz and timing.energy_j
    ]


def _cpu_name() -> str:
    import platform
    from pathlib import Path

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

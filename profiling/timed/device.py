"""From a timing to a device file: what the parts' seconds say of the processor, and what the caller adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from data.files.errors import ToolkitError
from data.settings import Flag, Problem, Range, Settings, named
from profiling.device_file import ROLES, DeviceFile, Quantity
from profiling.timed.energy import find_meter
from profiling.timed.latency import Latency, LatencyConfig

_Hz = Annotated[float | None, Range(1, 1e12), Flag(metavar="HZ")]
_TABLE_I_DBM = (18.0, 24.0)


@dataclass(frozen=True, kw_only=True)
class DeviceConfig(Settings):
    """A device file to write, and what a timing does not tell of the device."""

    path: Annotated[str, Flag("--device-file", metavar="FILE")]
    """Write what was timed as a device file, for optimize --ue-device or --server-device."""
    name: Annotated[str | None, Flag("--device-name", metavar="TEXT")] = None
    """What the device is called (as the operating system calls its processor)."""
    role: Annotated[str, Range(choices=ROLES), Flag("--device-role")] = "ue"
    """Whether it is a UE or the server."""
    clock_max_hz: _Hz = None
    """Its largest clock (the clock while it was timed, where the machine says it)."""
    clock_min_hz: _Hz = None
    """Its smallest clock (the largest)."""
    active_power_w: Annotated[float | None, Range(1e-9, 1e6), Flag(metavar="W")] = None
    """Power of computing at the largest clock, static power aside (as the meter says, where there is one)."""
    active_power_min_w: Annotated[float | None, Range(1e-9, 1e6), Flag(metavar="W")] = None
    """Power of computing at the smallest clock, static power aside. The optimizer does not read it; it shows
    how well alpha f^3 fits."""
    static_power_w: Annotated[float | None, Range(0, 1e6), Flag(metavar="W")] = None
    """Power that is drawn whether it computes or not (as the meter says of a second without work)."""
    transmit_min_dbm: Annotated[float | None, Range(-100, 100), Flag(metavar="DBM")] = None
    """Smallest transmit power (Table I's 18)."""
    transmit_max_dbm: Annotated[float | None, Range(-100, 100), Flag(metavar="DBM")] = None
    """Largest transmit power (Table I's 24)."""

    def problems(self) -> Iterator[Problem]:
        """Ends of a range that are the wrong way round."""
        for low, high in (("clock_min_hz", "clock_max_hz"), ("transmit_min_dbm", "transmit_max_dbm")):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                yield Problem(low, f"{least:g} given, at most {named(high)} {most:g} is allowed")


def require_known(config: DeviceConfig, latency: LatencyConfig) -> None:
    """Check, before anything is timed, that a device file can be written.

    Raises:
        ToolkitError: if nobody says the clock or a power.
    """
    meter = find_meter(latency.device)
    missing = [
        name
        for name, told in (
            ("clock_max_hz", meter is not None and meter.clock_hz() is not None),
            ("active_power_w", meter is not None),
            *([("static_power_w", meter is not None)] if config.role == "ue" else []),
        )
        if getattr(config, name) is None and not told
    ]
    if missing:
        raise ToolkitError(
            f"{', '.join(map(named, missing))}: none given, and no meter of this machine says it; needed for "
            f"{named('device_file.path')}"
        )


def device_file(latency: Latency, config: DeviceConfig, provenance: dict[str, Any]) -> DeviceFile:
    """The device that was timed.

    n of eq. (3) is effective: FLOPs of all parts over their median seconds and the clock.

    Args:
        latency: of all parts.
        config: what the timing does not tell.
        provenance: of the run; the timings are added.

    Raises:
        ToolkitError: if nobody says the clock or a power, or a number is out of range.
    """
    seconds = sum(timing.median_s for timing in latency.timings)
    flops = sum(timing.flops.count for timing in latency.timings)
    timed_hz = _timed_clock_hz(latency)
    clock_max = _chosen(config.clock_max_hz, timed_hz, "clock_max_hz", "clock while the parts ran")
    clock_hz = timed_hz or clock_max.value
    how = (
        f"{len(latency.timings)} parts on {latency.device}, {latency.threads} threads, {latency.config.dtype}"
    )
    static, active = _powers(latency, config, seconds)
    if active.basis == "measured" and clock_max.value != clock_hz:
        scaled = active.value * (clock_max.value / clock_hz) ** 3
        source = f"{active.source}, times (f_max / {clock_hz:g} Hz)^3"
        active = Quantity(value=scaled, basis="measured", source=source)
    ue = config.role == "ue"
    transmit = [
        _chosen(value, usual, name, "Table I of the paper", basis="assumed")
        for name, value, usual in (
            ("transmit_min_dbm", config.transmit_min_dbm, _TABLE_I_DBM[0]),
            ("transmit_max_dbm", config.transmit_max_dbm, _TABLE_I_DBM[1]),
        )
    ]
    return DeviceFile(
        name=config.name or latency.device,
        role=config.role,
        capacity="effective",
        flops_per_cycle=Quantity(
            value=flops / seconds / clock_hz,
            basis="measured",
            source=f"profile-flops: {how}; {flops:g} FLOP in {seconds:g} s at {clock_hz:g} Hz",
        ),
        clock_min_hz=_chosen(
            config.clock_min_hz, clock_max.value, "clock_min_hz", "no smaller clock given", basis="assumed"
        ),
        clock_max_hz=clock_max,
        active_power_w=active,
        active_power_min_w=_quantity(config.active_power_min_w, "active_power_min_w"),
        static_power_w=static,
        transmit_min_dbm=transmit[0] if ue else None,
        transmit_max_dbm=transmit[1] if ue else None,
        provenance=provenance | {"timings": [asdict(timing) for timing in latency.timings]},
    )


def _timed_clock_hz(latency: Latency) -> float | None:
    """Clock while the parts ran, weighted by their time; None where the machine does not say."""
    clocks = [(timing.clock_hz, timing.median_s) for timing in latency.timings if timing.clock_hz]
    seconds = sum(second for _, second in clocks)
    return sum(clock * second for clock, second in clocks) / seconds if clocks else None


def _powers(latency: Latency, config: DeviceConfig, seconds: float) -> tuple[Quantity | None, Quantity]:
    """Static power, None where a server has none, and active power at the clock of the timing or given."""
    static: Quantity | None = None
    if config.static_power_w is not None or latency.idle_w is not None or config.role == "ue":
        static = _chosen(
            config.static_power_w, latency.idle_w, "static_power_w", f"{latency.meter}, without work"
        )
    energies = [timing.energy_j for timing in latency.timings if timing.energy_j is not None]
    metered_w = None
    if len(energies) == len(latency.timings):
        metered_w = max(sum(energies) / seconds - (static.value if static else 0.0), 1e-9)
    active = _chosen(
        config.active_power_w,
        metered_w,
        "active_power_w",
        f"{latency.meter} while the parts ran, less static",
    )
    return static, active


def _chosen(
    given: float | None, else_: float | None, name: str, source: str, *, basis: str = "measured"
) -> Quantity:
    """What the caller gives, else what is known without."""
    if (quantity := _quantity(given, name)) is not None:
        return quantity
    if else_ is None:
        raise ToolkitError(f"{named(f'device_file.{name}')}: none given, and no meter says it; one is needed")
    return Quantity(value=else_, basis=basis, source=source)


def _quantity(value: float | None, name: str) -> Quantity | None:
    """What the caller gives, if anything."""
    if value is None:
        return None
    return Quantity(value=value, basis="given", source=f"profile-flops {named(f'device_file.{name}')}")

"""The device file: what a UE or a server computes and sends with, each number with its source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from data.files.documents import read_document, write_json
from data.files.errors import ToolkitError, parsing
from data.files.schema import from_json

KIND = "device"
SCHEMA_VERSION = 1
UNITS = {
    "flops_per_cycle": "FLOP (1 multiply-add = 2 FLOP) a clock cycle", "clock": "Hz", "power": "W",
    "transmit": "dBm",
}  # fmt: skip
ROLES = ("ue", "server")
CAPACITIES = ("peak", "effective")
BASES = ("measured", "data sheet", "publication", "given", "assumed")
_OF_A_UE = ("clock_min_hz", "static_power_w", "transmit_min_dbm", "transmit_max_dbm")
"""Numbers that the optimizer needs of a UE and not of a server."""
_RANGES = {
    "flops_per_cycle": (1e-9, 1e9), "clock_min_hz": (1.0, 1e12), "clock_max_hz": (1.0, 1e12),
    "active_power_w": (1e-9, 1e6), "active_power_min_w": (1e-9, 1e6), "static_power_w": (0.0, 1e6),
    "transmit_min_dbm": (-100.0, 100.0), "transmit_max_dbm": (-100.0, 100.0),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number and what it rests on.

    Raises:
        ToolkitError: from the constructor, if the basis is none of BASES or there is no source.
    """

    value: float
    basis: str
    """One of BASES: "measured" on such a device by whom `source` names; "given" by the caller, who knows."""
    source: str
    """Where it can be read, or why it is assumed."""

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise ToolkitError(f"device file: basis {self.basis!r} given, allowed: {', '.join(BASES)}")
        if not self.source.strip():
            raise ToolkitError("device file: a number has no source, one is needed")


@dataclass(frozen=True, kw_only=True)
class DeviceFile:
    """A UE's or a server's processor, power and radio.

    Raises:
        ToolkitError: from the constructor, if a number is missing or out of its range.
    """

    name: str
    role: str
    """One of ROLES."""
    capacity: str
    """What `flops_per_cycle` is, one of CAPACITIES: "peak", of a data sheet; "effective", of a real model."""
    flops_per_cycle: Quantity
    """n of eq. (3), of a server n^rc of eq. (5)."""
    clock_min_hz: Quantity | None = None
    """Smallest clock f; a UE's alone."""
    clock_max_hz: Quantity
    """f_max of (11e), of a server f^rc."""
    active_power_w: Quantity
    """Power of computing at f_max, without the static part: alpha f_max^3 of eq. (8)."""
    active_power_min_w: Quantity | None = None
    """The same at the smallest clock. The optimizer does not read it; it shows how well alpha f^3 holds."""
    static_power_w: Quantity | None = None
    """p^c of eq. (8), drawn as long as a task takes, wherever it runs; a UE's alone."""
    transmit_min_dbm: Quantity | None = None
    """Smallest transmit power p; a UE's alone."""
    transmit_max_dbm: Quantity | None = None
    """p_max of (11d); a UE's alone."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if problem := next(self._problems(), None):
            raise ToolkitError(f"device file: {problem}")

    def _problems(self) -> Iterator[str]:
        for name, allowed in (("role", ROLES), ("capacity", CAPACITIES)):
            if getattr(self, name) not in allowed:
                yield f"{name} {getattr(self, name)!r} given, allowed: {', '.join(allowed)}"
        if not self.name.strip():
            yield "no name given, one is needed"
        for name, (low, high) in _RANGES.items():
            quantity: Quantity | None = getattr(self, name)
            if quantity is None:
                if self.role == "ue" and name in _OF_A_UE:
                    yield f"no {name} given, a UE needs one"
            elif not low <= quantity.value <= high:
                yield f"{name} {quantity.value:g} given, {low:g} to {high:g} is allowed"
        for first, last in (("clock_min_hz", "clock_max_hz"), ("transmit_min_dbm", "transmit_max_dbm")):
            least, most = getattr(self, first), getattr(self, last)
            if least is not None and most is not None and least.value > most.value:
                yield f"{first} {least.value:g} given, at most {last} {most.value:g} is allowed"

    @property
    def energy_coefficient(self) -> float:
        """alpha of eq. (8) in W/Hz^3: the active power at f_max over f_max^3."""
        return self.active_power_w.value / self.clock_max_hz.value**3

    def number(self, name: str) -> float:
        """The value of a quantity that the role has.

        Raises:
            ToolkitError: if the device has none.
        """
        quantity: Quantity | None = getattr(self, name)
        if quantity is None:
            raise ToolkitError(f"{self.name}: no {name} in the device file, one is needed")
        return quantity.value

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file as JSON, atomically."""
        write_json(path, {"kind": KIND, "schema_version": SCHEMA_VERSION, "units": UNITS, **asdict(self)})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, role: str | None = None) -> DeviceFile:
        """Read a device file.

        Args:
            path: of the file.
            role: that it must be of; None: any.

        Raises:
            ToolkitError: if it is missing, truncated, of another kind, schema, unit or role, or inconsistent.
        """
        document = read_document(path, kind=KIND, schema_version=SCHEMA_VERSION)
        with parsing(path):
            if document.pop("units", None) != UNITS:
                raise ToolkitError(f"units are not {UNITS}")
            del document["kind"], document["schema_version"]
            device = from_json(cls, document)
            if role is not None and device.role != role:
                raise ToolkitError(f"role is {device.role!r}, {role!r} is allowed here")
            return device

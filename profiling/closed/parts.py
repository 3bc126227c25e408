"""The parts of a split codec, where each runs, and what a task costs locally, at the UE and at the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from profiling.closed.layers import ModuleMacs
from profiling.units import Flops, Macs


class Place(StrEnum):
    """Who runs a part of an offloaded task."""

    UE = "UE"
    SERVER = "server"


@dataclass(frozen=True, kw_only=True)
class Slip:
    """One cause of the difference between Appendix A as printed and the corrected count of a part."""

    equation: str
    """Where in the paper."""
    what: str
    flops: Flops
    """Corrected minus printed: above 0 where the paper counts too little."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a split codec, FLOPs per task (B = 1), from its config alone."""

    name: str
    place: Place
    local: bool
    """Whether the local task runs it too, as it does all but the JSC codec."""
    modules: ModuleMacs
    """Corrected count by module path, matrix products only."""
    as_printed: Flops | None
    """Appendix A; None where the paper has no term for this part."""
    slips: tuple[Slip, ...]
    """What separates `as_printed` from `corrected`, adding up exactly."""

    @property
    def corrected(self) -> Flops:
        """All matrix products of the part."""
        return Macs.total(self.modules.values()).flops


@dataclass(frozen=True, kw_only=True)
class Split:
    """What one task costs, and where: the l of eqs (3) and (5)."""

    local: Flops
    """Whole task at the UE, which needs no JSC codec."""
    ue: Flops
    """UE's share of an offloaded task."""
    server: Flops
    """Server's share of an offloaded task."""
    channel: Flops
    """JSC codec, which is in both shares: what offloading costs on top of the local task."""


SHARES = {"local": "local task", "ue": "UE's share", "server": "server's share", "channel": "channel codec"}
"""Fields of `Split`, and what tables and plots call them."""


def belongs(part: Part, share: str) -> bool:
    """Whether a part adds to a field of `Split`."""
    return {
        "local": part.local,
        "ue": part.place is Place.UE,
        "server": part.place is Place.SERVER,
        "channel": not part.local,
    }[share]


def split(parts: Sequence[Part], *, printed: bool = False) -> Split:
    """Sum the parts by place.

    Args:
        parts: every part of one codec.
        printed: sum Appendix A's counts instead of the corrected ones, what it leaves out as 0.
    """

    def total(share: str) -> Flops:
        chosen = [part for part in parts if belongs(part, share)]
        return Flops.total((part.as_printed or Flops(0)) if printed else part.corrected for part in chosen)

    return Split(**{share: total(share) for share in SHARES})

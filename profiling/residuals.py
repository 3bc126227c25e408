"""Counts of one forward pass side by side, and the name of everything that separates them.

A residual is what must be added to the number a tool prints to get the closed form. One that has no name, or
an operator that nobody counts, is an error unless it is allowed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data.artifacts import ToolkitError
from profiling.layers import ModuleMacs
from profiling.measured import FvcoreCount, TorchCount
from profiling.units import Flops, Macs

FLOP_COUNTER_MODE = "FlopCounterMode"
FVCORE = "fvcore"
UNEXPLAINED = "unexplained"
MASKED = "masked"
FUSED = "fused attention"
RECURRENT = "recurrent layer"
BADDBMM = "baddbmm"
PADDED_BY_NAME = "convolution padded by name"
PASSED_OVER = {
    FUSED: ("aten::scaled_dot_product_attention",),
    RECURRENT: ("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"),
    BADDBMM: ("aten::baddbmm",),
    PADDED_BY_NAME: ("aten::_convolution_mode",),
}
"""Kinds of products that fvcore names as not counted, by its names for them."""
_SHOWN = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """One cause of the difference between a tool's number and the closed form."""

    tool: str
    cause: str
    flops: Flops
    """To add to what the tool prints."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One forward pass, counted by every method."""

    name: str
    closed: ModuleMacs
    """Closed form by module path."""
    torch: TorchCount
    fvcore: FvcoreCount | None
    """None where jit cannot trace the module."""
    kinds: Mapping[str, Macs] = field(default_factory=dict)
    """Those of the closed form that `PASSED_OVER` names, and those behind a causal mask."""

    @property
    def corrected(self) -> Flops:
        """Closed form of all modules."""
        return Macs.total(self.closed.values()).flops

    def residuals(self) -> list[Residual]:
        """What separates each tool's number from the closed form, adding up exactly."""
        found = []
        if difference := self.corrected - self.torch.total:
            found.append(Residual(tool=FLOP_COUNTER_MODE, cause=UNEXPLAINED, flops=difference))
        if self.fvcore is None:
            return found
        # fvcore prints its multiply-adds, and its estimates on top, as flops.
        printed = {"MAC printed as one FLOP": Flops(self.fvcore.total.count)}
        printed |= {
            f"{operator} counted": Flops(-count) for operator, count in self.fvcore.estimates.items() if count
        }
        for kind, operators in PASSED_OVER.items():
            if kind in self.kinds and any(name in self.fvcore.passed_over for name in operators):
                printed[f"{kind} counted as zero"] = self.kinds[kind].flops
        estimates = Flops(sum(self.fvcore.estimates.values()))
        rest = self.corrected - (Flops(self.fvcore.total.count) + estimates) - Flops.total(printed.values())
        if rest:
            printed[UNEXPLAINED] = rest
        return found + [Residual(tool=FVCORE, cause=cause, flops=flops) for cause, flops in printed.items()]

    def problems(self) -> Iterator[str]:
        """Unexplained residuals and uncounted operators, one line each."""
        unexplained = {residual.tool for residual in self.residuals() if residual.cause == UNEXPLAINED}
        closed = {path: macs.flops for path, macs in self.closed.items() if macs}
        if closed != dict(self.torch.modules):
            yield self._differs(FLOP_COUNTER_MODE, closed, self.torch.modules)
        if self.fvcore is not None and FVCORE in unexplained:
            in_flops = {path: macs.flops for path, macs in self.fvcore.modules.items()}
            yield self._differs(FVCORE, closed, in_flops)
        if self.torch.uncounted:
            yield f"{self.name}: uncounted operators {', '.join(self.torch.uncounted)}"

    def _differs(self, tool: str, closed: Mapping[str, Flops], counted: Mapping[str, Flops]) -> str:
        paths = [
            path for path in sorted(closed.keys() | counted.keys()) if closed.get(path) != counted.get(path)
        ]
        differences = [
            f"{path or '(the model itself)'}: the closed form gives {closed.get(path, Flops(0)).count} "
            f"FLOPs, {tool} counts {counted.get(path, Flops(0)).count}"
            for path in paths[:_SHOWN]
        ]
        more = f" and {len(paths) - _SHOWN} more modules" if len(paths) > _SHOWN else ""
        return f"{self.name}, " + ", ".join(differences) + more


def check(counted: Sequence[Counted], *, allow_uncounted: bool) -> None:
    """Refuse, or with `allow_uncounted` warn of, whatever no method explains.

    Raises:
        ToolkitError: listing all of it.
    """
    problems = [problem for part in counted for problem in part.problems()]
    if not problems:
        return
    if not allow_uncounted:
        raise ToolkitError(f"{'; '.join(problems)}. --allow-uncounted goes on and shows it as unexplained")
    for problem in problems:
        logger.warning("%s", problem)

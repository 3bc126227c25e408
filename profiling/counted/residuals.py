"""Counts of one forward pass side by side, and the name of everything that separates them.

A residual is what must be added to the number a tool prints to get the closed form. One that has no name, or
an operator that nobody counts, is an error unless it is allowed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import flop_registry

from data.files.errors import ToolkitError
from data.settings import named
from profiling.closed.layers import ModuleMacs
from profiling.counted.operators import ProductCount
from profiling.counted.other_tools import OUR_OPERATORS, FvcoreCount, TorchCount
from profiling.units import Flops, Macs

FLOP_COUNTER_MODE = "FlopCounterMode"
FVCORE = "fvcore"
UNEXPLAINED = "unexplained"
PADDED_BY_NAME = "convolution padded by name"
COMPLEX = "complex multiply-add counted as less than 4 real ones"
SPARSE = "zeros of a sparse matrix counted"
FUSED = "fused attention"
RECURRENT = "recurrent layer"
ANOTHER_FORMULA = "products by another formula"
EINSUM = "einsum estimated by numpy, to four digits"
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_SHOWN = 3
_ROUNDING = 5e-4
"""Of four digits, at most."""

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
    """Closed form by module path; of a model that has none, the products it dispatches."""
    products: ProductCount
    torch: TorchCount | None
    """None where FlopCounterMode cannot run the module."""
    fvcore: FvcoreCount | None
    """None where jit cannot trace the module."""
    strict: bool = False
    """Whether fvcore must agree in every module, as for our codecs: a formula of its own is no cause."""

    @property
    def corrected(self) -> Flops:
        """Closed form of all modules."""
        return Macs.total(self.closed.values()).flops

    def residuals(self) -> list[Residual]:
        """What separates each tool's number from the closed form, adding up exactly."""
        causes: list[tuple[str, dict[str, Flops]]] = []
        if self.torch is not None:
            causes.append((FLOP_COUNTER_MODE, self._torch_causes(self.torch)))
        if self.fvcore is not None:
            causes.append((FVCORE, self._fvcore_causes(self.fvcore)))
        return [
            Residual(tool=tool, cause=cause, flops=flops)
            for tool, by_cause in causes
            for cause, flops in by_cause.items()
        ]

    def _torch_causes(self, counted: TorchCount) -> dict[str, Flops]:
        """Kernels that its registry has no formula for, and complex numbers, which it takes for real ones."""
        causes = {
            f"{kernel} counted as zero": macs.flops
            for kernel, macs in self.products.kernels.items()
            if getattr(torch.ops.aten, kernel, None) not in flop_registry and kernel not in OUR_OPERATORS
        }
        rest = self.corrected - counted.total - Flops.total(causes.values())
        zeros = Macs.total(self.products.sparse.values()).flops
        if zeros and rest == Flops(0) - zeros:
            return causes | {SPARSE: rest}
        complex_products = Macs.total(self.products.complex.values()).flops
        if rest:
            causes[COMPLEX if Flops(0) < rest < complex_products else UNEXPLAINED] = rest
        return causes

    def _fvcore_causes(self, counted: FvcoreCount) -> dict[str, Flops]:
        """Its multiply-adds and its estimates, which it prints as flops, and operators it has otherwise."""
        causes = {"MAC printed as one FLOP": Flops(counted.total.count)}
        causes |= {
            f"{operator} counted": Flops(-count) for operator, count in counted.estimates.items() if count
        }
        dispatched: Counter[str] = Counter()
        for operator, macs in self.products.operators.items():
            dispatched[_in_fvcore(operator)] += macs.count
        for operator in sorted(dispatched.keys() | counted.operators.keys()):
            printed = counted.operators.get(operator, Macs(0)).flops
            exact = Macs(dispatched[operator]).flops
            if difference := exact - printed:
                cause = self._fvcore_cause(operator, counted, exact, difference)
                causes[cause] = causes.get(cause, Flops(0)) + difference
        if not causes.get(ANOTHER_FORMULA, Flops(1)):
            del causes[ANOTHER_FORMULA]  # the same products, traced under other names
        prints = Flops(counted.total.count + sum(counted.estimates.values()))
        if self.strict:
            causes.pop(ANOTHER_FORMULA, None)
        if rest := self.corrected - prints - Flops.total(causes.values()):
            causes[UNEXPLAINED] = rest
        return causes

    def _fvcore_cause(self, operator: str, counted: FvcoreCount, exact: Flops, difference: Flops) -> str:
        if operator == "matmul" and "aten::scaled_dot_product_attention" in counted.passed_over:
            return f"{FUSED} counted as zero"
        if operator == "conv" and "aten::_convolution_mode" in counted.passed_over:
            return f"{PADDED_BY_NAME} counted as zero"
        if operator not in counted.operators and f"aten::{operator}" in counted.passed_over:
            return f"{RECURRENT if operator in _RECURRENT else operator} counted as zero"
        if operator == "einsum" and abs(difference.count) <= _ROUNDING * exact.count:
            return EINSUM
        complex_products = Macs.total(self.products.complex.values()).flops
        return COMPLEX if Flops(0) < difference < complex_products else ANOTHER_FORMULA

    def problems(self) -> Iterator[str]:
        """Unexplained residuals and uncounted operators, one line each."""
        residuals = self.residuals()
        unexplained = {residual.tool for residual in residuals if residual.cause == UNEXPLAINED}
        closed = {path: macs.flops for path, macs in self.closed.items() if macs}
        dispatched = {path: macs.flops for path, macs in self.products.modules.items()}
        if closed != dispatched:
            yield self._differs("torch dispatches", closed, dispatched)
        exact = all(residual.tool != FLOP_COUNTER_MODE for residual in residuals)  # then module by module
        if self.torch is not None and (
            FLOP_COUNTER_MODE in unexplained or (exact and closed != dict(self.torch.modules))
        ):
            yield self._differs(f"{FLOP_COUNTER_MODE} counts", closed, self.torch.modules)
        if self.fvcore is not None:
            in_flops = {path: macs.flops for path, macs in self.fvcore.modules.items()}
            if FVCORE in unexplained or (self.strict and closed != in_flops):
                yield self._differs(f"{FVCORE} counts", closed, in_flops)
        if self.products.uncounted:
            yield f"{self.name}: uncounted operators {', '.join(self.products.uncounted)}"

    def _differs(self, verb: str, closed: Mapping[str, Flops], counted: Mapping[str, Flops]) -> str:
        paths = [
            path for path in sorted(closed.keys() | counted.keys()) if closed.get(path) != counted.get(path)
        ]
        differences = [
            f"{path or '(the model itself)'}: the closed form gives {closed.get(path, Flops(0)).count} "
            f"FLOPs, {verb} {counted.get(path, Flops(0)).count}"
            for path in paths[:_SHOWN]
        ]
        more = f" and {len(paths) - _SHOWN} more modules" if len(paths) > _SHOWN else ""
        return f"{self.name}, " + ", ".join(differences) + more


def _in_fvcore(operator: str) -> str:
    """fvcore's name for an operator that was called; attention runs as plain products for it."""
    if operator == "scaled_dot_product_attention":
        return "matmul"
    return "conv" if operator.strip("_").startswith("conv") else operator


def check(counted: Sequence[Counted], *, allow_uncounted: bool) -> None:
    """Refuse, or with `allow_uncounted` warn of, whatever no method explains.

    Raises:
        ToolkitError: listing all of it.
    """
    problems = [problem for part in counted for problem in part.problems()]
    if not problems:
        return
    if not allow_uncounted:
        ignore = named("allow_uncounted")
        raise ToolkitError(f"{'; '.join(problems)}. {ignore} goes on and shows it as unexplained")
    for problem in problems:
        logger.warning("%s", problem)

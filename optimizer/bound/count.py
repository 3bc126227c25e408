"""The bound where exactly n UEs offload: a price of bandwidth, and dynamic programming over cells."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.bound.grid import Grid
from optimizer.bound.states import Step
from optimizer.bound.upper import cell_upper
from optimizer.world.config import SystemConfig
from optimizer.world.tasks import Tasks

_POWERS_ALONE = 256
"""Power cells where one UE offloads, whose bandwidth is known."""
_COARSE_PRICES = tuple(2.0**exponent for exponent in range(-6, 4))
_FINE_PRICES = tuple(2.0 ** (step / 6) for step in (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5))
"""Prices of bandwidth tried, in units of the most a UE can gain over the whole band, then around the best."""


def count_upper(
    system: SystemConfig, tasks: Tasks, step: Step, local: Tensor, n: int, grid: Grid
) -> tuple[Tensor, Tensor]:
    """Upper bound where exactly n UEs offload, (states,), and a guess of their bandwidths, (states, ues)."""
    states, ues = step.queue.shape
    total_hz, device = system.bandwidth_hz, step.queue.device
    idle = step.queue == 0
    if n == 1 and not system.partial_band:  # eq. (12) gives the only one all the band, and it uses it
        all_hz = torch.full((1,), total_hz, dtype=torch.float64, device=device)
        earned = cell_upper(
            system, tasks, step, offloading=1, low_hz=all_hz, high_hz=all_hz, powers=_POWERS_ALONE
        )[0]
        gain, who = torch.where(idle, -torch.inf, earned - local).max(dim=-1)
        shares_hz = torch.zeros_like(local).scatter_(1, who.unsqueeze(-1), total_hz)
        return local.sum(dim=-1) + gain, shares_hz

    edges_hz = torch.linspace(0.0, total_hz, grid.cells * grid.parts + 1, dtype=torch.float64, device=device)
    low_hz = edges_hz[:-1].view(-1, 1, 1)
    earned = cell_upper(
        system, tasks, step, offloading=n, low_hz=edges_hz[:-1], high_hz=edges_hz[1:], powers=grid.powers
    )  # (cells * parts, states, ues)
    if system.partial_band:  # less may be used than is granted
        earned = earned.cummax(dim=0).values

    def dual(price: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weak duality at a price of bandwidth, (states,): the bound, who offloads, at which cell."""
        tilted, at = (earned - price.view(1, -1, 1) * low_hz).max(dim=0)
        gain, who = torch.where(idle, -torch.inf, tilted - local).topk(n, dim=-1)
        return price * total_hz + local.sum(dim=-1) + gain.sum(dim=-1), who, at

    scale = (earned.amax(dim=0) - local).clamp_min(1e-9).amax(dim=-1) / total_hz
    best_price = torch.zeros_like(scale)
    best, _, _ = dual(best_price)
    factor = torch.ones_like(scale)
    for ratios in (_COARSE_PRICES, _FINE_PRICES):
        around = factor
        for ratio in ratios:
            price = around * ratio * scale
            bound, _, _ = dual(price)
            better = bound < best
            best = torch.where(better, bound, best)
            best_price = torch.where(better, price, best_price)
            factor = torch.where(better, around * ratio, factor)

    _, who, at = dual(best_price)
    middle_hz = (edges_hz[:-1] + edges_hz[1:])[at] / 2.0
    shares_hz = torch.zeros_like(local).scatter(1, who, middle_hz.gather(1, who))

    tilted = (
        (earned - best_price.view(1, -1, 1) * low_hz).view(grid.cells, grid.parts, states, ues).amax(dim=1)
    )
    most = programme(torch.where(idle, -torch.inf, tilted), local, n)
    return torch.minimum(best, best_price * total_hz + most), shares_hz


def programme(tilted: Tensor, local: Tensor, n: int) -> Tensor:
    """Largest sum of one cell's bound each for n UEs and `local` for the rest, the cells together holding BW.

    n points of cells c_1 .. c_n can sum to BW only if the c_i sum to no more than the number of cells and no
    less than n below it.

    Args:
        tilted: (cells, states, ues).
        local: (states, ues).
        n: how many offload.

    Returns:
        (states,).
    """
    cells, states, ues = tilted.shape
    best = torch.full((states, n + 1, cells + 1), -torch.inf, dtype=local.dtype, device=local.device)
    best[:, 0, 0] = 0.0  # (states, UEs that offload so far, cells so far)
    for i in range(ues):
        stays = best + local[:, i].view(-1, 1, 1)
        for c in range(cells):
            goes = best[:, :-1, : cells + 1 - c] + tilted[c, :, i].view(-1, 1, 1)
            torch.maximum(stays[:, 1:, c:], goes, out=stays[:, 1:, c:])
        best = stays
    return best[:, n, max(cells - n, 0) :].amax(dim=-1)

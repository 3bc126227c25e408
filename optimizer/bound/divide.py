"""The best division of the band on a grid: dynamic programming that is exact there."""

from __future__ import annotations

import torch
from torch import Tensor


def divide(earned: Tensor, local: Tensor, n: int) -> Tensor:
    """Which n UEs offload, and how many equal parts of the band each gets, so that the sum is largest.

    Args:
        earned: what a UE earns with 1, 2 .. all parts, (parts, states, ues); -inf where it must not offload.
        local: what it earns otherwise, (states, ues).
        n: how many offload, at most as many as there are parts.

    Returns:
        Parts of each UE, 0 where it does not offload, int64, (states, ues); they sum to all parts. All 0
        where no n UEs may offload.
    """
    parts, states, ues = earned.shape
    most = parts - n + 1
    value = torch.full((states, n + 1, parts + 1), -torch.inf, dtype=local.dtype, device=local.device)
    value[:, 0, 0] = 0.0  # (states, UEs that offload so far, parts given so far)
    choices = []
    for i in range(ues):
        best = value + local[:, i].view(-1, 1, 1)
        choice = torch.zeros(best.shape, dtype=torch.int64, device=local.device)
        for part in range(1, most + 1):
            goes = value[:, :-1, : parts + 1 - part] + earned[part - 1, :, i].view(-1, 1, 1)
            better = goes > best[:, 1:, part:]
            torch.maximum(best[:, 1:, part:], goes, out=best[:, 1:, part:])
            choice[:, 1:, part:].masked_fill_(better, part)
        value = best
        choices.append(choice)
    row = torch.arange(states, device=local.device)
    count, left = torch.full_like(row, n), torch.full_like(row, parts)
    chosen = []
    for choice in reversed(choices):
        chosen.append(choice[row, count, left])
        count, left = count - (chosen[-1] > 0).long(), left - chosen[-1]
    possible = value[:, n, parts].isfinite().unsqueeze(-1)
    return torch.where(possible, torch.stack(chosen[::-1], dim=-1), 0)

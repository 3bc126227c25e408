"""From a request to an accuracy: bandwidth (12), SNR (1) and what the map says of it."""

from __future__ import annotations

import torch
from torch import Tensor

from optimizer.world.config import SystemConfig
from optimizer.world.physics.precision import in_float64
from optimizer.world.tasks import Tasks


@in_float64
def allocate_bandwidth(system: SystemConfig, request: Tensor, offload: Tensor) -> Tensor:
    """Eq. (12) over the UEs that offload; the others ask for none.

    Args:
        system: BW and the span of requests.
        request: b-hat, (..., ues), finite.
        offload: rho, bool, (..., ues).

    Returns:
        b in Hz, (..., ues), summing to BW, or to 0 where nobody offloads.
    """
    top = torch.where(offload, request, -torch.inf).amax(dim=-1, keepdim=True)
    behind = (request - torch.where(top.isfinite(), top, 0.0)).clamp(-system.bandwidth_request_span, 0.0)
    weight = torch.where(offload, torch.exp(behind), 0.0)
    return system.bandwidth_hz * weight / weight.sum(dim=-1, keepdim=True).clamp_min(1.0)


@in_float64
def snr_db(system: SystemConfig, *, power_w: Tensor, channel_gain: Tensor, bandwidth_hz: Tensor) -> Tensor:
    """gamma of eq. (1) in dB, where the UE offloads; any broadcastable shapes."""
    return 10.0 * torch.log10(power_w * channel_gain / (bandwidth_hz * system.noise_w_hz))


@in_float64
def map_accuracy(tasks: Tasks, snr_db: Tensor, code: Tensor | None = None) -> Tensor:
    """f^Q(k, SNR) of section III: linear in dB between the map's points, clamped to its ends.

    Args:
        tasks: each UE's rows of its map.
        snr_db: (..., ues); -inf reads the map's lower end, inf its upper one.
        code: index of k, (..., ues); None is 0.

    Returns:
        epsilon / epsilon_0 in [0, 1], (..., ues).
    """
    return MapReader(tasks, code, shape=snr_db.shape, dtype=snr_db.dtype)(snr_db)


class MapReader:
    """`map_accuracy` at one choice of k, for SNRs that come one after the other.

    Args:
        tasks: each UE's rows of its map.
        code: index of k, (..., ues); None is 0.
        shape: of the SNRs; axes in front of the last two may differ from call to call.
        dtype: of the SNRs and of what is read.
    """

    def __init__(
        self, tasks: Tasks, code: Tensor | None, *, shape: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        self._tasks = tasks
        self._start, self._rise = (line.to(dtype) for line in tasks.map_lines)
        first = tasks.map_row_start
        if code is not None and tasks.codes > 1:
            first = first + (code * tasks.map_snr_db.numel()).int()
        if len(shape) > 2:  # the same of many rows side by side is added several times as fast
            first = first.expand(torch.broadcast_shapes(first.shape, shape[-2:])).contiguous()
        self._first = first

    def __call__(self, snr_db: Tensor) -> Tensor:
        """epsilon / epsilon_0 at some SNRs, whose shape broadcasts against the code's."""
        point = self._point(snr_db)
        at = point.int() + self._first
        start, rise = (
            line.index_select(0, at.flatten()).view(at.shape) for line in (self._start, self._rise)
        )
        return start.addcmul_(rise, point.frac_())

    def _point(self, snr_db: Tensor) -> Tensor:
        """Where on the maps' axis an SNR lies: the index of the point below, and the share of the way to the
        next. The ends of the axis are 0 and its last index."""
        axis, step_db = self._tasks.map_snr_db, self._tasks.map_step_db
        last = axis.numel() - 1
        if step_db is not None:
            return (snr_db - float(axis[0])).mul_(1.0 / step_db).clamp_(0, last)
        snr_db = snr_db.clamp(axis[0], axis[-1])
        below = torch.searchsorted(axis, snr_db.contiguous(), right=True).clamp(1, last) - 1
        return below + (snr_db - axis[below]) / (axis[below + 1] - axis[below])


def needed_snr_db(system: SystemConfig, tasks: Tasks) -> Tensor:
    """Least SNR at which each UE's first k meets epsilon_min (11b), inf where none does; (ues,)."""
    return needed_snr_of_codes_db(system, tasks)[:, 0]


def needed_snr_of_codes_db(system: SystemConfig, tasks: Tasks) -> Tensor:
    """`needed_snr_db` of every k, (ues, codes)."""
    axis, ratio = tasks.map_snr_db, tasks.map_ratio  # (points,), (ues, codes, points)
    first = (ratio >= system.accuracy_min).to(torch.int64).argmax(dim=-1)  # 0 where none does
    reaches = ratio.gather(-1, first.unsqueeze(-1)).squeeze(-1) >= system.accuracy_min
    before = (first - 1).clamp_min(0)
    low, high = (ratio.gather(-1, at.unsqueeze(-1)).squeeze(-1) for at in (before, first))
    share = torch.where(high > low, (system.accuracy_min - low) / (high - low).clamp_min(1e-12), 1.0)
    needed = axis[before] + share * (axis[first] - axis[before])
    return torch.where(reaches, torch.where(first == 0, -torch.inf, needed), torch.inf)

"""Policies that are not learned: local, remote, random and greedy, and the registry they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from optimizer.config import SystemConfig, dbm_to_watt
from optimizer.environment import View
from optimizer.physics import Actions, best_local_clock, execute
from optimizer.tasks import Tasks


class Policy(Protocol):
    """Chooses the actions of all UEs."""

    sees: str
    """What it reads of the world, for the table."""

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions, (episodes, ues). A policy of its own draws takes them from `generator`."""
        ...


class PolicyFactory(Protocol):
    """What the registry holds: a policy's constructor."""

    def __call__(self, system: SystemConfig, tasks: Tasks) -> Policy:
        """Make the policy for a system and its tasks."""
        ...


def power_from_share(system: SystemConfig, share: Tensor) -> Tensor:
    """Power in W at a share in [0, 1] of the range in dBm."""
    span = system.power_max_dbm - system.power_min_dbm
    return 10.0 ** ((system.power_min_dbm + span * share - 30.0) / 10.0)


def clock_from_share(system: SystemConfig, share: Tensor) -> Tensor:
    """Clock in Hz at a share in [0, 1] of its range."""
    return system.local_clock_min_hz + (system.local_clock_max_hz - system.local_clock_min_hz) * share


class _Fixed:
    """All UEs do the same: offload at p_max with equal requests, or compute at the best local clock."""

    offload: bool

    def __init__(self, system: SystemConfig, tasks: Tasks) -> None:
        self._system, self._tasks = system, tasks

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        return Actions(
            offload=torch.full_like(view.queue, self.offload, dtype=torch.bool),
            power_w=torch.full_like(view.queue, self._system.power_max_w),
            clock_hz=best_local_clock(self._system, self._tasks, view.queue, view.beta),
            bandwidth_request=torch.zeros_like(view.queue),
        )


class LocalPolicy(_Fixed):
    """Section V-A's Local, at the clock that minimises eq. (9)."""

    sees = "own queue, beta"
    offload = False


class RemotePolicy(_Fixed):
    """Section V-A's Remote: all offload, at p_max, with equal requests."""

    sees = "own queue, beta"
    offload = True


class RandomPolicy:
    """Section V-A's Random: rho fair, p (in dBm) and f uniform over their ranges, b-hat standard normal."""

    sees = "nothing"

    def __init__(self, system: SystemConfig, tasks: Tasks) -> None:
        self._system = system

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Draw actions."""
        shape = view.queue.shape
        coin, power, clock = torch.rand((3, *shape), generator=generator, dtype=torch.float64)
        return Actions(
            offload=coin < 0.5,
            power_w=power_from_share(self._system, power),
            clock_hz=clock_from_share(self._system, clock),
            bandwidth_request=torch.randn(shape, generator=generator, dtype=torch.float64),
        )


class GreedyPolicy:
    """Each UE takes what earns it most this step if all I UEs offload with equal requests.

    It compares local execution at the best clock with offloading at `levels` powers from p_min to p_max,
    equally spaced in dBm; an execution that would fail counts as nothing. It knows neither what the others do
    nor how many of them still have tasks.
    """

    sees = "own channel, queue, battery, beta; I"
    levels = 5

    def __init__(self, system: SystemConfig, tasks: Tasks) -> None:
        self._system, self._tasks = system, tasks

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        system = self._system
        clock_hz = best_local_clock(system, self._tasks, view.queue, view.beta)
        queue = view.queue.clamp_min(1)  # so that a UE that is done still counts among the I

        def earned(offload: bool, power_w: float) -> Tensor:
            actions = Actions(
                offload=torch.full_like(queue, offload, dtype=torch.bool),
                power_w=torch.full_like(queue, power_w),
                clock_hz=clock_hz,
                bandwidth_request=torch.zeros_like(queue),
            )
            return execute(
                system,
                self._tasks,
                actions,
                queue=queue,
                channel_gain=view.channel_gain,
                battery_j=view.battery_j,
                beta=view.beta,
            ).earned_qoe

        levels_dbm = torch.linspace(
            system.power_min_dbm, system.power_max_dbm, self.levels, dtype=torch.float64
        )
        powers = [dbm_to_watt(dbm) for dbm in levels_dbm.tolist()]
        remote, level = torch.stack([earned(True, power) for power in powers]).max(dim=0)
        return Actions(
            offload=remote > earned(False, powers[0]),
            power_w=torch.tensor(powers, dtype=torch.float64)[level],
            clock_hz=clock_hz,
            bandwidth_request=torch.zeros_like(queue),
        )


POLICIES: Mapping[str, PolicyFactory] = MappingProxyType(
    {"local": LocalPolicy, "remote": RemotePolicy, "greedy": GreedyPolicy, "random": RandomPolicy}
)
"""Every policy that needs no training, by its name in the table."""

"""Policies that are not learned, and the registry they stand in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor

from data.files.errors import ToolkitError
from data.settings import named
from optimizer.bound.grid import GRIDS
from optimizer.bound.states import Step
from optimizer.bound.step import bracket
from optimizer.policies.registry import LEARNERS, require_free
from optimizer.world.config import BOUND_UES_MAX, SystemConfig
from optimizer.world.devices import filled
from optimizer.world.environment import best_step_qoe
from optimizer.world.physics import Actions, execute
from optimizer.world.ranges import clock_from_share, power_from_share, power_levels_w
from optimizer.world.tasks import Tasks
from optimizer.world.view import HEARD, View


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


def _equal_requests(
    view: View, offload: Tensor, power_w: Tensor | None = None, code: Tensor | None = None
) -> Actions:
    """Actions at the best clock, at p_max unless said, in which all that offload ask for the same band."""
    return Actions(
        offload=offload,
        power_w=filled(view.queue, view.ue_device.power_max_w) if power_w is None else power_w,
        clock_hz=view.clock_for(offload),
        bandwidth_request=torch.zeros_like(view.queue),
        code=code,
    )


class _Baseline:
    """A policy for a system and its tasks, which it keeps."""

    def __init__(self, system: SystemConfig, tasks: Tasks) -> None:
        self._system, self._tasks = system, tasks


class _Fixed(_Baseline):
    """All UEs do the same: offload at p_max with equal requests, or compute at the best local clock."""

    offload: bool

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        offload = torch.full_like(view.queue, self.offload, dtype=torch.bool)
        return _equal_requests(view, offload)


class LocalPolicy(_Fixed):
    """Section V-A's Local, at the clock that minimises eq. (9)."""

    sees = "own queue, beta"
    offload = False


class RemotePolicy(_Fixed):
    """Section V-A's Remote: all offload, at p_max, with equal requests."""

    sees = "own queue, beta"
    offload = True


class RandomPolicy(_Baseline):
    """Section V-A's Random: rho fair, p (in dBm), f and k uniform, b-hat standard normal."""

    sees = "nothing"

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Draw actions."""
        shape = view.queue.shape
        options: dict[str, Any] = {"generator": generator, "device": generator.device}
        coin, power, clock = torch.rand((3, *shape), **options, dtype=torch.float64)
        return Actions(
            offload=coin < 0.5,
            power_w=power_from_share(view.ue_device, power),
            clock_hz=clock_from_share(view.ue_device, clock),
            bandwidth_request=torch.randn(shape, **options, dtype=torch.float64),
            code=torch.randint(self._tasks.codes, shape, **options),
        )


class GreedyPolicy(_Baseline):
    """Each UE takes what earns it most this step if all I UEs offload with equal requests.

    It compares local execution at the best clock with offloading at `levels` powers from p_min to p_max,
    equally spaced in dBm, and every k; an execution that would fail counts as nothing. It knows neither what
    the others do nor how many of them still have tasks.
    """

    sees = "own channel, queue, battery, beta; number of UEs"
    levels = 5

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        ues = self._tasks.ues
        offers = view.offers([(ues, 1.0 / ues)], power_levels_w(view.ue_device, self.levels))
        earned, power_w, code = (offer[0] for offer in offers)
        offload = earned > view.local_qoe
        return _equal_requests(view, offload, power_w, code)


class AnnouncedPolicy(_Baseline):
    """Only the UE that announces the largest gain from offloading alone does so, at its best power.

    It is told what `mappo` hears of the others, and learns nothing: what the announcement alone is worth. Of
    equal gains the station names the first UE's.
    """

    sees = f"own channel, queue, battery, beta; {HEARD}"

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        _, named = view.announced
        actions = _equal_requests(view, named, code=view.code_alone)
        return replace(actions, power_w=view.best_power(actions)[0])


class BidsPolicy(_Baseline):
    """Every UE that gains by offloading alone bids for the band, b-hat = 20 ln(gain) of eq. (12), and
    withdraws if the band it is granted earns it at most twice what it earns locally.

    No UE is told anything but its grant, which (12) has, and how many share the server.
    """

    sees = "own channel, queue, battery, beta; granted band, how many offload"
    under = 2.0

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        actions = _equal_requests(view, view.gain > 0, code=view.code_alone)
        return view.settled(replace(actions, bandwidth_request=view.bid), under=self.under)


class ExhaustivePolicy(_Baseline):
    """Section V-A's exhaustive search of one step over discrete levels: a lower bound on (P0)'s optimum.

    Every set of offloading UEs, every combination of four requests b-hat, 0 to 3 ln 2, and for each UE every
    of five powers and every k; the clock is the best. The shares depend on the requests alone, so that each
    UE's power and k are searched by themselves without missing a combination.
    """

    sees = "all channels, queues, batteries, betas"
    requests = (0.0, math.log(2.0), 2.0 * math.log(2.0), 3.0 * math.log(2.0))
    levels = 5
    ues_max = 6

    def __init__(self, system: SystemConfig, tasks: Tasks) -> None:
        if tasks.ues > self.ues_max:
            raise ToolkitError(
                f"{named('mix')}: {tasks.ues} UEs given, exhaustive "
                f"search is for at most {self.ues_max}: leave it out"
            )
        super().__init__(system, tasks)
        choices = (None, *self.requests)
        combinations = list(itertools.product(choices, repeat=tasks.ues))
        device = tasks.device
        offload = torch.tensor(
            [[request is not None for request in row] for row in combinations], device=device
        )
        request = torch.tensor(
            [[request or 0.0 for request in row] for row in combinations],
            dtype=torch.float64, device=device,
        )  # fmt: skip
        self._offload = offload.unsqueeze(1)  # (combinations, 1, ues)
        self._request = request.unsqueeze(1)

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        system, tasks = self._system, self._tasks
        start = view.queue.expand(self._offload.shape[0], *view.queue.shape)
        shape = start.shape
        best, power_w = torch.full_like(start, -1.0), torch.zeros_like(start)
        code = torch.zeros_like(start, dtype=torch.long)
        for choice, level_w in itertools.product(
            range(tasks.codes), power_levels_w(view.ue_device, self.levels)
        ):
            actions = Actions(
                offload=self._offload.expand(shape),
                power_w=level_w.expand(shape),
                clock_hz=view.clock_for(self._offload.expand(shape)),
                bandwidth_request=self._request.expand(shape),
                code=torch.full_like(code, choice),
            )
            earned = execute(system, tasks, actions, view.state.expand(shape)).earned_qoe
            better = earned > best
            best = torch.where(better, earned, best)
            power_w, code = torch.where(better, level_w, power_w), torch.where(better, choice, code)
        row = best.sum(dim=-1).argmax(dim=0)  # (episodes,)
        at = row.view(1, -1, 1).expand(1, *view.queue.shape)
        return Actions(
            offload=self._offload[row, 0],
            power_w=power_w.gather(0, at)[0],
            clock_hz=view.clock_for(self._offload[row, 0]),
            bandwidth_request=self._request[row, 0],
            code=code.gather(0, at)[0],
        )


class CentralPolicy(_Baseline):
    """The feasible solution that `optimizer.bound.step.bracket` finds below the bound of each step.

    It is what a controller that knows every channel can do in a step. First come UEs of the longest queue
    that fail locally whatever their clock: while they fail, the episode goes on, and they may never finish.
    Of the actions by which most of them succeed it takes those that earn most. It does not plan an episode:
    where T is too short for all tasks, a policy that serves fewer UEs at a time can earn more.
    """

    sees = "all channels, queues, batteries, betas"
    ues_max = BOUND_UES_MAX

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        first = (view.queue == view.queue.amax(dim=-1, keepdim=True)) & (view.local_qoe == 0)
        most = best_step_qoe(
            self._system, self._tasks, beta=view.beta, queue_tasks=view.episode.queue_tasks
        ).sum(dim=-1, keepdim=True)  # no step earns more
        step = replace(Step.known(view.state), price=torch.where(first, -most, 0.0))
        return bracket(self._system, self._tasks, step, grids=GRIDS[:1]).actions


class DriftPlusPenaltyPolicy(_Baseline):
    """Lyapunov optimisation of one step: the actions that earn most of V sum QoE + sum over successes of d.

    With L = 1/2 sum d^2, a success of UE i lowers E[L] of the next step by d_i, but for a constant, so that
    this is least drift minus V times QoE (M. J. Neely, Stochastic Network Optimization, 2010, section 4). A
    long queue is served even where another UE would earn more: with arrivals that the system can carry,
    queues stay short. It knows no arrival rate. It takes the feasible solution that `bracket` finds.
    """

    sees = "all channels, queues, batteries, betas"
    ues_max = BOUND_UES_MAX
    qoe_weight = 1.0
    """V: QoE that a task less in the longest queue is worth is d / V."""

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Choose actions; nothing is drawn."""
        step = replace(Step.known(view.state), price=-view.queue / self.qoe_weight)
        return bracket(self._system, self._tasks, step, grids=GRIDS[:1]).actions


_policies: dict[str, PolicyFactory] = {
    "central": CentralPolicy,
    "exhaustive": ExhaustivePolicy,
    "local": LocalPolicy,
    "announced": AnnouncedPolicy,
    "bids": BidsPolicy,
    "remote": RemotePolicy,
    "greedy": GreedyPolicy,
    "random": RandomPolicy,
}
POLICIES: Mapping[str, PolicyFactory] = MappingProxyType(_policies)
"""Every policy that needs no training, by its name in the table."""
QUEUE_POLICIES: Mapping[str, PolicyFactory] = MappingProxyType({"drift-plus-penalty": DriftPlusPenaltyPolicy})
"""Those that a run tests beside them where tasks arrive (`EpisodeConfig.arrivals`)."""
BUILT_IN = tuple(_policies)
"""Those that come with the package."""


def register_policy(name: str, make: PolicyFactory) -> None:
    """Add a policy of one's own, which every run then tests beside the others.

    Args:
        name: in the table and in names of files: letters, digits, "-" and "_".
        make: the policy for a system and its tasks, such as its class; where it has an attribute `ues_max`,
            it is left out of runs of more UEs.

    Raises:
        ToolkitError: if the name is taken or cannot be part of a file's name.
    """
    require_free(name, {*LEARNERS, *POLICIES, *QUEUE_POLICIES})
    _policies[name] = make


def sees_all(name: str) -> bool:
    """Whether a policy sees what all UEs see, and so is no policy of a UE's own."""
    return name in QUEUE_POLICIES or POLICIES.get(name) in (CentralPolicy, ExhaustivePolicy)


def shown(name: str) -> str:
    """A policy's name in tables and legends; section V-A takes exhaustive search for an upper bound."""
    return f"{name} (a lower bound)" if POLICIES.get(name) is ExhaustivePolicy else name

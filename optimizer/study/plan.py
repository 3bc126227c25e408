"""`optimize plan`: how much bandwidth, server capacity or which k a QoE needs, from the bound, without
training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from data.files.errors import ToolkitError, raise_config_errors
from data.intervals import INTERVAL_ITEMS_MIN
from data.terminal.progress import Progress
from optimizer.bound.step import GRIDS, Step, bracket
from optimizer.study.evaluate import Interval, mean_interval
from optimizer.world.config import (
    EpisodeConfig,
    Inputs,
    SystemConfig,
    bound_errors,
    seed_errors,
)
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.inputs import (
    Loaded,
    k_in_every_map,
    load,
    tasks_at,
)
from optimizer.world.tasks import Tasks

VARIED = ("bandwidth", "server", "k-text", "k-image")
FACTORS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)
"""Of the configured bandwidth and server clock."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What is asked.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    qoe: float
    """Sum QoE per step that is wanted, mean over places, fading and queues. Flag --qoe."""
    vary: tuple[str, ...] | None = None
    """What is tried at several values, one at a time; None is all of VARIED that the UEs have. Flag
    --vary."""
    inputs: Inputs = field(default_factory=Inputs)
    """Maps, FLOPs files, k."""
    system: SystemConfig = field(default_factory=SystemConfig)
    """Table I."""
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    """UEs and preference."""
    states: int = 64
    """Steps of random places, fading and queue lengths the mean is over. Flag --states."""
    seed: int = 0
    """They are drawn from it. Flag --seed."""

    def __post_init__(self) -> None:
        errors = []
        if not 0 < self.qoe < float("inf"):
            errors.append(f"--qoe {self.qoe} given, a finite number above 0 is allowed")
        if self.vary is not None and not set() < set(self.vary) <= set(VARIED):
            errors.append(
                f"--vary {','.join(self.vary)} given, one or more of {', '.join(VARIED)} is allowed"
            )
        given = self.vary or ()
        if self.inputs.joint_k and {"k-text", "k-image"} & set(given):
            errors.append(
                f"--joint-k given with --vary {','.join(given)}: UEs that choose k are given none, "
                "--vary bandwidth,server is allowed"
            )
        if self.states < INTERVAL_ITEMS_MIN:
            errors.append(
                f"--states {self.states} given, at least {INTERVAL_ITEMS_MIN} is allowed: an interval over "
                "fewer would feign certainty"
            )
        errors += bound_errors(self.episode.ues)
        errors += seed_errors(self.seed)
        raise_config_errors(errors)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One value of what is varied."""

    varied: str
    value: float
    """Hz, FLOP/s or symbols per token."""
    reached: Interval
    """Mean QoE that a controller who knows every channel reaches; the interval is over the states drawn."""
    bound: Interval
    """Mean QoE that nobody exceeds."""

    def verdict(self, qoe: float) -> str:
        """Whether a QoE can be had, as far as the intervals tell."""
        return "yes" if self.reached.low >= qoe else "no" if self.bound.high < qoe else "cannot tell"


@dataclass(frozen=True, kw_only=True)
class PlanResult:
    """What was tried."""

    choices: list[Choice]
    """By what is varied, its values rising."""
    synthetic: bool
    """Whether any map was measured on generated data."""


def plan(config: PlanConfig) -> PlanResult:
    """Bracket the mean QoE at every value of what is varied, on the same states.

    Raises:
        ToolkitError: if an input cannot be used.
    """
    loaded = load(config.inputs, system=config.system, episode=config.episode)
    without = {
        varied
        for varied in ("k-text", "k-image")
        if config.inputs.joint_k or not k_in_every_map(loaded.maps, varied.replace("-", "_"))
    }
    for varied in config.vary or ():
        if varied in without:
            raise ToolkitError(f"--vary {varied} given, the maps of the UEs (--ues) hold none in common")
    variants = [
        (varied, *variant)
        for varied in config.vary or VARIED
        if varied not in without
        for variant in _variants(config, loaded, varied)
    ]
    choices = []
    with Progress("plan", total=len(variants), done=0, unit="value") as progress:
        for varied, value, system, tasks in variants:
            choices.append(_bracket(config, system, tasks, varied, value))
            progress.update()
    return PlanResult(choices=choices, synthetic=loaded.synthetic)


def _variants(config: PlanConfig, loaded: Loaded, varied: str) -> Iterator[tuple[float, SystemConfig, Tasks]]:
    system = config.system
    if varied in ("bandwidth", "server"):
        name = "bandwidth_hz" if varied == "bandwidth" else "remote_clock_hz"
        for factor in FACTORS:
            changed = replace(system, **{name: factor * getattr(system, name)})
            value = changed.bandwidth_hz if varied == "bandwidth" else changed.remote_capacity_flops
            yield value, changed, loaded.tasks
        return
    name = varied.replace("-", "_")
    for k in k_in_every_map(loaded.maps, name):
        changes: dict[str, Any] = {name: k}
        inputs = replace(config.inputs, **changes)
        yield k, system, tasks_at(loaded, inputs, config.episode)


def _bracket(config: PlanConfig, system: SystemConfig, tasks: Tasks, varied: str, value: float) -> Choice:
    generator = torch.Generator().manual_seed(config.seed)
    environment = OffloadingEnvironment(
        system=system, episode=config.episode, tasks=tasks, episodes=config.states, generator=generator
    )
    view = environment.view()
    length = torch.randint(1, config.episode.queue_tasks + 1, (config.states, 1), generator=generator)
    found = bracket(
        system,
        tasks,
        Step.known(replace(view.state, queue=length.double().expand_as(view.queue).contiguous())),
        grids=GRIDS[:2],
    )
    return Choice(
        varied=varied, value=value, reached=mean_interval(found.lower), bound=mean_interval(found.upper)
    )

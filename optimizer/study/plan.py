"""`optimize plan`: how much bandwidth, server capacity or which k a QoE needs, from the bound, without
training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from data.files.errors import ToolkitError
from data.settings import named
from data.terminal.progress import Progress
from data.terminal.table import align
from optimizer.bound.grid import GRIDS
from optimizer.bound.states import Step
from optimizer.bound.step import bracket
from optimizer.study.config import VARIED, PlanConfig
from optimizer.study.evaluate import Interval, mean_interval
from optimizer.world.config import SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.inputs import Loaded, k_in_every_map, load, tasks_at
from optimizer.world.tasks import Tasks

UNITS = {"bandwidth": "Hz", "server": "FLOP/s", "k-text": "symbols", "k-image": "symbols"}
FACTORS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)
"""Of the configured bandwidth and server clock."""


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
    synthetic: tuple[str, ...]
    """Modalities whose map was measured on generated data."""


def plan(config: PlanConfig) -> PlanResult:
    """Bracket the mean QoE at every value of what is varied, on the same states.

    Raises:
        ToolkitError: if an input cannot be used.
    """
    loaded = load(config.inputs, system=config.system, episode=config.episode, device=config.device)
    without = {
        varied
        for varied in ("k-text", "k-image")
        if config.inputs.joint_k or not k_in_every_map(loaded.maps, varied.replace("-", "_"))
    }
    for varied in config.vary or ():
        if varied in without:
            raise ToolkitError(
                f"{named('vary')}: {varied} given, the maps of the UEs ({named('mix')}) hold none in common"
            )
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
    return PlanResult(choices=choices, synthetic=loaded.synthetic_maps)


def format_choices(choices: Sequence[Choice], qoe: float) -> str:
    """The table `optimize plan` prints: a line a value.

    Args:
        choices: what was tried.
        qoe: that is wanted.
    """
    rows: list[tuple[str, ...]] = [
        ("varied", "value", "reached", "95 % interval", "bound", "95 % interval", f"QoE {qoe:g}?")
    ]
    for choice in choices:
        ends = (
            text
            for side in (choice.reached, choice.bound)
            for text in (f"{side.value:.3f}", f"{side.low:.3f} to {side.high:.3f}")
        )
        rows.append((choice.varied, f"{choice.value:g} {UNITS[choice.varied]}", *ends, choice.verdict(qoe)))
    return align(rows, left=(0, -1))


def _variants(config: PlanConfig, loaded: Loaded, varied: str) -> Iterator[tuple[float, SystemConfig, Tasks]]:
    system = loaded.system
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
    generator = tasks.generator(config.seed)
    environment = OffloadingEnvironment(
        system=system, episode=config.episode, tasks=tasks, episodes=config.states, generator=generator
    )
    state = environment.state
    length = torch.randint(
        1, config.episode.queue_tasks + 1, (config.states, 1), generator=generator, device=tasks.device
    )
    ends = bracket(
        system,
        tasks,
        Step.known(replace(state, queue=length.double().expand_as(state.queue).contiguous())),
        grids=GRIDS[:2],
    )
    return Choice(
        varied=varied,
        value=value,
        reached=mean_interval(ends.lower.cpu()),
        bound=mean_interval(ends.upper.cpu()),
    )

"""Playing a policy over test episodes, and its performance with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optimizer.policies.baselines import Policy
from optimizer.policies.scores import Scores, Tally
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.tasks import Tasks

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Performance:
    """How a policy did over the test episodes of all seeds."""

    sees: str
    """What the policy reads of the world."""
    qoe: Interval
    """Mean of `Scores.qoe` over all episodes of all seeds; its interval is over episodes, stratified by
    seed."""
    qoe_over_seeds: Interval | None
    """The same mean, its interval over the seeds: what another training, tested on other episodes, may come
    to. None where nothing is trained, or with one seed."""
    of_bound: Interval | None
    """`qoe` over the mean certified bound of the same episodes, its interval over episodes; None where no
    bound was computed, or it is 0: no policy can earn anything."""
    reward: float
    """Mean over episodes."""
    finished: float
    """Share of episodes in which every queue was emptied by T."""
    steps: float
    """Mean steps until then; T counts where it never was."""
    steps_most: int
    """Most steps any episode took."""
    offloaded: float
    """Share of executions that were offloaded."""
    violates_accuracy: float
    """Share of executions that broke (11b)."""
    violates_latency: float
    """Share of executions that broke (11g)."""
    violates_battery: float
    """Share of executions that broke (11h)."""
    latency: float
    """Mean t / t_0 of a success."""
    energy: float
    """Mean E / E_0 of a success."""
    queue: list[list[float]]
    """Mean tasks left before each step and at the end, by step and UE."""
    waiting: float | None = None
    """Mean tasks that wait in a UE's queue before a step; None where no tasks arrive."""
    lost: float | None = None
    """Mean tasks an episode that arrived at a full queue, all UEs'; None where no tasks arrive."""


def play(
    policy: Policy,
    *,
    system: SystemConfig,
    episode: EpisodeConfig,
    tasks: Tasks,
    episodes: int,
    seed: int,
    watch: Callable[[], None] | None = None,
) -> Scores:
    """Play `episodes` episodes. The same seed gives every policy the same places, batteries, shadowing and
    fading.

    Args:
        policy: chooses the actions; its own draws cannot disturb the world's.
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        episodes: at least 1.
        seed: of the world; the policy's draws take the next one.
        watch: called after every step of all episodes.
    """
    world, policy_draws = tasks.generator(seed), tasks.generator(seed + 1)
    environment = OffloadingEnvironment(
        system=system, episode=episode, tasks=tasks, episodes=episodes, generator=world
    )
    tally = Tally(system, environment.tasks, arrive=episode.tasks_arrive)
    for _ in range(episode.steps):
        if not environment.finished.all():
            view = environment.view()
            outcome, reward = environment.step(policy.act(view, policy_draws))
            tally.add(view.queue, outcome, reward)
        else:
            tally.rest()
        if watch is not None:
            watch()
    return tally.scores(environment.arrived)


def percentiles(value: Tensor, resampled: Tensor) -> Interval:
    """A figure with its 95 % percentile bootstrap interval.

    Args:
        value: the figure, ().
        resampled: the same of every resample, (RESAMPLES,); nan where it is not defined.
    """
    low, high = torch.nanquantile(resampled, torch.tensor([0.025, 0.975], dtype=resampled.dtype)).tolist()
    return Interval(value=float(value), low=low, high=high)


def mean_interval(values: Tensor, seed: int = 0) -> Interval:
    """Mean of (n,) values with its bootstrap interval; one seed resamples several figures alike."""
    drawn = torch.randint(
        values.numel(), (RESAMPLES, values.numel()), generator=torch.Generator().manual_seed(seed)
    )
    return percentiles(values.mean(), values[drawn].mean(dim=-1))


def summarise(
    scores: Sequence[Scores],
    bounds: Sequence[Tensor] | None,
    *,
    sees: str,
    trained: bool = False,
    arrive: bool = False,
    seed: int = 0,
) -> Performance:
    """Aggregate over seeds.

    Intervals are 95 % percentile bootstraps. Those over episodes resample them within each seed (the strata),
    and a policy and its bound on the same episodes; the one over seeds resamples whole seeds.

    Args:
        scores: one per seed.
        bounds: `episode_bound` of the same episodes, one per seed, (episodes,) each.
        sees: what the policy reads of the world.
        trained: whether each seed is a training of its own.
        arrive: whether tasks arrive while an episode runs.
        seed: of the resampling: the same for every policy, so that differences are paired.
    """
    qoe = torch.stack([score.qoe for score in scores])  # (seeds, episodes)
    seeds, episodes = qoe.shape
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(episodes, (RESAMPLES, seeds, episodes), generator=generator)

    def resample(values: Tensor) -> Tensor:
        return values.expand(RESAMPLES, -1, -1).gather(-1, drawn).flatten(1)  # (RESAMPLES, seeds * episodes)

    drawn_qoe = resample(qoe).mean(dim=-1)
    bound = None if bounds is None else torch.stack(list(bounds))

    def total(name: str) -> float:
        return float(torch.stack([getattr(score, name) for score in scores]).sum())

    executions, successes = total("executions"), max(total("successes"), 1.0)
    steps = torch.cat([score.steps for score in scores])
    queue = torch.stack([score.queue for score in scores]).mean(dim=0)
    return Performance(
        sees=sees,
        qoe=percentiles(qoe.mean(), drawn_qoe),
        qoe_over_seeds=mean_interval(qoe.mean(dim=-1), seed) if trained and seeds > 1 else None,
        of_bound=None if bound is None else _share(qoe, drawn_qoe, bound, resample(bound).mean(dim=-1)),
        reward=total("reward") / qoe.numel(),
        finished=total("finished") / qoe.numel(),
        steps=float(steps.mean()),
        steps_most=int(steps.max()),
        offloaded=total("offloaded") / executions,
        violates_accuracy=total("inaccurate") / executions,
        violates_latency=total("late") / executions,
        violates_battery=total("uncharged") / executions,
        latency=total("latency") / successes,
        energy=total("energy") / successes,
        queue=queue.tolist(),
        waiting=float(queue[:-1].mean()) if arrive else None,
        lost=total("lost") / qoe.numel() if arrive else None,
    )


def _share(qoe: Tensor, drawn_qoe: Tensor, bound: Tensor, drawn_bound: Tensor) -> Interval | None:
    """Mean QoE over the mean bound, with the means of the same resamples; None where nobody can earn."""
    some = drawn_bound > 0  # a resample of episodes that nobody can win has no share
    if bound.mean() <= 0 or not some.any():
        return None
    return percentiles(qoe.mean() / bound.mean(), drawn_qoe[some] / drawn_bound[some])


def queues_by_modality(
    policies: Mapping[str, Mapping[str, Any]], episode: EpisodeConfig
) -> dict[str, dict[str, list[float]]]:
    """Mean tasks left of a modality's UEs before each step and at the end, by modality and policy.

    Where tasks arrive the end is left out: nothing arrives any more, and the queues would seem to fall.

    Args:
        policies: of a results document.
        episode: gives the UEs.
    """
    mix, last = episode.mix, -1 if episode.tasks_arrive else None
    queues: dict[str, dict[str, list[float]]] = {}
    for modality in dict.fromkeys(mix):
        ues = [i for i, own in enumerate(mix) if own == modality]
        queues[modality] = {
            name: [sum(float(step[i]) for i in ues) / len(ues) for step in tested["queue"][:last]]
            for name, tested in policies.items()
        }
    return queues

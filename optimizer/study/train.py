"""The library call behind `optimize train`: train the learners with every seed, test every policy on the same
episodes, bound them, write the results."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.files.lock import LOCK_NAME, locked
from data.files.paths import exists
from data.settings import SettingsError, named
from data.terminal.progress import Progress
from optimizer.bound.episode import episode_bound
from optimizer.policies.baselines import POLICIES, QUEUE_POLICIES, Policy
from optimizer.policies.learner import Learner, LearningCurve
from optimizer.policies.registry import LEARNERS
from optimizer.study.config import TrainConfig, too_many_for_bound
from optimizer.study.evaluate import Performance, play, summarise
from optimizer.study.results import describe, write_results
from optimizer.study.resume import SeedResult, described, refuse_another_run, run_identity
from optimizer.world.inputs import Loaded, keep_copies, load

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run found."""

    performance: Mapping[str, Performance]
    """By policy, in the table's order."""
    bound: float | None
    """Mean certified bound on the episodes' QoE, for any policy."""
    curves: Mapping[str, LearningCurve]
    """Of each learner's first seed."""
    setting: str
    """The setting in a line."""
    synthetic: tuple[str, ...]
    """Modalities whose map was measured on generated data."""
    written: tuple[Path, ...]
    """Files of the run."""


def train(config: TrainConfig) -> TrainResult:
    """Train, test, bound, and write results, table, plot and policies.

    An interrupted run that is started again goes on: after its last finished seed, and there each learner
    from its last checkpoint.

    Raises:
        ToolkitError: if an input cannot be used, the output folder cannot be written or holds the results of
            another config; no file is written then.
    """
    problems = list(too_many_for_bound(config.episode.ues, f": leave the bound out ({named('bound')})"))
    if config.bound and problems:
        raise SettingsError(problems)
    loaded = load(config.inputs, system=config.system, episode=config.episode, device=config.device)
    with locked(config.output / LOCK_NAME):  # a folder that cannot be written shows before training
        return _train(config, loaded)


def _train(config: TrainConfig, loaded: Loaded) -> TrainResult:
    identity = run_identity(described(config), loaded.sha256)
    refuse_another_run(config.output / "results.json", identity)
    keep_copies(loaded, config.output)
    results = _every_seed(config, loaded, identity.digest)
    policy_paths = [
        config.output / f"{name}-{i}.safetensors" for i in range(config.seeds) for name in config.learners
    ]
    sees = results[0].sees
    bounds = [result.bound for result in results if result.bound is not None]
    performance = {
        name: summarise(
            [result.scores[name] for result in results],
            bounds or None,
            sees=sees[name],
            trained=name in config.learners,
            arrive=config.episode.tasks_arrive,
            seed=config.seed,
        )
        for name in sees
    }
    curves = {name: [result.curves[name] for result in results] for name in config.learners}
    bound = float(torch.stack(bounds).mean()) if bounds else None
    wall_s = sum(result.wall_s for result in results)
    written = [path for path in policy_paths if exists(path)]
    written += write_results(config, loaded, performance, bound, curves, wall_s)
    return TrainResult(
        performance=performance,
        bound=bound,
        curves={name: seeds[0] for name, seeds in curves.items()},
        setting=describe(config.inputs, config.episode, synthetic=loaded.synthetic_maps),
        synthetic=loaded.synthetic_maps,
        written=tuple(written),
    )


def _every_seed(config: TrainConfig, loaded: Loaded, digest: str) -> list[SeedResult]:
    """What each seed came to; those that are in the folder are read."""
    untrained = _untrained(config, loaded)
    draws = torch.randint(2**31, (2, config.seeds), generator=torch.Generator().manual_seed(config.seed))
    results: list[SeedResult] = []
    for index, (train_seed, test_seed) in enumerate(draws.T.tolist()):
        path = config.output / "checkpoints" / f"seed-{index}-{digest}.safetensors"
        if exists(path):
            logger.info("seed %d: done before; remove %s to do it anew", index, path)
            results.append(
                SeedResult.load(
                    path, policies=[*config.learners, *untrained], learners=config.learners,
                    episodes=config.test_episodes, bounded=config.bound,
                )
            )  # fmt: skip
        else:
            results.append(_one_seed(config, loaded, untrained, index, train_seed, test_seed))
            results[-1].save(path)
    return results


def _untrained(config: TrainConfig, loaded: Loaded) -> dict[str, Policy]:
    """The policies that need no training, without those that there are too many UEs for."""
    policies = {**POLICIES, **QUEUE_POLICIES} if config.episode.tasks_arrive else POLICIES
    return {
        name: make(loaded.system, loaded.tasks)
        for name, make in policies.items()
        if loaded.tasks.ues <= getattr(make, "ues_max", math.inf)
    }


def _one_seed(
    config: TrainConfig,
    loaded: Loaded,
    untrained: Mapping[str, Policy],
    index: int,
    train_seed: int,
    test_seed: int,
) -> SeedResult:
    """Train every learner, test every policy on the same episodes, bound them."""
    started = time.monotonic()
    policies: dict[str, Policy] = {}
    curves: dict[str, LearningCurve] = {}
    for name in config.learners:
        path = config.output / f"{name}-{index}.safetensors"
        logger.info("training %s", path.stem)
        learner = LEARNERS[name].make(
            config.learner(name), system=loaded.system, episode=config.episode, tasks=loaded.tasks,
            generator=loaded.tasks.generator(train_seed),
        )  # fmt: skip
        curves[name] = train_in(learner, config.output, path.stem)
        learner.save_policy(path)
        policies[name] = learner.policy
    policies |= untrained
    test: dict[str, Any] = {
        "system": loaded.system, "episode": config.episode, "tasks": loaded.tasks,
        "episodes": config.test_episodes, "seed": test_seed,
    }  # fmt: skip
    work = f"seed {index}: tests of {len(policies)} policies"
    with Progress(work, total=len(policies) * config.episode.steps, done=0, unit="step") as progress:
        scores = {name: play(policy, **test, watch=progress.update) for name, policy in policies.items()}
    bound = None
    if config.bound:
        logger.info("seed %d: the bound of %d episodes", index, config.test_episodes)
        bound = episode_bound(**test)
    return SeedResult(
        scores=scores,
        sees={name: policy.sees for name, policy in policies.items()},
        curves=curves,
        bound=bound,
        wall_s=time.monotonic() - started,
    )


def train_in(learner: Learner[Any], folder: Path, stem: str) -> LearningCurve:
    """Train a learner, its checkpoint and TensorBoard log in a run's folder."""
    return learner.train(
        checkpoint=folder / "checkpoints" / f"{stem}-{learner.digest}.safetensors",
        log=folder / "tensorboard" / f"{stem}-{learner.digest}",
    )

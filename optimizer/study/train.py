"""The library call behind `optimize train`: train the learners with every seed, test every policy on the same
episodes, bound them, write the results."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from data.files.atomic import write_text
from data.files.documents import read_document, write_json
from data.files.errors import parsing, raise_config_errors
from data.files.lock import LOCK_NAME, locked
from data.files.paths import exists
from data.files.printable import csv_text
from data.files.provenance import provenance
from data.files.schema import from_json, typed
from data.intervals import INTERVAL_ITEMS_MIN
from data.terminal.progress import Progress
from data.terminal.table import align
from optimizer.bound.episode import episode_bound
from optimizer.policies.baselines import POLICIES, Policy, shown
from optimizer.policies.learner import LearningCurve
from optimizer.study.evaluate import Performance, play, summarise
from optimizer.study.resume import SeedResult, refuse_another_run, run_digest
from optimizer.world.config import (
    EpisodeConfig,
    Inputs,
    SystemConfig,
    bound_errors,
    plays_errors,
    seed_errors,
)
from optimizer.world.inputs import Loaded, keep_copies, load

KIND = "optimize-results"
SCHEMA_VERSION = 2
LEARNERS = ("mappo", "ddqn", "dqn")
"""Policies that are trained, in the table's order."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a run of `optimize train` depends on.

    Raises:
        ToolkitError: from the constructor, listing every error at once; each part checks itself.
    """

    inputs: Inputs = field(default_factory=Inputs)
    """Maps, FLOPs files, k."""
    system: SystemConfig = field(default_factory=SystemConfig)
    """Table I."""
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    """UEs, horizon, reward, preference."""
    mappo: MappoConfig = field(default_factory=MappoConfig)
    """Training; `episodes` holds for every learner."""
    learners: tuple[str, ...] = LEARNERS
    """Which policies are trained. Flag --learners."""
    seeds: int = 5
    """Trainings of each learner, each tested on its own episodes. Flag --seeds."""
    test_episodes: int = 100
    """Episodes every policy is tested on with each seed. Table I. Flag --test-episodes."""
    bound: bool = True
    """Whether the certified bound is computed. Flag --no-bound."""
    output: Path = Path("runs/optimize")
    """Folder the results are written to. Flag --output."""
    seed: int = 0
    """All randomness is drawn from it. Flag --seed."""

    def __post_init__(self) -> None:
        errors = []
        if self.seeds < 1:
            errors.append(f"--seeds {self.seeds} given, at least 1 is allowed")
        if self.test_episodes < INTERVAL_ITEMS_MIN:
            errors.append(
                f"--test-episodes {self.test_episodes} given, at least {INTERVAL_ITEMS_MIN} is allowed: an "
                "interval over fewer would feign certainty"
            )
        errors += seed_errors(self.seed)
        if not set(self.learners) <= set(LEARNERS) or len(set(self.learners)) < len(self.learners):
            errors.append(
                f"--learners {','.join(self.learners)} given, each of {', '.join(LEARNERS)} is allowed once"
            )
        if "mappo" in self.learners:
            errors += plays_errors(self.mappo.copies, self.episode.ues)
        raise_config_errors(errors)


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
    synthetic: bool
    """Whether any map was measured on generated data."""
    written: tuple[Path, ...]
    """Files of the run."""


def train(config: TrainConfig) -> TrainResult:
    """Train, test, bound, and write results, table, plot and policies.

    An interrupted run that is started again goes on: after its last finished seed, and there MAPPO from its
    last checkpoint.

    Raises:
        ToolkitError: if an input cannot be used, the output folder cannot be written or holds the results of
            another config; no file is written then.
    """
    if config.bound:
        raise_config_errors([f"{error}: give --no-bound" for error in bound_errors(config.episode.ues)])
    loaded = load(config.inputs, system=config.system, episode=config.episode)
    with locked(config.output / LOCK_NAME):  # a folder that cannot be written shows before training
        return _train(config, loaded)


def _train(config: TrainConfig, loaded: Loaded) -> TrainResult:
    described = plain(asdict(config))
    refuse_another_run(config.output / "results.json", described, loaded.sha256)
    keep_copies(loaded, config.output)
    digest = run_digest(described, loaded.sha256)
    untrained = _untrained(config, loaded)
    draws = torch.randint(2**31, (2, config.seeds), generator=torch.Generator().manual_seed(config.seed))
    results: list[SeedResult] = []
    for index, (train_seed, test_seed) in enumerate(draws.T.tolist()):
        kept = config.output / "checkpoints" / f"seed-{index}-{digest}.safetensors"
        if exists(kept):
            logger.info("seed %d: done before; remove %s to do it anew", index, kept)
            results.append(
                SeedResult.load(
                    kept, policies=[*config.learners, *untrained], learners=config.learners,
                    episodes=config.test_episodes, bounded=config.bound,
                )
            )  # fmt: skip
        else:
            results.append(_one_seed(config, loaded, untrained, index, train_seed, test_seed))
            results[-1].save(kept)
    policy_paths = [
        config.output / f"{name}-{i}.safetensors" for i in range(config.seeds) for name in config.learners
    ]
    written = [path for path in policy_paths if exists(path)]
    sees = results[0].sees
    bounds = [result.bound for result in results if result.bound is not None]
    scores = {name: [result.scores[name] for result in results] for name in sees}
    curves = {name: [result.curves[name] for result in results] for name in config.learners}
    performance = {
        name: summarise(found, bounds or None, sees=sees[name], seed=config.seed)
        for name, found in scores.items()
    }
    bound = float(torch.stack(bounds).mean()) if bounds else None
    wall_s = sum(result.wall_s for result in results)
    written += _write(config, loaded, performance, bound, curves, wall_s)
    return TrainResult(
        performance=performance,
        bound=bound,
        curves={name: own[0] for name, own in curves.items()},
        setting=describe(config.inputs, config.episode, synthetic=loaded.synthetic),
        synthetic=loaded.synthetic,
        written=tuple(written),
    )


def _untrained(config: TrainConfig, loaded: Loaded) -> dict[str, Policy]:
    """The policies that need no training, without those that there are too many UEs for."""
    return {
        name: make(config.system, loaded.tasks)
        for name, make in POLICIES.items()
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
        policies[name], curves[name] = _learn(name, config, loaded, train_seed, path)
    policies |= untrained
    test: dict[str, Any] = {
        "system": config.system, "episode": config.episode, "tasks": loaded.tasks,
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


def _learn(
    name: str, config: TrainConfig, loaded: Loaded, seed: int, path: Path
) -> tuple[Policy, LearningCurve]:
    setting: dict[str, Any] = {
        "system": config.system, "episode": config.episode, "tasks": loaded.tasks,
        "generator": torch.Generator().manual_seed(seed),
    }  # fmt: skip
    logger.info("training %s", path.stem)
    if name in ("dqn", "ddqn"):
        learner = DqnTrainer(DqnConfig(double=name == "ddqn", episodes=config.mappo.episodes), **setting)
        return learner.policy, learner.train()
    trainer = MappoTrainer(config.mappo, **setting)
    curve = trainer.train(
        checkpoint=config.output / "checkpoints" / f"{path.stem}-{trainer.digest}.safetensors",
        log=config.output / "tensorboard" / f"{path.stem}-{trainer.digest}",
    )
    trainer.network.save(path)
    return trainer.policy, curve


def _write(
    config: TrainConfig,
    loaded: Loaded,
    performance: Mapping[str, Performance],
    bound: float | None,
    curves: Mapping[str, Sequence[LearningCurve]],
    wall_s: float,
) -> list[Path]:
    document = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "synthetic": loaded.synthetic,
        "bound": bound,
        "policies": {name: asdict(tested) for name, tested in performance.items()},
        "learning_curves": {name: asdict(own[0]) for name, own in curves.items()},
        "other_learning_curves": {name: [asdict(c) for c in own[1:]] for name, own in curves.items()},
        "accuracy_maps": {
            modality: {
                name: getattr(found, name) for name in ("task", "channel", "metric", "model", "synthetic")
            }
            for modality, found in loaded.maps.items()
        },
        "flops": {
            modality: {name: getattr(found, name) for name in ("model", "decoding", "local_flops", "k")}
            for modality, found in loaded.flops.items()
        },
        "provenance": provenance(
            config=plain(asdict(config)), seed=config.seed, data_sha256=loaded.sha256, wall_s=round(wall_s, 1)
        ),
    }
    csv_path, results = config.output / "results.csv", config.output / "results.json"
    written = [csv_path, results]
    write_text(csv_path, results_csv(performance, synthetic=loaded.synthetic))
    if curves:
        from optimizer.study.plots import (
            plot_learning_curve,  # matplotlib takes a second, and only this step needs it
        )

        written.append(config.output / "learning_curve.png")
        first = {name: own[0] for name, own in curves.items()}
        setting = describe(config.inputs, config.episode, synthetic=loaded.synthetic)
        plot_learning_curve(written[-1], first, performance, bound, title=setting)
    write_json(results, document)
    return written


def describe(inputs: Inputs, episode: EpisodeConfig, *, synthetic: bool) -> str:
    """The setting in a line."""
    counts = ", ".join(f"{episode.mix.count(modality)} {modality}" for modality in dict.fromkeys(episode.mix))
    beta = {
        "fixed": f"beta {episode.beta:g}", "dynamic": "beta^d of the battery", "drawn": "beta drawn",
    }[episode.preference]  # fmt: skip
    channel = "g|h|^2" if episode.csi == "instantaneous" else "g"
    k = "k chosen by the UEs" if inputs.joint_k else f"k^T = {inputs.k_text}, k^I = {inputs.k_image}"
    maps = "; synthetic maps" if synthetic else ""
    return f"{episode.ues} UEs ({counts}); {k}; {beta}; a UE's channel is {channel}{maps}"


def read_results(folder: Path) -> dict[str, Any]:
    """The results document of a run's folder.

    Raises:
        ToolkitError: if it is missing, damaged or foreign.
    """
    path = folder / "results.json"
    document = read_document(path, kind=KIND, schema_version=SCHEMA_VERSION)
    number: Any = float | None
    with parsing(path):
        for tested in typed(document, "policies", dict).values():
            from_json(Performance, tested)
        others = document.get("other_learning_curves", {})
        for curve in typed(document, "learning_curves", dict).values():
            from_json(LearningCurve, curve)
        for curve in itertools.chain.from_iterable(others.values()):
            from_json(LearningCurve, curve)
        typed(typed(document, "provenance", dict), "config", dict)
        typed(document, "bound", number)
    return document


def results_csv(performance: Mapping[str, Performance], *, synthetic: bool) -> str:
    """One line a policy, intervals spread over three columns.

    Args:
        performance: by policy.
        synthetic: whether any map was measured on generated data, the last column.
    """
    rows = []
    for name, tested in performance.items():
        row: dict[str, Any] = {"policy": name}
        for key, value in asdict(tested).items():
            if key == "queue":
                continue
            row |= (
                {f"{key}_{end}": number for end, number in value.items()}
                if isinstance(value, dict)
                else {key: value}
            )
        rows.append(row | {"synthetic": int(synthetic)})
    head = list(rows[0])
    return csv_text((head, *([row.get(name, "") for name in head] for row in rows)))


def format_table(performance: Mapping[str, Performance], bound: float | None) -> str:
    """The table `optimize` prints: a line a policy, best QoE first."""
    rows: list[tuple[str, ...]] = [
        ("policy", "QoE", "95 % interval", "mean", "of bound", "finished", "steps", "offloaded", "(11b)",
         "(11g)",
         "(11h)", "sees")
    ]  # fmt: skip
    for name, tested in sorted(performance.items(), key=lambda item: -item[1].qoe.value):
        rows.append(
            (
                shown(name),
                f"{tested.qoe.value:.3f}",
                f"{tested.qoe.low:.3f} to {tested.qoe.high:.3f}",
                f"{tested.qoe_mean:.3f}",
                "-" if tested.of_bound is None else f"{tested.of_bound.value:.1%}",
                f"{tested.finished:.1%}",
                f"{tested.steps:.1f}",
                f"{tested.offloaded:.1%}",
                f"{tested.violates_accuracy:.1%}",
                f"{tested.violates_latency:.1%}",
                f"{tested.violates_battery:.1%}",
                tested.sees,
            )
        )
    if bound is not None:
        share = "100.0%" if bound else "-"  # of 0 there is none
        rows.insert(1, ("bound", "", "", f"{bound:.3f}", share, *[""] * 6, "the future"))
    return align(rows, left=(0, -1))


def plain(value: Any) -> Any:
    """Paths as text and tuples as lists, for JSON."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value

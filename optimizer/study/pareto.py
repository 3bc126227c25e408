"""`optimize pareto`: one policy conditioned on beta, and the energy-latency front it spans."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from data.files.documents import write_json
from data.files.errors import raise_config_errors
from data.files.lock import LOCK_NAME, locked
from data.files.provenance import provenance
from data.terminal.progress import Progress
from optimizer.policies.baselines import GreedyPolicy, LocalPolicy, Policy
from optimizer.policies.mappo import MappoTrainer
from optimizer.study.evaluate import Performance, play, summarise
from optimizer.study.plots import new_figure, save_with_data
from optimizer.study.resume import refuse_another_run
from optimizer.study.train import TrainConfig, plain
from optimizer.world.config import EpisodeConfig
from optimizer.world.inputs import Loaded, load

BETAS = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True, kw_only=True)
class ParetoConfig:
    """A front.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    train: TrainConfig
    """Of the one policy, mappo's; its preference is drawn anew each episode, whatever it says."""
    betas: tuple[float, ...] = BETAS
    """Preferences the policy is tested at. Flag --betas."""

    def __post_init__(self) -> None:
        wrong = [beta for beta in self.betas if not 0 <= beta <= 1]
        errors = [f"--betas {beta} given, 0 to 1 is allowed" for beta in wrong]
        raise_config_errors(errors)


@dataclass(frozen=True, kw_only=True)
class ParetoResult:
    """A front that was measured."""

    performance: dict[str, dict[float, Performance]]
    """By policy and beta."""
    synthetic: bool
    """Whether any map was measured on generated data."""
    written: list[Path]
    """front-policy.safetensors, front.png, .pdf, .csv and pareto.json."""


def pareto(config: ParetoConfig) -> ParetoResult:
    """Train one policy on preferences drawn from 0 to 1, and test it at each of `betas`.

    Raises:
        ToolkitError: if an input cannot be used, or the output cannot be written or holds the front of
            another config.
    """
    run = config.train
    episode = replace(run.episode, preference="drawn")
    loaded = load(run.inputs, system=run.system, episode=episode)
    with locked(run.output / LOCK_NAME):
        return _pareto(config, episode, loaded)


def _pareto(config: ParetoConfig, episode: EpisodeConfig, loaded: Loaded) -> ParetoResult:
    started = time.monotonic()
    run = config.train
    refuse_another_run(run.output / "pareto.json", plain(asdict(config)), loaded.sha256)
    train_seed, test_seed = torch.randint(
        2**31, (2,), generator=torch.Generator().manual_seed(run.seed)
    ).tolist()
    trainer = MappoTrainer(
        run.mappo, system=run.system, episode=episode, tasks=loaded.tasks,
        generator=torch.Generator().manual_seed(train_seed),
    )  # fmt: skip
    trainer.train(
        checkpoint=run.output / "checkpoints" / f"front-{trainer.digest}.safetensors",
        log=run.output / "tensorboard" / f"front-{trainer.digest}",
    )
    policy_path = run.output / "front-policy.safetensors"
    trainer.network.save(policy_path)

    policies: dict[str, Policy] = {
        "mappo": trainer.policy,
        "greedy": GreedyPolicy(run.system, loaded.tasks),
        "local": LocalPolicy(run.system, loaded.tasks),
    }
    found: dict[str, dict[float, Performance]] = {name: {} for name in policies}
    tests = len(config.betas) * len(policies)
    with Progress("tests at each beta", total=tests, done=0, unit="test") as progress:
        for beta in config.betas:
            fixed = replace(run.episode, preference="fixed", beta=beta)
            for tested, policy in policies.items():
                scores = play(
                    policy, system=run.system, episode=fixed, tasks=loaded.tasks, episodes=run.test_episodes,
                    seed=test_seed,
                )  # fmt: skip
                found[tested][beta] = summarise([scores], None, sees=policy.sees, seed=run.seed)
                progress.update()
    written = [policy_path, *_draw(found, run.output / "front", synthetic=loaded.synthetic)]
    written.append(run.output / "pareto.json")
    document = {
        "kind": "optimize-pareto",
        "schema_version": 1,
        "synthetic": loaded.synthetic,
        "policies": {
            name: {str(beta): asdict(tested) for beta, tested in by_beta.items()}
            for name, by_beta in found.items()
        },
        "provenance": provenance(
            config=plain(asdict(config)), seed=run.seed, data_sha256=loaded.sha256,
            wall_s=round(time.monotonic() - started, 1),
        ),
    }  # fmt: skip
    write_json(written[-1], document)
    return ParetoResult(performance=found, synthetic=loaded.synthetic, written=written)


def _draw(found: dict[str, dict[float, Performance]], stem: Path, *, synthetic: bool) -> list[Path]:
    figure = new_figure()
    axes = figure.subplots()
    rows = []
    for name, by_beta in found.items():
        tested = list(by_beta.values())
        axes.plot(
            [one.latency for one in tested],
            [one.energy for one in tested],
            marker="o",
            markersize=4,
            label=name,
        )
        for beta, one in by_beta.items():
            rows.append((name, beta, one.latency, one.energy, one.qoe_mean, one.finished))
    first = next(iter(found.values()))
    for beta in (min(first), max(first)):
        one = first[beta]
        axes.annotate(
            f"{beta:g}",
            (one.latency, one.energy),
            textcoords="offset points",
            xytext=(4, 4),
            fontsize="x-small",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("latency of a task over local latency, $t/t_0$")
    axes.set_ylabel("energy of a task over local energy, $E/E_0$")
    axes.set_title("one policy at every beta", fontsize="medium")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    header = ("policy", "beta", "t/t_0", "E/E_0", "QoE", "finished")
    return save_with_data(figure, stem, header, rows, synthetic=synthetic)

"""`optimize pareto`: one policy conditioned on beta, and the energy-latency front it spans."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from data.files.documents import write_json
from data.files.lock import LOCK_NAME, locked
from data.files.provenance import provenance
from data.terminal.progress import Progress
from data.terminal.table import align
from optimizer.policies.baselines import GreedyPolicy, LocalPolicy, Policy
from optimizer.policies.mappo import MappoTrainer
from optimizer.study.config import ParetoConfig
from optimizer.study.evaluate import Performance, play, summarise
from optimizer.study.plots import legend_beside, new_figure, save_with_data
from optimizer.study.resume import described, refuse_another_run, run_identity
from optimizer.study.train import train_in
from optimizer.world.config import EpisodeConfig
from optimizer.world.inputs import Loaded, load

_NEAR = 0.03
"""Decades on either axis of a front: two names would overlap."""


@dataclass(frozen=True, kw_only=True)
class ParetoResult:
    """A front that was measured."""

    performance: dict[str, dict[float, Performance]]
    """By policy and beta."""
    synthetic: tuple[str, ...]
    """Modalities whose map was measured on generated data."""
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
    loaded = load(run.inputs, system=run.system, episode=episode, device=run.device)
    with locked(run.output / LOCK_NAME):
        return _pareto(config, episode, loaded)


def _pareto(config: ParetoConfig, episode: EpisodeConfig, loaded: Loaded) -> ParetoResult:
    started = time.monotonic()
    run = config.train
    refuse_another_run(run.output / "pareto.json", run_identity(described(config), loaded.sha256))
    train_seed, test_seed = torch.randint(
        2**31, (2,), generator=torch.Generator().manual_seed(run.seed)
    ).tolist()
    trainer = MappoTrainer(
        run.mappo, system=loaded.system, episode=episode, tasks=loaded.tasks,
        generator=loaded.tasks.generator(train_seed),
    )  # fmt: skip
    train_in(trainer, run.output, "front")
    policy_path = run.output / "front-policy.safetensors"
    trainer.save_policy(policy_path)

    performance = _test(config, loaded, trainer.policy, test_seed)
    written = [policy_path, *_draw(performance, run.output / "front", synthetic=loaded.synthetic_maps)]
    written.append(run.output / "pareto.json")
    document = {
        "kind": "optimize-pareto",
        "schema_version": 1,
        "synthetic": loaded.synthetic,
        "policies": {
            name: {str(beta): asdict(tested) for beta, tested in by_beta.items()}
            for name, by_beta in performance.items()
        },
        "provenance": provenance(
            config=described(config), seed=run.seed, data_sha256=loaded.sha256,
            wall_s=round(time.monotonic() - started, 1),
        ),
    }  # fmt: skip
    write_json(written[-1], document)
    return ParetoResult(performance=performance, synthetic=loaded.synthetic_maps, written=written)


def _test(
    config: ParetoConfig, loaded: Loaded, trained: Policy, seed: int
) -> dict[str, dict[float, Performance]]:
    """Performance of the trained policy, greedy and local at each beta."""
    run = config.train
    policies: dict[str, Policy] = {
        "mappo": trained,
        "greedy": GreedyPolicy(loaded.system, loaded.tasks),
        "local": LocalPolicy(loaded.system, loaded.tasks),
    }
    performance: dict[str, dict[float, Performance]] = {name: {} for name in policies}
    tests = len(config.betas) * len(policies)
    with Progress("tests at each beta", total=tests, done=0, unit="test") as progress:
        for beta in config.betas:
            fixed = replace(run.episode, preference="fixed", beta=beta)
            for tested, policy in policies.items():
                scores = play(
                    policy, system=loaded.system, episode=fixed, tasks=loaded.tasks,
                    episodes=run.test_episodes, seed=seed,
                )  # fmt: skip
                performance[tested][beta] = summarise(
                    [scores], None, sees=policy.sees, seed=run.seed, arrive=run.episode.tasks_arrive
                )
                progress.update()
    return performance


def format_front(performance: Mapping[str, Mapping[float, Performance]]) -> str:
    """The table `optimize pareto` prints: a line a policy and beta."""
    rows = [("beta", "t/t_0", "E/E_0", "QoE", "finished", "policy")]
    for name, by_beta in performance.items():
        for beta, tested in by_beta.items():
            rows.append(
                (f"{beta:g}", f"{tested.latency:.3f}", f"{tested.energy:.4f}", f"{tested.qoe.value:.3f}",
                 f"{tested.finished:.1%}", name)
            )  # fmt: skip
    return align(rows, left=(0, -1))


def _draw(
    performance: dict[str, dict[float, Performance]], stem: Path, *, synthetic: Sequence[str]
) -> list[Path]:
    """The front with beta on its points, and what each point earns."""
    figure = new_figure(11.0, 4.5)
    front, earned = figure.subplots(1, 2)
    rows = []
    for name, by_beta in performance.items():
        betas, tested = list(by_beta), list(by_beta.values())
        (line,) = front.plot(
            [one.latency for one in tested], [one.energy for one in tested], marker="o", markersize=4
        )
        colour = line.get_color()
        for beta, one in by_beta.items():
            rows.append((name, beta, one.latency, one.energy, one.qoe.value, one.finished))
        _name_points(front, by_beta, colour)
        earned.plot(betas, [one.qoe.value for one in tested], marker="o", markersize=4, label=name)
        ends = [one.qoe.low for one in tested], [one.qoe.high for one in tested]
        earned.fill_between(betas, *ends, color=colour, alpha=0.15, linewidth=0)
    _logarithmic(front, "xy")
    _logarithmic(earned, "y")  # QoE goes about as 1 / (1 - beta)
    front.set_xlabel("latency of a task over local latency, $t/t_0$")
    front.set_ylabel("energy of a task over local energy, $E/E_0$")
    front.set_title(r"each point at its $\beta$", fontsize="medium")
    earned.set_xticks(betas)
    earned.set_xlabel(r"$\beta$, weight of energy against latency")
    earned.set_ylabel("sum QoE of the UEs per step")
    earned.set_title("QoE (10) with its 95 % interval", fontsize="medium")
    for axes in (front, earned):
        axes.grid(alpha=0.3, which="both")
    legend_beside(earned)
    header = ("policy", "beta", "t/t_0", "E/E_0", "QoE", "finished")
    return save_with_data(
        figure, stem, header, rows, title=r"One policy at every $\beta$", synthetic=synthetic
    )


def _logarithmic(axes: Axes, which: str) -> None:
    """Make axes logarithmic, with plain numbers at 1, 2 and 5 times the powers of ten."""
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = {"x": axes.xaxis, "y": axes.yaxis}[name]
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def _name_points(axes: Axes, by_beta: Mapping[float, Performance], colour: str) -> None:
    """Write beta at the points of a front, but for those that lie where one has its name already."""
    named: list[tuple[float, float]] = []
    for beta, one in by_beta.items():
        if not (one.latency > 0 and one.energy > 0):
            continue  # no execution succeeded
        place = math.log10(one.latency), math.log10(one.energy)
        if all(math.dist(place, other) > _NEAR for other in named):
            named.append(place)
            axes.annotate(
                f"{beta:g}", (one.latency, one.energy), xytext=(5, 3), textcoords="offset points",
                color=colour, fontsize="small",
            )  # fmt: skip

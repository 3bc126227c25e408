"""`optimize figures`: Figs. 2-7 of the paper, each from runs of `optimize train`, as PNG, PDF and CSV."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.files.lock import LOCK_NAME, locked
from data.files.paths import exists
from data.settings import named
from optimizer.policies.baselines import shown
from optimizer.study.config import FiguresConfig, TrainConfig
from optimizer.study.evaluate import queues_by_modality
from optimizer.study.plots import coincident, legend_beside, look, new_figure, save_with_data
from optimizer.study.results import read_results
from optimizer.study.resume import described, refuse_another_run, run_identity
from optimizer.study.train import train
from optimizer.world.config import EpisodeConfig
from optimizer.world.inputs import Loaded, k_in_every_map, load

NOISES_DBM_HZ = (-175.0, -170.0, -165.0, -160.0, -155.0)
"""Fig. 7's axis."""
BLANK = {"value": "", "low": "", "high": ""}
"""An interval in a CSV where there is none."""
NOTHING = dict.fromkeys(BLANK, float("nan"))
"""The same in a plot."""

logger = logging.getLogger(__name__)
Documents = Mapping[float, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class FiguresResult:
    """What was drawn."""

    synthetic: tuple[str, ...]
    """Modalities whose map was measured on generated data."""
    written: list[Path]
    """PNG, PDF and CSV of each figure."""


def figures(config: FiguresConfig) -> FiguresResult:
    """Make the runs that are missing, then draw.

    A run whose results are already in its folder, of the same config, is read instead of made.

    Raises:
        ToolkitError: if an input cannot be used or a folder cannot be written.
    """
    base = config.train
    loaded = load(base.inputs, system=base.system, episode=base.episode)
    with locked(base.output / LOCK_NAME):
        return FiguresResult(synthetic=loaded.synthetic_maps, written=_figures(config, loaded))


def _figures(config: FiguresConfig, loaded: Loaded) -> list[Path]:
    base, wanted = config.train, set(config.figures)
    files, synthetic = loaded.sha256, loaded.synthetic_maps
    written: list[Path] = []

    def preference(name: str) -> Mapping[str, Any]:
        episode = replace(base.episode, preference=name)
        return _run(replace(base, episode=episode, output=base.output / f"preference-{name}"), files)

    if 2 in wanted:
        written += _convergence(
            {name: preference(name) for name in ("fixed", "dynamic")}, base.output / "fig2", synthetic
        )
    for number, name in ((3, "fixed"), (4, "dynamic")):
        if number in wanted:
            stem = base.output / f"fig{number}"
            written += _queues(preference(name), base.episode, stem, name, synthetic)

    dynamic = replace(base.episode, preference="dynamic")  # as section V-B has it
    sweep = replace(base, episode=dynamic, seeds=config.sweep_seeds)
    for number, k in ((5, "k_text"), (6, "k_image")):
        if number not in wanted:
            continue
        values = k_in_every_map(loaded.maps, k)
        if not values:
            logger.warning(
                "Fig. %d is left out: no UE sends with %s; %s says what they send", number, k, named("mix")
            )
            continue
        logger.info("Fig. %d: %s of %s, which every map holds", number, k, ", ".join(map(str, values)))
        documents: dict[float, Mapping[str, Any]] = {}
        for value in values:
            changes: dict[str, Any] = {k: value}
            inputs = replace(base.inputs, **changes)
            documents[value] = _run(
                replace(sweep, inputs=inputs, output=base.output / f"{k.replace('_', '-')}-{value}"), files
            )
        label = {"k_text": "$k^T$", "k_image": "$k^I$"}[k] + " (symbols per token)"
        written += _sweep(documents, base.output / f"fig{number}", label, synthetic)
    if 7 in wanted:
        documents = {}
        for noise in NOISES_DBM_HZ:
            system = replace(base.system, noise_dbm_hz=noise)
            documents[noise] = _run(
                replace(sweep, system=system, output=base.output / f"noise{noise:g}"), files
            )
        label = r"noise density $\sigma^2$ (dBm/Hz)"
        written += _sweep(documents, base.output / "fig7", label, synthetic)
    return written


def _run(config: TrainConfig, files: Mapping[str, str]) -> Mapping[str, Any]:
    """Results of a run on files of these checksums, made only where its folder does not hold them."""
    path = config.output / "results.json"
    if exists(path):
        refuse_another_run(path, run_identity(described(config), files))
    else:
        train(config)
    return read_results(config.output)


def _convergence(
    documents: Mapping[str, Mapping[str, Any]], stem: Path, synthetic: Sequence[str]
) -> list[Path]:
    """Fig. 2: reward, QoE and entropy of every learner over training episodes."""
    figure = new_figure(9.0, 7.0)
    panels = figure.subplots(3, len(documents), sharex=True, squeeze=False)
    rows = []
    for column, (name, document) in enumerate(documents.items()):
        for learner, curve in document["learning_curves"].items():
            episodes = range(1, len(curve["qoe"]) + 1)
            for row, key in enumerate(("reward", "qoe", "entropy")):
                if key != "entropy" or learner.startswith("mappo"):
                    panels[row, column].plot(episodes, curve[key], linewidth=0.8, label=learner)
            rows += [
                (name, learner, episode, *values)
                for episode, *values in zip(
                    episodes, curve["reward"], curve["qoe"], curve["entropy"], strict=True
                )
            ]
        panels[0, column].set_title(f"{name} preference", fontsize="medium")
        panels[2, column].set_xlabel("training episode")
    legend_beside(panels[0, -1])
    for row, label in enumerate(("reward of an episode", "QoE per step", "entropy of MAPPO, nat")):
        panels[row, 0].set_ylabel(label)
        for axes in panels[row]:
            axes.grid(alpha=0.3)
    header = ("preference", "learner", "episode", "reward", "qoe", "entropy")
    return save_with_data(figure, stem, header, rows, title="Learning curves", synthetic=synthetic)


def _queues(
    document: Mapping[str, Any], episode: EpisodeConfig, stem: Path, name: str, synthetic: Sequence[str]
) -> list[Path]:
    """Figs. 3, 4: mean tasks left by step, one panel a modality."""
    queues = queues_by_modality(document["policies"], episode)
    figure = new_figure(5.2 * len(queues), 4.0)
    panels = figure.subplots(1, len(queues), sharey=True, squeeze=False)[0]
    rows = []
    for axes, (modality, by_policy) in zip(panels, queues.items(), strict=True):
        looks = {policy: look(place) for place, policy in enumerate(by_policy)}
        for policy, names in coincident(by_policy).items():
            left = by_policy[policy]
            label = "\n".join(map(shown, names))
            axes.plot(range(len(left)), left, linewidth=1.2, label=label, **looks[policy])
        for policy, left in by_policy.items():
            rows += [(modality, policy, step, value) for step, value in enumerate(left)]
        axes.set_title(modality, fontsize="medium")
        legend_beside(axes)
        axes.set_xlabel("steps played")
        axes.grid(alpha=0.3)
    what = "tasks waiting" if episode.tasks_arrive else "tasks left"
    panels[0].set_ylabel(f"mean {what}")
    header = ("modality", "policy", "steps", what)
    title = f"{what.capitalize()} by step, {name} preference"
    return save_with_data(figure, stem, header, rows, title=title, synthetic=synthetic)


def _sweep(documents: Documents, stem: Path, label: str, synthetic: Sequence[str]) -> list[Path]:
    """Figs. 5-7: every policy's mean QoE, and its share of the mean certified bound, each
    with its 95 % interval."""
    # A bound of 0, which nobody reaches a share of, is left out at its value alone.
    panels = ["qoe", "of_bound"] if any(one["bound"] for one in documents.values()) else ["qoe"]
    figure = new_figure(2.0 + 4.5 * len(panels), 4.5)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    values, rows = list(documents), []
    policies = list(next(iter(documents.values()))["policies"])
    qoe = {name: [one["policies"][name]["qoe"]["value"] for one in documents.values()] for name in policies}
    groups = coincident(qoe)
    for number, (policy, names) in enumerate(groups.items()):
        # side by side, or one interval would hide the next
        aside = 0.003 * (number - len(groups) / 2) * (max(values) - min(values))
        tested = [documents[value]["policies"][policy] for value in values]
        style = look(policies.index(policy))
        for axes, name in zip(all_axes, panels, strict=True):
            middle, low, high = (
                [(one[name] or NOTHING)[end] for one in tested] for end in ("value", "low", "high")
            )
            places = [value + aside for value in values]
            axes.plot(
                places, middle, marker="o", markersize=3, linewidth=1.0,
                label=", ".join(map(shown, names)), **style,
            )  # fmt: skip
            axes.vlines(places, low, high, color=style["color"], linewidth=1.2)
    for policy in policies:
        tested = [documents[value]["policies"][policy] for value in values]
        rows += [
            (policy, value, *one["qoe"].values(), *(one["of_bound"] or BLANK).values())
            for value, one in zip(values, tested, strict=True)
        ]
    rows += [
        ("bound", value, one["bound"], *[""] * 5)
        for value, one in documents.items()
        if one["bound"] is not None
    ]
    for axes, name in zip(all_axes, panels, strict=True):
        axes.set_xticks(values)
        axes.set_ylabel("sum QoE of the UEs per step" if name == "qoe" else "share of the certified bound")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    legend_beside(all_axes[-1])
    ends = [f"{name}{end}" for name in ("qoe", "of_bound") for end in ("", "_low", "_high")]
    header = ("policy", "value", *ends)
    title = f"QoE against {label.partition(' (')[0]}, dynamic preference"
    return save_with_data(figure, stem, header, rows, title=title, synthetic=synthetic)

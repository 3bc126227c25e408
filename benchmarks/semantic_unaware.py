"""What a semantic codec earns beside separate coding, all else equal: the same UEs, channels and FLOPs.

    python benchmarks/semantic_unaware.py --ues text:4 --k-text 4 --ue-device jetson-nano --output FILE.png
        (the flags of `optimize`)

Separate coding compresses the data and protects the bits by a channel code, in as many symbols as the codec
sends. Its map takes the place of the codec's; a codec that ships has both beside each other. The comparison
is over noise, from Table I's -160 dBm/Hz on. In every world MAPPO is trained with each seed, and tested
beside policies that learn nothing on episodes of that seed. Intervals, of 95 %, are over the seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from flag_types import positive_int

from data.files.errors import ToolkitError
from data.files.paths import is_file
from data.settings import Parser, named, run_command
from deepsc.zoo.find import DEFAULTS, map_path, release_of
from optimizer.command import system_flags, world_settings
from optimizer.policies.baselines import POLICIES
from optimizer.policies.config import MappoConfig
from optimizer.policies.mappo import MappoTrainer
from optimizer.study.config import WorldSettings
from optimizer.study.evaluate import Interval, mean_interval, play
from optimizer.study.plots import legend_beside, new_figure, save_with_data
from optimizer.world.config import MODALITIES
from optimizer.world.inputs import load

SYSTEMS: Mapping[str, str] = {
    "semantic codec": "awgn",
    "separate coding, 5G LDPC": "awgn-digital-ldpc",
    "separate coding, best code of that length": "awgn-digital-finite",
}
"""Names of the maps in a release, after the task."""
NOISES_DBM_HZ = (-160.0, -145.0, -130.0)
RULES = ("central", "bids", "greedy")
"""Policies that learn nothing."""
Earned = dict[tuple[str, float, str], Interval]
"""QoE by system, noise and policy."""


def main() -> None:
    flags = Parser(prog="semantic_unaware.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--episodes", type=positive_int, default=10, help="updates of each training")
    flags.add_argument("--seeds", type=positive_int, default=5, help="trainings in each world")
    flags.add_argument("--test-episodes", type=positive_int, default=100, help="of each seed")
    flags.add_argument("--output", type=Path, default=Path("unaware.png"), help="PNG, beside it PDF and CSV")
    options = flags.parse_args()

    def body() -> None:
        torch.set_num_threads(1)
        world = world_settings(options)
        if world.episode.csi != "instantaneous":
            raise ToolkitError(f"{named('csi')}: {world.episode.csi} given, instantaneous is allowed")
        names = (*RULES[:1], "mappo", *RULES[1:])
        given = [name for name in MODALITIES if getattr(world.inputs, f"{name}_map") is not None]
        if given or world.system.noise_dbm_hz != NOISES_DBM_HZ[0]:
            raise ToolkitError(
                "a map or a noise given, none is allowed: shipped maps are compared over noise"
            )
        releases = releases_of(world)
        systems = shipped_systems(releases)
        if len(systems) < 2:
            raise ToolkitError(f"{named('mix')}: no map of separate coding ships for all of its modalities")
        earned: Earned = {}
        print(f"| noise, dBm/Hz | system | {' | '.join(names)} |", flush=True)
        print(f"|---|---|{'---|' * len(names)}", flush=True)
        for noise in NOISES_DBM_HZ:
            for system, channel in systems.items():
                found, synthetic = play_in(with_maps(world, releases, channel, noise), options)
                earned |= {(system, noise, name): found[name] for name in names}
                cells = [
                    f"{one.value:.1f} ({one.low:.1f} to {one.high:.1f})"
                    for one in (found[name] for name in names)
                ]
                print(f"| {noise:g} | {system} | {' | '.join(cells)} |", flush=True)
        draw(earned, names, options.output, synthetic)

    sys.exit(run_command("semantic_unaware.py", body))


def releases_of(world: WorldSettings) -> dict[str, Path]:
    """The codec that ships for each modality of the UEs."""
    releases = {}
    for modality in dict.fromkeys(world.episode.mix):
        release = release_of(DEFAULTS[modality])
        if release is None:
            raise ToolkitError(f"{DEFAULTS[modality]} is missing")
        releases[modality] = release
    return releases


def shipped_systems(releases: Mapping[str, Path]) -> dict[str, str]:
    """Those of `SYSTEMS` of which a map ships for every modality."""
    return {
        system: channel
        for system, channel in SYSTEMS.items()
        if all(is_file(map_path(release, channel)) for release in releases.values())
    }


def with_maps(
    world: WorldSettings, releases: Mapping[str, Path], channel: str, noise_dbm_hz: float
) -> WorldSettings:
    """The same world with another map of the codecs that ship, and another noise."""
    maps: dict[str, Any] = {
        f"{modality}_map": map_path(release, channel) for modality, release in releases.items()
    }
    return replace(
        world,
        inputs=replace(world.inputs, **maps),
        system=replace(world.system, noise_dbm_hz=noise_dbm_hz),
    )


def play_in(world: WorldSettings, options: Any) -> tuple[dict[str, Interval], tuple[str, ...]]:
    """Mean QoE of each policy, and the modalities whose map is of synthetic data."""
    loaded = load(world.inputs, system=world.system, episode=world.episode)
    setting: dict[str, Any] = {"system": loaded.system, "episode": world.episode, "tasks": loaded.tasks}
    policies: dict[str, Any] = {name: POLICIES[name](loaded.system, loaded.tasks) for name in RULES}
    means: dict[str, list[torch.Tensor]] = {name: [] for name in (*RULES, "mappo")}
    for seed in range(world.seed, world.seed + options.seeds):
        trainer = MappoTrainer(
            MappoConfig(episodes=options.episodes), **setting, generator=torch.Generator().manual_seed(seed)
        )
        trainer.train()
        for name, policy in {**policies, "mappo": trainer.policy}.items():
            scores = play(policy, **setting, episodes=options.test_episodes, seed=10_000 + seed)
            means[name].append(scores.qoe.mean())
    return {name: mean_interval(torch.stack(each)) for name, each in means.items()}, loaded.synthetic_maps


def draw(earned: Earned, names: tuple[str, ...], path: Path, synthetic: tuple[str, ...]) -> None:
    """QoE against noise, a panel a policy."""
    figure = new_figure(4.0 * len(names), 3.8)
    panels = figure.subplots(1, len(names), sharey=True)
    systems = dict.fromkeys(system for system, _, _ in earned)
    for axes, name in zip(panels, names, strict=True):
        for number, system in enumerate(systems):
            found = [earned[system, noise, name] for noise in NOISES_DBM_HZ]
            aside = [noise + 0.5 * (number - 1) for noise in NOISES_DBM_HZ]
            line = {"color": f"C{number}", "linestyle": ("-", "--", ":")[number]}
            axes.plot(aside, [one.value for one in found], marker="o", markersize=3, label=system, **line)
            axes.vlines(aside, [one.low for one in found], [one.high for one in found], color=f"C{number}")
        axes.set_title(name, fontsize="medium")
        axes.set_xticks(NOISES_DBM_HZ)
        axes.set_xlabel(r"noise density $\sigma^2$ (dBm/Hz)")
        axes.set_ylim(bottom=0.0)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("sum QoE of the UEs per step")
    legend_beside(panels[-1])
    rows = [(*place, one.value, one.low, one.high) for place, one in earned.items()]
    header = ("system", "noise_dbm_hz", "policy", "qoe", "qoe_low", "qoe_high")
    title = "A semantic codec and separate coding, all else equal"
    save_with_data(figure, path.with_suffix(""), header, rows, title=title, synthetic=synthetic)


if __name__ == "__main__":
    main()

"""The commands whose results docs/ tells of policies; `section_v.py` runs them."""

from __future__ import annotations

from collections.abc import Mapping

NANO = "--ue-device jetson-nano"
"""UEs of what is about one modality. Where a command names no device it is the main run's: the paper's."""
TEXT, IMAGE = f"--ues text:4 {NANO}", f"--ues image:4 {NANO}"
MIX = (
    "--ues text,image,vqa,vqa --image-map benchmarks/results/image-imagenette-deit-small-retrieve.json "
    "--image-flops image-imagenette-deit-small"
)
"""The paper's UEs: one translates, one retrieves images, two answer questions."""
DEVICES = ("jetson-nano", "phone", "raspberry-pi-4", "raspberry-pi-zero-2w")
"""On which MAPPO is trained, too."""
LEARN = "--learners mappo --no-bound --episodes 60 --test-episodes 40"

WORLDS: Mapping[str, tuple[str, str]] = {
    "plain": ("the paper's", ""),
    "fading": ("fading over time", "episode: {ue_speed_m_s: 0.003}"),
    "walking": ("walking UEs", "episode: {mobility: waypoint, ue_speed_m_s: 1.5}"),
    "ways": ("ways of a file", "inputs: {gains: ways.csv}"),
    "csi": ("estimated channels", "episode: {csi_error: 0.1}"),
    "cells": ("six other cells", "episode: {other_cells: 6}"),
    "uma": ("urban macro", "system: {pathloss: uma, station_height_m: 25}"),
    "indoor": ("indoor", "system: {pathloss: indoor, radius_max_m: 100}"),
    "band": ("part of the grant may be used", "system: {partial_band: true}"),
}
"""Rows of "Other worlds": what a row is called, and its --config."""
CONFIGS: Mapping[str, str] = {
    "arrivals": "train: {episode: {arrivals: poisson, arrival_rate: 0.6, steps: 30}}",
    **{f"world-{name}": setting for name, (_, setting) in WORLDS.items() if setting},
}
"""Files for --config, by the run that reads them."""
PARETO_SEEDS = range(5)


def study(name: str, words: str) -> str:
    """An `optimize` whose folder is that of its run."""
    config = f" --config {{out}}/{name}.yaml" if name in CONFIGS else ""
    return f"optimize {words}{config} --output {{out}}/{name}"


def others(policies: str, words: str) -> str:
    """Policies of another run with other numbers of UEs."""
    return f"python benchmarks/any_number_of_ues.py {{out}}/{policies}/mappo-?.safetensors {words}"


MANY = "--beside announced,local --test-episodes 16"
RUNS: Mapping[str, str] = {
    "figures": study("figures", "figures --episodes 60"),
    "mix": study("mix", f"figures {MIX} --episodes 60"),
    "text": study(
        "text", f"train {TEXT} --k-text 16 --no-bound --episodes 60 --learners mappo,ippo,matd3,ddqn,dqn"
    ),
    "statistical": study(
        "statistical", f"train {TEXT} --k-text 16 --csi statistical --no-bound --episodes 60"
    ),
    "split": study(
        "split", f"train {TEXT} --k-text 16 --offload-cost split --learners mappo --no-bound --episodes 60"
    ),
    "departures": f"python benchmarks/mappo_departures.py {TEXT} --k-text 16 --episodes 60 "
    "--test-episodes 100",
    "unaware-text": f"python benchmarks/semantic_unaware.py {TEXT} --k-text 4 --episodes 8 "
    "--test-episodes 30 --output {out}/unaware.png",
    "unaware-image": f"python benchmarks/semantic_unaware.py {IMAGE} --k-image 32 --episodes 8 "
    "--test-episodes 30 --output {out}/unaware-image.png",
    "arrivals": study(
        "arrivals",
        "figures --figures 3 --ues text:4 --ue-device raspberry-pi-zero-2w --learners '' --no-bound "
        "--test-episodes 30",
    ),
    "train-32": study(
        "train-32",
        f"train --ues text:32 {NANO} --learners mappo --no-bound --episodes 30 --test-episodes 16",
    ),
    "train-64": study(
        "train-64",
        f"train --ues text:64 {NANO} --learners mappo --no-bound --episodes 30 --test-episodes 16 --seeds 2",
    ),
    "ladder": "python benchmarks/mappo_departures.py --rows ladder --episodes 60 --test-episodes 100",
    "ladder-dynamic": "python benchmarks/mappo_departures.py --preference dynamic --rows ladder "
    "--episodes 60 --test-episodes 100",
    "joint-k": study("joint-k", f"train --joint-k {LEARN}"),
    "plan": "optimize plan --qoe 11",
    "who": "python benchmarks/who_offloads.py --test-episodes 100",
    "gap": "python benchmarks/bound_gap.py --states 300",
    "gap-dynamic": "python benchmarks/bound_gap.py --states 300 --preference dynamic",
    "devices": "python benchmarks/devices.py --devices "
    "paper,jetson-nano,phone,raspberry-pi-4,raspberry-pi-zero-2w,cortex-m7",
    **{f"on-{name}": study(f"on-{name}", f"train --ue-device {name} {LEARN}") for name in DEVICES},
    "mixed": study(
        "mixed", "train --ue-device phone,phone,raspberry-pi-zero-2w,raspberry-pi-zero-2w " + LEARN
    ),
    **{f"world-{name}": study(f"world-{name}", f"train {LEARN}") for name in WORLDS},
    **{
        f"pareto-{seed}": study(f"pareto-{seed}", f"pareto --episodes 60 --seed {seed}")
        for seed in PARETO_SEEDS
    },
    "any-number": others("figures/preference-fixed", "--test-episodes 20"),
    "any-4": others("figures/preference-fixed", f"--sizes 64,256,1000 {MANY}"),
    "any-32": others("train-32", f"--ues text:32 {NANO} --sizes 4,32,64,256,1000 {MANY}"),
    "ppo": "python benchmarks/mappo_vs_ppo.py --seconds 12",
}
"""Commands by name; {out} is the folder, in which what they print is kept, too."""
AFTER = {"any-number": "figures", "any-4": "figures", "any-32": "train-32"}
"""Runs that read what another has written."""
FIGURES = {
    **{f"figures/fig{number}": f"fig{number}" for number in range(2, 8)},
    **{f"mix/fig{number}": f"mix-fig{number}" for number in (5, 6, 7)},
    "unaware": "unaware", "unaware-image": "unaware-image", "arrivals/fig3": "arrivals",
    "pareto-0/front": "pareto",
}  # fmt: skip
"""Plots of the runs, and their names in docs/figures."""

"""What policies earn on each device that ships: the table of docs/devices.md.

    python benchmarks/devices.py --devices paper,jetson-nano --test-episodes 100 (and the flags of `optimize`)

Mean QoE over the same episodes of every device, with half the width of its 95 % interval over episodes.
"compute / send" is how many times as long a UE takes for a task at its largest clock as to send it on the
whole band at full accuracy: from the least to the most of the UEs.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from flag_types import positive_int

from data.settings import Parser, run_command
from optimizer.command import system_flags, world_settings
from optimizer.devices import shipped_devices
from optimizer.policies.baselines import POLICIES
from optimizer.study.config import WorldSettings
from optimizer.study.evaluate import Interval, mean_interval, play
from optimizer.world.config import device_list
from optimizer.world.inputs import Loaded, load

NAMES = ("local", "remote", "greedy", "announced", "exhaustive", "central")


def main() -> None:
    flags = Parser(prog="devices.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--devices", type=device_list, default=shipped_devices("ue"), help="one a row")
    flags.add_argument("--test-episodes", type=positive_int, default=100, help="of each device and policy")
    options = flags.parse_args()

    def body() -> None:
        torch.set_num_threads(1)
        print(f"| device | compute / send | {' | '.join(NAMES)} | central offloads |", flush=True)
        print(f"|---|---|{'---|' * (len(NAMES) + 1)}", flush=True)
        for row in rows(options, world_settings(options)):
            print(f"| {' | '.join(row)} |", flush=True)

    sys.exit(run_command("devices.py", body))


def rows(options: argparse.Namespace, world: WorldSettings) -> Iterator[list[str]]:
    for device in options.devices:
        started = time.process_time()
        inputs = replace(world.inputs, ue_device=(device,))
        loaded = load(inputs, system=world.system, episode=world.episode)
        cells = []
        for name in NAMES:
            scores = play(
                POLICIES[name](loaded.system, loaded.tasks), system=loaded.system, episode=world.episode,
                tasks=loaded.tasks, episodes=options.test_episodes, seed=world.seed,
            )  # fmt: skip
            cells.append(with_interval(mean_interval(scores.qoe)))
        share = scores.offloaded.sum() / scores.executions.sum()
        print(f"{device}: {time.process_time() - started:.0f} CPU s", file=sys.stderr, flush=True)
        yield [f"`{device}`", computing_over_sending(loaded), *cells, f"{100 * share:.0f} %"]


def with_interval(mean: Interval) -> str:
    """A mean and half the width of its interval, both rounded to that half's first digit."""
    half = (mean.high - mean.low) / 2
    if half < 1e-9:
        return f"{mean.value:.2f}"
    places = max(0, -math.floor(math.log10(half)))
    return f"{mean.value:.{places}f} ± {half:.{places}f}"


def computing_over_sending(loaded: Loaded) -> str:
    system, tasks = loaded.system, loaded.tasks
    device = tasks.device_in(system)
    compute_s = tasks.flops / (device.local_flops_per_cycle * device.local_clock_max_hz)
    ratio = compute_s / (tasks.symbols[:, 0] / system.bandwidth_hz)
    return " to ".join(f"{float(f'{end:.2g}'):g}" for end in ratio.aminmax())


if __name__ == "__main__":
    main()

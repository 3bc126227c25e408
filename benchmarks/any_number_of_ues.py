"""One policy played with other numbers of UEs than it was trained with, nothing retrained.

    python benchmarks/any_number_of_ues.py runs/fixed/mappo-?.safetensors --text-map ...
        (the flags of `optimize train` the policies were trained with)

The mix of --ues is repeated, or cut, to each of --sizes. Each policy file is tested on episodes of its own,
which the policies of --beside play too. Central, the controller that knows every channel, takes long from
some 32 UEs on.
"""

from __future__ import annotations

import itertools
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from flag_types import int_list, positive_int

from data.files.errors import ToolkitError
from data.terminal.command import Parser, run_command
from optimizer.command import system_flags, world_settings
from optimizer.policies.baselines import POLICIES
from optimizer.policies.networks import LearnedPolicy
from optimizer.policies.scores import Scores
from optimizer.study.evaluate import play, summarise
from optimizer.world.inputs import load


def main() -> None:
    flags = Parser(prog="any_number_of_ues.py", description=__doc__)
    flags.add_argument("policies", nargs="+", type=Path, metavar="FILE", help="trained policies, one a seed")
    system_flags(flags)
    flags.add_argument(
        "--sizes", type=int_list, default=(2, 4, 8, 16, 32), help="numbers of UEs to play with"
    )
    flags.add_argument(
        "--beside", default=("central", "greedy"), type=lambda text: tuple(text.split(",")), metavar="LIST",
        help=f"policies that learn nothing, of {', '.join(POLICIES)}; QoE is given in percent of the first's",
    )  # fmt: skip
    flags.add_argument("--test-episodes", type=positive_int, default=100, help="of each policy file")
    options = flags.parse_args()

    def body() -> None:
        torch.set_num_threads(1)
        first = options.beside[0]
        if unknown := [name for name in options.beside if name not in POLICIES]:
            raise ToolkitError(f"--beside: {unknown[0]!r} given, allowed: {', '.join(POLICIES)}")
        world = world_settings(options)
        episode = world.episode
        print(f"| UEs | policy | QoE | of {first} | finished | steps | CPU s |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for ues in options.sizes:
            one = replace(episode, mix=tuple(itertools.islice(itertools.cycle(episode.mix), ues)))
            loaded = load(world.inputs, system=world.system, episode=one)
            system, tasks = loaded.system, loaded.tasks
            scores: dict[str, list[Scores]] = {name: [] for name in (first, "trained", *options.beside[1:])}
            spent = dict.fromkeys(scores, 0.0)
            for index, file in enumerate(options.policies):
                trained = LearnedPolicy.load(file, system=system, episode=one, tasks=tasks)
                for name, found in scores.items():
                    policy: Any = trained if name == "trained" else POLICIES[name](system, tasks)
                    started = time.process_time()
                    found.append(
                        play(
                            policy, system=system, episode=one, tasks=tasks, episodes=options.test_episodes,
                            seed=world.seed + index,
                        )
                    )  # fmt: skip
                    spent[name] += time.process_time() - started
            tested = {
                name: summarise(found, None, sees="", seed=world.seed) for name, found in scores.items()
            }
            for name, one_policy in tested.items():
                qoe = one_policy.qoe
                cells = (
                    f"{ues}", name, f"{qoe.value:.2f} ({qoe.low:.2f} to {qoe.high:.2f})",
                    f"{100 * qoe.value / tested[first].qoe.value:.1f} %",
                    f"{100 * one_policy.finished:.0f} %", f"{one_policy.steps:.1f}", f"{spent[name]:.0f}",
                )  # fmt: skip
                print(f"| {' | '.join(cells)} |", flush=True)

    sys.exit(run_command("any_number_of_ues.py", body))


if __name__ == "__main__":
    main()

"""How tight the certified bound on a step is: upper minus lower over upper, on random states.

    python benchmarks/bound_gap.py --preference dynamic --text-map ... (the flags of `optimize`)

The aggregate gap is of the states' sums, as tables and figures are; the worst is of a single state.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import torch
from flag_types import positive_int
from setting import setting_of

from data.terminal.command import Parser, run_command
from optimizer.bound import Step, bracket
from optimizer.command import system_flags
from optimizer.world.environment import OffloadingEnvironment


def main() -> None:
    flags = Parser(prog="bound_gap.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--states", type=positive_int, default=64, help="random places, fading and batteries")
    options = flags.parse_args()

    def body() -> None:
        setting = setting_of(options)
        episode = setting["episode"]
        view = OffloadingEnvironment(
            **setting, episodes=options.states, generator=torch.Generator().manual_seed(options.seed)
        ).view()
        print("| preference | queues | aggregate, sums of all states, % | worst single state, % | CPU s |")
        print("|---|---|---|---|--:|", flush=True)
        for length in (episode.queue_tasks, 1):
            started = time.process_time()
            step = Step.known(replace(view.state, queue=torch.full_like(view.queue, length)))
            found = bracket(setting["system"], setting["tasks"], step)
            gap = found.upper - found.lower
            worst = (gap / found.upper).max()
            print(
                f"| {episode.preference} | {length} | {100 * gap.sum() / found.upper.sum():.3f} "
                f"| {100 * worst:.2f} | {time.process_time() - started:.0f} |",
                flush=True,
            )

    sys.exit(run_command("bound_gap.py", body))


if __name__ == "__main__":
    main()

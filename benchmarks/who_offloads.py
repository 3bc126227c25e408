"""How many UEs `central`, which knows every channel, lets offload at a time, and what it is worth to let only
the one offload that gains most by it.

    python benchmarks/who_offloads.py --preference dynamic --text-map ... (the flags of `optimize`)

Both choose in the states that `central` comes to. The second is `announced`, which also plays episodes of its
own in every table of `optimize train`.
"""

from __future__ import annotations

import sys

import torch
from flag_types import positive_int
from setting import setting_of

from data.terminal.command import Parser, run_command
from optimizer.command import system_flags
from optimizer.policies.baselines import POLICIES
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import execute
from optimizer.world.ranges import power_levels_w
from optimizer.world.view import POWER_LEVELS


def main() -> None:
    flags = Parser(prog="who_offloads.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--test-episodes", type=positive_int, default=200)
    options = flags.parse_args()

    def body() -> None:
        setting = setting_of(options)
        system, tasks = setting["system"], setting["tasks"]
        environment = OffloadingEnvironment(
            **setting, episodes=options.test_episodes, generator=torch.Generator().manual_seed(options.seed)
        )
        central, announced = (POLICIES[name](system, tasks) for name in ("central", "announced"))
        counts, earned, alone, narrow = [], [], [], []
        while not environment.finished.all():
            view = environment.view()
            offer = view.offers([(1, 1.0)], power_levels_w(view.ue_device, POWER_LEVELS))[0][0]
            outcome = execute(system, tasks, announced.act(view, torch.Generator()), view.state)
            best, _ = environment.step(central.act(view, torch.Generator()))
            running = view.queue.any(dim=-1)
            counts.append(best.offloaded.sum(dim=-1)[running])
            earned.append(best.earned_qoe.sum(dim=-1)[running])
            narrow.append((best.offloaded & (offer == 0)).any(dim=-1)[running])
            alone.append(outcome.earned_qoe.sum(dim=-1)[running])
        count, qoe, single, fails = (torch.cat(found) for found in (counts, earned, alone, narrow))
        print(f"only the one of the largest gain: {100 * single.sum() / qoe.sum():.1f} % of central")
        print("| UEs that offload | of the steps | of the loss | with one that fails on the whole band |")
        print("|---|---|---|---|")
        for n in count.unique():
            chosen = count == n
            lost = (qoe - single)[chosen].sum() / (qoe - single).sum()
            shares = (chosen.double().mean(), lost, fails[chosen].double().mean())
            print(f"| {int(n)} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |")

    sys.exit(run_command("who_offloads.py", body))


if __name__ == "__main__":
    main()

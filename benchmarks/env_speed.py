"""Environment steps a second of the batched environment: four UEs, random actions drawn once.

    python benchmarks/env_speed.py --text-map ... (the map and FLOPs flags of `optimize`)

An environment step is one step of one episode. CPU seconds are given beside wall seconds, as a busy
machine's wall clock says little.
"""

from __future__ import annotations

import sys
import time

import torch
from flag_types import positive_int

from data.terminal.command import Parser, run_command
from optimizer.command import system_flags, world_settings
from optimizer.policies.baselines import RandomPolicy
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.inputs import load


def measure(environment: OffloadingEnvironment, *, rounds: int, observe: bool) -> tuple[float, float]:
    """Wall and CPU seconds of `rounds` episodes in all copies."""
    policy = RandomPolicy(environment.system, environment.tasks)
    actions = policy.act(environment.reset(), torch.Generator().manual_seed(1))
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        environment.reset()
        for _ in range(environment.episode.steps):
            environment.step(actions)
            if observe:
                _ = environment.view().observation
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    flags = Parser(prog="env_speed.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--copies", type=positive_int, default=2048, help="episodes at once")
    flags.add_argument("--rounds", type=positive_int, default=20, help="times they are played")
    flags.add_argument("--threads", type=positive_int, default=2, help="of torch")
    options = flags.parse_args()

    def body() -> None:
        torch.set_num_threads(options.threads)
        world = world_settings(options)
        loaded = load(world.inputs, system=world.system, episode=world.episode)
        environment = OffloadingEnvironment(
            system=loaded.system, episode=world.episode, tasks=loaded.tasks, episodes=options.copies,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        measure(environment, rounds=1, observe=False)
        steps = options.rounds * options.copies * world.episode.steps
        for name, observe in (("stepping", False), ("stepping and observing", True)):
            wall, cpu = measure(environment, rounds=options.rounds, observe=observe)
            print(
                f"{name}: {steps / wall / 1e6:.2f} M steps/s by the wall, "
                f"{steps / cpu / 1e6:.2f} M steps a CPU second "
                f"({options.copies} copies, {options.threads} threads, {loaded.tasks.ues} UEs)"
            )

    sys.exit(run_command("env_speed.py", body))


if __name__ == "__main__":
    main()

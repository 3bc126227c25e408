"""What DQN and DDQN learn from how many environment steps and updates.

    python benchmarks/dqn_budget.py --text-map ... (the flags of `optimize`)

Every budget is trained with the same seeds and given as a percentage of `central`, which knows every channel,
on the same test episodes.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from data.cli import Parser, positive_int, run_command
from optimizer.command import SHARED, make_parts, system_flags
from optimizer.dqn import DqnConfig, DqnTrainer
from optimizer.evaluation import play
from optimizer.inputs import load
from optimizer.policies import POLICIES

BUDGETS: tuple[dict[str, Any], ...] = (
    {"episodes": 60, "copies": 32, "updates": 1},
    {"episodes": 60, "copies": 128, "updates": 1},
    {"episodes": 240, "copies": 32, "updates": 1},
    {"episodes": 60, "copies": 128, "updates": 4},  # as `optimize train --episodes 60`
)


def main() -> None:
    flags = Parser(prog="dqn_budget.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--seeds", type=positive_int, default=2, help="trainings of each")
    flags.add_argument("--test-episodes", type=positive_int, default=100)
    options = flags.parse_args()

    def body() -> None:
        torch.set_num_threads(1)
        parts = make_parts(options, *SHARED)
        system, episode = parts["system"], parts["episode"]
        tasks = load(parts["inputs"], system=system, episode=episode).tasks
        setting: dict[str, Any] = {"system": system, "episode": episode, "tasks": tasks}
        test: dict[str, Any] = {**setting, "episodes": options.test_episodes, "seed": options.seed + 1}
        central = play(POLICIES["central"](system, tasks), **test).qoe.mean()
        for double in (True, False):
            for budget in BUDGETS:
                shares, started = [], time.process_time()
                for seed in range(options.seeds):
                    generator = torch.Generator().manual_seed(options.seed + seed)
                    trainer = DqnTrainer(DqnConfig(double=double, **budget), **setting, generator=generator)
                    trainer.train()
                    shares.append(float(100 * play(trainer.policy, **test).qoe.mean() / central))
                cpu_s = (time.process_time() - started) / options.seeds
                name = "DDQN" if double else "DQN"
                steps = budget["episodes"] * budget["copies"] * episode.steps
                found = ", ".join(f"{share:.1f}" for share in shares)
                print(f"{name} {budget}: {steps} steps, {found} % of central, {cpu_s:.0f} CPU s", flush=True)

    sys.exit(run_command("dqn_budget.py", body))


if __name__ == "__main__":
    main()

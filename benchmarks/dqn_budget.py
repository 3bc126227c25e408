"""What DQN and DDQN learn from how many environment steps and updates.

    python benchmarks/dqn_budget.py --text-map ... (the flags of `optimize`)

Every budget is trained with the same seeds and given as a percentage of `central`, which knows every channel,
on the same test episodes.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from flag_types import positive_int
from setting import Comparison, setting_of

from data.terminal.command import Parser, run_command
from optimizer.command import system_flags
from optimizer.policies.config import DqnConfig
from optimizer.policies.dqn import DqnTrainer

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
        setting = setting_of(options)
        comparison = Comparison(options, setting)
        for double in (True, False):
            for budget in BUDGETS:
                shares, cpu_s = comparison.of(partial(DqnTrainer, DqnConfig(double=double, **budget)))
                name = "DDQN" if double else "DQN"
                steps = budget["episodes"] * budget["copies"] * setting["episode"].steps
                found = ", ".join(f"{share:.1f}" for share in shares)
                print(f"{name} {budget}: {steps} steps, {found} % of central, {cpu_s:.0f} CPU s", flush=True)

    sys.exit(run_command("dqn_budget.py", body))


if __name__ == "__main__":
    main()

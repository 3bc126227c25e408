"""What some of MAPPO's departures from section IV and Table I are worth: each taken back alone.

    python benchmarks/mappo_departures.py --preference dynamic --text-map ... (the flags of `optimize`)

Every variant is trained with the same seeds and is given as a percentage of `central`, which knows every
channel, on the same test episodes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from flag_types import positive_int
from setting import Comparison, setting_of

from data.terminal.command import Parser, run_command
from optimizer.command import system_flags
from optimizer.policies.config import MappoConfig
from optimizer.policies.mappo import MappoTrainer

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "power learned (Beta), not looked up": {"learn_power": True},
    "power and clock learned (Beta)": {"learn_power": True, "learn_clock": True},
    "learning rate 2e-7 for 3e-3 (Table I)": {"learning_rate": 2e-7},
    "hears nothing of the others": {"announce": False},
    "... power learned: nobody withdraws": {"announce": False, "learn_power": True},
    "... power and clock learned (section IV)": {"announce": False, "learn_power": True, "learn_clock": True},
}


def main() -> None:
    flags = Parser(prog="mappo_departures.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--episodes", type=positive_int, default=60, help="updates of each training")
    flags.add_argument("--seeds", type=positive_int, default=3, help="trainings of each variant")
    flags.add_argument("--test-episodes", type=positive_int, default=200)
    options = flags.parse_args()

    def body() -> None:
        setting = setting_of(options)
        comparison = Comparison(options, setting)
        print(f"{options.seeds} seeds, {options.episodes} updates, {options.test_episodes} test episodes")
        print(f"{'':40}{'% of central':>14}{'std':>7}{'CPU s':>8}")
        for name, changes in VARIANTS.items():
            fields = {"announce": True, "episodes": options.episodes, **changes}
            episode = replace(setting["episode"], announce=fields.pop("announce"))
            shares, cpu_s = comparison.of(partial(MappoTrainer, MappoConfig(**fields)), episode=episode)
            spread = shares.std() if len(shares) > 1 else torch.nan
            print(f"{name:40}{shares.mean():14.1f}{spread:7.1f}{cpu_s:8.0f}", flush=True)

    sys.exit(run_command("mappo_departures.py", body))


if __name__ == "__main__":
    main()

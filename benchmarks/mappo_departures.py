"""What MAPPO earns from section IV as printed to what it is, and what each departure alone is worth.

    python benchmarks/mappo_departures.py --ue-device jetson-nano --rows ladder (the flags of `optimize`)

Every variant is trained with the same seeds and is given as a percentage of `central`, which knows every
channel, on the same test episodes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from flag_types import positive_int
from setting import Comparison, setting_of

from data.settings import Parser, run_command
from optimizer.command import system_flags
from optimizer.policies.config import SECTION_IV, MappoConfig
from optimizer.policies.mappo import MappoTrainer

ROWS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "ladder": {
        "section IV as printed": {"observation": "printed", **SECTION_IV},
        "own look-ups": {"observation": "lookups"},
        "... and own history": {"observation": "history"},
        "... and what its bid is granted": {"observation": "bids"},
        "... and the announcement (default)": {"observation": "announced"},
    },
    "departures": {
        "as it is": {},
        "V(o_i) of the UE's own observation": {"critic": "own"},
        "heads start in the middle": {"heads": "zero"},
        "power learned: nobody withdraws": {"learn_power": True},
        "clock learned": {"learn_clock": True},
        "learning rate 2e-7 for 3e-3 (Table I)": {"learning_rate": 2e-7},
        "observes what is printed": {"observation": "printed"},
    },
    "bids": {
        "b-hat starts at the bid": {"observation": "lookups", "heads": "bids"},
        "... under twice local withdraws": {
            "observation": "lookups", "heads": "bids", "withdraw_under": 2.0,
        },
        "... and own history": {"observation": "history", "heads": "bids", "withdraw_under": 2.0},
    },
}  # fmt: skip
RULES = ("announced", "bids", "greedy")
"""Policies that learn nothing."""


def main() -> None:
    flags = Parser(prog="mappo_departures.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--rows", choices=tuple(ROWS), default="departures", help="which variants")
    flags.add_argument("--episodes", type=positive_int, default=60, help="updates of each training")
    flags.add_argument("--seeds", type=positive_int, default=5, help="trainings of each variant")
    flags.add_argument("--test-episodes", type=positive_int, default=200)
    options = flags.parse_args()

    def body() -> None:
        setting = setting_of(options)
        comparison = Comparison(options, setting)
        print(f"{options.seeds} seeds, {options.episodes} updates, {options.test_episodes} test episodes")
        print(f"{'':40}{'% of central':>14}{'std':>7}{'CPU s':>8}")
        for name in RULES:
            print(f"{f'{name}, without learning':40}{comparison.of_policy(name):14.1f}", flush=True)
        for name, changes in ROWS[options.rows].items():
            fields = {"observation": setting["episode"].observation, "episodes": options.episodes, **changes}
            episode = replace(setting["episode"], observation=fields.pop("observation"))
            shares, cpu_s = comparison.of(partial(MappoTrainer, MappoConfig(**fields)), episode=episode)
            spread = shares.std() if len(shares) > 1 else torch.nan
            print(f"{name:40}{shares.mean():14.1f}{spread:7.1f}{cpu_s:8.1f}", flush=True)

    sys.exit(run_command("mappo_departures.py", body))


if __name__ == "__main__":
    main()

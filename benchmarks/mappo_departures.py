"""What MAPPO earns from section IV as printed to what it is, and what each departure alone is worth.

    python benchmarks/mappo_departures.py --rows ladder (the flags of `optimize`)

Every variant is trained with the same --seeds for --episodes updates. Given is the percentage of `central`,
which knows every channel, on the same --test-episodes: mean and standard deviation of the trainings.
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
        "section IV as printed (`--section-iv`)": {"observation": "printed", **SECTION_IV},
        "own look-ups (`--observation lookups`)": {"observation": "lookups"},
        "... and own history (`history`)": {"observation": "history"},
        "... or what its bid is granted (`bids`)": {"observation": "bids"},
        "... or the announcement (`announced`, the default)": {"observation": "announced"},
    },
    "departures": {
        "as it is": {},
        "critic V(o_i) of the UE's own observation": {"critic": "own"},
        "heads start in the middle, not at a UE's best alone": {"heads": "zero"},
        "power learned, so that nobody withdraws": {"learn_power": True},
        "clock learned": {"learn_clock": True},
        "observation as printed: place, battery, last latency": {"observation": "printed"},
        "learning rate 2e-7 of Table I": {"learning_rate": 2e-7},
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
        print("| MAPPO | of central, % | CPU s of a training |\n|---|---|--:|", flush=True)
        for name, changes in ROWS[options.rows].items():
            fields = {"observation": setting["episode"].observation, "episodes": options.episodes, **changes}
            episode = replace(setting["episode"], observation=fields.pop("observation"))
            shares, cpu_s = comparison.of(partial(MappoTrainer, MappoConfig(**fields)), episode=episode)
            spread = shares.std() if len(shares) > 1 else torch.nan
            print(f"| {name} | {shares.mean():.1f} ± {spread:.1f} | {cpu_s:.0f} |", flush=True)
        for name in RULES:
            print(f"| `{name}`, without learning | {comparison.of_policy(name):.1f} | |", flush=True)

    sys.exit(run_command("mappo_departures.py", body))


if __name__ == "__main__":
    main()

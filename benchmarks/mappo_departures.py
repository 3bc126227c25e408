"""What MAPPO's departures from section IV and Table I are worth: each taken back alone, on the same episodes.

    python benchmarks/mappo_departures.py --preference dynamic --text-map ... (the flags of `optimize`)

Every variant is trained with the same seeds and is given as a percentage of `central`, which knows every
channel, on the same test episodes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import torch

from data.cli import Parser, positive_int, run_command
from optimizer.command import SHARED, make_parts, system_flags
from optimizer.evaluation import play
from optimizer.inputs import load
from optimizer.mappo import MappoConfig, MappoTrainer
from optimizer.policies import POLICIES

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "power learned (Beta), not looked up": {"learn_power": True},
    "power and clock learned (Beta)": {"learn_power": True, "learn_clock": True},
    "lambda 0.98 for 0.5 (Table I)": {"gae_lambda": 0.98},
    "learning rate 2e-7 for 1e-3 (Table I)": {"learning_rate": 2e-7},
    "own channel only (section IV)": {"broadcast": False},
}


def main() -> None:
    flags = Parser(prog="mappo_departures.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--episodes", type=positive_int, default=60, help="updates of each training")
    flags.add_argument("--seeds", type=positive_int, default=3, help="trainings of each variant")
    flags.add_argument("--test-episodes", type=positive_int, default=200)
    options = flags.parse_args()

    def body() -> None:
        torch.set_num_threads(1)
        parts = make_parts(options, *SHARED)
        system, episode = parts["system"], parts["episode"]
        tasks = load(parts["inputs"], system=system, episode=episode).tasks
        setting: dict[str, Any] = {"system": system, "episode": episode, "tasks": tasks}
        test: dict[str, Any] = {**setting, "episodes": options.test_episodes, "seed": options.seed + 1}
        central = play(POLICIES["central"](system, tasks), **test).qoe.mean()
        print(f"{options.seeds} seeds, {options.episodes} updates, {options.test_episodes} test episodes")
        print(f"{'':40}{'% of central':>14}{'std':>7}{'CPU s':>8}")
        for name, changes in VARIANTS.items():
            config = replace(MappoConfig(broadcast=True, episodes=options.episodes), **changes)
            shares, started = [], time.process_time()
            for seed in range(options.seeds):
                generator = torch.Generator().manual_seed(options.seed + seed)
                trainer = MappoTrainer(config, **setting, generator=generator)
                trainer.train()
                shares.append(100 * play(trainer.policy, **test).qoe.mean() / central)
            spread = torch.stack(shares).std() if len(shares) > 1 else torch.nan
            cpu_s = (time.process_time() - started) / options.seeds
            print(f"{name:40}{torch.stack(shares).mean():14.1f}{spread:7.1f}{cpu_s:8.0f}", flush=True)

    sys.exit(run_command("mappo_departures.py", body))


if __name__ == "__main__":
    main()

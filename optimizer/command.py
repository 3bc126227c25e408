"""`optimize`: from an accuracy map and a FLOPs file to a policy that offloads well."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.artifacts import ToolkitError
from data.cli import Parser, finite_float, positive_int, raise_config_errors, run_command
from optimizer.config import CSI, OFFLOAD_COSTS, PREFERENCES, EpisodeConfig, RunFiles, SystemConfig

if TYPE_CHECKING:
    from optimizer.experiment import OptimizeConfig

DESCRIPTION = """\
Train MAPPO to decide, for every UE and step, whether to offload, at which power, clock and bandwidth, and
test it beside local, remote, greedy and random policies on the same episodes. Prints a table, writes
results.json, results.csv, learning_curve.png and policy.safetensors.

Where each symbol of the paper is set (names without -- are config dataclasses of optimizer.config, .mappo):
  I          number of UEs                        --ues
  f^T, k^T   accuracy map, symbols per token      --text-map, --k
  l^T, S^T   FLOP and tokens per sentence         --flops
  BW         sum bandwidth                        --bandwidth-hz
  sigma^2    noise power spectral density         --noise-dbm-hz
  beta^f     weight of energy in the cost (9)     --beta with --preference fixed
  beta^d     the same from the battery (28)       --preference dynamic
  h          small-scale fading, known or not     --csi
  eqs. (3)-(8), encoder charged to the UE or not  --offload-cost
  d^T = 10, 10 sentences a task, T = 20, xi_S, xi_F, B_max       EpisodeConfig
  p, f, n, alpha, p^c, t^dl, t_max, epsilon_min, carrier         SystemConfig
  lambda, gamma, delta, c^CR, c^E, batch step, learning rate     MappoConfig
"""
EPILOG = """\
The table's columns: QoE is the sum over UEs of each UE's mean QoE (10) over the steps in which it had a task,
failed executions counting 0; "finished" is the share of queues emptied by T, "steps" how long those took;
(11b) accuracy, (11g) latency and (11h) battery are the shares of executions that broke the constraint; "sees"
is what the policy knows.

example:
  optimize --text-map runs/text-map.json --flops runs/flops.json
"""


def parser() -> Parser:
    """The command's flags."""
    system, episode = SystemConfig(), EpisodeConfig()
    files = {name: field.default for name, field in RunFiles.__dataclass_fields__.items()}
    flags = Parser(prog="optimize", description=DESCRIPTION, epilog=EPILOG)
    add: Callable[..., Any] = flags.add_argument
    add(
        "--text-map",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="accuracy map of the text codec (JSON)",
    )
    add(
        "--flops",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="FLOPs file of the text codec (JSON)",
    )
    add("--output", type=Path, default=files["output"], metavar="DIR", help="folder for the results")
    add(
        "--ues",
        type=positive_int,
        default=episode.ues,
        metavar="I",
        help="number of UEs, all with text tasks",
    )
    add("--k", type=positive_int, default=files["k"], help="complex channel symbols per token")
    add(
        "--episodes",
        type=positive_int,
        default=argparse.SUPPRESS,
        metavar="N",
        help="training episodes of MAPPO, one update after each (default: 1000)",
    )
    add(
        "--test-episodes",
        type=positive_int,
        default=files["test_episodes"],
        metavar="N",
        help="episodes every policy is tested on",
    )
    add(
        "--preference",
        choices=PREFERENCES,
        default=episode.preference,
        help="weight of energy against latency: --beta, or rising from 0.5 to 1 as the battery empties",
    )
    add("--beta", type=finite_float, default=episode.beta, help="the fixed weight, 0 to 1")
    add(
        "--csi",
        choices=tuple(CSI),
        default=episode.csi,
        help="a UE knows g|h|^2 (reads an AWGN map) or only g (reads a Rayleigh map)",
    )
    add(
        "--offload-cost",
        choices=OFFLOAD_COSTS,
        default=episode.offload_cost,
        help="paper: the server runs the whole task; split: the UE pays for its encoder",
    )
    add("--bandwidth-hz", type=finite_float, default=system.bandwidth_hz, metavar="HZ", help="sum bandwidth")
    add(
        "--noise-dbm-hz",
        type=finite_float,
        default=system.noise_dbm_hz,
        metavar="DBM",
        help="noise power spectral density",
    )
    add("--seed", type=int, default=files["seed"], help="all randomness is drawn from it")
    return flags


def to_config(options: argparse.Namespace) -> OptimizeConfig:
    """The config the flags ask for.

    Raises:
        ToolkitError: listing the errors of all its parts at once.
    """
    from optimizer.experiment import OptimizeConfig  # loads torch
    from optimizer.mappo import MappoConfig

    parts: dict[str, Any] = {}
    errors = []
    given = vars(options)
    kinds = (
        ("files", RunFiles),
        ("system", SystemConfig),
        ("episode", EpisodeConfig),
        ("mappo", MappoConfig),
    )
    for name, kind in kinds:
        try:
            parts[name] = kind(**{key: given[key] for key in kind.__dataclass_fields__ if key in given})
        except ToolkitError as error:
            errors.append(str(error))
    raise_config_errors(errors)
    return OptimizeConfig(**parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command("optimize", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    from optimizer.experiment import format_table, optimize

    config = to_config(options)
    result = optimize(config)
    episode, files = config.episode, config.files
    preference = "beta^d of the battery" if episode.preference == "dynamic" else f"beta {episode.beta:g}"
    channel = "g|h|^2" if episode.csi == "instantaneous" else "g"
    print(
        f"{episode.ues} text UEs, k = {files.k}, {preference}, {files.test_episodes} test episodes; "
        f"a UE's channel is {channel}"
    )
    print(format_table(result.performance))
    if result.accuracy_map.synthetic:
        print("The accuracy map was measured on synthetic data: these figures say nothing about real text.")
    for path in result.written:
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())

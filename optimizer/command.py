"""`optimize`: from accuracy maps and FLOPs files to a policy that offloads well."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files.errors import ToolkitError, raise_config_errors
from data.terminal.command import Parser, run_command
from data.terminal.flag_types import (
    finite_float,
    float_grid,
    int_list,
    positive_int,
)
from data.terminal.start import run
from data.terminal.table import align
from optimizer.unread import UNREAD, default_mix, unread_flags
from optimizer.world.config import (
    CSI,
    MODALITIES,
    OFFLOAD_COSTS,
    PREFERENCES,
    UES_MAX,
    EpisodeConfig,
    Inputs,
    SystemConfig,
)

if TYPE_CHECKING:
    from optimizer.study.train import TrainConfig

SYMBOLS = """\
Where each symbol of the paper is set. By a flag, where the subcommand has it:
  I, Q                    UEs and their modalities        --ues text:1,image:1,vqa:2
  f^T, f^I, f^B           accuracy maps                   --text-map, --image-map, --vqa-map
  k^T, k^I                symbols per token (2)           --k-text, --k-image, --joint-k
  l, S                    FLOP (3), tokens (2) a task     --text-flops (--flops), --image-flops, --vqa-flops
  BW                      sum bandwidth (11f), (12)       --bandwidth-hz
  sigma^2                 noise density (1)               --noise-dbm-hz
  beta^f                  weight of energy (9)            --beta with --preference fixed
  beta^d                  the same from the battery (28)  --preference dynamic
  h                       fading (1), known or not        --csi
  eqs. (3)-(8)            who pays for the encoder        --offload-cost
  training, test episodes                                 --episodes, --test-episodes
From Python, fields of optimizer.world.config.SystemConfig:
  p, p_max                transmit power (11d)            power_min_dbm, power_max_dbm
  f, f_max                clock (11e)                     local_clock_min_hz, local_clock_max_hz
  n, n^rc, f^rc           processors (3), (5)             local_flops_per_cycle, remote_flops_per_cycle,
                                                          remote_clock_hz
  alpha^lc, alpha^rc      energy of computing (8), (6)    local_energy_coefficient,
                                                          remote_energy_coefficient
  p^c, t^dl               static power (8), download (7)  circuit_power_w, download_latency_s
  epsilon_min, t_max      limits (11b), (11g)             accuracy_min, latency_max_s
  g                       pathloss (1), TR 38.901 UMi     carrier_hz, radius_min_m, radius_max_m
of optimizer.world.config.EpisodeConfig:
  d, T                    queue at the start, steps (14)  queue_tasks, steps
                          sentences in a paragraph        sentences_per_task
  B_max, E^max            battery (28), (11h)             battery_queues, battery_start_min, idle_drain
  xi_S, xi_F              end of an episode (14)          success_bonus, failure_scale
                          hears others (--section-iv)     announce
of optimizer.policies.mappo.MappoConfig:
  lambda, gamma, delta    (23), (15), (25)                gae_lambda, discount, clip
  c^CR, c^E               weights in the loss (27)        critic_weight, entropy_weight
                          learning rate, batch step       learning_rate, batch_steps
  p, f as actions         section IV (--section-iv)       learn_power, learn_clock
Not set:
  E_0, t_0                of (9): local execution of the same queue at f_max
  epsilon_0               of (10): the maps' local accuracy, which they are ratios to
  A                       of (2): it cancels in (4)
"""
TRAIN = """\
Train MAPPO (section IV), DDQN and DQN to decide, for every UE and step, whether to offload (rho), which
bandwidth to request (b-hat) and, on wish, k. Section IV's MAPPO also decides power (p) and clock (f), and its
UEs know nothing of each other; by default f is taken in closed form, p is looked up on the band a UE is
granted, and each UE hears the largest gain that another announces (--section-iv undoes all three). DQN and
DDQN choose levels of all. Test them beside a controller that knows every channel, exhaustive search on
discrete levels (a lower bound on the best; the paper calls it the upper one), announced (the UE of the
largest gain offloads alone), greedy, local, remote and random policies on the same episodes; and give every
policy as a share of a certified upper bound (docs/bound.md). Prints a table, writes results.json,
results.csv, learning_curve.png, policies, checkpoints and a TensorBoard log.

"""
TABLE = """\
The table's columns: QoE (10) is summed over the UEs and averaged over the steps until every queue is empty,
failed executions counting 0; its interquartile mean over episodes with a bootstrap interval, and its plain
mean; "of bound" is the mean over the mean of the certified bound; "finished" is the share of episodes that
emptied every queue by T, "steps" how long they took; (11b) accuracy, (11g) latency and (11h) battery are the
shares of executions that broke the constraint; "sees" is what the policy knows.
"""
SHORT = """\
Subcommands, each with its own --help; without one, a short `optimize train` (MAPPO, 1 seed, 200 episodes):
  optimize train      every learner, five seeds, 1000 episodes
  optimize figures    Figs. 2-7 of the paper
  optimize pareto     one policy for every beta: the energy-latency front
  optimize plan       how much bandwidth, server or which k a QoE needs, from the bound, in seconds
  optimize report     a run as one HTML page to look at

"""
FIGURES = """\
Redraw Figs. 2-7 of the paper as PNG, PDF and CSV. Each figure is drawn from runs of `optimize train` in
folders of --output; a run that is there already is read, so that an interrupted call goes on.
  2  reward, QoE and policy entropy in training, fixed and dynamic preference
  3  tasks left by step, fixed preference          4  the same, dynamic
  5  QoE against k^T    6  against k^I    7  against noise, -175 to -155 dBm/Hz (all dynamic)

"""
PARETO = """\
Train one policy on preferences beta of (9) drawn from 0 to 1 and test it at each of --betas: its whole front
of energy against latency, beside greedy and local. Writes front.png, .pdf, .csv, pareto.json and the policy.

"""
PLAN = """\
How much bandwidth BW, server capacity c^rc or which k^T, k^I does a QoE need? Brackets the best mean QoE of
a step between what a controller who knows every channel reaches and the certified bound, at several values,
one of them varied at a time; the intervals are over the --states drawn, and "cannot tell" means that QoE is
within them or the bracket. Nothing is trained.

"""
REPORT = """\
Write one self-contained HTML page of a run of `optimize train`: policies with intervals, learning curves,
queues, broken constraints, provenance, and sliders that compute a task's delay, energy and QoE from the
run's own maps. It opens offline.

Which symbol of the paper is where on the page:
  I that offload, BW, p, g or gamma (1), k^T, k^I, d, beta (9)   sliders
  gamma (1), b (12), epsilon, t (4), (5), (7), E (8), QoE (10)   readings beside them
  QoE (10), E/E_0, t/t_0 (9), (11b), (11g), (11h)                table of policies
  reward (13), (14), E of (27), d by step                        curves
All others are as in the run: `optimize train --help` says where they are set.

example:
  optimize report runs/optimize --output report.html
"""

logger = logging.getLogger(__name__)


def modality_mix(text: str) -> tuple[str, ...]:
    """Flag type: "text:1,vqa:2", or a number of text UEs."""
    if text.isdigit():
        text = f"text:{text}"
    mix: list[str] = []
    for part in text.split(","):
        modality, _, count = part.partition(":")
        if modality not in MODALITIES or not (count or "1").isdigit() or int(count or "1") < 1:
            raise argparse.ArgumentTypeError(
                f"{text!r} given, such as text:1,image:1,vqa:2 is allowed, or a number of text UEs"
            )
        if len(mix) + int(count or "1") > UES_MAX:
            raise argparse.ArgumentTypeError(f"{text!r} given, at most {UES_MAX} UEs are allowed")
        mix += [modality] * int(count or "1")
    return tuple(mix)


def name_list(text: str) -> tuple[str, ...]:
    """Flag type: names with commas between."""
    return tuple(part for part in text.split(",") if part)


def parser(name: str | None = None) -> Parser:
    """The flags of a subcommand, or of `optimize` without one."""
    if name == "report":
        return _report_parser()
    texts = {
        None: SHORT + TRAIN, "train": TRAIN, "figures": FIGURES, "pareto": PARETO, "plan": PLAN,
    }  # fmt: skip
    example = (
        f"optimize{'' if name is None else ' ' + name} --text-map runs/text-map.json --flops runs/flops.json"
    )
    if name == "plan":
        example += " --qoe 6"
    flags = Parser(
        prog="optimize" if name is None else f"optimize {name}",
        description=texts[name] + SYMBOLS,
        epilog=("" if name in ("plan", "figures") else TABLE) + f"\nexample:\n  {example}\n",
    )
    system_flags(flags, unread=tuple(UNREAD.get(name, ())))
    if name == "plan":
        _plan_flags(flags)
        return flags
    _training_flags(flags, short=name is None, pareto=name == "pareto")
    if name == "figures":
        flags.add_argument(
            "--figures", type=int_list, default=(2, 3, 4, 5, 6, 7), metavar="LIST", help="which, as in 2,3,7"
        )
        flags.add_argument(
            "--sweep-seeds", type=positive_int, default=1, metavar="N", help="trainings at each point of 5-7"
        )
    if name == "pareto":
        flags.add_argument(
            "--betas", type=float_grid, default=argparse.SUPPRESS, metavar="LIST",
            help="preferences to test at, as in 0:1:0.1 (default)",
        )  # fmt: skip
    return flags


def _report_parser() -> Parser:
    """The flags of `optimize report`."""
    flags = Parser(prog="optimize report", description=REPORT)
    flags.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="folder that `optimize train` wrote")
    flags.add_argument(
        "--output", type=Path, metavar="FILE", help="the page (default: report.html in RUN_FOLDER)"
    )
    return flags


def system_flags(flags: Parser, *, unread: Sequence[str] = ()) -> None:
    """Add the flags of files, UEs and Table I, which every subcommand has; the help leaves `unread` out."""
    system, episode, inputs = SystemConfig(), EpisodeConfig(), Inputs()
    add: Callable[..., Any] = flags.add_argument
    hidden = argparse.SUPPRESS
    for modality in MODALITIES:
        add(
            f"--{modality}-map", type=Path, default=hidden, metavar="FILE",
            help=f"accuracy map of the {modality} codec (default: the reference file)",
        )  # fmt: skip
        names = [f"--{modality}-flops", *(["--flops"] if modality == "text" else [])]
        add(
            *names, type=Path, default=hidden, metavar="FILE",
            help=f"FLOPs file of the {modality} codec (default: the reference file)",
        )  # fmt: skip
    add(
        "--ues", dest="mix", type=modality_mix, default=hidden, metavar="MIX",
        help="UEs by modality (default: text:1,image:1,vqa:2; four of one where only its files are given)",
    )  # fmt: skip
    add("--k-text", "--k", type=positive_int, default=inputs.k_text, metavar="K", help="k^T")
    add("--k-image", type=positive_int, default=inputs.k_image, metavar="K", help="k^I")
    add(
        "--joint-k",
        action="store_true",
        help="UEs also choose k, among those of the maps up to --k-text, --k-image",
    )
    add(  # without a default in `options`, so that `_check_flags` sees whether it is given
        "--preference", choices=PREFERENCES, default=hidden,
        help=hidden if "preference" in unread else "weight of energy against latency: --beta, from the "
        f"battery (28), or drawn each episode (default: {episode.preference})",
    )  # fmt: skip
    add(
        "--beta", type=finite_float, default=hidden,
        help=hidden if "beta" in unread else f"the fixed weight, 0 to 1 (default: {episode.beta})",
    )  # fmt: skip
    add(
        "--csi", choices=tuple(CSI), default=episode.csi,
        help="a UE knows g|h|^2 (reads AWGN maps) or only g (reads Rayleigh maps)",
    )  # fmt: skip
    add(
        "--offload-cost", choices=OFFLOAD_COSTS, default=episode.offload_cost,
        help="paper: the server runs the whole task; split: the UE pays for its encoder",
    )  # fmt: skip
    add("--bandwidth-hz", type=finite_float, default=system.bandwidth_hz, metavar="HZ", help="sum bandwidth")
    add(
        "--noise-dbm-hz", type=finite_float, default=system.noise_dbm_hz, metavar="DBM",
        help="noise power spectral density",
    )  # fmt: skip
    add("--seed", type=int, default=0, help="all randomness is drawn from it")


def _training_flags(flags: Parser, *, short: bool, pareto: bool) -> None:
    add: Callable[..., Any] = flags.add_argument
    folder = Path("runs/pareto" if pareto else "runs/optimize")
    add("--output", type=Path, default=folder, metavar="DIR", help="folder for the results")
    if pareto:
        flags.set_defaults(learners=("mappo",))  # what pareto.json says was trained
    else:
        add(
            "--learners", type=name_list, default=("mappo",) if short else ("mappo", "ddqn", "dqn"),
            metavar="LIST", help="what is trained, of mappo (its policies are saved), ddqn, dqn; '': none",
        )  # fmt: skip
        flags.may_be_empty = ("--learners",)
        add(
            "--seeds",
            type=positive_int,
            default=1 if short else 5,
            metavar="N",
            help="trainings of each learner",
        )
        add(
            "--no-bound", dest="bound", action="store_false",
            help="leave the certified bound out: it takes about as long as a training",
        )  # fmt: skip
    add(
        "--episodes", type=positive_int, default=200 if short else argparse.SUPPRESS, metavar="N",
        help="training episodes, one MAPPO update after each" + ("" if short else " (default: 1000)"),
    )  # fmt: skip
    add(
        "--section-iv",
        action="store_true",
        help="UEs as section IV has them: they hear nothing of the others' gains, and learn power and clock",
    )
    add(
        "--test-episodes", type=positive_int, default=100, metavar="N",
        help="episodes every policy is tested on with each seed",
    )  # fmt: skip


def _plan_flags(flags: Parser) -> None:
    add: Callable[..., Any] = flags.add_argument
    add(
        "--qoe", type=finite_float, required=True, default=argparse.SUPPRESS, metavar="Q",
        help="sum QoE per step that is wanted",
    )  # fmt: skip
    add(
        "--vary", type=name_list, metavar="LIST",
        help="what is tried at several values, of bandwidth, server, k-text, k-image (default: all of them "
        "that the UEs have)",
    )  # fmt: skip
    add("--states", type=positive_int, default=64, metavar="N", help="steps the mean is over")


def make_parts(options: argparse.Namespace, *kinds: tuple[str, Any]) -> dict[str, Any]:
    """Configs made from the flags that are their fields, all errors at once.

    Raises:
        ToolkitError: listing the errors of all of them.
    """
    given = dict(vars(options))
    parts: dict[str, Any] = {}
    errors = []
    for name, kind in kinds:
        try:
            parts[name] = kind(**{key: given[key] for key in kind.__dataclass_fields__ if key in given})
        except ToolkitError as error:
            errors.append(str(error))
        if name == "inputs" and "inputs" in parts and (mix := default_mix(parts["inputs"])):
            given.setdefault("mix", mix)
    raise_config_errors(errors)
    return parts


SHARED = (("inputs", Inputs), ("system", SystemConfig), ("episode", EpisodeConfig))
"""The configs that `system_flags` fill."""


def to_config(options: argparse.Namespace) -> TrainConfig:
    """The training config the flags ask for.

    Raises:
        ToolkitError: listing the errors of all its parts at once.
    """
    from optimizer.policies.mappo import MappoConfig
    from optimizer.study.train import TrainConfig  # loads torch

    names = ("learners", "seeds", "test_episodes", "bound", "output", "seed")
    own = {name: getattr(options, name) for name in names if hasattr(options, name)}
    if options.section_iv:
        options = argparse.Namespace(**vars(options), announce=False, learn_power=True, learn_clock=True)
    errors = []
    parts = {}
    for build in (
        lambda: parts.update(make_parts(options, *SHARED, ("mappo", MappoConfig))),
        lambda: TrainConfig(**own),
    ):
        try:
            build()
        except ToolkitError as error:
            errors.append(str(error))
    raise_config_errors(errors)
    return TrainConfig(**parts, **own)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given.pop(0) if given and given[0] in _RUN else None
    if name is None and given and not given[0].startswith("-"):
        known = ", ".join(one for one in _RUN if one is not None)
        parser().error(f"{given[0]!r} given, a subcommand of {known} or none is allowed")
    options = parser(name).parse_args(given)

    words = {word.partition("=")[0] for word in given}

    def body() -> None:
        unread = unread_flags(name, options)
        raise_config_errors([f"{flag} given: {why}" for flag, why in unread.items() if flag in words])
        if name != "report":
            logger.info("loading torch")  # which can take long
        _RUN[name](options)

    return run_command("optimize" if name is None else f"optimize {name}", body)


def _train(options: argparse.Namespace) -> None:
    from optimizer.study.train import format_table, train

    result = train(to_config(options))
    print(result.setting)
    print(format_table(result.performance, result.bound))
    _close(result.synthetic, result.written)


def _figures(options: argparse.Namespace) -> None:
    from optimizer.study.figures import FiguresConfig, figures

    config = FiguresConfig(train=to_config(options), figures=options.figures, sweep_seeds=options.sweep_seeds)
    result = figures(config)
    _close(result.synthetic, result.written)


def _pareto(options: argparse.Namespace) -> None:
    from optimizer.study.pareto import ParetoConfig, pareto

    given = {"betas": options.betas} if hasattr(options, "betas") else {}
    result = pareto(ParetoConfig(train=to_config(options), **given))
    rows = [("beta", "t/t_0", "E/E_0", "QoE", "finished", "policy")]
    for name, by_beta in result.performance.items():
        for beta, one in by_beta.items():
            rows.append(
                (f"{beta:g}", f"{one.latency:.3f}", f"{one.energy:.4f}", f"{one.qoe_mean:.3f}",
                 f"{one.finished:.1%}", name)
            )  # fmt: skip
    print(align(rows, left=(0, -1)))
    _close(result.synthetic, result.written)


def _plan(options: argparse.Namespace) -> None:
    from optimizer.study.plan import PlanConfig, plan

    parts = make_parts(options, *SHARED)
    config = PlanConfig(**parts, qoe=options.qoe, vary=options.vary, states=options.states, seed=options.seed)
    units = {"bandwidth": "Hz", "server": "FLOP/s", "k-text": "symbols", "k-image": "symbols"}
    rows: list[tuple[str, ...]] = [
        ("varied", "value", "reached", "95 % interval", "bound", "95 % interval", f"QoE {config.qoe:g}?")
    ]
    result = plan(config)
    for choice in result.choices:
        ends = (
            text
            for one in (choice.reached, choice.bound)
            for text in (f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}")
        )
        value = f"{choice.value:g} {units[choice.varied]}"
        rows.append((choice.varied, value, *ends, choice.verdict(config.qoe)))
    print(align(rows, left=(0, -1)))
    _close(result.synthetic, [])


def _report(options: argparse.Namespace) -> None:
    from optimizer.study.report import write_report

    _close(False, [write_report(options.folder, options.output)])


def _close(synthetic: bool, written: Sequence[Path]) -> None:
    if synthetic:
        print("An accuracy map was measured on synthetic data: these figures say nothing about real data.")
    for path in written:
        print(f"wrote {path}")


_RUN: dict[str | None, Callable[[argparse.Namespace], None]] = {
    None: _train, "train": _train, "figures": _figures, "pareto": _pareto, "plan": _plan,
    "report": _report,
}  # fmt: skip


if __name__ == "__main__":
    run("optimize", "optimizer.command")

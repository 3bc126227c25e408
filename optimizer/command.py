"""`optimize`: from accuracy maps and FLOPs files to a policy that offloads well."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from data.files.errors import ToolkitError
from data.settings import (
    Parser,
    Settings,
    add_config_flags,
    add_flags,
    from_args,
    layers_of,
    merge,
    run_command,
)
from data.terminal.colour import strong
from data.terminal.ending import closing_lines, page_lines
from data.terminal.start import run
from optimizer.policies.config import SECTION_IV, MappoConfig
from optimizer.study.config import (
    ExportConfig,
    FiguresConfig,
    ParetoConfig,
    PlanConfig,
    ReportConfig,
    TrainConfig,
    WorldSettings,
)
from optimizer.symbols import SYMBOLS
from optimizer.unread import UNREAD, unread_flags
from optimizer.world.config import MODALITIES, EpisodeConfig, Inputs, SystemConfig

TRAIN = """\
Train MAPPO (section IV), DDQN and DQN to decide, for every UE and step, whether to offload (rho), which
bandwidth to request (b-hat) and, on wish, k. Section IV's MAPPO also decides power (p) and clock (f), and its
UEs know their place, battery and last latency; by default f is taken in closed form, p is looked up on the
band a UE is granted, and a UE knows more (--observation; --section-iv undoes all of it). DQN and DDQN choose
levels of all. Test them beside a controller that knows every channel, exhaustive search on discrete levels
(a lower bound on the best; the paper calls it the upper one), announced (the UE of the largest gain offloads
alone), bids (each UE bids its gain by (12)), greedy, local, remote and random policies on the same episodes;
and give every policy as a share of a certified upper bound (docs/bound.md). Prints a table, writes
results.json, results.csv, learning_curve.png, policies, checkpoints and a TensorBoard log.

"""
TABLE = """\
The table's columns: QoE (10) is summed over the UEs and averaged over the steps until every queue is empty,
failed executions counting 0; the mean over all episodes of all seeds, its interval over episodes, and under
the table one over trainings; "of bound" is that mean over the mean of the certified bound; "finished" is the
share of episodes that emptied every queue by T, "steps" how long they took; where tasks arrive, "waiting" is
the mean queue of a UE before a step, and "lost" how many tasks an episode lost at full queues; (11b)
accuracy, (11g) latency and (11h) battery are the shares of executions that broke the constraint. * marks the
best of the policies that do not see all channels. Under the table stands what each policy sees.
"""
SHORT = """\
Subcommands, each with its own --help; without one, a short `optimize train` (MAPPO, 1 seed, 200 episodes):
  optimize train      every learner, five seeds, 1000 episodes
  optimize figures    Figs. 2-7 of the paper
  optimize pareto     one policy for every beta: the energy-latency front
  optimize plan       how much bandwidth, server or which k a QoE needs, from the bound, in seconds
  optimize report     a run as one HTML page to look at
  optimize export     a trained actor as ONNX, for a UE
  optimize symbols    which flag or field sets which symbol of the paper

"""
_OF_SYMBOLS = "Print where each symbol of the paper is set: by which flag, or in which field of --config."
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

`optimize symbols` says which symbol of the paper is where on it.

example:
  optimize report runs/optimize --output report.html
"""

EXPORT = """\
Write the actor of a policy file of MAPPO or IPPO as an ONNX model, which a UE can run without torch. Its
input is what UEs can know, (UEs, columns). Its outputs are what they decide without exploration:
offload_probability (that rho is 1: a UE draws it), request (b-hat of (12)), and where these are learned
power_share, clock_share (0 to 1 of their ranges, the power's in dBm) and code (index of k). The model's
metadata name the columns. It needs pip install 'deepsc-toolkit[onnx]'.

example:
  optimize export --policy runs/optimize/mappo-0.safetensors --output actor.onnx
"""

logger = logging.getLogger(__name__)

_DESCRIPTIONS = {
    None: SHORT + TRAIN, "train": TRAIN, "figures": FIGURES, "pareto": PARETO, "plan": PLAN, "report": REPORT,
    "export": EXPORT,
}  # fmt: skip
_CONFIGS: Mapping[str | None, type[Settings]] = {
    None: TrainConfig, "train": TrainConfig, "figures": FiguresConfig, "pareto": ParetoConfig,
    "plan": PlanConfig, "report": ReportConfig, "export": ExportConfig,
}  # fmt: skip
SUBCOMMANDS = (*(name for name in _CONFIGS if name is not None), "symbols")
_ALONE = ("report", "export")
"""Subcommands that read what a run wrote, and no world."""
_DEFAULTS: Mapping[str | None, Mapping[str, Any]] = {
    None: {"learners": ("mappo",), "seeds": 1, "mappo": {"episodes": 200}},
    "pareto": {"learners": ("mappo",), "output": Path("runs/pareto")},
}
"""Of TrainConfig, where a subcommand has others than the fields'."""


def parser(name: str | None = None) -> Parser:
    """The flags of a subcommand, or of `optimize` without one."""
    prog = "optimize" if name is None else f"optimize {name}"
    example = f"{prog} --text-map runs/text-map.json --flops runs/flops.json"
    epilog = f"\nexample:\n  {example}{' --qoe 6' if name == 'plan' else ''}\n"
    if name in _ALONE:
        epilog = ""
    elif name not in ("plan", "figures"):
        epilog = TABLE + epilog
    flags = Parser(prog=prog, description=_DESCRIPTIONS[name], epilog=epilog)
    flags.set_defaults(subcommand=name)
    flags.subcommands = SUBCOMMANDS
    add_config_flags(flags)
    if name in _ALONE:
        add_flags(flags, _CONFIGS[name])
        return flags
    at = _at_train(name)
    system_flags(flags, at=at, hidden=tuple(UNREAD.get(name, ())))
    add_flags(flags, WorldSettings, "device", at=at)
    if name == "plan":
        add_flags(flags, PlanConfig, "qoe", "vary", "states")
        return flags
    _training_flags(flags, at, pareto=name == "pareto", defaults=_DEFAULTS.get(name, {}))
    if name == "figures":
        add_flags(flags, FiguresConfig, "figures", "sweep_seeds")
    if name == "pareto":
        add_flags(flags, ParetoConfig, "betas")
    return flags


def _at_train(name: str | None) -> str:
    """Where a subcommand's config has its TrainConfig."""
    return "train" if name in ("figures", "pareto") else ""


def system_flags(flags: Parser, *, at: str = "", hidden: Sequence[str] = ()) -> None:
    """Add the flags of files, UEs and Table I, which every subcommand has.

    Args:
        flags: what they are added to.
        at: path of the `WorldSettings` in the config.
        hidden: fields of EpisodeConfig that the help leaves out.
    """
    before = f"{at}." if at else ""
    add_flags(flags, Inputs, at=f"{before}inputs")
    episode = ("mix", "preference", "beta", "csi", "offload_cost")
    add_flags(flags, EpisodeConfig, *(name for name in episode if name not in hidden), at=f"{before}episode")
    for name in hidden:
        flags.add_argument(
            f"--{name}", dest=f"{before}episode.{name}", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    add_flags(flags, SystemConfig, "bandwidth_hz", "noise_dbm_hz", at=f"{before}system")
    add_flags(flags, WorldSettings, "seed", at=at)


def _training_flags(flags: Parser, at: str, *, pareto: bool, defaults: Mapping[str, Any]) -> None:
    fields = ("output", "test_episodes") if pareto else (
        "output", "learners", "seeds", "bound", "test_episodes",
    )  # fmt: skip
    add_flags(flags, TrainConfig, *fields, at=at, defaults=defaults)
    flags.may_be_empty = ("--learners",)
    add_flags(flags, EpisodeConfig, "observation", at=f"{at}.episode" if at else "episode")
    add_flags(
        flags, MappoConfig, "episodes", at=f"{at}.mappo" if at else "mappo", defaults=defaults.get("mappo")
    )
    flags.add_argument(
        "--section-iv",
        action="store_true",
        help="MAPPO as section IV prints it: --observation printed, power and clock learned, V of the UE's "
        "own observation, no head start",
    )


def to_config(options: argparse.Namespace) -> Any:
    """The config of a subcommand that its flags, and the file of --config, ask for.

    Raises:
        ToolkitError: listing all errors at once.
    """
    name: str | None = options.subcommand
    if name in _ALONE:
        return from_args(_CONFIGS[name], options)
    at = _at_train(name)
    above: dict[str, Any] = {}
    if getattr(options, "section_iv", False):
        above = {"episode": {"observation": "printed"}, "mappo": dict(SECTION_IV)}
    below: list[Mapping[str, object]] = [_DEFAULTS.get(name, {}), usual_mix(options, at)]
    if at:
        below, above = [{at: layer} for layer in below], {at: above}
    return from_args(_CONFIGS[name], options, *below, above=above)


def world_settings(options: argparse.Namespace) -> WorldSettings:
    """What the flags of `system_flags` ask for, where there is no subcommand.

    Raises:
        ToolkitError: listing all errors at once.
    """
    world = from_args(WorldSettings, options, usual_mix(options))
    if world.device != "cpu":
        raise ToolkitError(f"device: {world.device} given, cpu is allowed: CPU seconds are measured here")
    return world


def usual_mix(options: argparse.Namespace, at: str = "") -> dict[str, object]:
    """The UEs unless --ues says others: where files are given, four of their modalities in turn."""
    values = merge(*layers_of(options))
    whole = values.get(at) if at else values
    inputs = whole.get("inputs") if isinstance(whole, Mapping) else None
    if not isinstance(inputs, Mapping):
        return {}
    modalities = [
        modality
        for modality in MODALITIES
        if any(inputs.get(f"{modality}_{kind}") is not None for kind in ("map", "flops"))
    ]
    return {"episode": {"mix": tuple(islice(cycle(modalities), 4))}} if modalities else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["symbols"]:
        Parser(prog="optimize symbols", description=_OF_SYMBOLS).parse_args(words[1:])
        print(SYMBOLS, end="")
        return 0
    name = words.pop(0) if words and words[0] in _RUN else None
    if name is None and words and not words[0].startswith("-"):
        known = ", ".join(SUBCOMMANDS)
        parser().error(f"{words[0]!r} given, a subcommand of {known} or none is allowed")
    options = parser(name).parse_args(words)

    def body() -> None:
        config = to_config(options)
        flags = {word.partition("=")[0] for word in words}
        unread = dict(_unread(name, config))
        if getattr(options, "section_iv", False):
            unread["--observation"] = "--section-iv has its own"
        refused = [f"{flag} given: {why}" for flag, why in unread.items() if flag in flags]
        if refused:
            raise ToolkitError("; ".join(refused))
        if name != "report":
            logger.info("loading torch")  # which can take long
        for line in _RUN[name](config):
            print(line)

    return run_command("optimize" if name is None else f"optimize {name}", body)


def _unread(name: str | None, config: Settings) -> Mapping[str, str]:
    """Flags that would change nothing beside the others, and why."""
    if isinstance(config, FiguresConfig):
        return unread_flags(
            name, config.train.episode, figures=config.figures, trains=bool(config.train.learners)
        )
    if isinstance(config, ParetoConfig):
        return unread_flags(name, config.train.episode)
    if isinstance(config, PlanConfig):
        return unread_flags(name, config.episode, vary=config.vary)
    if isinstance(config, TrainConfig):
        return unread_flags(name, config.episode, trains=bool(config.learners))
    return {}


def _train(config: TrainConfig) -> Iterator[str]:
    from optimizer.study.results import format_table, notes
    from optimizer.study.train import train

    result = train(config)
    yield result.setting
    for line in format_table(result.performance, result.bound).splitlines():
        yield strong(line, stream=sys.stdout) if " * " in line else line
    yield from notes(result.performance, result.bound)
    yield from _close(result.synthetic, result.written, "optimize", "report", config.output)


def _figures(config: FiguresConfig) -> Iterator[str]:
    from optimizer.study.figures import figures

    result = figures(config)
    command: list[str | Path] = ["optimize", "plan", "--qoe", "QOE"]
    note = "what bandwidth, server or k a QoE would take"
    if {2, 3, 4} & set(config.figures):
        preference = "fixed" if {2, 3} & set(config.figures) else "dynamic"
        command, note = ["optimize", "report", config.train.output / f"preference-{preference}"], ""
    yield from _close(result.synthetic, result.written, *command, note=note)


def _pareto(config: ParetoConfig) -> Iterator[str]:
    from optimizer.study.pareto import format_front, pareto

    result = pareto(config)
    yield format_front(result.performance)
    actor = config.train.output / "mappo.onnx"
    export: list[str | Path] = ["optimize", "export", "--policy", result.written[0], "--output", actor]
    yield from _close(result.synthetic, result.written, *export)


def _plan(config: PlanConfig) -> Iterator[str]:
    from optimizer.study.plan import format_choices, plan

    result = plan(config)
    yield format_choices(result.choices, config.qoe)
    train = ["optimize", "train", "FLAGS"]
    yield from _close(result.synthetic, [], *train, note="FLAGS: these, with the value that you choose")


def _report(config: ReportConfig) -> Iterator[str]:
    from optimizer.study.report import write_report

    yield from page_lines(write_report(config.folder, config.output))


def _export(config: ExportConfig) -> Iterator[str]:
    from optimizer.study.export import export_actor

    runtime = ("python3", "-m", "pip", "install", "onnxruntime")
    yield from _close((), [export_actor(config)], *runtime, note="on the UE, to run it without torch")


def _close(
    synthetic: Sequence[str], written: Sequence[Path], *command: str | Path, note: str = ""
) -> Iterator[str]:
    """What must be known of the figures, which files hold them, and what can be typed next."""
    if synthetic:
        names = " and ".join(synthetic)
        yield f"Measured on synthetic data: {names}. What these UEs earn says nothing about real data."
    for path in written:
        yield from closing_lines([path])
    yield from closing_lines([], command, note=note)


_RUN: Mapping[str | None, Callable[[Any], Iterator[str]]] = {
    None: _train, "train": _train, "figures": _figures, "pareto": _pareto, "plan": _plan,
    "report": _report, "export": _export,
}  # fmt: skip


if __name__ == "__main__":
    run("optimize", "optimizer.command")

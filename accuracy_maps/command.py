"""build-accuracy-map: sweep k and SNR over trained codecs and write the map."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from accuracy_maps.show.table import format_map
from accuracy_maps.sweep.config import MapConfig
from data.files.errors import ToolkitError, raise_config_errors
from data.settings import (
    Flag,
    Parser,
    Settings,
    add_config_flags,
    add_flags,
    build,
    from_args,
    layers_of,
    merge,
    named,
    run_command,
)
from data.terminal.ending import closing_lines, page_lines
from data.terminal.start import run
from deepsc.modality import Modality, modality, modality_names
from profiling.flops_file import SIZES

if TYPE_CHECKING:
    from accuracy_maps.bimodal import BimodalMap
    from accuracy_maps.map import AccuracyMap
    from accuracy_maps.sweep.engine import Engine
    from accuracy_maps.sweep.from_scratch import Family
    from deepsc.config import RunConfig

NAME = "build-accuracy-map"
_FOLLOWING = ("--modality", "--output", "--resume", "--init-from", "--device", "--data-dir", "--skip-bad")
"""Flags of train-deepsc that follow from those of build-accuracy-map."""


_DESCRIPTION = """\
Measure f(k, SNR), accuracy over the channel / local accuracy, on test data; write JSON, CSV and a plot.

  build-accuracy-map --modality text --codec runs/codec --local runs/local --output runs/text-map.json

--codec takes one codec trained for many k, or one codec for each k. Encoder features are computed once and
reused for every k and SNR. A sweep that was interrupted goes on when the same command is given again. With
--modality vqa question and image have their own k and SNR: f(k^T, k^I, SNR_T, SNR_I).

  build-accuracy-map --modality text --baseline digital --beside runs/text-map.json --local runs/local \\
      --output runs/text-digital.json

measures separate source and channel coding in as many symbols: by an ideal code that achieves capacity, by
the best code of that length (--code finite) or by 5G LDPC-coded QAM (--code ldpc).

  build-accuracy-map --modality image --task retrieve --codec runs/codec --local runs/local \\
      --output runs/retrieval-map.json

ranks a gallery of training images by their embeddings, with the models of a training for classification.

  build-accuracy-map --modality text --from-scratch --output runs/text-map.json -- --dataset captions \\
      --preset tiny --k 4,8,12,16,20 -- --epochs 4

trains the local model and the codec before, with train-deepsc's flags behind --; those behind a second -- are
the codec's alone. It shows a plan first, and goes on where a kill left it, in the middle of a training, too.

  build-accuracy-map report runs/text-map.json

writes an HTML page to look at; see build-accuracy-map report --help.
"""


_REPORT = """\
Write one self-contained HTML page of a map: curves with intervals, tables, provenance, and sliders over k,
SNR, bandwidth and number of UEs that read the map. It opens offline.

  build-accuracy-map report runs/text-map.json --digital runs/text-digital.json --output report.html

--digital takes several maps, such as one of each --code. A table gives the SNR at which each reaches 0.9.
"""


@dataclass(frozen=True, kw_only=True)
class Place(Settings):
    """Where a map's models come from, and where it is computed; neither changes the map."""

    from_scratch: bool = False
    """Train --local and --codec first (default: in folders named after --output), by the flags behind --."""
    engine: Literal["local", "ray"] = "local"
    """Ray: trainings and cells are tasks of a Ray cluster (pip install 'deepsc-toolkit[ray]')."""
    ray_address: Annotated[str | None, Flag(metavar="ADDRESS")] = None
    """Of the cluster, such as auto or HOST:6379 (default: $RAY_ADDRESS, else this machine)."""


@dataclass(frozen=True, kw_only=True)
class PageConfig(Settings):
    """What build-accuracy-map report does."""

    map: Annotated[str, Flag("map", metavar="MAP")]
    """What build-accuracy-map wrote."""
    digital: Annotated[tuple[str, ...], Flag(nargs="+", metavar="FILE")] = ()
    """Maps of the digital baseline to show beside it."""
    output: Annotated[str | None, Flag(metavar="FILE")] = None
    """The page (default: MAP with .html for .json)."""


def build_parser() -> argparse.ArgumentParser:
    """Flags of build-accuracy-map."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    parser.subcommands = ("report",)
    parser.add_argument("--modality", choices=modality_names(), default=argparse.SUPPRESS,
                        help="what crosses the channel")  # fmt: skip
    fields = [field.name for field in dataclasses.fields(MapConfig) if field.name != "also_beside"]
    add_flags(parser, MapConfig, *fields)
    add_flags(parser, Place)
    add_config_flags(parser)
    return parser


def report_parser() -> argparse.ArgumentParser:
    """Flags of build-accuracy-map report."""
    parser = Parser(prog=f"{NAME} report", description=_REPORT)
    add_flags(parser, PageConfig)
    add_config_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["report"]:
        page = report_parser().parse_args(words[1:])
        return run_command(f"{NAME} report", lambda: _report(from_args(PageConfig, page)))
    if words and not words[0].startswith("-"):
        build_parser().error(f"{words[0]!r} given, the subcommand report or flags are allowed")
    cut = words.index("--") if "--" in words else len(words)
    args = build_parser().parse_args(words[:cut])
    return run_command(NAME, lambda: _build(args, words[cut + 1 :]))


def _report(config: PageConfig) -> None:
    from accuracy_maps.show.report import write_report  # jinja2 and scipy: not for --help

    print(*page_lines(write_report(config.map, config.output, digital=config.digital)), sep="\n")


def _build(args: argparse.Namespace, training: Sequence[str]) -> None:
    """Build the map that the flags ask for, and print it.

    Args:
        args: of `build_parser`.
        training: what stands behind --.
    """
    values = merge(*layers_of(args))
    kind = _modality(values)
    place = build(Place, *(dataclasses.replace(layer, unknown=True) for layer in layers_of(args)))
    _check_flags(args, values, kind)
    folders: dict[str, object] = {}
    if place.from_scratch:
        if values.get("baseline"):
            raise ToolkitError(f"{named('from_scratch')} and {named('baseline')}: both given, one is allowed")
        stem = str(values.get("output", MapConfig.output)).removesuffix(".json")
        folders = {"local": f"{stem}-local", "codecs": (f"{stem}-codec",)}
    elif training:
        raise ToolkitError(f"--: given without {named('from_scratch')}, which train-deepsc's flags are for")
    maps = getattr(args, "beside", None)
    beside = {} if maps is None else {"beside": maps[0], "also_beside": tuple(maps[1:])}
    decided = {"modality": kind.name, **dataclasses.asdict(place)}
    config = from_args(MapConfig, args, folders, above=beside, chosen=decided)
    if place.from_scratch and (count := len(config.codecs)) > 1:
        raise ToolkitError(
            f"{named('codecs')}: {count} given, {named('from_scratch')} trains one for every k"
        )
    _measure(config, place, kind.name, training)


def _measure(config: MapConfig, place: Place, modality_name: str, training: Sequence[str]) -> None:
    from accuracy_maps.show.compare import symbols_line, threshold_line
    from accuracy_maps.sweep.build import build_map
    from accuracy_maps.sweep.finished import output_paths
    from accuracy_maps.sweep.from_scratch import build_from_scratch

    engine, device = _engine(place, config.device)
    config = dataclasses.replace(config, device=device)
    if place.from_scratch:
        result = build_from_scratch(config, family(training, config, name=modality_name), engine)
    else:
        result = build_map(config, engine, modality=modality_name)
    print(format_map(result))
    print(threshold_line(result))
    if line := symbols_line(result):
        print(line)
    print(*closing_lines(output_paths(config), _next_command(config, result, modality_name)), sep="\n")


def _next_command(config: MapConfig, result: AccuracyMap | BimodalMap, modality_name: str) -> list[str]:
    """After a codec's map the FLOPs of the codec at its largest k; after others the page."""
    if config.baseline is None and len(config.codecs) == 1 and modality_name in SIZES:
        words = ["profile-flops", "--modality", modality_name, "--checkpoint", *config.codecs]
        for axis in result.axis_names:
            if axis.startswith("k"):
                words += [f"--{axis.replace('_', '-')}", str(max(getattr(result, axis)))]
        return [*words, "--output", f"runs/{modality_name}-flops.json"]
    if config.baseline is not None and config.beside is not None:
        return [NAME, "report", config.beside, "--digital", config.output]
    return [NAME, "report", config.output]


def _engine(place: Place, device: str | None) -> tuple[Engine, str]:
    """Where to compute, and the device that work there runs on."""
    if place.engine == "ray":
        from accuracy_maps.sweep.engine_ray import RayEngine

        engine = RayEngine(address=place.ray_address, device=device)
        return engine, engine.device
    if place.ray_address is not None:
        raise ToolkitError(f"{named('ray_address')}: given without {named('engine')} ray")
    from accuracy_maps.sweep.engine import LocalEngine
    from data.device import resolve_device

    return LocalEngine(), resolve_device(device)


def family(flags: Sequence[str], config: MapConfig, *, name: str) -> Family:
    """Runs of the local model and of the codec that starts from it.

    Args:
        flags: of train-deepsc, for both; those behind a further "--" are the codec's alone.
        config: of the map; says where the checkpoints go, the device and the folder of the data.
        name: of the modality.

    Raises:
        ToolkitError: if a flag is unknown, or none of train-deepsc's to give here.
    """
    from accuracy_maps.sweep.from_scratch import Family
    from deepsc.command import without_flags

    cut = flags.index("--") if "--" in flags else len(flags)
    shared, further = list(flags[:cut]), list(flags[cut + 1 :])
    for flag in (*shared, *further):
        if flag.partition("=")[0] in _FOLLOWING:
            raise ToolkitError(
                f"{flag}: given behind --, where it follows from build-accuracy-map's own flags"
            )
    places = {"--device": config.device, "--data-dir": config.data_dir}
    following = ["--resume", *(f"{flag}={value}" for flag, value in places.items() if value is not None)]
    following += ["--skip-bad"] if config.skip_bad else []
    (folder,) = config.codecs
    local = _training(name, [*shared, "--channel=none", *following, f"--output={config.local}"])
    of_both = without_flags(shared, *(named(setting) for setting in local.local_names))
    codec = _training(name, [*of_both, *further, *following, f"--output={folder}"])
    raise_config_errors(codec.corpus.unread(codec.corpus.dataset, {"data_dir": config.data_dir}))
    if codec.training.channel is None:
        raise ToolkitError("--channel: 'none' given behind --, the codec needs a channel")
    no_others: dict[str, Any] = dict.fromkeys(codec.start_names)
    return Family(local=local, codec=dataclasses.replace(codec, init_from=config.local, **no_others))


def _training(name: str, flags: Sequence[str]) -> RunConfig:
    """The run that train-deepsc's flags ask for."""
    from deepsc.command import build_parser, config_from_args

    return config_from_args(build_parser(name).parse_args(["--modality", name, *flags]))


def _modality(values: Mapping[str, Any]) -> Modality[Any]:
    if "modality" not in values:
        raise ToolkitError(f"--modality: none given, allowed: {', '.join(modality_names())}")
    return modality(str(values["modality"]))


def _check_flags(args: argparse.Namespace, values: Mapping[str, Any], kind: Modality[Any]) -> None:
    """Refuse what would change nothing in a map of this modality."""
    fields = [f"k_{name}" if name else "k" for name in kind.transmissions]
    has = f"{kind.name} has {' and '.join(map(named, fields))}"
    unread = {name: has for name in ("k", "k_text", "k_image") if name not in fields}
    if len(fields) > 1:
        unread |= dict.fromkeys(("mat", "beside"), f"{kind.name} has none, its map has more axes")
    reasons = {
        "beams": f"{kind.name} has no beam search",
        "skip_bad": f"{kind.name} reads no folder of images",
        "bleu_tokenize": f"{kind.name} is not scored by BLEU",
    }
    unread |= {name: why for name, why in reasons.items() if name not in kind.sweep_options}
    for name, why in unread.items():
        # A file of --print-config says defaults, too.
        if hasattr(args, name) or values.get(name) not in (None, getattr(MapConfig, name)):
            raise ToolkitError(f"{named(name)}: given, {why}")


if __name__ == "__main__":
    run(NAME, "accuracy_maps.command")

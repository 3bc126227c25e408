"""build-accuracy-map: sweep k and SNR over trained codecs and write the map."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files.errors import ToolkitError, parsing
from data.terminal.command import Parser, run_command
from data.terminal.flag_types import float_grid, int_list, positive_int
from data.terminal.start import run
from deepsc.codec.config import CHANNEL_CODES
from deepsc.modality import Modality, modality, modality_names
from deepsc.text.bleu_tokenizer import TOKENIZERS

if TYPE_CHECKING:
    pass
from accuracy_maps.show.table import format_map

NAME = "build-accuracy-map"


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


def build_parser() -> argparse.ArgumentParser:
    """Flags of build-accuracy-map."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    parser.add_argument(
        "--modality", choices=modality_names(), required=True, help="what crosses the channel"
    )
    parser.add_argument("--codec", nargs="+", default=[], metavar="DIR", help="checkpoints from train-deepsc")
    parser.add_argument("--local", metavar="DIR", help="checkpoint trained with --channel none")
    parser.add_argument("--from-scratch", action="store_true", help="train --local and --codec first "
                        "(default: in folders named after --output), with the flags behind --")  # fmt: skip
    parser.add_argument("--task", help="what to measure, where the same models serve several tasks; image: "
                        "classify or retrieve, which ranks a gallery by the received embedding (default: the "
                        "task they were trained for; of a --baseline: --beside's)")  # fmt: skip
    parser.add_argument("--output", default="runs/map.json", metavar="FILE",
                        help="the map; .csv and .png are written beside it")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an output that other settings made")
    parser.add_argument(
        "--k", type=int_list, metavar="K[,K...]", help="symbols per token (default: all trained)"
    )
    for name, what in (("text", "question"), ("image", "image")):
        parser.add_argument(f"--k-{name}", type=int_list, metavar="K[,K...]",
                            help=f"vqa: symbols per token of the {what} (default: all trained)")  # fmt: skip
    parser.add_argument("--snr-db", type=float_grid, metavar="START:STOP:STEP", help="grid in dB, or a list "
                        "(default: -6:18:3; of a --baseline: --beside's)")  # fmt: skip
    parser.add_argument("--channel", choices=("awgn", "rayleigh", "rician"),
                        help="default: the codec's own; of a --baseline: --beside's")  # fmt: skip
    parser.add_argument(
        "--baseline", choices=("digital",), help="no codec: separate source and channel coding"
    )
    parser.add_argument("--code", choices=CHANNEL_CODES, default="capacity", help="a baseline's code: "
                        "ideal; the best of its length, by the normal approximation; 5G NR's LDPC with QAM "
                        "(pip install 'deepsc-toolkit[digital]'; default: capacity)")  # fmt: skip
    parser.add_argument("--beside", nargs="+", default=[], metavar="MAP", help="maps to plot beside it; "
                        "--baseline takes the axes, channel and task of the first")  # fmt: skip
    parser.add_argument("--mat", action="store_true", help="write sem_table for MATLAB too, text and image")
    parser.add_argument("--draws", type=positive_int, default=1, help="noise draws per test item and cell")
    parser.add_argument("--beams", type=positive_int, default=argparse.SUPPRESS,
                        help="text: beam search width (default: 1, greedy)")  # fmt: skip
    parser.add_argument("--bleu-tokenize", choices=TOKENIZERS, help="text: sacreBLEU's tokenizer (default: "
                        "by the target language: zh, ja-mecab, ko-mecab, char or 13a)")  # fmt: skip
    parser.add_argument(
        "--limit", type=positive_int, metavar="N", help="measure on the first N test sentences or images"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds the data ($DEEPSC_DATA)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out images of the models' --folder "
                        "that cannot be read, instead of listing them and ending")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of fading, noise and bootstrap")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda where there is one)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: trainings and "
                        "cells are tasks of a Ray cluster (pip install 'deepsc-toolkit[ray]')")  # fmt: skip
    parser.add_argument("--ray-address", metavar="ADDRESS", help="of the cluster, such as auto or HOST:6379 "
                        "(default: $RAY_ADDRESS, else this machine)")  # fmt: skip
    return parser


def report_parser() -> argparse.ArgumentParser:
    """Flags of build-accuracy-map report."""
    parser = Parser(prog=f"{NAME} report", description=_REPORT)
    parser.add_argument("map", metavar="MAP", help="what build-accuracy-map wrote")
    parser.add_argument("--digital", nargs="+", default=[], metavar="FILE",
                        help="maps of the digital baseline to show beside it")  # fmt: skip
    parser.add_argument("--output", metavar="FILE", help="the page (default: MAP with .html for .json)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["report"]:
        options = report_parser().parse_args(given[1:])
        return run_command(f"{NAME} report", lambda: _report(options))
    if given and not given[0].startswith("-"):
        build_parser().error(f"{given[0]!r} given, the subcommand report or flags are allowed")
    cut = given.index("--") if "--" in given else len(given)
    args, training = build_parser().parse_args(given[:cut]), given[cut + 1 :]

    def body() -> None:
        fields = vars(args).copy()
        name, scratch = fields.pop("modality"), fields.pop("from_scratch")
        _check_flags(args, modality(name))
        address, engine_name = fields.pop("ray_address"), fields.pop("engine")
        if scratch:
            _check_scratch(args)
            stem = args.output.removesuffix(".json")
            fields |= {
                "local": f"{stem}-local" if args.local is None else args.local,
                "codec": args.codec or [f"{stem}-codec"],
            }
        else:
            if training:
                raise ToolkitError("--: given without --from-scratch, which train-deepsc's flags are for")
            _check_modality(args, name)
        from accuracy_maps.show.compare import threshold_line
        from accuracy_maps.sweep.build import build_map
        from accuracy_maps.sweep.config import MapConfig
        from accuracy_maps.sweep.engine import engine_of

        engine, device = engine_of(engine_name, address=address, device=args.device)
        fields |= {"codecs": tuple(fields.pop("codec")), "device": device}
        first, *others = fields.pop("beside") or [None]
        fields |= {"beside": first, "also_beside": tuple(others)}
        config = MapConfig(**fields)
        if scratch:
            from accuracy_maps.sweep.from_scratch import build_from_scratch, family

            result = build_from_scratch(config, family(training, config, name=name), engine)
        else:
            result = build_map(config, engine)
        print(format_map(result))
        print(threshold_line(result))

    return run_command(NAME, body)


def _check_flags(args: argparse.Namespace, kind: Modality[Any]) -> None:
    """Refuse what would change nothing in a map of this modality."""
    own = [f"--k-{name}" if name else "--k" for name in kind.transmissions]
    has = f"{kind.name} has {' and '.join(own)}"
    unread = {flag: has for flag in ("--k", "--k-text", "--k-image") if flag not in own}
    if len(own) > 1:
        unread |= dict.fromkeys(("--mat", "--beside"), f"{kind.name} has none, its map has more axes")
    if "beams" not in kind.sweep_options:
        unread["--beams"] = f"{kind.name} has no beam search"
    if "skip_bad" not in kind.sweep_options:
        unread["--skip-bad"] = f"{kind.name} reads no folder of images"
    if "bleu_tokenize" not in kind.sweep_options:
        unread["--bleu-tokenize"] = f"{kind.name} is not scored by BLEU"
    for flag, why in unread.items():
        if getattr(args, flag.removeprefix("--").replace("-", "_"), None):
            raise ToolkitError(f"{flag}: given, {why}")


def _check_scratch(args: argparse.Namespace) -> None:
    """Refuse what does not go with --from-scratch."""
    if args.baseline:
        raise ToolkitError("--from-scratch and --baseline: both given, one is allowed")
    if len(args.codec) > 1:
        raise ToolkitError(f"--codec: {len(args.codec)} given, --from-scratch trains one for every k")


def _check_modality(args: argparse.Namespace, name: str) -> None:
    """Check that the checkpoints are of the modality that was given."""
    from deepsc.checkpoint import read_config

    if args.local is None:
        raise ToolkitError("--local: none given, the map is a ratio to it")
    for flag, folder in (("--local", args.local), *(("--codec", folder) for folder in args.codec)):
        document = read_config(folder)
        with parsing(Path(folder) / "config.json"):
            found = document["modality"]
        if found != name:
            raise ToolkitError(f"{flag}: {folder} is of modality {found!r}, --modality says {name!r}")


def _report(options: argparse.Namespace) -> None:
    from accuracy_maps.show.report import write_report  # jinja2 and scipy: not for --help

    print(f"wrote {write_report(options.map, options.output, digital=options.digital)}")


if __name__ == "__main__":
    run(NAME, "accuracy_maps.command")

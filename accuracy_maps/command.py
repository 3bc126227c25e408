"""build-accuracy-map: sweep k and SNR over trained codecs and write the map."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data.artifacts import ToolkitError
from data.cli import Parser, float_grid, int_list, positive_int, run_command

if TYPE_CHECKING:
    from accuracy_maps.map import AccuracyMap

NAME = "build-accuracy-map"
_DESCRIPTION = """\
Measure f(k, SNR), accuracy over the channel / local accuracy, on test data; write JSON, CSV and a plot.

  build-accuracy-map --modality text --codec runs/codec --local runs/local --output runs/text-map.json

--codec takes one codec trained for many k, or one codec for each k. Encoder features are computed once and
reused for every k and SNR. A sweep that was interrupted goes on when the same command is given again.
"""


def build_parser() -> argparse.ArgumentParser:
    """Flags of build-accuracy-map."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    parser.add_argument("--modality", choices=("text",), required=True, help="what crosses the channel")
    parser.add_argument(
        "--codec", nargs="+", required=True, metavar="DIR", help="checkpoints from train-deepsc"
    )
    parser.add_argument(
        "--local", required=True, metavar="DIR", help="checkpoint trained with --channel none"
    )
    parser.add_argument("--output", default="runs/text-map.json", metavar="FILE",
                        help="the map; .csv and .png are written beside it")  # fmt: skip
    parser.add_argument(
        "--k", type=int_list, metavar="K[,K...]", help="symbols per token (default: all trained)"
    )
    parser.add_argument("--snr-db", type=float_grid, default="-6:18:3", metavar="START:STOP:STEP",
                        help="grid in dB, or a list; write --snr-db=-6:18:3")  # fmt: skip
    parser.add_argument("--channel", choices=("awgn", "rayleigh", "rician"), help="default: the codec's own")
    parser.add_argument("--draws", type=positive_int, default=1, help="noise draws per sentence and cell")
    parser.add_argument("--beams", type=positive_int, default=1, help="beam search width, 1 is greedy")
    parser.add_argument(
        "--limit", type=positive_int, metavar="N", help="measure on the first N test sentences"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds the data ($DEEPSC_DATA)")
    parser.add_argument("--seed", type=int, default=0, help="of fading, noise and bootstrap")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda where there is one)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args = build_parser().parse_args(argv)

    def body() -> None:
        if not args.output.endswith(".json"):
            raise ToolkitError(f"--output: {args.output!r} given, a name that ends in .json is allowed")
        from accuracy_maps.build import MapConfig, build_map
        from deepsc.device import resolve_device

        fields = {
            name: value for name, value in vars(args).items() if name not in ("modality", "codec", "device")
        }
        config = MapConfig(codecs=tuple(args.codec), device=resolve_device(args.device), **fields)
        print(format_map(build_map(config)))

    return run_command(NAME, body)


def format_map(accuracy_map: AccuracyMap) -> str:
    """Table of ratios, a line per k, for a terminal."""
    metric = accuracy_map.metric.split()[0]
    half_width = (accuracy_map.ratio_high - accuracy_map.ratio_low).max() / 2
    digits = max(2, -math.floor(math.log10(max(half_width, 1e-3))) + 1)
    lines = [
        f"{metric} over the channel / local, {accuracy_map.channel}, "
        f"{accuracy_map.provenance.get('dataset', '')}{'; synthetic data' if accuracy_map.synthetic else ''}",
        f"local {metric} {accuracy_map.local_accuracy:.2f} "
        f"[{accuracy_map.local_low:.2f}, {accuracy_map.local_high:.2f}]; "
        f"widest 95 % interval of a ratio: +-{half_width:.{digits}f}",
        "  k \\ SNR dB" + "".join(f"{snr:>8g}" for snr in accuracy_map.snr_db),
    ]
    for k, row in zip(accuracy_map.k, accuracy_map.ratio, strict=True):
        lines.append(f"{k:>12}" + "".join(f"{value:>8.{digits}f}" for value in row))
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())

"""One nested codec for every k against codecs trained for one k alone, at the corners of the map.

    python benchmarks/nested_vs_dedicated.py --modality image --local runs/image-local --k 4,16,40 \\
        --output runs/nested-image -- --dataset digits --preset tiny --epochs 10

trains, for each seed, a codec of all --k and dedicated ones of the smallest and the largest, all from the
same local model, by `train-deepsc` with the flags after `--`; then measures each at the ends of the SNR range
by `build-accuracy-map`, prints the ratio of the nested codec less that of the dedicated, and writes both,
seed by seed, to OUTPUT/nested-MODALITY.csv, and how they came to be to a .json beside it. For vqa, --k counts
for question and image alike. Training and sweeps resume: give the same command again.

One nested codec stands for as many dedicated ones as there are k. --nested-epochs gives it more epochs than
each of them: with (number of k) times theirs it costs as much as all of them together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flag_types import int_list, positive_int

from accuracy_maps import BimodalMap, load_map
from accuracy_maps.command import main as build_accuracy_map
from data.files.atomic import write_text
from data.files.documents import write_json
from data.files.printable import csv_text
from data.files.provenance import provenance
from data.settings.flags import float_grid
from data.terminal.command import Parser
from deepsc.command import main as train_deepsc
from deepsc.modality import modality_names


def main() -> None:
    argv = sys.argv[1:]
    cut = argv.index("--") if "--" in argv else len(argv)
    parser = Parser(prog="nested_vs_dedicated.py", description=__doc__)
    parser.add_argument("--modality", choices=modality_names(), required=True)
    parser.add_argument("--local", required=True, help="checkpoint of the local model")
    parser.add_argument("--k", type=int_list, required=True)
    parser.add_argument("--snr-db", type=float_grid, default=(-6.0, 18.0))
    parser.add_argument("--seeds", type=positive_int, default=3)
    parser.add_argument("--draws", type=positive_int, default=4, help="noise draws per test item")
    parser.add_argument("--limit", type=positive_int, help="first test items only")
    parser.add_argument(
        "--nested-epochs", type=positive_int, help="epochs of the nested codec (default: as the dedicated)"
    )
    parser.add_argument("--output", required=True, help="folder of runs and maps")
    args = parser.parse_args(argv[:cut])
    flags = argv[cut + 1 :]
    rows: list[tuple[int, float, int, float, float]] = []  # k, SNR, seed, nested, dedicated
    origins: dict[str, Mapping[str, Any]] = {}
    for seed in range(args.seeds):
        nested = measured(args, args.k, seed, flags, origins, args.nested_epochs)
        for k in (args.k[0], args.k[-1]):
            dedicated = measured(args, (k,), seed, flags, origins)
            rows += [(k, snr, seed, nested[k, snr], dedicated[k, snr]) for snr in args.snr_db]
    csv_path = Path(args.output) / f"nested-{args.modality}{epochs_suffix(args.nested_epochs)}.csv"
    head = ("k", "snr_db", "seed", "nested_ratio", "dedicated_ratio")
    table = ((k, f"{snr:g}", seed, f"{n:.4f}", f"{d:.4f}") for k, snr, seed, n, d in rows)
    write_text(csv_path, csv_text((head, *table)))
    origin = provenance(
        config=vars(args) | {"flags": flags},
        seed=None,
        seeds=list(range(args.seeds)),
        data_sha256=next(iter(origins.values()))["data_sha256"],
        # A map may be older than this call.
        maps={name: {"created": one["created"], "git_commit": one["git_commit"]}
              for name, one in origins.items()},
    )  # fmt: skip
    document = {"kind": "nested-vs-dedicated", "schema_version": 1, "provenance": origin}
    write_json(csv_path.with_suffix(".json"), document)
    print(f"{args.modality}: mean ratio of {args.seeds} seeds, and nested less dedicated")
    print(f"{'k':>4}{'SNR dB':>8}{'nested':>9}{'dedicated':>11}{'less':>9}{'std':>8}")
    for k, snr in dict.fromkeys(row[:2] for row in rows):
        pairs = np.array([row[3:] for row in rows if row[:2] == (k, snr)])  # (seeds, 2)
        less = pairs[:, 0] - pairs[:, 1]
        spread = less.std(ddof=1) if len(less) > 1 else np.nan
        both = "".join(f"{mean:>{width}.4f}" for mean, width in zip(pairs.mean(axis=0), (9, 11), strict=True))
        print(f"{k:>4}{snr:>8g}{both}{less.mean():>+9.4f}{spread:>8.4f}")


def epochs_suffix(epochs: int | None) -> str:
    """Of the names of files and runs; empty where `epochs` is not given."""
    return f"-epochs{epochs}" if epochs else ""


def measured(
    args: argparse.Namespace,
    ks: tuple[int, ...],
    seed: int,
    flags: list[str],
    origins: dict[str, Mapping[str, Any]],
    epochs: int | None = None,
) -> dict[tuple[int, float], float]:
    """Ratio by (k, SNR) of a codec trained for `ks`; of vqa where k^T = k^I and both SNRs are one.

    `epochs`, if given, counts instead of the epochs in `flags`; `origins` gets the provenance of the map.
    """
    name = f"{args.modality}-k{'-'.join(map(str, ks))}{epochs_suffix(epochs)}-seed{seed}"
    run, path = Path(args.output) / name, Path(args.output) / f"{name}.json"
    if not path.exists():
        joined = ",".join(map(str, ks))
        k_flags = ["--k-text", joined, "--k-image", joined] if args.modality == "vqa" else ["--k", joined]
        train = ["--modality", args.modality, *k_flags, "--init-from", args.local, "--seed", str(seed),
                 "--output", str(run), "--resume", *flags]  # fmt: skip
        train += ["--epochs", str(epochs)] if epochs else []
        snr_db = ",".join(f"{snr:g}" for snr in args.snr_db)
        sweep = ["--modality", args.modality, "--codec", str(run), "--local", args.local,
                 f"--snr-db={snr_db}", "--draws", str(args.draws), "--output", str(path)]  # fmt: skip
        if args.limit:
            sweep += ["--limit", str(args.limit)]
        for command, arguments in ((train_deepsc, train), (build_accuracy_map, sweep)):
            if status := command(arguments):
                sys.exit(status)
    one = load_map(path)
    origins[name] = one.provenance
    if isinstance(one, BimodalMap):
        diagonal = one.on_diagonal(one.ratio)
        return {
            (k, snr): diagonal[one.k_text.index(k), one.k_image.index(k), n]
            for k in ks
            for n, snr in enumerate(one.snr_db)
        }
    return {(k, snr): one.ratio[one.k.index(k), n] for k in ks for n, snr in enumerate(one.snr_db)}


if __name__ == "__main__":
    main()

"""One nested codec for every k against codecs trained for one k alone, at the corners of the map.

    python benchmarks/nested_vs_dedicated.py --modality image --local runs/image-local --k 4,16,40 \\
        --output runs/nested-image -- --dataset digits --preset tiny --epochs 10

trains, for each seed, a codec of all --k and dedicated ones of the smallest and the largest, all from the
same local model, by `train-deepsc` with the flags after `--`; then measures each at the ends of the SNR range
by `build-accuracy-map`, and prints the ratio of the nested codec less that of the dedicated. For vqa, --k
counts for question and image alike. Training and sweeps resume: give the same command again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from accuracy_maps import BimodalMap, load_map
from accuracy_maps.command import main as build_accuracy_map
from data.cli import float_grid, int_list, positive_int
from deepsc.command import main as train_deepsc
from deepsc.modality import modality_names


def main() -> None:
    argv = sys.argv[1:]
    cut = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modality", choices=modality_names(), required=True)
    parser.add_argument("--local", required=True, help="checkpoint of the local model")
    parser.add_argument("--k", type=int_list, required=True)
    parser.add_argument("--snr-db", type=float_grid, default=(-6.0, 18.0))
    parser.add_argument("--seeds", type=positive_int, default=3)
    parser.add_argument("--draws", type=positive_int, default=4, help="noise draws per test item")
    parser.add_argument("--limit", type=positive_int, help="first test items only")
    parser.add_argument("--output", required=True, help="folder of runs and maps")
    args = parser.parse_args(argv[:cut])
    differences: dict[tuple[int, float], list[float]] = {}
    for seed in range(args.seeds):
        nested = measured(args, args.k, seed, argv[cut + 1 :])
        for k in (args.k[0], args.k[-1]):
            dedicated = measured(args, (k,), seed, argv[cut + 1 :])
            for snr in args.snr_db:
                differences.setdefault((k, snr), []).append(nested[k, snr] - dedicated[k, snr])
    print(f"{args.modality}: ratio of the nested codec less that of a dedicated one, {args.seeds} seeds")
    print(f"{'k':>4}{'SNR dB':>8}{'mean':>9}{'std':>8}")
    for (k, snr), values in differences.items():
        spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
        print(f"{k:>4}{snr:>8g}{np.mean(values):>+9.4f}{spread:>8.4f}")


def measured(
    args: argparse.Namespace, ks: tuple[int, ...], seed: int, flags: list[str]
) -> dict[tuple[int, float], float]:
    """Ratio by (k, SNR) of a codec trained for `ks`; of vqa where k^T = k^I and both SNRs are one."""
    name = f"{args.modality}-k{'-'.join(map(str, ks))}-seed{seed}"
    run, path = Path(args.output) / name, Path(args.output) / f"{name}.json"
    if not path.exists():
        joined = ",".join(map(str, ks))
        k_flags = ["--k-text", joined, "--k-image", joined] if args.modality == "vqa" else ["--k", joined]
        train = ["--modality", args.modality, *k_flags, "--init-from", args.local, "--seed", str(seed),
                 "--output", str(run), "--resume", *flags]  # fmt: skip
        snr_db = ",".join(f"{snr:g}" for snr in args.snr_db)
        sweep = ["--modality", args.modality, "--codec", str(run), "--local", args.local,
                 f"--snr-db={snr_db}", "--draws", str(args.draws), "--output", str(path)]  # fmt: skip
        if args.limit:
            sweep += ["--limit", str(args.limit)]
        for command, arguments in ((train_deepsc, train), (build_accuracy_map, sweep)):
            if status := command(arguments):
                sys.exit(status)
    one = load_map(path)
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

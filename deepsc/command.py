"""train-deepsc: train a semantic codec over a noisy channel."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from data.artifacts import ToolkitError
from data.cli import Parser, finite_float, int_list, positive_int, run_command
from data.parallel import DATASETS
from deepsc.config import (
    SNR_RANGE_DB,
    TASKS,
    TEXT_PRESETS,
    CorpusConfig,
    TextRunConfig,
    TrainConfig,
)
from deepsc.device import resolve_device

NAME = "train-deepsc"
_DESCRIPTION = """\
Train a semantic codec: a Transformer whose encoder runs at the user equipment and whose decoder runs at the
server, with k complex channel symbols per token between them.

Train the local model (no channel) first; the accuracy map is a ratio to it, and the codec can start from it:

  train-deepsc --modality text --dataset captions --preset tiny --channel none --output runs/local
  train-deepsc --modality text --dataset captions --preset tiny --k 4,8,12,16,20 --init-from runs/local \\
      --output runs/codec

One k trains a dedicated codec; several train one codec for all of them (nested bottleneck: the first k
symbols of one ordered code are sent). The SNR is drawn per sentence, uniform in dB in --snr-db; the codec is
told.
"""


def build_parser() -> argparse.ArgumentParser:
    """Flags of train-deepsc."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    parser.add_argument("--modality", choices=("text",), required=True, help="what crosses the channel")
    parser.add_argument("--output", default="runs/codec", metavar="DIR", help="folder of the checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output, or start it")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches, dropout, k, SNR and noise")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1 (default: cuda where there is one)")

    model = parser.add_argument_group("model")
    sizes = ", ".join(
        f"{name}: {p.layers}+{p.layers} layers, d_model {p.d_model}" for name, p in TEXT_PRESETS.items()
    )
    model.add_argument("--preset", choices=tuple(TEXT_PRESETS), default="small", help=sizes)
    model.add_argument(
        "--task", choices=TASKS, default="translate", help="reconstruct: the source sentence itself"
    )
    model.add_argument(
        "--init-from", metavar="DIR", help="checkpoint to start from, such as the local model's"
    )
    model.add_argument("--pretrained", metavar="NAME", help="opus-mt weights to start from, not a preset: "
                       "a folder, or a hub name such as Helsinki-NLP/opus-mt-en-de (pip install "
                       "'deepsc-toolkit[pretrained]')")  # fmt: skip

    channel = parser.add_argument_group("channel")
    channel.add_argument("--channel", choices=("awgn", "rayleigh", "rician", "none"), default="awgn",
                         help="none: the local model")  # fmt: skip
    channel.add_argument("--k", type=int_list, default=(16,), metavar="K[,K...]",
                         help="complex channel symbols per token, eq. (4)'s k")  # fmt: skip
    channel.add_argument("--snr-db", type=_snr_range, default=SNR_RANGE_DB, metavar="LOW:HIGH",
                         help="trained E_s/N_0 in dB; write --snr-db=-6:18 if LOW is negative")  # fmt: skip
    channel.add_argument(
        "--fading", choices=("block", "symbol"), default="block", help="a fresh gain per ..."
    )
    channel.add_argument("--csi", choices=("perfect", "none"), default="perfect",
                         help="perfect: MMSE equaliser; with block fading both ends know |h|^2")  # fmt: skip
    channel.add_argument("--rician-factor", type=finite_float, default=4.0, metavar="K",
                         help="line-of-sight over scattered power, linear")  # fmt: skip

    corpus = parser.add_argument_group("data")
    corpus.add_argument("--dataset", choices=DATASETS, default="multi30k",
                        help="captions: synthetic, no download; europarl: nltk's comtrans")  # fmt: skip
    corpus.add_argument(
        "--pair", default="en-de", metavar="SRC-TGT", help="languages, such as en-de or en-fr"
    )
    corpus.add_argument("--data-dir", metavar="DIR", help="folder that holds the data ($DEEPSC_DATA)")
    corpus.add_argument("--caption-count", type=positive_int, default=8000, help="training pairs of captions")
    corpus.add_argument(
        "--source", metavar="FILE", help="own corpus: source sentences, one a line, plain or .gz"
    )
    corpus.add_argument(
        "--target", metavar="FILE", help="own corpus: target sentences, aligned with --source"
    )

    training = parser.add_argument_group("training (default: the preset's)")
    training.add_argument("--epochs", type=positive_int, help="passes over the data")
    training.add_argument("--batch-tokens", type=positive_int, help="most tokens in a batch, a side")
    training.add_argument("--learning-rate", type=finite_float, help="peak, after warm-up")
    training.add_argument(
        "--patience", type=positive_int, default=5, help="epochs without a better validation loss"
    )
    return parser


def config_from_args(args: argparse.Namespace) -> TextRunConfig:
    """Flags to config.

    Raises:
        ToolkitError: listing what is wrong.
    """
    size = TEXT_PRESETS[args.preset]
    if (args.source is None) != (args.target is None):
        raise ToolkitError("--source and --target must be given together")
    return TextRunConfig(
        corpus=CorpusConfig(
            dataset="files" if args.source else args.dataset,
            pair=args.pair,
            data_dir=args.data_dir,
            caption_count=args.caption_count,
            source=args.source,
            target=args.target,
        ),
        training=TrainConfig(
            epochs=args.epochs or size.epochs,
            batch_tokens=args.batch_tokens or size.batch_tokens,
            learning_rate=size.learning_rate if args.learning_rate is None else args.learning_rate,
            warmup_steps=size.warmup_steps,
            channel=args.channel,
            fading=args.fading,
            csi=args.csi,
            rician_factor=args.rician_factor,
            patience=args.patience,
            seed=args.seed,
        ),
        output=args.output,
        preset=args.preset,
        task=args.task,
        k=() if args.channel == "none" else args.k,
        snr_range_db=args.snr_db,
        init_from=args.init_from,
        pretrained=args.pretrained,
        device=resolve_device(args.device),
        resume=args.resume,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args = build_parser().parse_args(argv)

    def body() -> None:
        config = config_from_args(args)
        from deepsc.text_run import train_text

        checkpoint = train_text(config)
        logging.getLogger(__name__).info("best epoch: %s", checkpoint.metrics["epoch"])
        print(f"{config.output}: validation loss {checkpoint.metrics['validation_loss']:.4f} nats per token")

    return run_command(NAME, body)


def _snr_range(text: str) -> tuple[float, float]:
    low, separator, high = text.partition(":")
    values = finite_float(low), finite_float(high) if separator else finite_float(low)
    if values[0] > values[1]:
        raise argparse.ArgumentTypeError(f"{text!r} given, LOW:HIGH with LOW <= HIGH is allowed")
    return values


if __name__ == "__main__":
    raise SystemExit(main())

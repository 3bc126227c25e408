"""train-deepsc: train a semantic codec over a noisy channel."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from data.files.errors import flag_of, raise_config_errors
from data.terminal.command import Parser, run_command
from data.terminal.flag_types import finite_float, positive_int
from data.terminal.start import run
from deepsc.codec.config import SNR_RANGE_DB
from deepsc.codec.device import resolve_device
from deepsc.modality import modality, modality_in, modality_names
from deepsc.train.config import RunConfig, TrainConfig

logger = logging.getLogger(__name__)

NAME = "train-deepsc"
_DESCRIPTION = """\
Train a semantic codec: a Transformer whose first half runs at the user equipment and whose second half runs
at the server, with k complex channel symbols per token between them.

Train the local model (no channel) first; the accuracy map is a ratio to it, and the codec can start from it:

  train-deepsc {example} --channel none --output runs/{name}-local
  train-deepsc {example} \\
      {k} --init-from runs/{name}-local --output runs/{name}-codec

One k trains a dedicated codec; several train one codec for all of them (nested bottleneck: the first k
symbols of one ordered code are sent). The SNR is drawn per sentence or image, uniform in dB in --snr-db; the
codec is told. Further flags depend on the modality: train-deepsc --modality image --help

Several GPUs share each batch: accelerate launch --num_processes 4 -m deepsc.command --modality {name} ...
"""


def build_parser(name: str | None = None) -> argparse.ArgumentParser:
    """Flags of train-deepsc: the shared ones, and with a modality's name its own."""
    kind = modality(name if name in modality_names() else "text")
    example = f"--modality {kind.name} {kind.example_flags}".rstrip()
    description = _DESCRIPTION.format(example=example, k=kind.example_k, name=kind.name)
    parser = Parser(prog=NAME, description=description)
    parser.add_argument(
        "--modality", choices=modality_names(), required=True, help="what crosses the channel"
    )
    parser.add_argument("--output", default="runs/codec", metavar="DIR", help="folder of the checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output, or start it")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches, dropout, k, SNR and noise")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1 (default: cuda where there is one)")

    model = parser.add_argument_group("model")
    model.add_argument(
        "--init-from", metavar="DIR", help="checkpoint to start from, such as the local model's"
    )
    model.add_argument("--pretrained", metavar="NAME", help="published weights to start from: a folder or "
                       "file, or a name on the hub; text: opus-mt, not a preset (pip install "
                       "'deepsc-toolkit[pretrained]'); image, vqa: DeiT")  # fmt: skip

    channel = parser.add_argument_group("channel")
    channel.add_argument("--channel", choices=("awgn", "rayleigh", "rician", "none"), default="awgn",
                         help="none: the local model")  # fmt: skip
    channel.add_argument("--snr-db", type=_snr_range, default=SNR_RANGE_DB, metavar="LOW:HIGH",
                         help="trained E_s/N_0 in dB")  # fmt: skip
    channel.add_argument("--fading", choices=("block", "symbol"), default="block",
                         help="block: one gain a sentence or image")  # fmt: skip
    channel.add_argument("--csi", choices=("perfect", "none"), default="perfect",
                         help="perfect: MMSE equaliser; with block fading both ends know |h|^2")  # fmt: skip
    channel.add_argument("--rician-factor", type=finite_float, default=4.0, metavar="K",
                         help="line-of-sight over scattered power, linear; a map on this channel "
                         "reads it, too")  # fmt: skip

    data = parser.add_argument_group("data")
    data.add_argument("--data-dir", metavar="DIR", help="folder that holds the data ($DEEPSC_DATA)")

    training = parser.add_argument_group("training (default: the preset's)")
    training.add_argument("--epochs", type=positive_int, help="passes over the data")
    training.add_argument("--batch-tokens", type=positive_int, help="most tokens in a batch, a side")
    training.add_argument("--learning-rate", type=finite_float, help="peak, after warm-up")
    training.add_argument(
        "--patience", type=positive_int, default=5, help="epochs without a better validation loss"
    )
    if kind.name == name:
        fields = kind.run_config.__dataclass_fields__
        model.add_argument("--preset", choices=tuple(kind.run_config.presets),
                           default=fields["preset"].default, help="size of the model")  # fmt: skip
        parser.set_defaults(task=fields["task"].default)
        if len(kind.run_config.tasks) > 1:
            model.add_argument("--task", choices=kind.run_config.tasks, default=fields["task"].default,
                               help="what the receiver answers")  # fmt: skip
        kind.add_flags(model, data)
    return parser


def flags_given(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> set[str]:
    """Names of the arguments that a command line holds, whatever their values."""
    blank = argparse.Namespace(**dict.fromkeys(vars(parser.parse_args(arguments))))  # in place of defaults
    return {name for name, value in vars(parser.parse_args(arguments, blank)).items() if value is not None}


def refuse_unread(config: RunConfig, given: set[str]) -> None:
    """Refuse flags that would change nothing.

    Args:
        config: of the command line.
        given: names of the flags on it.

    Raises:
        ToolkitError: naming them, and why nothing reads them.
    """
    kind = modality(config.modality)
    errors = []
    if config.training.channel == "none":
        names = (*config.trained_k, "snr_db", "fading", "csi", "rician_factor")
        unread = [name for name in names if name in given]
        errors += [f"{flag_of(name)}: given, --channel none has no channel that reads it" for name in unread]
    datasets = kind.data_dir_datasets
    if "data_dir" in given and datasets is not None and config.corpus.dataset not in datasets:
        errors.append(f"--data-dir: given, --dataset {' and '.join(datasets)} alone read it")
    raise_config_errors(errors)


def config_from_args(args: argparse.Namespace) -> RunConfig:
    """Flags to config.

    Raises:
        ToolkitError: listing what is wrong.
    """
    kind = modality(args.modality)
    size = kind.run_config.presets[args.preset]
    training = TrainConfig(
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
    )
    config: RunConfig = kind.config_from_args(
        args,
        training=training,
        output=args.output,
        preset=args.preset,
        task=args.task,
        snr_range_db=args.snr_db,
        init_from=args.init_from,
        pretrained=args.pretrained,
        device=resolve_device(args.device),
        resume=args.resume,
    )
    return config


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = build_parser(modality_in(arguments))
    args = parser.parse_args(arguments)

    def body() -> None:
        if "torch" not in sys.modules:
            logger.info("loading torch")
        config = config_from_args(args)
        refuse_unread(config, flags_given(parser, arguments))
        from deepsc.train.run import train_codec

        first = os.environ.get("RANK", "0") == "0"  # of the processes that a launcher started
        if not first:
            logging.disable(logging.WARNING)
        checkpoint = train_codec(config)
        if first:
            logger.info("best epoch: %s", checkpoint.metrics["epoch"])
            note = " (synthetic data)" if checkpoint.document["synthetic"] else ""
            print(f"{config.output}: validation loss {checkpoint.metrics['validation_loss']:.4f} nats{note}")

    return run_command(NAME, body)


def _snr_range(text: str) -> tuple[float, float]:
    low, separator, high = text.partition(":")
    values = finite_float(low), finite_float(high) if separator else finite_float(low)
    if values[0] > values[1]:
        raise argparse.ArgumentTypeError(f"{text!r} given, LOW:HIGH with LOW <= HIGH is allowed")
    return values


if __name__ == "__main__":
    run(NAME, "deepsc.command")

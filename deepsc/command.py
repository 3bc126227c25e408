"""train-deepsc: train a semantic codec over a noisy channel."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from data.device import resolve_device
from data.files.errors import raise_config_errors
from data.settings import (
    Layer,
    Parser,
    add_config_flags,
    add_flags,
    early,
    from_args,
    layers_of,
    merge,
    named,
    run_command,
)
from data.terminal.ending import closing_lines
from data.terminal.progress import is_first
from data.terminal.start import run
from deepsc.config import RunConfig, TrainConfig
from deepsc.link.channel import Channel
from deepsc.modality import modality, modality_names

logger = logging.getLogger(__name__)

NAME = "train-deepsc"
OUTPUT = "runs/codec"
_DESCRIPTION = """\
Train a semantic codec: the user equipment sends k complex channel symbols per token, and a Transformer at
the server makes the answer of what arrives.

Train the local model (no channel) first; the accuracy map is a ratio to it, and the codec can start from it:

  train-deepsc {example} --channel none --output runs/{name}-local
  train-deepsc {example} \\
      {k} --init-from runs/{name}-local --output runs/{name}-codec

One k trains a dedicated codec; several train one codec for all of them (nested bottleneck: the first k
symbols of one ordered code are sent). The SNR is drawn per sentence or image, uniform in dB in --snr-db; of
text most are drawn where k symbols can carry about what a token tells. The codec is told. Further flags
depend on the modality: train-deepsc --modality image --help

Several GPUs share each batch: accelerate launch --num_processes 4 -m deepsc.command --modality {name} ...
"""
_CHANNEL = "training.channel"


def build_parser(name: str | None = None) -> argparse.ArgumentParser:
    """Flags of train-deepsc: the shared ones, and with a modality's name its own."""
    kind = modality(name if name in modality_names() else "text")
    config: type[RunConfig] = kind.run_config
    example = f"--modality {kind.name} {kind.example_flags}".rstrip()
    description = _DESCRIPTION.format(example=example, k=kind.example_k, name=kind.name)
    parser = Parser(prog=NAME, description=description)
    parser.add_argument(
        "--modality", choices=modality_names(), required=name is None, default=name,
        help="what crosses the channel",
    )  # fmt: skip
    add_config_flags(parser)
    shown = {"output": OUTPUT, "device": "cuda where there is one"}
    add_flags(parser, config, "output", "resume", "device", defaults=shown)
    add_flags(parser, TrainConfig, "seed", at="training")
    model = parser.add_argument_group("model")
    add_flags(model, config, "init_from", "pretrained")
    channel = parser.add_argument_group("channel")
    add_flags(channel, Channel, at=_CHANNEL)
    add_flags(channel, config, "snr_range_db")
    training = parser.add_argument_group("training (default: the preset's)")
    schedule = ("epochs", "batch_tokens", "learning_rate", "patience", "consistency")
    add_flags(training, TrainConfig, *schedule, at="training")
    if kind.name == name:
        names = [field.name for field in dataclasses.fields(config)]
        shared = {field.name for field in dataclasses.fields(RunConfig)}
        shared -= {"preset", "task"} if len(config.tasks) > 1 else {"preset"}
        add_flags(model, config, *(one for one in names if one not in shared))
        add_flags(parser.add_argument_group("data"), kind.corpus_config, at="corpus")
    return parser


def config_from_args(args: argparse.Namespace, above: Mapping[str, Any] | None = None) -> RunConfig:
    """The run that a command line and its --config ask for.

    Args:
        args: what `build_parser` returned for it.
        above: settings that count more, nested as in a file of --config; those that the modality lacks are
            passed over.

    Raises:
        ToolkitError: listing what is wrong.
    """
    kind = modality(args.modality)
    config: type[RunConfig] = kind.run_config
    asked = merge(*layers_of(args, "modality"), above or {})
    over = dict(above or {})
    if _is_local(asked):
        over["training"] = {**over.get("training", {}), "channel": None}
    over["device"] = resolve_device(asked.get("device"))
    preset = asked.get("preset", config.__dataclass_fields__["preset"].default)
    size = config.presets.get(preset) or next(iter(config.presets.values()))
    corpus = asked.get("corpus") or {}
    below: dict[str, Any] = {
        "output": OUTPUT,
        "training": {
            name: getattr(size, name) for name in ("epochs", "batch_tokens", "learning_rate", "warmup_steps")
        },
    }
    for dataset, names in kind.corpus_config.own_files.items():
        if any(corpus.get(name) is not None for name in names):
            below["corpus"] = {"dataset": dataset}
    made: RunConfig = from_args(
        config, args, below, above=Layer(over, unknown=True), chosen={"modality": kind.name}
    )
    return made


def _is_local(asked: Mapping[str, Any]) -> bool:
    """Whether the layers ask for the local model: kind "none", or null in a file."""
    training = asked.get("training") or {}
    if "channel" not in training:
        return False
    channel = training["channel"]
    return channel is None or (isinstance(channel, Mapping) and channel.get("kind") == "none")


def refuse_unread(args: argparse.Namespace, config: RunConfig) -> None:
    """Refuse flags that would change nothing.

    Raises:
        ToolkitError: naming them, and why nothing reads them.
    """
    errors = []
    if config.training.channel is None:
        fields = [f"{_CHANNEL}.{field.name}" for field in dataclasses.fields(Channel) if field.name != "kind"]
        unread = [name for name in (*config.k_names, "snr_range_db", *fields) if hasattr(args, name)]
        errors += [f"{named(name)}: given, --channel none has no channel that reads it" for name in unread]
    if config.training.epochs == 0:
        unread = [name for name in (*config.local_names, *config.training_names) if hasattr(args, name)]
        errors += [f"{named(name)}: given, {named('training.epochs')} 0 trains nothing" for name in unread]
    corpus = {name: getattr(args, f"corpus.{name}", None) for name in config.corpus.read_by}
    errors += config.corpus.unread(config.corpus.dataset, corpus)
    raise_config_errors(errors)


def _next_command(config: RunConfig, name: str, arguments: Sequence[str]) -> tuple[list[str], str]:
    """After training the local model the codec with the same flags, after the codec its map; and a note."""
    kind = modality(name)
    if config.training.channel is None and config.training.epochs:
        folder = config.output.rstrip("/")
        stem = folder.removesuffix("local")
        codec = f"{stem}codec" if stem != folder else f"{folder}-codec"
        flags = [named(name) for name in config.local_names]
        starts = [named(name) for name in ("init_from", *config.start_names)]
        kept = without_flags(arguments, "--output", "--channel", "--resume", *starts, *flags)
        if "--config" in {word.partition("=")[0] for word in kept}:  # which may say that there is no channel
            kept += ["--channel", "awgn"]
            for flag, setting in zip(flags, config.local_names, strict=True):
                kept += [flag, "0"] if attrgetter(setting)(config) else []
        return [NAME, *kept, *kind.example_k.split(), "--init-from", config.output, "--output", codec], ""
    codec, local = config.output, config.init_from or "LOCAL"
    if config.training.channel is None:  # the codec's own Transformer
        codec, local = local, codec
    words = ["build-accuracy-map", "--modality", name, "--codec", codec, "--local", local]
    note = "" if config.init_from else "LOCAL: folder of train-deepsc --channel none"
    return [*words, "--output", f"runs/{name}-map.json"], note


def without_flags(arguments: Sequence[str], *flags: str) -> list[str]:
    """A command line without some flags and their values."""
    kept: list[str] = []
    dropped = False
    for word in arguments:
        flag = word.partition("=")[0]
        if word.startswith("--"):
            dropped = flag in flags
        if not dropped:
            kept.append(word)
    return kept


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    arguments = sys.argv[1:] if argv is None else list(argv)

    def body() -> None:
        args = build_parser(early(arguments, "modality")).parse_args(arguments)
        if "torch" not in sys.modules:
            logger.info("loading torch")
        config = config_from_args(args)
        refuse_unread(args, config)
        from deepsc.train.run import train_codec

        first = is_first()
        if not first:
            logging.disable(logging.WARNING)
        checkpoint = train_codec(config)
        if first:
            logger.info("best epoch: %s", checkpoint.metrics["epoch"])
            note = " (synthetic data)" if checkpoint.document["synthetic"] else ""
            print(f"{config.output}: validation loss {checkpoint.metrics['validation_loss']:.4f} nats{note}")
            words, note = _next_command(config, args.modality, arguments)
            print(*closing_lines([config.output], words, note=note), sep="\n")

    return run_command(NAME, body)


if __name__ == "__main__":
    run(NAME, "deepsc.command")

"""transmit: see a sentence, an image or a question cross the channel."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from accuracy_maps.transmit.config import TransmitConfig
from data.files.paths import require_file
from data.settings import Parser, add_config_flags, add_flags, from_args, run_command
from data.terminal.ending import closing_lines
from data.terminal.start import run
from deepsc.zoo.find import DEFAULTS, resolve

logger = logging.getLogger(__name__)

NAME = "transmit"
_DESCRIPTION = f"""\
Send a sentence over a noisy channel, and see what arrives at several SNRs and k.

  transmit "Two dogs run through the snow."

sends it with {DEFAULTS["text"]}, a codec that ships: k complex channel symbols a token, and a server that
translates what it believes to have received. Beside it stands what the local model says, without a channel;
words that differ from it are red.

  transmit "Two dogs run through the snow." --k 4 --snr-db -6:18:3 --channel rayleigh --seed 7
  transmit "Two dogs run through the snow." --reference "Zwei Hunde laufen durch den Schnee."
  transmit "Two dogs run through the snow." --digital --code finite

--digital sends it by separate source and channel coding, too, in as many symbols: whole or not at all.

  transmit photo.jpg
  transmit shapes.png "is there a red shape?"
  transmit photo.jpg --codec runs/image-codec --local runs/image-local --gallery photos

send an image, and an image with a question: by {DEFAULTS["image"]} and {DEFAULTS["vqa"]},
or by a codec of your own (train-deepsc --modality image).

  transmit --serve

opens a page on this machine: type a sentence, drag SNR and k, look at the constellation.
"""


def build_parser() -> argparse.ArgumentParser:
    """Flags of transmit."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    add_flags(parser, TransmitConfig)
    add_config_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args = build_parser().parse_args(argv)
    return run_command(NAME, lambda: _transmit(from_args(TransmitConfig, args)))


def _transmit(config: TransmitConfig) -> None:
    resolve(config.codec_name, "codec", setting="codec")  # it is named before anything is said
    if config.codec is None and config.codec_name != DEFAULTS["text"]:
        require_file(config.items[0])  # before torch is loaded
    if config.serve:
        from accuracy_maps.transmit.page import serve

        serve(config)
        return
    from accuracy_maps.transmit.show import show_transmissions

    show_transmissions(config, write=_write)
    page = [NAME, "--serve"]
    if config.codec_name != DEFAULTS["text"]:
        page += ["--codec", config.codec_name]
    if config.local is not None:
        page += ["--local", config.local]
    print("\n".join(closing_lines([], page, note="a page with sliders; needs the extra demo")))


def _write(line: str) -> None:
    print(line, flush=True)
    if "torch" not in sys.modules:
        logger.info("loading torch")


if __name__ == "__main__":
    run(NAME, "accuracy_maps.transmit.command")

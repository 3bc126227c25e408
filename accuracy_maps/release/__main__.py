"""`python -m accuracy_maps.release`: make a codec ready to ship."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from accuracy_maps.release.config import ReleaseConfig
from data.settings import Parser, add_config_flags, add_flags, from_args, run_command

NAME = "accuracy_maps.release"
_DESCRIPTION = """\
Make a codec ready to ship: its weights and its local model's in bfloat16, maps, FLOPs and a model card.

  python -m accuracy_maps.release --codec runs/codec --local runs/local --output deepsc/zoo/NAME
  build-accuracy-map --modality text --codec NAME --local NAME --output runs/map.json
  profile-flops --modality text --checkpoint NAME --k 12 --output runs/flops.json
  python -m accuracy_maps.release --codec NAME --local NAME --map runs/map.json --flops runs/flops.json \\
      --output deepsc/zoo/NAME
"""


def build_parser() -> Parser:
    """Flags of the command."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    add_flags(parser, ReleaseConfig)
    add_config_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args = build_parser().parse_args(argv)

    def body() -> None:
        config = from_args(ReleaseConfig, args)
        from accuracy_maps.release.make import make_release  # torch

        print(f"wrote {make_release(config)}")

    return run_command(NAME, body)


if __name__ == "__main__":
    sys.exit(main())

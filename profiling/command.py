"""profile-flops: count the FLOPs of a semantic codec, at the UE and at the server."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.artifacts import parsing, provenance
from data.cli import Parser, positive_int, run_command
from deepsc.config import TEXT_PRESETS, TextCodecConfig

if TYPE_CHECKING:
    from profiling.report import TextProfile

NAME = "profile-flops"
PRESET_K = (4, 8, 12, 16, 20)
"""k of a preset's codec: one nested code, as `train-deepsc --k 4,8,12,16,20` trains it."""
_DESCRIPTION = """\
Count the FLOPs of one task: locally, at the user equipment, and at the server. 1 multiply-add = 2 FLOP.

  profile-flops --modality text --preset small --output runs/flops.json
  profile-flops --modality text --checkpoint runs/codec --k 16

Side by side: the paper's Appendix A as printed, its corrected closed form, and the real model counted by
torch's FlopCounterMode and by fvcore. The optimizer reads the corrected count, decoding greedily with a KV
cache; it equals both counters for every matrix product, or the command fails. Of a checkpoint only the config
is read.

A preset has a nested code of k = 4, 8, 12, 16, 20, or for another --k a code of that k alone. A nested code's
JSC codec computes its largest k's symbols whatever k is sent, so its FLOPs do not depend on --k.
"""


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """What `profile-flops --modality text` does."""

    output: str
    checkpoint: str | None = None
    """Folder of the codec's checkpoint; without one, `preset`."""
    preset: str = "small"
    k: int = 16
    """Complex channel symbols per token."""
    source_length: int = 20
    """S^T of section V.A, in tokens."""
    target_length: int = 20
    """Tokens the decoder generates."""


def build_parser() -> argparse.ArgumentParser:
    """Flags of profile-flops."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    parser.add_argument("--modality", choices=("text",), required=True, help="what crosses the channel")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--checkpoint", metavar="DIR", help="folder of a codec trained by train-deepsc")
    model.add_argument("--preset", choices=tuple(TEXT_PRESETS), default="small", help="size of a codec")
    parser.add_argument("--k", type=positive_int, default=16, help="complex channel symbols a token, eq. (4)")
    for flag, letter, what in (
        ("--source-length", "S", "tokens of a sentence, its end included"),
        ("--target-length", "T", "tokens generated, the end included"),
    ):
        parser.add_argument(flag, type=positive_int, default=20, metavar=letter, help=what)
    parser.add_argument("--output", default="runs/flops.json", metavar="FILE", help="the FLOPs file")
    return parser


def codec_config(config: ProfileConfig) -> tuple[TextCodecConfig, dict[str, str]]:
    """The codec to count, and the SHA-256 of what it was read from.

    Raises:
        ToolkitError: if the checkpoint is missing or damaged.
    """
    if config.checkpoint is None:
        k = PRESET_K if config.k in PRESET_K else (config.k,)
        return TextCodecConfig.from_preset(config.preset, k=k), {}
    from deepsc.checkpoint import read_config

    document = read_config(config.checkpoint)
    path = Path(config.checkpoint) / "config.json"
    with parsing(path):
        codec = TextCodecConfig.from_dict(document["codec"])
    return codec, {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}


def profile(config: ProfileConfig) -> TextProfile:
    """Count, and write the FLOPs file.

    Raises:
        ToolkitError: if checkpoint, k or a length is unfit, a counter disagrees, or writing fails.
    """
    codec, data_sha256 = codec_config(config)
    from profiling.report import profile_text

    result = profile_text(
        codec, k=config.k, source_length=config.source_length, target_length=config.target_length
    )
    full_config = asdict(config) | {"codec": codec.to_dict()}
    source = provenance(config=full_config, seed=None, data_sha256=data_sha256)
    result.flops_file(source).save(config.output)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args = build_parser().parse_args(argv)

    def body() -> None:
        fields = vars(args).copy()
        fields.pop("modality")
        print(profile(ProfileConfig(**fields)).table(), end="")

    return run_command(NAME, body)


if __name__ == "__main__":
    raise SystemExit(main())

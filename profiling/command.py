"""profile-flops: count the FLOPs of a semantic codec, at the UE and at the server, or of any model."""

from __future__ import annotations

import argparse
import gc
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files.errors import ToolkitError, flag_of, parsing
from data.files.provenance import provenance, sha256_of
from data.terminal.command import Parser, run_command
from data.terminal.flag_types import finite_float, positive_int
from data.terminal.start import run
from deepsc.codec.config import CodecConfig
from deepsc.codec.device import resolve_device
from profiling import plot, tables
from profiling.config import ProfileConfig
from profiling.flops_file import FlopsFile
from profiling.modalities import ANSWERS, CLASSES, IMAGE_K, LENGTH, MODALITIES, TEXT_K
from profiling.timed.latency import DTYPES, LatencyConfig

if TYPE_CHECKING:
    from profiling.profile import CodecProfile, ModelProfile

NAME = "profile-flops"
_OUTPUT = "runs/flops.json"
_DESCRIPTION = """\
Count the FLOPs of one task: locally, at the user equipment, and at the server. 1 multiply-add = 2 FLOP.

  profile-flops --modality text --preset small --output runs/flops.json
  profile-flops --modality image --k 32 --plot flops.png --table flops.md --table flops.csv
  profile-flops --modality vqa --checkpoint runs/vqa --k-text 8 --k-image 16
  profile-flops --modality text --latency --threads 1
  profile-flops --timm resnet50
  profile-flops --hf-config config.json --source-length 128

Side by side: the paper's Appendix A as printed, its corrected closed form, and the real model counted by
torch's FlopCounterMode and by fvcore, module by module. The optimizer reads the corrected count; it equals
both counters for every matrix product, or the command fails. Of a checkpoint only the config is read.

A preset has a nested code of k = 4, 8, 12, 16, 20 (image: 8, 16, 24, 32), or for another k a code of that k
alone. A nested code's JSC codec computes its largest k's symbols whatever k is sent, so its FLOPs do not
depend on k.
"""


def build_parser() -> argparse.ArgumentParser:
    """Flags of profile-flops."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--modality", choices=tuple(MODALITIES), help="what crosses the channel")
    subject.add_argument("--timm", metavar="NAME", help="a model of timm's instead of a codec")
    subject.add_argument("--hf-config", metavar="FILE", help="a transformers config.json instead of a codec")

    model = parser.add_argument_group("model")
    model.add_argument("--checkpoint", metavar="DIR", help="folder of a codec trained by train-deepsc")
    presets = "; ".join(f"{name}: {', '.join(modality.presets)}" for name, modality in MODALITIES.items())
    model.add_argument("--preset", metavar="NAME", help=f"size of a codec. {presets}")
    for flag, metavar, what in (
        ("--k", "K", f"complex channel symbols a token, eq. (4) (text: {TEXT_K}, image: {IMAGE_K})"),
        ("--k-text", "K", f"the same for a VQA question ({TEXT_K})"),
        ("--k-image", "K", f"the same for a VQA image ({IMAGE_K})"),
        ("--source-length", "S", f"tokens of a sentence or question, its end included ({LENGTH})"),
        ("--target-length", "T", f"tokens generated, the end included ({LENGTH})"),
        ("--beams", "N", "width of the decoder's search (1: greedy)"),
        ("--image-size", "PIXELS", "a side (the preset's or model's)"),
        ("--classes", "N", f"classes of a preset's classifier ({CLASSES})"),
        ("--answers", "N", f"answers of a preset's classifier ({ANSWERS})"),
    ):
        model.add_argument(flag, type=positive_int, metavar=metavar, help=what)

    files = parser.add_argument_group("files")
    files.add_argument("--output", metavar="FILE", help=f"the FLOPs file, of a codec ({_OUTPUT})")
    files.add_argument("--overwrite", action="store_true", help="replace an output that other settings made")
    files.add_argument("--table", metavar="FILE", action="append",
                       help="all tables as .md or .tex, or counts by module as .csv; repeatable")  # fmt: skip
    files.add_argument("--plot", metavar="FILE", help="stacked bars of a codec, as .png, .pdf or .svg")
    parser.add_argument("--allow-uncounted", action="store_true",
                        help="show what no method explains as unexplained, instead of failing")  # fmt: skip

    latency = parser.add_argument_group("latency")
    latency.add_argument("--latency", action="store_true", help="time each part on this device too")
    latency.add_argument("--device", help="cpu, cuda, cuda:1 (cpu)")
    latency.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads (torch's choice)")
    latency.add_argument("--dtype", choices=DTYPES, help="bfloat16 runs under autocast (float32)")
    latency.add_argument("--batch", type=positive_int, metavar="B", help="tasks at once (1)")
    latency.add_argument("--flops-per-cycle", type=finite_float, metavar="N",
                         help="n of eq. (3) to compare with (Table I: 1024)")  # fmt: skip
    latency.add_argument("--clock-hz", type=finite_float, metavar="F",
                         help="f of eq. (3) to compare with (Table I: 1.28e9)")  # fmt: skip
    return parser


def parse_config(argv: Sequence[str] | None) -> ProfileConfig:
    """Flags to config.

    Raises:
        ToolkitError: if flags do not go together.
    """
    values = vars(build_parser().parse_args(argv))
    timed = values.pop("latency")
    names = {field.name for field in fields(LatencyConfig)} & values.keys()
    chosen = {name: value for name in sorted(names) if (value := values.pop(name)) is not None}
    if chosen and not timed:
        flags = ", ".join(map(flag_of, chosen))
        raise ToolkitError(f"{flags}: given, --latency is needed")
    return ProfileConfig(
        **values | {"table": tuple(values["table"] or ())}, latency=LatencyConfig(**chosen) if timed else None
    )


def codec_config(config: ProfileConfig) -> tuple[CodecConfig, dict[str, str]]:
    """The codec to count, and the SHA-256 of what it was read from.

    Raises:
        ToolkitError: if the checkpoint is missing or damaged, or a size does not fit the preset.
    """
    assert config.modality is not None
    modality = MODALITIES[config.modality]
    if config.checkpoint is None:
        preset = config.preset or modality.default_preset
        task = {**modality.sizes, **config.given(modality.sizes)}
        return modality.from_preset(preset, task, **config.given(modality.preset_sizes)), {}
    from deepsc.checkpoint import read_config

    document = read_config(config.checkpoint)
    path = Path(config.checkpoint) / "config.json"
    with parsing(path):
        if document["modality"] != modality.name:
            raise ToolkitError(f"--modality: {modality.name!r} given, it is {document['modality']!r}")
        codec = modality.trained.codec_config.from_dict(document["codec"])
    return codec, {str(path): sha256_of(path)}


def profile(config: ProfileConfig) -> ModelProfile:
    """Count, and write the files that are asked for, last of all.

    Raises:
        ToolkitError: if the model, k or a length is unfit, a count is not explained, or writing fails.
    """
    for path in config.table:
        tables.check_suffix(path)
    if config.plot is not None:
        plot.check_suffix(config.plot)
    if config.modality is not None:
        return _profile_codec(config)
    result = _profile_model(config)
    _write_tables(config, result)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""

    def body() -> None:
        config = parse_config(argv)
        result = profile(config)
        from profiling import report

        blocks = [table.text() for table in report.tables(result)]
        print("\n".join([*blocks, *report.notes(result)]))

    # Imports make a million objects and no garbage. Collecting among them, and once more at the interpreter's
    # exit, would take a quarter of the command's time.
    gc.disable()
    try:
        return run_command(NAME, body)
    finally:
        gc.freeze()
        gc.enable()


def _profile_codec(config: ProfileConfig) -> CodecProfile:
    codec, data_sha256 = codec_config(config)
    output = config.output or _OUTPUT
    if not config.overwrite:
        _refuse_other_settings(output, config, codec)
    from profiling import report
    from profiling.profile import profile_codec, time_codec

    assert config.modality is not None
    task = config.given(MODALITIES[config.modality].sizes)
    result = profile_codec(codec, **task, allow_uncounted=config.allow_uncounted)
    if config.latency is not None:
        result = time_codec(result, config.latency)
    full_config = asdict(config) | {"codec": codec.to_dict()}
    source = provenance(config=full_config, seed=None, data_sha256=data_sha256)
    report.flops_file(result, source).save(output)
    _write_tables(config, result)
    if config.plot is not None:
        name = f"{codec.model_name['name']} {codec.model_name['preset']}, {result.decoding}"
        plot.plot_split(config.plot, result.parts, title=f"{name}\n{result.heading}")
    return result


def _refuse_other_settings(path: str, config: ProfileConfig, codec: CodecConfig) -> None:
    """Refuse to write over what is no FLOPs file of the same codec, task and timing.

    Raises:
        ToolkitError: naming the two ways out.
    """
    if not os.path.lexists(path):
        return
    assert config.modality is not None
    kind = MODALITIES[config.modality]
    task = {**kind.sizes, **config.given(kind.sizes)}
    latency = None if config.latency is None else asdict(config.latency)
    settings: dict[str, Any] = {"codec": codec.to_dict(), "decoding": kind.decoding(task), "latency": latency}
    if not kind.errors(codec, task):
        settings |= kind.file_sizes(codec, task)
    try:
        old = FlopsFile.load(path)
        old_settings = {
            "codec": old.provenance["config"]["codec"],
            "latency": old.breakdown.get("latency", {}).get("config"),
        }
        old_settings |= {name: getattr(old, name) for name in settings if name not in old_settings}
    except (ToolkitError, KeyError, TypeError, AttributeError):  # something else, or damaged
        old_settings = {}
    if old_settings != json.loads(json.dumps(settings)):
        raise ToolkitError(
            f"--output: {path} is there, made with other settings; give another name, "
            "or --overwrite to replace it"
        )


def _profile_model(config: ProfileConfig) -> ModelProfile:
    from profiling.counted import user_model
    from profiling.profile import profile_model
    from profiling.timed.latency import time_workloads

    def build(device: str, batch: int) -> user_model.UserModel:
        where: dict[str, Any] = {"image_size": config.image_size, "device": device, "batch": batch}
        if config.timm is not None:
            return user_model.timm_model(config.timm, **where)
        assert config.hf_config is not None
        return user_model.hf_model(
            config.hf_config,
            source_length=config.source_length or LENGTH,
            target_length=config.target_length or LENGTH,
            **where,
        )

    if config.latency is not None:
        resolve_device(config.latency.device)
    model = build("meta", 1)
    try:
        result = profile_model(
            model.workload.module,
            model.workload.inputs,
            name=f"{model.name}, {model.parameters / 1e6:.2f} M parameters",
            allow_uncounted=config.allow_uncounted,
        )
    except ToolkitError:
        raise
    except Exception as error:  # whatever a model raises that takes other inputs
        flags = "--image-size" if config.timm is not None else "--source-length, --image-size"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ToolkitError(
            f"{flags}: the model does not run on these inputs alone: {reason}; "
            "models with others are allowed from Python, with profiling.profile.profile_model"
        ) from error
    if config.latency is not None:
        (counted,) = result.counted
        runs = {counted.name: build(config.latency.device, config.latency.batch).workload}
        latency = time_workloads(runs, {counted.name: counted.corrected}, config.latency)
        result = replace(result, latency=latency)
    return result


def _write_tables(config: ProfileConfig, result: ModelProfile) -> None:
    from profiling import report

    for path in config.table:
        tables.write_tables(path, report.tables(result), report.counts(result))


if __name__ == "__main__":
    run(NAME, "profiling.command")

"""profile-flops: count the FLOPs of a semantic codec, at the UE and at the server, or of any model."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.device import resolve_device
from data.files.errors import ToolkitError, first_line, parsing
from data.files.provenance import provenance, sha256_of
from data.files.runs import Identity
from data.settings import (
    Parser,
    add_config_flags,
    add_flags,
    from_args,
    layers_of,
    merge,
    named,
    run_command,
)  # fmt: skip
from data.terminal.ending import closing_lines
from data.terminal.start import run
from deepsc.codec.config import CodecConfig
from deepsc.zoo.find import DEFAULTS, map_path, release_of, resolve
from profiling import plot, tables
from profiling.config import ProfileConfig
from profiling.flops_file import FlopsFile
from profiling.modalities import IMAGE_K, LENGTH, MODALITIES, TEXT_K, Modality
from profiling.outputs import prepare_outputs
from profiling.timed.device import DeviceConfig, device_file, require_known
from profiling.timed.latency import LatencyConfig

if TYPE_CHECKING:
    from profiling.profile import CodecProfile, ModelProfile

NAME = "profile-flops"
_OUTPUT, _TIMED = "runs/flops.json", "timed"
_DESCRIPTION = """\
Count the FLOPs of one task: locally, at the user equipment, and at the server. 1 multiply-add = 2 FLOP.

  profile-flops --modality text --preset small --output runs/flops.json
  profile-flops --modality text --preset small --detail
  profile-flops --modality image --k 32 --plot flops.png --table flops.md --table flops.csv
  profile-flops --modality vqa --checkpoint runs/vqa --k-text 8 --k-image 16
  profile-flops --modality text --latency --threads 1
  profile-flops --modality text --latency --device-file nano.json --clock-max-hz 1.4e9 \\
      --active-power-w 3 --static-power-w 2
  profile-flops --timm resnet50
  profile-flops --hf-config config.json --source-length 128

It prints what a task costs, by the paper's Appendix A as printed and by its corrected closed form. --detail
adds the real model, counted by torch's FlopCounterMode and by fvcore, module by module. The optimizer reads a
codec's corrected count; it equals both counters for every matrix product, or the command fails. For other
models the count is that of the operators torch dispatches. It equals FlopCounterMode's, residuals of a known
cause apart, or the command fails; fvcore's differences are shown by cause and never fail. Of a checkpoint
only the config is read.

All files are checked before anything is counted. A table or plot of an earlier call is written anew.

A preset has a nested code of k = 4, 8, 12, 16, 20 (image: 8, 16, 24, 32), or for another k a code of that k
alone. A nested code's JSC codec computes its largest k's symbols whatever k is sent, so its FLOPs do not
depend on k.
"""


def build_parser() -> Parser:
    """Flags of profile-flops."""
    parser = Parser(prog=NAME, description=_DESCRIPTION)
    add_config_flags(parser)
    subject = parser.add_mutually_exclusive_group()
    add_flags(subject, ProfileConfig, "modality", "timm", "hf_config")
    model = parser.add_argument_group("model")
    add_flags(
        model, ProfileConfig, "checkpoint", "preset", "k", "k_text", "k_image", "source_length",
        "target_length", "beams", "image_size", "classes", "answers",
    )  # fmt: skip
    files = parser.add_argument_group("files")
    add_flags(files, ProfileConfig, "output", "overwrite", "table", "plot")
    add_flags(parser, ProfileConfig, "detail", "allow_uncounted")
    latency = parser.add_argument_group("latency")
    latency.add_argument(
        "--latency", action="store_true", dest=_TIMED, help="time each part on this device too"
    )
    timing = ("device", "threads", "dtype", "batch", "flops_per_cycle", "clock_hz")
    add_flags(latency, LatencyConfig, *timing, at="latency")
    add_flags(parser.add_argument_group("device file"), DeviceConfig, at="device_file")
    return parser


def parse_config(argv: Sequence[str] | None) -> ProfileConfig:
    """Flags to config.

    Raises:
        ToolkitError: if flags do not go together.
    """
    args = build_parser().parse_args(argv)
    timed = getattr(args, _TIMED)
    *below, flags = layers_of(args)
    timing = merge(flags).get("latency", {})
    if timing and not timed and merge(*below).get("latency") is None:
        names = ", ".join(sorted(named(f"latency.{name}") for name in timing))
        raise ToolkitError(f"{names}: given, --latency is needed")
    return from_args(ProfileConfig, args, {"latency": {}} if timed else {})


def codec_of(config: ProfileConfig) -> tuple[CodecConfig, dict[str, str]]:
    """The codec to count, and the SHA-256 of what it was read from.

    Raises:
        ToolkitError: if the checkpoint is missing or damaged, or a size does not fit the preset.
    """
    modality = _modality(config)
    if config.checkpoint is None:
        preset = config.preset or modality.default_preset
        task = modality.task(config.chosen(modality.sizes))
        return modality.from_preset(preset, task, **config.chosen(modality.model_sizes)), {}
    from deepsc.checkpoint import read_config

    folder = resolve(config.checkpoint, "codec", setting="checkpoint")
    document = read_config(folder)
    path = Path(folder) / "config.json"
    with parsing(path):
        if document["modality"] != modality.name:
            raise ToolkitError(
                f"{named('modality')}: {modality.name!r} given, it is {document['modality']!r}"
            )
        codec = modality.codec_config.from_dict(document["codec"])
    return codec, {str(path): sha256_of(path)}


def profile(config: ProfileConfig) -> ModelProfile:
    """Count, and write the files that are asked for, last of all.

    Raises:
        ToolkitError: if the model, k or a length is unfit, a count is not explained, or writing fails.
    """
    for path in config.table:
        tables.require_suffix(path, tables.SUFFIXES, flag="table")
    if config.plot is not None:
        tables.require_suffix(config.plot, plot.SUFFIXES, flag="plot")
    if config.device_file is not None and config.latency is not None:
        require_known(config.device_file, config.latency)
    prepare_outputs(config, None if config.modality is None else config.output or _OUTPUT)
    if config.modality is not None:
        return _profile_codec(config)
    result = _profile_model(config)
    _write_device(config, result, provenance(config=asdict(config), seed=None, data_sha256={}))
    _write_tables(config, result)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""

    def body() -> None:
        config = parse_config(argv)
        result = profile(config)
        from profiling import report

        shown = report.tables(result) if config.detail else report.answer(result)
        print("\n".join(table.text() for table in shown))
        print("\n".join([*(report.notes(result) if config.detail else ()), *_closing(config)]))

    # Imports make a million objects and no garbage. Collecting among them, and once more at the interpreter's
    # exit, would take a quarter of the command's time.
    gc.disable()
    try:
        return run_command(NAME, body)
    finally:
        gc.freeze()
        gc.enable()


def _closing(config: ProfileConfig) -> list[str]:
    """Which files were written, and what can be typed next."""
    device = None if config.device_file is None else config.device_file.path
    output = None if config.modality is None else config.output or _OUTPUT
    written = [path for path in (output, device, *config.table, config.plot) if path is not None]
    more = [] if config.detail else ["--detail shows every part and module, and what separates the counts"]
    if output is None:
        codec = [NAME, "--modality", "image", "--preset", "deit-small"]
        return [*more, *closing_lines(written, codec, note="a codec: UE, server and channel")]
    words = _next_command(config, output)
    note = "MAP: what build-accuracy-map wrote" if "MAP" in words else ""
    return [*more, *closing_lines(written, words, note=note)]


def _next_command(config: ProfileConfig, output: str) -> list[str]:
    """`optimize` on the FLOPs file and the codec's map, for a device that gains by offloading.

    It finds the map of a codec that ships by itself.
    """
    modality = _modality(config)
    words = ["optimize", f"--{modality.name}-flops", output]
    if config.checkpoint != DEFAULTS[modality.name]:
        release = None if config.checkpoint is None else release_of(config.checkpoint)
        words += [f"--{modality.name}-map", "MAP" if release is None else str(map_path(release, "awgn"))]
    words += ["--ue-device", "raspberry-pi-4"]
    for name, k in modality.task(config.chosen(modality.sizes)).items():
        flag = {"k": f"--k-{modality.name}", "k_text": "--k-text", "k_image": "--k-image"}.get(name)
        if flag is not None and k != {"--k-text": TEXT_K, "--k-image": IMAGE_K}[flag]:
            words += [flag, str(k)]
    return words


def _profile_codec(config: ProfileConfig) -> CodecProfile:
    codec, data_sha256 = codec_of(config)
    modality = _modality(config)
    sizes = config.chosen(modality.sizes)
    modality.require_fit(codec, modality.task(sizes))
    output = config.output or _OUTPUT
    if not config.overwrite:
        _require_same(output, config, codec)
    from profiling import report
    from profiling.profile import profile_codec, time_codec

    result = profile_codec(codec, **sizes, allow_uncounted=config.allow_uncounted)
    if config.latency is not None:
        result = time_codec(result, config.latency)
    full_config = asdict(config) | {"codec": codec.to_dict()}
    source = provenance(config=full_config, seed=None, data_sha256=data_sha256)
    report.flops_file(result, source).save(output)
    _write_device(config, result, source)
    _write_tables(config, result)
    if config.plot is not None:
        name = f"{codec.model_name['name']} {codec.model_name['preset']}, {result.decoding}"
        plot.plot_split(config.plot, result.parts, title=f"{name}\n{result.heading}")
    return result


def _require_same(path: str, config: ProfileConfig, codec: CodecConfig) -> None:
    """Refuse to write over what is no FLOPs file of the same codec, task and timing.

    Raises:
        ToolkitError: naming the two ways out.
    """
    if not os.path.lexists(path):
        return
    modality = _modality(config)
    task = modality.task(config.chosen(modality.sizes))
    sizes = {"decoding": modality.decoding(task), **modality.file_sizes(codec, task)}
    latency = None if config.latency is None else asdict(config.latency)
    advice = f"give another name, or {named('overwrite')} to replace it"
    try:
        file = FlopsFile.load(path)
        stored = Identity.of({
            "codec": file.provenance["config"]["codec"],
            "latency": file.breakdown.get("latency", {}).get("config"),
            **{name: getattr(file, name) for name in sizes},
        })  # fmt: skip
    except (ToolkitError, KeyError, TypeError, AttributeError) as error:  # something else, or damaged
        raise ToolkitError(f"{named('output')}: {path} is there, and no FLOPs file; {advice}") from error
    Identity.of({"codec": codec.to_dict(), "latency": latency, **sizes}).require_same(
        stored, where=f"{path} is there, and", flag=named("output"), advice=advice
    )


def _modality(config: ProfileConfig) -> Modality:
    assert config.modality is not None
    return MODALITIES[config.modality]


def _profile_model(config: ProfileConfig) -> ModelProfile:
    from profiling.counted import library_models
    from profiling.profile import profile_model
    from profiling.timed.latency import time_workloads

    def build(device: str, batch: int) -> library_models.LibraryModel:
        where: dict[str, Any] = {"image_size": config.image_size, "device": device, "batch": batch}
        if config.timm is not None:
            return library_models.timm_model(config.timm, **where)
        assert config.hf_config is not None
        return library_models.hf_model(
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
        names = ("image_size",) if config.timm is not None else ("source_length", "image_size")
        raise ToolkitError(
            f"{', '.join(map(named, names))}: the model does not run on these inputs alone: "
            f"{first_line(error)}; "
            "models with others are allowed from Python, with profiling.profile_model"
        ) from error
    if config.latency is not None:
        (counted,) = result.counted
        runs = {counted.name: build(config.latency.device, config.latency.batch).workload}
        latency = time_workloads(runs, {counted.name: counted.corrected}, config.latency)
        result = replace(result, latency=latency)
    return result


def _write_device(config: ProfileConfig, result: ModelProfile, source: dict[str, Any]) -> None:
    """Write the device file, if any: of a codec by the parts that make its local task, eq. (3)'s."""
    from profiling.profile import CodecProfile

    if config.device_file is None or result.latency is None:
        return
    latency = result.latency
    if isinstance(result, CodecProfile):
        local = {part.name for part in result.parts if part.local}
        latency = replace(latency, timings=tuple(one for one in latency.timings if one.part in local))
    device_file(latency, config.device_file, source).save(config.device_file.path)


def _write_tables(config: ProfileConfig, result: ModelProfile) -> None:
    from profiling import report

    for path in config.table:
        tables.write_tables(path, report.tables(result), report.counts(result))


if __name__ == "__main__":
    run(NAME, "profiling.command")

"""Profiles: a codec or any module, counted by every method, checked, and ready to be shown."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from data.artifacts import ToolkitError
from deepsc.config import CodecConfig
from deepsc.device import resolve_device
from profiling import workloads
from profiling.functions import count_calls
from profiling.latency import Latency, LatencyConfig, time_workloads
from profiling.measured import Workload, count_with_fvcore, count_with_torch
from profiling.modalities import MODALITIES, Sizes, modality_of
from profiling.parts import Part
from profiling.residuals import Counted, check

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelProfile:
    """Any module, counted by every method."""

    heading: str
    counted: tuple[Counted, ...]
    """One entry a part; a single one for a module of the user's."""
    latency: Latency | None = None
    """The parts timed on a device."""


@dataclass(frozen=True, kw_only=True)
class CodecProfile(ModelProfile):
    """A split codec, counted by every method."""

    modality: str
    config: CodecConfig
    task: Sizes
    """Sizes it was counted at."""
    sizes: Mapping[str, int]
    """k and lengths the counts hold for, by the names of `FlopsFile`'s fields."""
    decoding: str
    """How the decoder runs: a `Decoding`, or "one pass"."""
    parts: tuple[Part, ...]
    """In the order of `counted`."""


def profile_codec(config: CodecConfig, *, allow_uncounted: bool = False, **sizes: int) -> CodecProfile:
    """Count one task through a codec by every method. No weights are needed.

    Args:
        config: architecture.
        allow_uncounted: warn of what no method explains, instead of refusing it.
        sizes: of the task, Table I's and section V.A's where left out. Text: `k`, one of `config.k`;
            `source_length` and `target_length`, tokens with the end of sentence; `beams`, 1 for greedy
            decoding. Image: `k`. VQA: `k_text`, `k_image` and `source_length`.

    Raises:
        ToolkitError: if k or a length does not fit the codec, or if a count is not explained.
        TypeError: on a size that the codec's modality does not have.
    """
    kind = modality_of(config)
    if unknown := sizes.keys() - kind.sizes.keys():
        raise TypeError(f"{kind.name} has no {', '.join(sorted(unknown))}, but {', '.join(kind.sizes)}")
    task = {**kind.sizes, **sizes}
    if errors := kind.errors(config, task):
        raise ToolkitError("; ".join(dict.fromkeys(errors)))
    parts = kind.parts(config, task)
    codec = kind.trained.codec(config)
    workloads.for_counting(codec)
    # Made anew for each counter. fvcore's run on the CPU, since jit traces no convolution on the meta device,
    # and the rest more slowly; FlopCounterMode's on the meta device, where shapes alone are computed.
    runs = kind.runs_to_count(codec, task)
    in_fvcore = kind.gather({name: count_with_fvcore(run) for name, run in runs.items()}, task)
    codec.to("meta")
    runs = kind.runs_to_count(codec, task)
    in_torch = kind.gather({name: count_with_torch(run) for name, run in runs.items()}, task)
    counted = tuple(
        Counted(name=part.name, closed=part.modules, torch=in_torch[part.name], fvcore=in_fvcore[part.name])
        for part in parts
    )
    check(counted, allow_uncounted=allow_uncounted)
    return CodecProfile(
        heading=kind.heading(config, task),
        counted=counted,
        modality=kind.name,
        config=config,
        task=task,
        sizes=kind.file_sizes(config, task),
        decoding=kind.decoding(task),
        parts=parts,
    )


def profile_model(
    module: nn.Module, inputs: Sequence[Any], *, name: str | None = None, allow_uncounted: bool = False
) -> ModelProfile:
    """Count a forward pass of any module by every method, module by module.

    The closed form applies the layers' formulas to each call of a torch function that multiplies. On the meta
    device no weights are needed; elsewhere the module runs, in evaluation mode.

    Args:
        module: what to count.
        inputs: positional arguments of its forward pass.
        name: title, by default the class's name.
        allow_uncounted: warn of what no method explains, instead of refusing it.

    Raises:
        ToolkitError: if a count is not explained.
    """
    training = module.training
    workload = Workload(module=module.eval(), inputs=tuple(inputs))
    try:
        closed, kinds = count_calls(workload)
        torch_count = count_with_torch(workload)
        try:
            fvcore_count = count_with_fvcore(workload)
        except Exception as error:  # whatever jit finds it cannot trace; the table says that it did not
            fvcore_count = None
            logger.warning("fvcore cannot trace %s: %s", type(module).__name__, _first_line(error))
    finally:
        module.train(training)
    title = name or type(module).__name__
    counted = Counted(name=title, closed=closed, torch=torch_count, fvcore=fvcore_count, kinds=kinds)
    check([counted], allow_uncounted=allow_uncounted)
    return ModelProfile(heading=title, counted=(counted,))


def time_codec(profile: CodecProfile, config: LatencyConfig) -> CodecProfile:
    """The same profile with every part timed on a device, weights drawn at random.

    Raises:
        ToolkitError: if torch cannot use the device.
    """
    device = resolve_device(config.device)
    kind = MODALITIES[profile.modality]
    codec = kind.trained.codec(profile.config).to(device).eval()
    runs = kind.runs(codec, profile.task, batch=config.batch)
    flops = {part.name: part.corrected for part in profile.parts}
    return replace(profile, latency=time_workloads(runs, flops, config))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

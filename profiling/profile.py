"""Profiles: a codec or any module, counted by every method, checked, and ready to be shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import nn

from data.device import resolve_device
from data.files.errors import ToolkitError, first_line
from deepsc.codec.config import CodecConfig
from deepsc.modality import modality as trained
from profiling.closed.parts import Part
from profiling.counted.codec_parts import count_parts, parts_of
from profiling.counted.copies import CPU, META, Workload, copied, for_counting
from profiling.counted.operators import ProductCount, count_products
from profiling.counted.other_tools import count_with_fvcore, count_with_torch
from profiling.counted.residuals import FLOP_COUNTER_MODE, FVCORE, Counted, check
from profiling.modalities import Sizes, modality_of
from profiling.timed.latency import Latency, LatencyConfig, time_workloads
from profiling.units import Flops, Macs

Count = TypeVar("Count")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelProfile:
    """Any module, counted by every method."""

    heading: str
    counted: tuple[Counted, ...]
    """One entry a part; a single one for a module of the user's."""
    latency: Latency | None = None
    """The parts timed on a device."""

    def total(self) -> Flops:
        """Matrix products of all parts, corrected; 1 multiply-add = 2 FLOPs."""
        return Flops.total(part.corrected for part in self.counted)

    def by_module(self) -> dict[str, Flops]:
        """The same by module path, each module's own; "blocks.*.mlp.fc1" holds all blocks."""
        paths = dict.fromkeys(path for part in self.counted for path in part.closed)
        return {
            path: Macs.total(part.closed.get(path, Macs(0)) for part in self.counted).flops for path in paths
        }


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
    modality = modality_of(config)
    if unknown := sizes.keys() - modality.sizes.keys():
        raise TypeError(
            f"{modality.name} has no {', '.join(sorted(unknown))}, but {', '.join(modality.sizes)}"
        )
    task = modality.task(sizes)
    modality.require_fit(config, task)
    parts = modality.parts(config, **task)
    codec = trained(modality.name).codec(config)
    for_counting(codec)
    # fvcore's run on the CPU, for jit traces no convolution on the meta device, and the rest more slowly.
    in_fvcore = count_parts(codec, task, count_with_fvcore)
    codec.to(META)
    in_torch = count_parts(codec, task, count_with_torch)
    dispatched = count_parts(codec, task, count_products)
    counted = tuple(
        Counted(
            name=part.name,
            closed=part.modules,
            products=dispatched[part.name],
            torch=in_torch[part.name],
            fvcore=in_fvcore[part.name],
            strict=True,
        )
        for part in parts
    )
    check(counted, allow_uncounted=allow_uncounted)
    return CodecProfile(
        heading=modality.words(config, task),
        counted=counted,
        modality=modality.name,
        config=config,
        task=task,
        sizes=modality.file_sizes(config, task),
        decoding=modality.decoding(task),
        parts=parts,
    )


def profile_model(
    module: nn.Module, inputs: Sequence[Any], *, name: str | None = None, allow_uncounted: bool = False
) -> ModelProfile:
    """Count a forward pass of any module by every method, module by module.

    Copies of the module and of its inputs run, in evaluation mode: on the meta device, where shapes alone are
    computed, or on the CPU if the module looks at values. The originals are left as they are: a model whose
    copy would run modules of the original is refused. Only what a closure or hook of the model's does to the
    original by other ways than calling a module is out of sight.

    Args:
        module: what to count.
        inputs: positional arguments of its forward pass.
        name: title, by default the class's name.
        allow_uncounted: warn of what no method explains, instead of refusing it.

    Raises:
        ToolkitError: if a count is not explained, the module cannot be copied, or its copy calls modules of
            the original.
    """
    original = Workload(module=module, inputs=tuple(inputs))
    products, device = count_on_a_copy(original)
    title = name or type(module).__name__
    counted = Counted(
        name=title,
        closed=products.modules,
        products=products,
        torch=_unless_it_fails(FLOP_COUNTER_MODE, count_with_torch, original, device),
        fvcore=_unless_it_fails(FVCORE, count_with_fvcore, original, device),
    )
    check([counted], allow_uncounted=allow_uncounted)
    return ModelProfile(heading=title, counted=(counted,))


def count_on_a_copy(original: Workload) -> tuple[ProductCount, torch.device]:
    """The products of a module that is never run itself, and the device that its copy ran on.

    Raises:
        ToolkitError: if the module cannot be copied, or its copy calls modules of the original.
    """
    try:
        return count_products(copied(original, META)), META
    except ToolkitError:
        raise
    except Exception as error:  # the module looks at values, which shapes do not have
        logger.debug("not on the meta device: %s", error)
    try:
        return count_products(copied(original, CPU)), CPU
    except ToolkitError:
        raise
    except Exception:
        # It may need autograd. What it raises now is its own error, as the user would see it.
        return count_products(copied(original, CPU), below_autograd=False), CPU


def _unless_it_fails(
    tool: str, count: Callable[[Workload], Count], original: Workload, device: torch.device
) -> Count | None:
    try:
        return count(copied(original, device))
    except Exception as error:  # whatever a tool cannot run or trace; the table says that it did not
        logger.warning("%s cannot count %s: %s", tool, type(original.module).__name__, first_line(error))
        return None


def time_codec(profile: CodecProfile, config: LatencyConfig) -> CodecProfile:
    """The same profile with every part timed on a device, weights drawn at random.

    Raises:
        ToolkitError: if torch cannot use the device.
    """
    device = resolve_device(config.device)
    codec = trained(profile.modality).codec(profile.config).to(device).eval()
    runs = parts_of(codec, profile.task, batch=config.batch)
    flops = {part.name: part.corrected for part in profile.parts}
    return replace(profile, latency=time_workloads(runs, flops, config))

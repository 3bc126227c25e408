"""Profiles: a codec or any module, counted by every method, checked, and ready to be shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from data.artifacts import ToolkitError
from deepsc.config import CodecConfig, TextCodecConfig
from deepsc.image_config import ImageCodecConfig
from deepsc.vqa_config import VQACodecConfig
from profiling import workloads
from profiling.decoding import Decoding
from profiling.functions import count_calls
from profiling.image import image_parts
from profiling.latency import Latency, LatencyConfig, check_device, time_workloads
from profiling.measured import FvcoreCount, TorchCount, Workload, count_with_fvcore, count_with_torch
from profiling.parts import Part
from profiling.residuals import Counted, check
from profiling.text import text_parts
from profiling.vqa import vqa_parts

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
    sizes: Mapping[str, int]
    """k and lengths the counts hold for, by the names of `FlopsFile`'s fields."""
    decoding: str
    """How the decoder runs: a `Decoding`, or "one pass"."""
    parts: tuple[Part, ...]
    """In the order of `counted`."""
    beams: int = 1
    """Width of the decoder's search."""


def profile_text(
    config: TextCodecConfig,
    *,
    k: int,
    source_length: int,
    target_length: int,
    beams: int = 1,
    allow_uncounted: bool = False,
) -> CodecProfile:
    """Count one sentence through a text codec by every method. No weights are needed.

    Of a generation, steps 1, 2 and T are run; the counts of the others lie on a line.

    Args:
        config: architecture.
        k: complex symbols per token, one of `config.k`.
        source_length: S, tokens, the end of sentence included.
        target_length: T, tokens the decoder generates, the end of sentence included.
        beams: 1 decodes greedily.
        allow_uncounted: warn of what no method explains, instead of refusing it.

    Raises:
        ToolkitError: if k or a length does not fit the codec, or if a count is not explained.
    """
    errors = [*_k_errors("k", k, config.k)]
    for flag, length in (("--source-length", source_length), ("--target-length", target_length)):
        if not 1 <= length <= config.max_length:
            errors.append(f"{flag}: {length} given, the codec allows 1 to {config.max_length} tokens")
    _refuse(errors)
    from deepsc.text import TextCodec
    from profiling.text_decoder import cached_step, over_steps

    decoding = Decoding.BEAM_KV_CACHE if beams > 1 else Decoding.GREEDY_KV_CACHE
    lengths = {"source_length": source_length, "target_length": target_length}
    parts = text_parts(config, **lengths, k=k, decoding=decoding, beams=beams)
    codec = TextCodec(config)
    positions = (1, min(2, target_length), target_length)

    def runs() -> dict[str, Workload]:
        step_runs = {
            f"step {position}": cached_step(
                codec, source_length=source_length, position=position, beams=beams
            )
            for position in positions
        }
        return {**workloads.text_workloads(codec, source_length=source_length, k=k), **step_runs}

    in_torch, in_fvcore = _measure(codec, runs)
    first, second, last = (f"step {position}" for position in positions)
    decoder = parts[-1].name
    in_torch[decoder] = over_steps(in_torch[first], in_torch[second], in_torch[last], target_length)
    in_fvcore[decoder] = over_steps(in_fvcore[first], in_fvcore[second], in_fvcore[last], target_length)
    counted = _side_by_side(parts, in_torch, in_fvcore)
    check(counted, allow_uncounted=allow_uncounted)
    return CodecProfile(
        heading=f"one sentence of {source_length} source and {target_length} target tokens, k = {k}",
        counted=counted,
        modality="text",
        config=config,
        sizes={"k": k, **lengths},
        decoding=f"{decoding}, {beams} beams" if beams > 1 else str(decoding),
        parts=parts,
        beams=beams,
    )


def profile_image(config: ImageCodecConfig, *, k: int, allow_uncounted: bool = False) -> CodecProfile:
    """Count one image through an image codec by every method; arguments and errors as `profile_text`."""
    _refuse(_k_errors("k", k, config.k))
    from deepsc.image import ImageCodec

    parts = image_parts(config, k=k)
    codec = ImageCodec(config)
    counted = _side_by_side(parts, *_measure(codec, lambda: workloads.image_workloads(codec, k=k)))
    check(counted, allow_uncounted=allow_uncounted)
    return CodecProfile(
        heading=f"one image of {config.image_size} pixels a side, {config.tokens} tokens, k = {k}",
        counted=counted,
        modality="image",
        config=config,
        sizes={"k": k, "source_length": config.tokens},
        decoding="one pass",
        parts=parts,
    )


def profile_vqa(
    config: VQACodecConfig, *, k_text: int, k_image: int, source_length: int, allow_uncounted: bool = False
) -> CodecProfile:
    """Count one question about one image by every method; arguments and errors as `profile_text`."""
    errors = [*_k_errors("k-text", k_text, config.k_text), *_k_errors("k-image", k_image, config.k_image)]
    if not 1 <= source_length <= config.max_length:
        errors.append(
            f"--source-length: {source_length} given, the codec allows 1 to {config.max_length} tokens"
        )
    _refuse(errors)
    from deepsc.vqa import VQACodec

    sizes = {"source_length": source_length, "k_text": k_text, "k_image": k_image}
    parts = vqa_parts(config, **sizes)
    codec = VQACodec(config)
    counted = _side_by_side(parts, *_measure(codec, lambda: workloads.vqa_workloads(codec, **sizes)))
    check(counted, allow_uncounted=allow_uncounted)
    return CodecProfile(
        heading=f"a question of {source_length} tokens about an image of {config.image_size} pixels a side, "
        f"{config.image_tokens} tokens, k = {k_text} and {k_image}",
        counted=counted,
        modality="vqa",
        config=config,
        sizes={**sizes, "image_length": config.image_tokens},
        decoding="one pass",
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
    device = check_device(config.device)
    sizes = dict(profile.sizes)
    runs: dict[str, Workload]
    codec: nn.Module
    if isinstance(profile.config, TextCodecConfig):
        from deepsc.text import TextCodec
        from profiling.text_decoder import generation

        codec = TextCodec(profile.config).to(device).eval()
        target_length = sizes.pop("target_length")
        runs = dict(workloads.text_workloads(codec, **sizes, batch=config.batch))
        runs[profile.parts[-1].name] = generation(
            codec,
            source_length=sizes["source_length"],
            target_length=target_length,
            beams=profile.beams,
            batch=config.batch,
        )
    elif isinstance(profile.config, ImageCodecConfig):
        from deepsc.image import ImageCodec

        codec = ImageCodec(profile.config).to(device).eval()
        runs = dict(workloads.image_workloads(codec, k=sizes["k"], batch=config.batch))
    elif isinstance(profile.config, VQACodecConfig):
        from deepsc.vqa import VQACodec

        codec = VQACodec(profile.config).to(device).eval()
        del sizes["image_length"]
        runs = dict(workloads.vqa_workloads(codec, **sizes, batch=config.batch))
    flops = {part.name: part.corrected for part in profile.parts}
    return replace(profile, latency=time_workloads(runs, flops, config))


def _measure(
    codec: nn.Module, runs: Callable[[], workloads.Workloads]
) -> tuple[dict[str, TorchCount], dict[str, FvcoreCount]]:
    """Count workloads made anew for each counter: FlopCounterMode's on the meta device, where shapes alone
    are computed; fvcore's on the CPU, since jit traces no convolution on the meta device, and the rest more
    slowly. The codec ends up on the meta device."""
    workloads.for_counting(codec)
    in_fvcore = {name: count_with_fvcore(run) for name, run in runs().items()}
    codec.to("meta")
    return {name: count_with_torch(run) for name, run in runs().items()}, in_fvcore


def _side_by_side(
    parts: Sequence[Part], in_torch: Mapping[str, TorchCount], in_fvcore: Mapping[str, FvcoreCount]
) -> tuple[Counted, ...]:
    return tuple(
        Counted(name=part.name, closed=part.modules, torch=in_torch[part.name], fvcore=in_fvcore[part.name])
        for part in parts
    )


def _k_errors(flag: str, k: int, trained: Sequence[int]) -> list[str]:
    if not trained:
        return [
            "--checkpoint: the local model has no JSC codec to count; give the codec's checkpoint, whose "
            "FLOPs file holds the local count too"
        ]
    if k not in trained:
        return [f"--{flag}: {k} given, the codec allows {', '.join(map(str, trained))}"]
    return []


def _refuse(errors: Sequence[str]) -> None:
    if errors:
        raise ToolkitError("; ".join(dict.fromkeys(errors)))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

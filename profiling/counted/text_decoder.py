"""The text codec's decoder as it runs: single cached steps, whole generations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from deepsc.text.decoding import CACHE_ARGUMENT
from deepsc.text.model import TextCodec
from profiling.counted.copies import Method, Workload
from profiling.counted.operators import ProductCount
from profiling.counted.other_tools import FvcoreCount, TorchCount

Count = TypeVar("Count", ProductCount, TorchCount, FvcoreCount)


def cached_step(codec: TextCodec, *, source_length: int, position: int, beams: int = 1) -> Workload:
    """The target token at `position`, from 1, of each beam; what came before it is in the cache.

    The first step has an empty cache, and so computes the keys and values of the source.
    """
    received = _received(codec, beams, source_length)
    past = _filled_cache(codec, received, position - 1), _filled_cache(codec, received, source_length)

    def run(received: Tensor, token: Tensor) -> Tensor:
        # Copies, since a step writes to its cache; copied shallowly, since that is no part of a step.
        cache = EncoderDecoderCache(*(_shallow(cache) if position > 1 else DynamicCache() for cache in past))
        if position > 1:
            cache.is_updated = dict.fromkeys(range(codec.config.layers), True)
        return codec.transformer(
            encoder_outputs=BaseModelOutput(last_hidden_state=received),
            decoder_input_ids=token,
            use_cache=True,
            **{CACHE_ARGUMENT: cache},
        ).logits

    return Workload(module=Method(codec, run), inputs=(received, _ids(codec, beams, 1)))


def generation(
    codec: TextCodec, *, source_length: int, target_length: int, beams: int = 1, batch: int = 1
) -> Workload:
    """All T steps by transformers' generate. It looks at values, which the meta device does not have."""

    def run(received: Tensor) -> Tensor:
        return codec.transformer.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=received),
            num_beams=beams,
            do_sample=False,
            min_new_tokens=target_length,
            max_new_tokens=target_length,
        )

    return Workload(module=Method(codec, run), inputs=(_received(codec, batch, source_length),))


def count_generation(
    codec: TextCodec,
    count: Callable[[Workload], Count],
    *,
    source_length: int,
    target_length: int,
    beams: int,
) -> Count:
    """A whole generation from its steps 1, which reads the source, 2 and T.

    From step 2 on, the count is linear in the position.
    """
    steps = target_length
    counts = {
        position: count(cached_step(codec, source_length=source_length, position=position, beams=beams))
        for position in {1, min(2, steps), steps}
    }
    first, second, last = counts[1], counts[min(2, steps)], counts[steps]

    def total(field: str) -> dict[str, Any]:
        a, b, c = (getattr(step, field) for step in (first, second, last))
        unit = next((type(count) for counts in (a, b, c) for count in counts.values()), int)

        def at(step: Mapping[str, Any], key: str) -> int:
            return int(getattr(step.get(key, 0), "count", step.get(key, 0)))

        return {
            key: unit(at(a, key) + (steps - 1) * (at(b, key) + at(c, key)) // 2)
            for key in sorted(a.keys() | b.keys() | c.keys())
        }

    return type(first)(**{field: total(field) for field in first.__dataclass_fields__})


def _filled_cache(codec: TextCodec, like: Tensor, length: int) -> DynamicCache:
    config = codec.config
    cache = DynamicCache()
    for layer in range(config.layers):
        shape = (like.shape[0], config.heads, length, config.d_model // config.heads)
        cache.update(like.new_zeros(shape), like.new_zeros(shape), layer)
    return cache


def _shallow(cache: DynamicCache) -> DynamicCache:
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    return copied


def _received(codec: TextCodec, batch: int, length: int) -> Tensor:
    weight = codec.transformer.lm_head.weight
    return torch.zeros(batch, length, codec.config.d_model, device=weight.device, dtype=weight.dtype)


def _ids(codec: TextCodec, batch: int, length: int) -> Tensor:
    return torch.zeros(batch, length, dtype=torch.long, device=codec.transformer.lm_head.weight.device)

"""The parts of a real text codec as modules with inputs on the meta device, ready for a counter to run.

Shapes alone are computed: no weights, no data, whatever the model's size. Attention is transformers' eager
one, whose matrix products both counters see; not all fused kernels are known to them. One sentence each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import MarianMTModel
from transformers.modeling_outputs import BaseModelOutput

from deepsc.config import TextCodecConfig
from deepsc.jsc import JSCDecoder, JSCEncoder
from deepsc.text import TextCodec
from profiling.parts import Decoding

_META = torch.device("meta")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A module and the inputs of one forward pass."""

    module: nn.Module
    inputs: tuple[Tensor, ...]


def meta_codec(config: TextCodecConfig) -> TextCodec:
    """A codec of shapes without weights, for inference, its attention eager."""
    codec = TextCodec(config).to(_META).eval()  # built on the CPU: its constructor looks at values
    codec.transformer.set_attn_implementation("eager")
    return codec


def encoder_workload(codec: TextCodec, *, source_length: int) -> Workload:
    """Semantic encoder over S tokens."""
    return Workload(module=_Encoder(codec.transformer), inputs=(_ids(source_length),))


def jsc_encoder_workload(codec: TextCodec, *, source_length: int, k: int) -> Workload:
    """JSC encoder over S tokens, k symbols of each sent."""
    assert codec.jsc_encoder is not None
    features = torch.empty(1, source_length, codec.config.d_model, device=_META)
    mask = torch.ones(1, source_length, dtype=torch.long, device=_META)
    return Workload(module=_JSCEncoder(codec.jsc_encoder), inputs=(features, mask, *_condition(k)))


def jsc_decoder_workload(codec: TextCodec, *, source_length: int, k: int) -> Workload:
    """JSC decoder over the symbols of S tokens, k of each sent."""
    assert codec.jsc_decoder is not None
    symbols = torch.empty(1, source_length, codec.config.k[-1], dtype=torch.complex64, device=_META)
    return Workload(module=_JSCDecoder(codec.jsc_decoder), inputs=(symbols, *_condition(k)))


def decoder_workload(
    codec: TextCodec, *, source_length: int, target_length: int, decoding: Decoding
) -> Workload:
    """Semantic decoder for T target tokens over S received tokens; greedy decoding runs all T steps."""
    received = torch.empty(1, source_length, codec.config.d_model, device=_META)
    if decoding is Decoding.TEACHER_FORCED:
        return Workload(module=_TeacherForced(codec.transformer), inputs=(received, _ids(target_length)))
    greedy = _Greedy(codec.transformer, steps=target_length, cached=decoding is Decoding.GREEDY_KV_CACHE)
    return Workload(module=greedy, inputs=(received, _ids(1)))


def _ids(length: int) -> Tensor:
    return torch.zeros(1, length, dtype=torch.long, device=_META)


def _condition(k: int) -> tuple[Tensor, Tensor]:
    return torch.full((1,), k, device=_META), torch.zeros(1, device=_META)


class _Encoder(nn.Module):
    def __init__(self, transformer: MarianMTModel) -> None:
        super().__init__()
        self.encoder = transformer.get_encoder()

    def forward(self, source: Tensor) -> Tensor:
        # Without a mask, which transformers would look into, and meta tensors hold no values.
        return self.encoder(input_ids=source).last_hidden_state


class _JSCEncoder(nn.Module):
    def __init__(self, jsc_encoder: JSCEncoder) -> None:
        super().__init__()
        self.jsc_encoder = jsc_encoder

    def forward(self, features: Tensor, mask: Tensor, k: Tensor, snr_db: Tensor) -> Tensor:
        return self.jsc_encoder(features, mask, k=k, snr_db=snr_db)


class _JSCDecoder(nn.Module):
    def __init__(self, jsc_decoder: JSCDecoder) -> None:
        super().__init__()
        self.jsc_decoder = jsc_decoder

    def forward(self, symbols: Tensor, k: Tensor, snr_db: Tensor) -> Tensor:
        return self.jsc_decoder(symbols, k=k, snr_db=snr_db)


class _TeacherForced(nn.Module):
    def __init__(self, transformer: MarianMTModel) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, received: Tensor, decoder_input: Tensor) -> Tensor:
        return self.transformer(
            encoder_outputs=BaseModelOutput(last_hidden_state=received),
            decoder_input_ids=decoder_input,
            use_cache=False,
        ).logits


class _Greedy(nn.Module):
    """The steps of transformers' generate, without its look at values for an early end."""

    def __init__(self, transformer: MarianMTModel, *, steps: int, cached: bool) -> None:
        super().__init__()
        self.transformer = transformer
        self.steps = steps
        self.cached = cached

    def forward(self, received: Tensor, start: Tensor) -> Tensor:
        tokens, cache = start, None
        for _ in range(self.steps):
            output = self.transformer(
                encoder_outputs=BaseModelOutput(last_hidden_state=received),
                decoder_input_ids=tokens[:, -1:] if self.cached else tokens,
                past_key_values=cache,
                use_cache=self.cached,
            )
            cache = output.past_key_values
            tokens = torch.cat((tokens, output.logits[:, -1].argmax(-1, keepdim=True)), dim=1)
        return tokens  # (1, 1 + steps)

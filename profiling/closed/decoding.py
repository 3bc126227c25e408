"""Ways to run an autoregressive decoder, and what each costs over S source and T target tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deepsc.text.config import TextCodecConfig
from profiling.closed.layers import linear, scores
from profiling.units import Macs

_DECODER = "transformer.model.decoder.layers.*"


class Decoding(StrEnum):
    """How the semantic decoder runs over the T target tokens."""

    TEACHER_FORCED = "teacher-forced"
    """One pass over all T tokens, as in training; the masked half of the self-attention is computed too."""
    GREEDY_NO_CACHE = "greedy, no cache"
    """Step t runs the decoder over t tokens again, keys and values of the source included."""
    GREEDY_KV_CACHE = "greedy, KV cache"
    """`TextCodec.generate`: step t runs one token; keys and values of earlier tokens are kept."""
    BEAM_KV_CACHE = "beam search, KV cache"
    """The same for each of several beams; transformers computes the source's keys and values per beam too."""

    @classmethod
    def of(cls, beams: int) -> Decoding:
        """How `TextCodec.generate` runs with so many beams."""
        return cls.BEAM_KV_CACHE if beams > 1 else cls.GREEDY_KV_CACHE


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a mode runs through the decoder's layers."""

    positions: int
    """Target tokens through the layers and, as transformers' Marian does it, the vocabulary layer."""
    self_pairs: int
    """Pairs of a query and a key in the self-attention."""
    source_passes: int
    """How often the keys and values of the S source tokens are computed."""


def _work(decoding: Decoding, target_length: int, beams: int) -> _Work:
    T = target_length
    growing = T * (T + 1) // 2
    if decoding is Decoding.TEACHER_FORCED:
        return _Work(positions=T, self_pairs=T * T, source_passes=1)
    if decoding is Decoding.GREEDY_NO_CACHE:
        return _Work(positions=growing, self_pairs=T * (T + 1) * (2 * T + 1) // 6, source_passes=T)
    width = beams if decoding is Decoding.BEAM_KV_CACHE else 1
    return _Work(positions=width * T, self_pairs=width * growing, source_passes=width)


def decoder(
    config: TextCodecConfig, *, source_length: int, target_length: int, decoding: Decoding, beams: int = 1
) -> dict[str, Macs]:
    """Semantic decoder and vocabulary layer by module. Corrects eq. (33).

    With a KV cache: L (6 T d^2 + 2 S d^2 + T (T + 1) d + 2 T S d + 2 T d d_ff) + T d n_vocab multiply-adds.

    Args:
        config: architecture.
        source_length: S.
        target_length: T, the end of sentence included; decoding without teacher takes T steps.
        decoding: how the decoder runs.
        beams: width of the search, for `Decoding.BEAM_KV_CACHE`.
    """
    return _decoder(config, source_length, _work(decoding, target_length, beams))


def prefill(config: TextCodecConfig, *, source_length: int) -> Macs:
    """What decoding with a KV cache does once: keys and values of the source, in each layer."""
    return Macs.total(
        _decoder(config, source_length, _Work(positions=0, self_pairs=0, source_passes=1)).values()
    )


def step(config: TextCodecConfig, *, source_length: int, position: int) -> Macs:
    """What decoding with a KV cache does for the target token at `position`, from 1; `prefill` comes on top.

    Linear in the position: L (6 d^2 + 2 position d + 2 S d + 2 d d_ff) + d n_vocab.
    """
    work = _Work(positions=1, self_pairs=position, source_passes=0)
    return Macs.total(_decoder(config, source_length, work).values())


def masked(config: TextCodecConfig, *, target_length: int) -> Macs:
    """The half of a teacher-forced self-attention that is computed, then thrown away by the mask."""
    return config.layers * scores(target_length * (target_length - 1) // 2, config.d_model)


def _decoder(config: TextCodecConfig, source_length: int, work: _Work) -> dict[str, Macs]:
    S, d, L = source_length, config.d_model, config.layers
    projection = linear(work.positions, d, d)
    source = linear(work.source_passes * S, d, d)
    layer = {
        **{f"self_attn.{name}_proj": projection for name in ("q", "k", "v", "out")},
        "self_attn": scores(work.self_pairs, d),
        **{f"encoder_attn.{name}_proj": projection for name in ("q", "out")},
        **{f"encoder_attn.{name}_proj": source for name in ("k", "v")},
        "encoder_attn": scores(work.positions * S, d),
        "fc1": linear(work.positions, d, config.d_ff),
        "fc2": linear(work.positions, config.d_ff, d),
    }
    return {
        **{f"{_DECODER}.{name}": L * macs for name, macs in layer.items()},
        "transformer.lm_head": linear(work.positions, d, config.vocab_size),
    }

"""Appendix A corrected: FLOPs of the real text codec, exact for its matrix products.

Counted: every product of matrices, 1 multiply-add = 2 FLOPs. Not counted, here or by torch's FlopCounterMode:
biases, LayerNorm, softmax, activations, embeddings, power normalisation; `profiling.measured` names them all.
All counts are for one sentence (B = 1) without padding.
"""

from __future__ import annotations

from deepsc.config import TextCodecConfig
from profiling.parts import FLOPS_PER_MULTIPLY_ADD, Decoding, PartFlops

_JSC_CONDITION_WIDTH = 64  # of deepsc.jsc's conditioner
_JSC_HIDDEN_RATIO = 2  # of deepsc.jsc's FiLM blocks: hidden width over d_model
_JSC_DECODER_BLOCKS = 2


def linear_flops(positions: int, n_in: int, n_out: int) -> int:
    """(positions, n_in) times (n_in, n_out)."""
    return FLOPS_PER_MULTIPLY_ADD * positions * n_in * n_out


def score_flops(pairs: int, d_model: int) -> int:
    """Q K^T and the weights times V, all heads, over `pairs` of a query and a key. Corrects eq. (30)."""
    return 2 * FLOPS_PER_MULTIPLY_ADD * pairs * d_model


def ffn_flops(positions: int, d_model: int, d_ff: int) -> int:
    """Both matrices of the feedforward layer. Corrects F_FFN."""
    return linear_flops(positions, d_model, d_ff) + linear_flops(positions, d_ff, d_model)


def encoder_flops(config: TextCodecConfig, *, source_length: int) -> int:
    """Semantic encoder over S tokens: L (8 S d^2 + 4 S^2 d + 4 S d d_ff). Corrects eq. (32)."""
    S, d = source_length, config.d_model
    return config.layers * (4 * linear_flops(S, d, d) + score_flops(S * S, d) + ffn_flops(S, d, config.d_ff))


def decoder_flops(
    config: TextCodecConfig, *, source_length: int, target_length: int, decoding: Decoding
) -> int:
    """Semantic decoder and vocabulary layer for T target tokens over S source tokens. Corrects eq. (33).

    With a KV cache: L (12 T d^2 + 4 S d^2 + 2 T (T + 1) d + 4 T S d + 4 T d d_ff) + 2 T d n_vocab.

    Args:
        config: architecture.
        source_length: S.
        target_length: T, the end of sentence included; greedy decoding takes T steps.
        decoding: how the decoder runs.
    """
    S, T, d = source_length, target_length, config.d_model
    # Tokens run through the layers; query-key pairs of the self-attention; passes over the source's K and V.
    if decoding is Decoding.TEACHER_FORCED:
        positions, self_pairs, source_passes = T, T * T, 1
    elif decoding is Decoding.GREEDY_NO_CACHE:
        positions, self_pairs, source_passes = T * (T + 1) // 2, T * (T + 1) * (2 * T + 1) // 6, T
    else:
        positions, self_pairs, source_passes = T, T * (T + 1) // 2, 1
    layer = (
        4 * linear_flops(positions, d, d)  # self-attention: Q, K, V and output
        + score_flops(self_pairs, d)
        + 2 * linear_flops(positions, d, d)  # cross-attention: Q and output
        + 2 * linear_flops(source_passes * S, d, d)  # cross-attention: K and V
        + score_flops(positions * S, d)
        + ffn_flops(positions, d, config.d_ff)
    )
    # Without a cache, transformers' Marian computes the logits of all t tokens of a step.
    return config.layers * layer + linear_flops(positions, d, config.vocab_size)


def jsc_encoder_flops(config: TextCodecConfig, *, source_length: int) -> int:
    """JSC encoder over S tokens. It computes all k_max symbols of the nested code whatever k is sent."""
    S, d = source_length, config.d_model
    return _conditioner_flops() + _film_block_flops(S, d) + linear_flops(S, d, 2 * config.k[-1])


def jsc_decoder_flops(config: TextCodecConfig, *, source_length: int) -> int:
    """JSC decoder over S tokens. It reads all k_max symbols of the nested code whatever k was sent."""
    S, d = source_length, config.d_model
    blocks = _JSC_DECODER_BLOCKS * _film_block_flops(S, d)
    return _conditioner_flops() + linear_flops(S, 2 * config.k[-1], d) + blocks


def corrected(
    config: TextCodecConfig,
    *,
    source_length: int,
    target_length: int,
    decoding: Decoding = Decoding.GREEDY_KV_CACHE,
) -> PartFlops:
    """All parts for one sentence.

    Args:
        config: architecture, with a JSC codec: `config.k` is not empty.
        source_length: S, tokens.
        target_length: T, tokens.
        decoding: how the decoder runs.
    """
    return PartFlops(
        encoder=encoder_flops(config, source_length=source_length),
        jsc_encoder=jsc_encoder_flops(config, source_length=source_length),
        jsc_decoder=jsc_decoder_flops(config, source_length=source_length),
        decoder=decoder_flops(
            config, source_length=source_length, target_length=target_length, decoding=decoding
        ),
    )


def _conditioner_flops() -> int:
    width = _JSC_CONDITION_WIDTH
    return linear_flops(1, 2, width) + linear_flops(1, width, width)  # once a sentence, of (k, SNR)


def _film_block_flops(positions: int, d_model: int) -> int:
    hidden = _JSC_HIDDEN_RATIO * d_model
    film = linear_flops(1, _JSC_CONDITION_WIDTH, 2 * hidden)  # once a sentence
    return linear_flops(positions, d_model, hidden) + film + linear_flops(positions, hidden, d_model)

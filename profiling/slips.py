"""What separates Appendix A as printed from the corrected count, cause by cause, adding up exactly.

Most are the paper's slips. Two are choices of this toolkit that its equations cannot know: the JSC encoder is
more than one dense layer, and the decoder runs token by token with a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepsc.config import TextCodecConfig
from profiling import appendix_a, closed_form
from profiling.parts import Decoding


@dataclass(frozen=True, kw_only=True)
class Slip:
    """One cause of a difference between the printed and the corrected count of a part."""

    part: str
    """Field of `PartFlops`."""
    equation: str
    """Where in the paper."""
    what: str
    flops: int
    """Corrected minus printed: above 0 where the paper counts too little."""


def slips(config: TextCodecConfig, *, source_length: int, target_length: int, k: int) -> list[Slip]:
    """Every cause for one sentence; per part they add up to corrected minus as printed.

    Args:
        config: architecture, with a JSC codec.
        source_length: S, tokens.
        target_length: T, tokens the decoder generates greedily with a KV cache.
        k: complex symbols per token.
    """
    S, d, h, L = source_length, config.d_model, config.heads, config.layers
    size = {"B": 1, "S": S, "h": h, "H": d // h}
    scores = L * (closed_form.score_flops(S * S, d) - h * appendix_a.f_2(**size))
    ffn = L * (closed_form.ffn_flops(S, d, config.d_ff) - appendix_a.f_ffn(**size))
    vocabulary = closed_form.linear_flops(S, d, config.vocab_size)
    parts = closed_form.corrected(config, source_length=S, target_length=target_length)
    one_pass = closed_form.decoder_flops(
        config, source_length=S, target_length=S, decoding=Decoding.TEACHER_FORCED
    )
    dense = closed_form.linear_flops(S, d, 2 * config.k[-1])
    assert parts.jsc_decoder is not None
    return [
        Slip(part="encoder", equation="30, 31", what="S^2 term holds the heads twice", flops=scores),
        Slip(part="encoder", equation="F_FFN", what="inner width and second matrix left out", flops=ffn),
        Slip(
            part="jsc_encoder",
            equation="F_dense",
            what="2 k_max reals computed, not k",
            flops=dense - appendix_a.f_dense(**size, n_out=k),
        ),
        Slip(
            part="jsc_encoder",
            equation="F_dense",
            what="ours: FiLM block and conditioner too",
            flops=parts.jsc_encoder - dense,
        ),
        Slip(part="jsc_decoder", equation="33", what="no channel decoder", flops=parts.jsc_decoder),
        Slip(part="decoder", equation="30, 31", what="S^2 term holds the heads twice", flops=2 * scores),
        Slip(part="decoder", equation="F_FFN", what="inner width and second matrix left out", flops=ffn),
        Slip(
            part="decoder",
            equation="F_vocab",
            what="H for d_model = h H",
            flops=vocabulary - appendix_a.f_vocab(B=1, S=S, H=d // h, n_vocab=config.vocab_size),
        ),
        Slip(
            part="decoder",
            equation="33",
            what="one pass over S tokens, not T cached steps",
            flops=parts.decoder - one_pass,
        ),
    ]

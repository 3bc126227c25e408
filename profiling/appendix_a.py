"""Appendix A of the paper as printed, eqs (29) to (33); `profiling.slips` says what its slips are worth.

Notation is the paper's: batch size B, S words a sentence, h heads, H = d_model / h, L layers, vocabulary
n_vocab. All counts are FLOPs, 1 multiply-add = 2 FLOPs, as in the paper.
"""

from __future__ import annotations

from deepsc.config import TextCodecConfig
from profiling.parts import PartFlops


def f_1(*, B: int, S: int, h: int, H: int) -> int:
    """Eq. (29): Q, K and V of one head, 6 B S h H^2."""
    return 6 * B * S * h * H**2


def f_2(*, B: int, S: int, h: int, H: int) -> int:
    """Eq. (30): Q K^T and its product with V, 4 B h H S^2. Of one head it would be 4 B H S^2."""
    return 4 * B * h * H * S**2


def f_atten(*, B: int, S: int, h: int, H: int) -> int:
    """Eq. (31): one attention layer, h (F_1 + F_2) + 2 B S h^2 H^2. The S^2 term holds h twice."""
    return h * (f_1(B=B, S=S, h=h, H=H) + f_2(B=B, S=S, h=h, H=H)) + 2 * B * S * h**2 * H**2


def f_ffn(*, B: int, S: int, h: int, H: int) -> int:
    """Text after eq. (31): feedforward layer, 2 B S h H^2, without inner width and second matrix."""
    return 2 * B * S * h * H**2


def f_dense(*, B: int, S: int, h: int, H: int, n_out: int) -> int:
    """Text before eq. (32): channel encoder, a single dense layer, 2 B S h H n_out."""
    return 2 * B * S * h * H * n_out


def f_encoder(*, B: int, S: int, h: int, H: int, L: int, n_out: int) -> int:
    """Eq. (32): L (F_atten + F_FFN) + F_dense."""
    size = {"B": B, "S": S, "h": h, "H": H}
    return L * (f_atten(**size) + f_ffn(**size)) + f_dense(**size, n_out=n_out)


def f_vocab(*, B: int, S: int, H: int, n_vocab: int) -> int:
    """Text before eq. (33): classification over the vocabulary, 2 B S H n_vocab; H should be h H."""
    return 2 * B * S * H * n_vocab


def f_decoder(*, B: int, S: int, h: int, H: int, L: int, n_vocab: int) -> int:
    """Eq. (33): L (2 F_atten + F_FFN) + F_vocab. One length, one pass, no channel decoder."""
    size = {"B": B, "S": S, "h": h, "H": H}
    return L * (2 * f_atten(**size) + f_ffn(**size)) + f_vocab(B=B, S=S, H=H, n_vocab=n_vocab)


def as_printed(config: TextCodecConfig, *, source_length: int, k: int) -> PartFlops:
    """Appendix A for one sentence of a text codec.

    Args:
        config: architecture; heads, d_model, layers and vocab_size are all that the paper's equations know.
        source_length: S, for both halves: the paper has one length.
        k: n_out. Section V.B calls k "the output dimension of the semantic encoders per input unit".
    """
    size = {"B": 1, "S": source_length, "h": config.heads, "H": config.d_model // config.heads}
    dense = f_dense(**size, n_out=k)
    return PartFlops(
        encoder=f_encoder(**size, L=config.layers, n_out=k) - dense,
        jsc_encoder=dense,
        jsc_decoder=None,
        decoder=f_decoder(**size, L=config.layers, n_vocab=config.vocab_size),
    )

"""Appendix A of the paper as printed, eqs (29) to (33).

Notation is the paper's: batch size B, S words a sentence (or patches an image), h heads, H = d_model / h, L
layers, vocabulary n_vocab (or classes). All counts are FLOPs, 1 multiply-add = 2 FLOPs, as in the paper. What
its slips are worth is in `Part.slips`.
"""

from __future__ import annotations

from profiling.units import Flops


def f_1(*, B: int, S: int, h: int, H: int) -> Flops:
    """Eq. (29): Q, K and V of one head, 6 B S h H^2."""
    return Flops(6 * B * S * h * H**2)


def f_2(*, B: int, S: int, h: int, H: int) -> Flops:
    """Eq. (30): Q K^T and its product with V, 4 B h H S^2. Of one head it would be 4 B H S^2."""
    return Flops(4 * B * h * H * S**2)


def f_atten(*, B: int, S: int, h: int, H: int) -> Flops:
    """Eq. (31): one attention layer, h (F_1 + F_2) + 2 B S h^2 H^2. The S^2 term holds h twice."""
    return h * (f_1(B=B, S=S, h=h, H=H) + f_2(B=B, S=S, h=h, H=H)) + Flops(2 * B * S * h**2 * H**2)


def f_ffn(*, B: int, S: int, h: int, H: int) -> Flops:
    """Text after eq. (31): feedforward layer, 2 B S h H^2, without inner width and second matrix."""
    return Flops(2 * B * S * h * H**2)


def f_dense(*, B: int, S: int, h: int, H: int, n_out: int) -> Flops:
    """Text before eq. (32): channel encoder, a single dense layer, 2 B S h H n_out."""
    return Flops(2 * B * S * h * H * n_out)


def f_encoder(*, B: int, S: int, h: int, H: int, L: int, n_out: int) -> Flops:
    """Eq. (32): L (F_atten + F_FFN) + F_dense."""
    size = {"B": B, "S": S, "h": h, "H": H}
    return L * (f_atten(**size) + f_ffn(**size)) + f_dense(**size, n_out=n_out)


def f_vocab(*, B: int, S: int, H: int, n_vocab: int) -> Flops:
    """Text before eq. (33): classification over the vocabulary, 2 B S H n_vocab; H should be h H."""
    return Flops(2 * B * S * H * n_vocab)


def f_decoder(*, B: int, S: int, h: int, H: int, L: int, n_vocab: int) -> Flops:
    """Eq. (33): L (2 F_atten + F_FFN) + F_vocab. One length, one pass, no channel decoder."""
    size = {"B": B, "S": S, "h": h, "H": H}
    return L * (2 * f_atten(**size) + f_ffn(**size)) + f_vocab(B=B, S=S, H=H, n_vocab=n_vocab)

"""The JSC codec of one transmission by formula: its encoder at the UE, its decoder at the server."""

from __future__ import annotations

from profiling.closed.layers import linear, transformer
from profiling.closed.parts import Part, Place, Slip
from profiling.units import Flops, Macs

_CONDITION_WIDTH = 64  # of deepsc.link.jsc's conditioner, which importing would load torch
_HIDDEN_RATIO = 2  # of deepsc.link.jsc's FiLM blocks: hidden width over d_model
_DECODER_BLOCKS = 2


def jsc_parts(*, tokens: int, d_model: int, k_max: int, printed: Flops, of: str = "") -> tuple[Part, Part]:
    """JSC encoder, which Appendix A has as one dense layer, and decoder, which it does not have.

    Args:
        tokens: of one task.
        d_model: width of the semantic encoder.
        k_max: largest k of the nested code.
        printed: F_dense.
        of: what is sent, where a codec sends two things: "text", "image".
    """
    sizes = {"tokens": tokens, "d_model": d_model, "k_max": k_max}
    name, path = prefixes(of)
    encoder, decoder = _encoder(f"{path}jsc_encoder", **sizes), _decoder(f"{path}jsc_decoder", **sizes)
    last = encoder[f"{path}jsc_encoder.out"].flops
    total = Macs.total(encoder.values()).flops
    missing = Macs.total(decoder.values()).flops
    return (
        Part(
            name=f"{name}JSC encoder", place=Place.UE, local=False, modules=encoder, as_printed=printed,
            slips=(
                Slip(equation="F_dense", what="2 k_max reals computed, not k", flops=last - printed),
                Slip(equation="F_dense", what="ours: FiLM block and conditioner too", flops=total - last),
            ),
        ),
        Part(
            name=f"{name}JSC decoder", place=Place.SERVER, local=False, modules=decoder, as_printed=None,
            slips=(Slip(equation="33", what="no channel decoder", flops=missing),),
        ),
    )  # fmt: skip


def token_jsc_parts(
    *,
    tokens: int,
    d_model: int,
    k_max: int,
    vocab_size: int,
    bigrams: int,
    layers: int,
    moved: bool,
    printed: Flops,
    of: str = "",
) -> tuple[Part, Part]:
    """JSC encoder and decoder of tokens, see `deepsc.link.token_code`.

    A point is looked up, which is no product. The receiver holds every point against what arrives: V of 2 K
    reals a token. The bigrams pass what is believed from place to place, once forward to every token and once
    back from all but the first. Then it goes through V embeddings three times: to expect what is believed, to
    weigh it in its context, and to expect what the semantic encoder reads.

    Args:
        tokens: S, of one sentence.
        d_model: width of the semantic encoder and of the context Transformer.
        k_max: largest k of the nested code, K.
        vocab_size: V.
        bigrams: that the receiver holds, N.
        layers: of the context Transformer.
        moved: whether features move the points.
        printed: F_dense, what Appendix A has for the JSC encoder.
        of: as of `jsc_parts`.
    """
    S, V, d, K = tokens, vocab_size, d_model, k_max
    name, path = prefixes(of)
    encoder = {f"{path}jsc_encoder.shift": linear(S, d, 2 * K)} if moved else {}
    decoder = {
        f"{path}jsc_decoder": linear(S, 2 * K, V) + linear(1, K, V) + linear(S, V, d) + linear(S, d, V),
        f"{path}jsc_decoder.prior": (2 * S - 1) * Macs(bigrams + V),
        f"{path}jsc_decoder.inp": linear(S, 2 * K, d),
        **_conditioner(f"{path}jsc_decoder.conditioner"),
        f"{path}jsc_decoder.condition": linear(1, _CONDITION_WIDTH, d),
        **transformer(f"{path}jsc_decoder.context", tokens=S, width=d, layers=layers),
        f"{path}jsc_decoder.out": linear(S, d, d),
        f"{path}jsc_expectation": linear(S, V, d),
    }
    total, missing = Macs.total(encoder.values()).flops, Macs.total(decoder.values()).flops
    return (
        Part(
            name=f"{name}JSC encoder", place=Place.UE, local=False, modules=encoder, as_printed=printed,
            slips=(Slip(equation="F_dense", what="a point is looked up", flops=total - printed),),
        ),
        Part(
            name=f"{name}JSC decoder", place=Place.SERVER, local=False, modules=decoder, as_printed=None,
            slips=(Slip(equation="33", what="no channel decoder", flops=missing),),
        ),
    )  # fmt: skip


def prefixes(of: str) -> tuple[str, str]:
    """What begins the names of parts, and the paths of modules."""
    return (f"{of} ", f"{of}_") if of else ("", "")


def _encoder(prefix: str, *, tokens: int, d_model: int, k_max: int) -> dict[str, Macs]:
    """JSC encoder at `prefix`. It computes all k_max symbols of the nested code whatever k is sent."""
    return {
        **_conditioner(f"{prefix}.conditioner"),
        **_film_block(f"{prefix}.block", tokens, d_model),
        f"{prefix}.out": linear(tokens, d_model, 2 * k_max),
    }


def _decoder(prefix: str, *, tokens: int, d_model: int, k_max: int) -> dict[str, Macs]:
    """JSC decoder at `prefix`. It reads all k_max symbols of the nested code whatever k was sent."""
    block = _film_block(f"{prefix}.blocks.*", tokens, d_model)
    return {
        **_conditioner(f"{prefix}.conditioner"),
        f"{prefix}.inp": linear(tokens, 2 * k_max, d_model),
        **{path: _DECODER_BLOCKS * macs for path, macs in block.items()},
    }


def _conditioner(prefix: str) -> dict[str, Macs]:
    width = _CONDITION_WIDTH  # once an item, of (k, SNR)
    return {f"{prefix}.mlp.*": linear(1, 2, width) + linear(1, width, width)}


def _film_block(prefix: str, tokens: int, d_model: int) -> dict[str, Macs]:
    hidden = _HIDDEN_RATIO * d_model
    return {
        f"{prefix}.up": linear(tokens, d_model, hidden),
        f"{prefix}.film": linear(1, _CONDITION_WIDTH, 2 * hidden),  # once an item
        f"{prefix}.down": linear(tokens, hidden, d_model),
    }

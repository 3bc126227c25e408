"""The text codec's FLOPs from its config: Appendix A as printed, the corrected closed form, and the slips.

Counted: every product of matrices. Not counted, here or by torch's FlopCounterMode: biases, LayerNorm,
softmax, activations, embeddings, power normalisation; `profiling.counted.operators` reports them
all. One sentence, without padding.
"""

from __future__ import annotations

from collections.abc import Mapping

from deepsc.text.config import TextCodecConfig
from profiling.closed import appendix_a
from profiling.closed.decoding import Decoding, decoder
from profiling.closed.jsc import token_jsc_parts
from profiling.closed.layers import linear, scores
from profiling.closed.parts import Part, Place, Slip
from profiling.units import Macs


def encoder(config: TextCodecConfig, *, source_length: int, depth: int) -> dict[str, Macs]:
    """The first L layers of the semantic encoder over S tokens: L (4 S d^2 + 2 S^2 d + 2 S d d_ff)
    multiply-adds. Corrects eq. (32)."""
    S, d = source_length, config.d_model
    layer = {
        **{f"self_attn.{name}_proj": linear(S, d, d) for name in ("q", "k", "v", "out")},
        "self_attn": scores(S * S, d),
        "fc1": linear(S, d, config.d_ff),
        "fc2": linear(S, config.d_ff, d),
    }
    return {f"transformer.model.encoder.layers.*.{name}": depth * macs for name, macs in layer.items()}


def text_parts(
    config: TextCodecConfig,
    *,
    source_length: int,
    target_length: int,
    k: int,
    decoding: Decoding | None = None,
    beams: int = 1,
) -> tuple[Part, ...]:
    """Every part of a text codec for one sentence.

    Args:
        config: architecture, with a JSC codec: `config.k` is not empty.
        source_length: S, tokens, the end of sentence included.
        target_length: T, tokens the decoder generates, the end of sentence included.
        k: complex symbols per token; n_out of Appendix A. Section V.B calls k "the output dimension of the
            semantic encoders per input unit".
        decoding: how the decoder runs; None: with a KV cache.
        beams: width of the search; 1 decodes greedily.
    """
    decoding = decoding or Decoding.of(beams)
    S, T, d = source_length, target_length, config.d_model
    size = {"B": 1, "S": S, "h": config.heads, "H": d // config.heads}
    dense = appendix_a.f_dense(**size, n_out=k)
    layers = {"S": S, "d": d, "h": config.heads, "d_ff": config.d_ff, "attentions": 1}
    return (
        *((_layers_at_ue(config, S, size, layers),) if config.split else ()),
        *token_jsc_parts(
            tokens=S,
            d_model=d,
            k_max=config.k[-1],
            vocab_size=config.vocab_size,
            bigrams=config.bigrams,
            layers=config.context_layers,
            moved=config.split > 0,
            printed=dense,
        ),
        Part(
            name="semantic encoder",
            place=Place.SERVER,
            local=True,
            modules=encoder(config, source_length=S, depth=config.layers),
            as_printed=appendix_a.f_encoder(**size, L=config.layers, n_out=k) - dense,
            slips=layer_slips(**layers, L=config.layers),
        ),
        Part(
            name="semantic decoder",
            place=Place.SERVER,
            local=True,
            modules=decoder(config, source_length=S, target_length=T, decoding=decoding, beams=beams),
            as_printed=appendix_a.f_decoder(**size, L=config.layers, n_vocab=config.vocab_size),
            slips=_decoder_slips(config, S, T, decoding, beams),
        ),
    )


def _layers_at_ue(
    config: TextCodecConfig, S: int, size: Mapping[str, int], layers: Mapping[str, int]
) -> Part:
    return Part(
        name="encoder layers at the UE",
        place=Place.UE,
        local=False,
        modules=encoder(config, source_length=S, depth=config.split),
        as_printed=config.split * (appendix_a.f_atten(**size) + appendix_a.f_ffn(**size)),
        slips=layer_slips(**layers, L=config.split),
    )


def layer_slips(*, S: int, d: int, h: int, d_ff: int, L: int, attentions: int) -> tuple[Slip, ...]:
    """Slips of L Transformer layers over S tokens, each with `attentions` attention layers."""
    size = {"B": 1, "S": S, "h": h, "H": d // h}
    attention = scores(S * S, d).flops - h * appendix_a.f_2(**size)
    ffn = (linear(S, d, d_ff) + linear(S, d_ff, d)).flops - appendix_a.f_ffn(**size)
    return (
        Slip(equation="30, 31", what="S^2 term holds the heads twice", flops=attentions * L * attention),
        Slip(equation="F_FFN", what="inner width and second matrix left out", flops=L * ffn),
    )


def _decoder_slips(
    config: TextCodecConfig, S: int, T: int, decoding: Decoding, beams: int
) -> tuple[Slip, ...]:
    d, h = config.d_model, config.heads
    real = Macs.total(
        decoder(config, source_length=S, target_length=T, decoding=decoding, beams=beams).values()
    )
    one_pass = Macs.total(
        decoder(config, source_length=S, target_length=S, decoding=Decoding.TEACHER_FORCED).values()
    )
    vocabulary = linear(S, d, config.vocab_size).flops
    printed = appendix_a.f_vocab(B=1, S=S, H=d // h, n_vocab=config.vocab_size)
    return (
        *layer_slips(S=S, d=d, h=h, d_ff=config.d_ff, L=config.layers, attentions=2),
        Slip(equation="F_vocab", what="H for d_model = h H", flops=vocabulary - printed),
        Slip(equation="33", what=f"one pass over S tokens, not {decoding}", flops=(real - one_pass).flops),
    )

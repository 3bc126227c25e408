"""The VQA codec's FLOPs from its config: Appendix A as printed, the corrected closed form, and the slips.

Section III has the cost of a VQA task as "the sum of the text and image tasks": as printed, two encoders (32)
at the UE and two decoders (33) at the server, where the real codec fuses by cross-attention.
"""

from __future__ import annotations

from deepsc.vqa.config import VQACodecConfig
from profiling.closed import appendix_a, layers
from profiling.closed.image import image_encoder_part
from profiling.closed.layers import linear, scores
from profiling.closed.parts import Part, Place, Slip
from profiling.closed.text import jsc_decoder_part, jsc_encoder_part, layer_slips
from profiling.units import Macs

_FFN_RATIO = 4  # of deepsc.vqa.model's question encoder and fusion


def question_encoder(config: VQACodecConfig, *, source_length: int) -> dict[str, Macs]:
    """Marian encoder over the question's S tokens."""
    S, d = source_length, config.text_width
    layer = {
        **{f"self_attn.{name}_proj": linear(S, d, d) for name in ("q", "k", "v", "out")},
        "self_attn": scores(S * S, d),
        "fc1": linear(S, d, _FFN_RATIO * d),
        "fc2": linear(S, _FFN_RATIO * d, d),
    }
    return {f"text_encoder.layers.*.{name}": config.text_layers * macs for name, macs in layer.items()}


def fusion(config: VQACodecConfig, *, source_length: int) -> dict[str, Macs]:
    """Question tokens attending to themselves and to the image's, and the classifier. torch's own attention
    holds its projections in itself, so they count for the attention's path."""
    S, I, d = source_length, config.image_tokens, config.fusion_width  # noqa: E741
    layer = {
        "self_attn": 4 * linear(S, d, d) + scores(S * S, d),
        "multihead_attn": 2 * linear(S, d, d) + 2 * linear(I, d, d) + scores(S * I, d),
        "linear1": linear(S, d, _FFN_RATIO * d),
        "linear2": linear(S, _FFN_RATIO * d, d),
    }
    return {
        "text_projection": linear(S, config.text_width, d),
        "image_projection": linear(I, config.image_width, d),
        **{f"fusion.layers.*.{name}": config.fusion_layers * macs for name, macs in layer.items()},
        "head": linear(1, d, len(config.answers)),
    }


def vqa_parts(config: VQACodecConfig, *, source_length: int, k_text: int, k_image: int) -> tuple[Part, ...]:
    """Every part of a VQA codec for one question about one image.

    Args:
        config: architecture, with JSC codecs: `config.k_text` and `config.k_image` are not empty.
        source_length: tokens of the question, its end included.
        k_text: complex symbols per question token.
        k_image: complex symbols per image token.
    """
    S, answers = source_length, len(config.answers)
    text = {"B": 1, "S": S, "h": config.text_heads, "H": config.text_width // config.text_heads}
    image = {
        "B": 1,
        "S": config.image_tokens,
        "h": config.image_heads,
        "H": config.image_width // config.image_heads,
    }
    fused = fusion(config, source_length=S)
    as_two_decoders = appendix_a.f_decoder(
        **text, L=config.text_layers, n_vocab=config.vocab_size
    ) + appendix_a.f_decoder(**image, L=config.image_layers, n_vocab=answers)
    encoders, decoders = [], []
    for what, size, width, k, ks in (
        ("text", text, config.text_width, k_text, config.k_text),
        ("image", image, config.image_width, k_image, config.k_image),
    ):
        jsc = {"tokens": size["S"], "d_model": width, "k_max": ks[-1]}
        encoders.append(
            jsc_encoder_part(
                f"{what} JSC encoder",
                layers.jsc_encoder(f"{what}_jsc_encoder", **jsc),
                printed=appendix_a.f_dense(**size, n_out=k),
                last=linear(size["S"], width, 2 * ks[-1]),
            )
        )
        decoders.append(
            jsc_decoder_part(f"{what} JSC decoder", layers.jsc_decoder(f"{what}_jsc_decoder", **jsc))
        )
    return (
        Part(
            name="text encoder",
            place=Place.UE,
            local=True,
            modules=question_encoder(config, source_length=S),
            as_printed=config.text_layers * (appendix_a.f_atten(**text) + appendix_a.f_ffn(**text)),
            slips=layer_slips(
                S=S,
                d=config.text_width,
                h=config.text_heads,
                d_ff=_FFN_RATIO * config.text_width,
                L=config.text_layers,
                attentions=1,
            ),
        ),
        encoders[0],
        image_encoder_part(
            "image encoder",
            "image_encoder",
            image_size=config.image_size,
            patch_size=config.patch_size,
            width=config.image_width,
            heads=config.image_heads,
            depth=config.image_layers,
        ),
        encoders[1],
        *decoders,
        Part(
            name="fusion and answer",
            place=Place.SERVER,
            local=True,
            modules=fused,
            as_printed=as_two_decoders,
            slips=(
                Slip(
                    equation="33",
                    what="fusion, not a text and an image decoder",
                    flops=Macs.total(fused.values()).flops - as_two_decoders,
                ),
            ),
        ),
    )

"""The VQA codec's FLOPs from its config: Appendix A as printed, the corrected closed form, and the slips.

Section III has the cost of a VQA task as "the sum of the text and image tasks". As printed that is two
encoders (32) and two decoders (33), each counted where ours runs: the question crosses as tokens, so its
encoder is the server's. The real codec fuses (`deepsc.vqa.fusion`) instead of decoding twice.
"""

from __future__ import annotations

from deepsc.vqa.config import VQACodecConfig
from profiling.closed import appendix_a
from profiling.closed.image import image_encoder_part
from profiling.closed.jsc import jsc_parts, token_jsc_parts
from profiling.closed.layers import FFN_RATIO, linear, scores, transformer
from profiling.closed.parts import Part, Place, Slip
from profiling.closed.text import layer_slips
from profiling.units import Macs


def fusion(config: VQACodecConfig, *, source_length: int) -> dict[str, Macs]:
    """Fusion, as in `deepsc.vqa.fusion`, and the classifier."""
    S, I, d = source_length, config.image_tokens, config.fusion_width  # noqa: E741
    cross = 2 * linear(S, d, d) + 2 * linear(I, d, d) + scores(S * I, d)
    return {
        "text_projection": linear(S, config.text_width, d),
        "image_projection": linear(I, config.image_width, d),
        **transformer("fusion", tokens=S, width=d, layers=config.fusion_layers),
        "fusion.layers.*.multihead_attn": config.fusion_layers * cross,
        "fusion.gates.*": config.fusion_layers * linear(S, d, d),
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
    S, I, h = source_length, config.image_tokens, config.image_heads  # noqa: E741
    text = {"B": 1, "S": S, "h": config.text_heads, "H": config.text_width // config.text_heads}
    image = {"B": 1, "S": I, "h": h, "H": config.image_width // h}
    text_encoder, text_decoder = token_jsc_parts(
        of="text", tokens=S, d_model=config.text_width, k_max=config.k_text[-1], vocab_size=config.vocab_size,
        bigrams=config.bigrams, layers=config.context_layers, moved=False,
        printed=appendix_a.f_dense(**text, n_out=k_text),
    )  # fmt: skip
    image_encoder, image_decoder = jsc_parts(
        of="image", tokens=I, d_model=config.image_width, k_max=config.k_image[-1],
        printed=appendix_a.f_dense(**image, n_out=k_image),
    )  # fmt: skip
    question = _question_encoder_part(config, text)
    photo = image_encoder_part(
        "image encoder", "image_encoder", image_size=config.image_size, patch_size=config.patch_size,
        width=config.image_width, heads=h, depth=config.image_layers, has_stem=config.stem is not None,
    )  # fmt: skip
    fused = _fusion_part(config, text, image)
    return text_encoder, photo, image_encoder, text_decoder, question, image_decoder, fused


def _question_encoder_part(config: VQACodecConfig, size: dict[str, int]) -> Part:
    """A Transformer over the question's S tokens."""
    d, depth = config.text_width, config.text_layers
    inner = FFN_RATIO * d
    return Part(
        name="text encoder",
        place=Place.SERVER,
        local=True,
        modules=transformer("text_encoder.context", tokens=size["S"], width=d, layers=depth),
        as_printed=depth * (appendix_a.f_atten(**size) + appendix_a.f_ffn(**size)),
        slips=layer_slips(S=size["S"], d=d, h=config.text_heads, d_ff=inner, L=depth, attentions=1),
    )


def _fusion_part(config: VQACodecConfig, text: dict[str, int], image: dict[str, int]) -> Part:
    modules = fusion(config, source_length=text["S"])
    printed = appendix_a.f_decoder(**text, L=config.text_layers, n_vocab=config.vocab_size)
    printed += appendix_a.f_decoder(**image, L=config.image_layers, n_vocab=len(config.answers))
    difference = Macs.total(modules.values()).flops - printed
    what = "fusion, not a text and an image decoder"
    return Part(
        name="fusion and answer",
        place=Place.SERVER,
        local=True,
        modules=modules,
        as_printed=printed,
        slips=(Slip(equation="33", what=what, flops=difference),),
    )

"""The image codec's FLOPs from its config: Appendix A as printed, the corrected closed form, and the slips.

Appendix A derives the text codec and says that the image encoder follows similarly: eqs (32) and (33) with S
patches for words, DeiT's sizes for the Transformer's, and classes for the vocabulary.
"""

from __future__ import annotations

from deepsc.image.config import ImageCodecConfig
from profiling.closed import appendix_a
from profiling.closed.jsc import jsc_parts
from profiling.closed.layers import convolution, linear, scores
from profiling.closed.parts import Part, Place, Slip
from profiling.closed.stem import CHANNELS as STEM_CHANNELS
from profiling.closed.stem import stem
from profiling.closed.text import layer_slips
from profiling.units import Macs

_CHANNELS = 3
_MLP_RATIO = 4  # of timm's DeiT


def blocks(prefix: str, *, tokens: int, width: int, depth: int) -> dict[str, Macs]:
    """`depth` DeiT blocks over S tokens: depth (4 S d^2 + 2 S^2 d + 8 S d^2) multiply-adds."""
    S, d = tokens, width
    block = {
        "attn.qkv": linear(S, d, 3 * d),
        "attn": scores(S * S, d),
        "attn.proj": linear(S, d, d),
        "mlp.fc1": linear(S, d, _MLP_RATIO * d),
        "mlp.fc2": linear(S, _MLP_RATIO * d, d),
    }
    return {f"{prefix}.blocks.*.{name}": depth * macs for name, macs in block.items()}


def _embedding(
    prefix: str, *, image_size: int, patch_size: int, width: int, has_stem: bool
) -> dict[str, Macs]:
    """Patch embedding: a convolution whose kernel and stride are a patch, or a stem and a 1x1 convolution."""
    patches = (image_size // patch_size) ** 2
    if not has_stem:
        return {f"{prefix}.proj": convolution(patches, patch_size**2, _CHANNELS, width)}
    features = stem(f"{prefix}.backbone", image_size=image_size)
    return {**features, f"{prefix}.proj": convolution(patches, 1, STEM_CHANNELS, width)}


def image_encoder_part(
    name: str,
    prefix: str,
    *,
    image_size: int,
    patch_size: int,
    width: int,
    heads: int,
    depth: int,
    has_stem: bool = False,
) -> Part:
    """Patch embedding and the blocks at the UE. Corrects eq. (32) with S patches."""
    patches = (image_size // patch_size) ** 2
    tokens = patches + 1
    size = {"B": 1, "S": tokens, "h": heads, "H": width // heads}
    embedding = _embedding(
        f"{prefix}.patch_embed", image_size=image_size, patch_size=patch_size, width=width, has_stem=has_stem
    )
    what = "hybrid patch embedding" if has_stem else "patch embedding"
    missing = Macs.total(embedding.values()).flops
    return Part(
        name=name,
        place=Place.UE,
        local=True,
        modules={**embedding, **blocks(prefix, tokens=tokens, width=width, depth=depth)},
        as_printed=depth * (appendix_a.f_atten(**size) + appendix_a.f_ffn(**size)),
        slips=(
            *layer_slips(S=tokens, d=width, h=heads, d_ff=_MLP_RATIO * width, L=depth, attentions=1),
            Slip(equation="32", what=f"{what} left out", flops=missing),
        ),
    )


def image_parts(config: ImageCodecConfig, *, k: int) -> tuple[Part, ...]:
    """Every part of an image codec for one image.

    Args:
        config: architecture, with a JSC codec: `config.k` is not empty.
        k: complex symbols per token; n_out of Appendix A.
    """
    S, d, h, classes = config.image_tokens, config.width, config.heads, config.classes
    size = {"B": 1, "S": S, "h": h, "H": d // h}
    server_depth = config.depth - config.split
    attention = appendix_a.f_atten(**size)
    printed_classes = appendix_a.f_vocab(B=1, S=S, H=d // h, n_vocab=classes)
    return (
        image_encoder_part(
            "semantic encoder",
            "vit",
            image_size=config.image_size,
            patch_size=config.patch_size,
            width=d,
            heads=h,
            depth=config.split,
            has_stem=config.stem is not None,
        ),
        *jsc_parts(tokens=S, d_model=d, k_max=config.k[-1], printed=appendix_a.f_dense(**size, n_out=k)),
        Part(
            name="semantic decoder",
            place=Place.SERVER,
            local=True,
            modules={
                **blocks("vit", tokens=S, width=d, depth=server_depth),
                "vit.head": linear(1, d, classes),
            },
            as_printed=appendix_a.f_decoder(**size, L=server_depth, n_vocab=classes),
            slips=(
                *layer_slips(S=S, d=d, h=h, d_ff=_MLP_RATIO * d, L=server_depth, attentions=1),
                Slip(equation="33", what="no cross-attention in a DeiT", flops=-(server_depth * attention)),
                Slip(
                    equation="F_vocab",
                    what="H for d_model = h H",
                    flops=linear(S, d, classes).flops - printed_classes,
                ),
                Slip(
                    equation="F_vocab",
                    what="class token alone, not S tokens",
                    flops=(linear(1, d, classes) - linear(S, d, classes)).flops,
                ),
            ),
        ),
    )

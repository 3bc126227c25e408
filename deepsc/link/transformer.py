"""The Transformer by which a server weighs or encodes tokens in their context."""

from __future__ import annotations

from torch import nn

_RATIO = 4
"""Inner width over width, as in GPT and ViT."""


def pre_norm_transformer(*, width: int, layers: int, heads: int, dropout: float) -> nn.TransformerEncoder:
    """torch's Transformer encoder, the normalisation first in each layer and once behind the last.

    Args:
        width: of the tokens.
        layers: how many.
        heads: of attention.
        dropout: of attention and feed-forward parts.
    """

    def layer() -> nn.TransformerEncoderLayer:
        return nn.TransformerEncoderLayer(
            width, heads, dim_feedforward=_RATIO * width, dropout=dropout, activation="gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip

    separate_layers = [layer() for _ in range(layers)]
    encoder = nn.TransformerEncoder(
        separate_layers[0], layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
    )
    encoder.layers = nn.ModuleList(separate_layers)  # torch's are copies of the first, and start alike
    return encoder

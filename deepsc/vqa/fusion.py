"""Fusion at the server: the tokens of each question attend to each other and to those of its image.

The layers of a Transformer decoder (Vaswani et al., 2017), but that the output of cross-attention is
multiplied, element by element, by a linear map of its query, the gate (Hadamard product, Kim et al., 2017):
a model that answers "is there a circle?" compares a word with a shape. All questions about an image attend to
it at once, so that its keys and values are made once, however many there are.
"""

from __future__ import annotations

from torch import Tensor, nn


class Fusion(nn.Module):
    """Decoder layers with the normalisation first, one behind the last, and a gate for each layer.

    Args:
        width: of question and image tokens.
        heads: of attention.
        layers: how many.
        dropout: of attention and feed-forward parts.
    """

    def __init__(self, *, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, heads, dim_feedforward=4 * width, dropout=dropout, activation="gelu",
                batch_first=True, norm_first=True,
            )
            for _ in range(layers)
        )  # fmt: skip
        self.gates = nn.ModuleList(_gate(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, question: Tensor, mask: Tensor, image: Tensor, image_of: Tensor | None) -> Tensor:
        """Question tokens that have seen the image.

        Args:
            question: (B, S, width).
            mask: (B, S), 1 for valid tokens.
            image: (M, S^I, width).
            image_of: (B,), which image each question is about; None: the i-th about the i-th.

        Returns:
            (B, S, width).
        """
        places = None if image_of is None else _Places(image_of)
        padding = mask == 0
        for layer, gate in zip(self.layers, self.gates, strict=True):
            assert isinstance(layer, nn.TransformerDecoderLayer)
            normed = layer.norm1(question)
            heard, _ = layer.self_attn(normed, normed, normed, key_padding_mask=padding, need_weights=False)
            question = question + layer.dropout1(heard)
            normed = layer.norm2(question)
            seen = _look(layer, normed, image, places) * gate(normed)
            question = question + layer.dropout2(seen)
            inner = layer.dropout(layer.activation(layer.linear1(layer.norm3(question))))
            question = question + layer.dropout3(layer.linear2(inner))
        return self.norm(question)


def _gate(width: int) -> nn.Linear:
    """A map that at first neither enlarges nor shrinks what it multiplies."""
    gate = nn.Linear(width, width)
    nn.init.xavier_uniform_(gate.weight)
    nn.init.zeros_(gate.bias)
    return gate


class _Places:
    """Where each question stands among those about its image."""

    def __init__(self, image_of: Tensor) -> None:
        same = image_of.unsqueeze(1) == image_of
        self.index = image_of, same.tril(-1).sum(dim=1)  # (B,) each
        self.most = int(self.index[1].max()) + 1


def _look(
    layer: nn.TransformerDecoderLayer, question: Tensor, image: Tensor, places: _Places | None
) -> Tensor:
    """Cross-attention; an image's questions, each at its place among them, are one long query."""
    if places is None:
        return layer.multihead_attn(question, image, image, need_weights=False)[0]
    asked = question.new_zeros(len(image), places.most, *question.shape[1:])
    asked = asked.index_put(places.index, question)
    seen, _ = layer.multihead_attn(asked.flatten(1, 2), image, image, need_weights=False)
    return seen.view(asked.shape)[places.index]

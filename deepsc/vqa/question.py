"""Semantic encoder of questions, at the server: a pre-norm Transformer.

Behind post-norm layers, as Marian's, a model is slower to learn to compare what the question names with what
the image shows (docs/codecs.md, "What lets a model compare").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepsc.link.transformer import pre_norm_transformer


class QuestionEncoder(nn.Module):
    """Token embeddings, which the caller looks up or expects, to features of the question.

    Args:
        vocab_size: V.
        width: of embeddings and features.
        layers: how many.
        heads: of attention.
        dropout: of attention and feed-forward parts.
        max_length: most tokens of a question.
    """

    def __init__(
        self, *, vocab_size: int, width: int, layers: int, heads: int, dropout: float, max_length: int
    ) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, width)
        self.positions = nn.Parameter(0.5 * torch.randn(max_length, width))  # not to drown the embeddings
        self.context = pre_norm_transformer(width=width, layers=layers, heads=heads, dropout=dropout)

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Encode.

        Args:
            embedded: (B, S, width), each token's row of `embeddings`, or what is expected of it.
            mask: (B, S), 1 for valid tokens.

        Returns:
            (B, S, width).
        """
        x = embedded + self.positions[: embedded.shape[1]]
        return self.context(x, src_key_padding_mask=mask == 0)

"""Closed forms of the layers every codec is made of, in multiply-adds.

A part's count is a mapping from a module's path to the matrix products of that module alone; `*` stands for
the index of every layer: "blocks.*.mlp.fc1" holds all blocks. `profiling.counted` has the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping

from profiling.units import Macs

ModuleMacs = Mapping[str, Macs]

FFN_RATIO = 4
"""Inner width over width of `torch.nn`'s Transformer layers, as every codec builds them."""


def linear(positions: int, n_in: int, n_out: int) -> Macs:
    """(positions, n_in) times (n_in, n_out)."""
    return Macs(positions * n_in * n_out)


def scores(pairs: int, d_model: int) -> Macs:
    """Q K^T and the weights times V, all heads, over `pairs` of a query and a key. Corrects eq. (30)."""
    return Macs(2 * pairs * d_model)


def convolution(positions: int, kernel: int, n_in: int, n_out: int) -> Macs:
    """`positions` outputs of n_out channels, each over `kernel` inputs (height times width) of n_in."""
    return Macs(positions * kernel * n_in * n_out)


def transformer(path: str, *, tokens: int, width: int, layers: int) -> dict[str, Macs]:
    """Self-attention and feed-forward part of `torch.nn`'s Transformer layers at `path`. torch's attention
    holds its projections in itself, so they count for the attention's path."""
    inner = FFN_RATIO * width
    layer = {
        "self_attn": linear(tokens, width, 4 * width) + scores(tokens * tokens, width),
        "linear1": linear(tokens, width, inner),
        "linear2": linear(tokens, inner, width),
    }
    return {f"{path}.layers.*.{name}": layers * macs for name, macs in layer.items()}

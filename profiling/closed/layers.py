"""Closed forms of the layers every codec is made of, in multiply-adds.

A part's count is a mapping from a module's path to the matrix products of that module alone; `*` stands for
the index of every layer: "blocks.*.mlp.fc1" holds all blocks. `profiling.counted` has the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping

from profiling.units import Macs

ModuleMacs = Mapping[str, Macs]

_CONDITION_WIDTH = 64  # of deepsc.link.jsc's conditioner, which importing would load torch
_HIDDEN_RATIO = 2  # of deepsc.link.jsc's FiLM blocks: hidden width over d_model
_DECODER_BLOCKS = 2


def linear(positions: int, n_in: int, n_out: int) -> Macs:
    """(positions, n_in) times (n_in, n_out)."""
    return Macs(positions * n_in * n_out)


def scores(pairs: int, d_model: int) -> Macs:
    """Q K^T and the weights times V, all heads, over `pairs` of a query and a key. Corrects eq. (30)."""
    return Macs(2 * pairs * d_model)


def convolution(positions: int, kernel: int, n_in: int, n_out: int) -> Macs:
    """`positions` outputs of n_out channels, each over `kernel` inputs (height times width) of n_in."""
    return Macs(positions * kernel * n_in * n_out)


def jsc_encoder(prefix: str, *, tokens: int, d_model: int, k_max: int) -> dict[str, Macs]:
    """JSC encoder at `prefix`. It computes all k_max symbols of the nested code whatever k is sent."""
    return {
        **_conditioner(f"{prefix}.conditioner"),
        **_film_block(f"{prefix}.block", tokens, d_model),
        f"{prefix}.out": linear(tokens, d_model, 2 * k_max),
    }


def jsc_decoder(prefix: str, *, tokens: int, d_model: int, k_max: int) -> dict[str, Macs]:
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

"""One transmission: JSC encoder, channel, JSC decoder, the same for every modality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepsc.link.channel import Channel
from deepsc.link.jsc import JSCDecoder, JSCEncoder


@dataclass(frozen=True, kw_only=True)
class Link:
    """How a batch crosses the channel."""

    channel: Channel
    k: Tensor
    """(B,), complex symbols per token."""
    snr_db: Tensor
    """(B,), nominal E_s/N_0."""
    generator: torch.Generator
    rows: Tensor | None = None
    """Items of the batch that this process sends, where several share it. Gain and noise are drawn for all,
    so that they are the same as in one process. None: all items."""


def transmit(
    encoder: JSCEncoder | None, decoder: JSCDecoder | None, features: Tensor, mask: Tensor, link: Link | None
) -> Tensor:
    """Send token features over the channel.

    Args:
        encoder: at the UE; None for the local model, which hands the features through.
        decoder: at the server.
        features: (B, S, d_model).
        mask: (B, S), 1 for valid tokens.
        link: how to send them; the local model reads none.

    Returns:
        Features at the server, (B, S, d_model).
    """
    if encoder is None or decoder is None:
        return features
    if link is None:
        raise ValueError("a codec with a channel needs a link")
    channel, generator, k = link.channel, link.generator, link.k
    shape = (len(k), features.shape[1], encoder.k_max)
    gain = channel.draw_gain(shape, generator=generator, device=features.device)
    known_snr_db = channel.known_snr_db(gain, link.snr_db)
    mine = slice(None) if link.rows is None else link.rows
    symbols = encoder(features, mask, k=k[mine], snr_db=known_snr_db[mine])  # (B, S, K)
    sent = symbols if link.rows is None else symbols.new_zeros(shape).index_copy(0, link.rows, symbols)
    received = channel.receive(sent, gain, link.snr_db, generator=generator)[mine]
    equalised = channel.equalise(received, gain[mine], link.snr_db[mine])
    # Nothing was sent on the unused symbols, so the receiver hears nothing there either.
    equalised = equalised * (symbols != 0)
    return decoder(equalised, k=k[mine], snr_db=known_snr_db[mine])


def link_at(
    channel: Channel | None, *, k: int, snr_db: float, like: Tensor, seed: tuple[int, int]
) -> Link | None:
    """A link at one k and SNR, for measuring.

    The noise depends on the seed alone, not on k or SNR, so that cells are compared on common random numbers.

    Args:
        channel: None for the local model, which has no link.
        k: complex symbols per token.
        snr_db: nominal E_s/N_0.
        like: (B, ...), features to be sent.
        seed: of the draw, and number of the batch.
    """
    if channel is None:
        return None
    draw, number = seed
    size, device = like.shape[0], like.device
    return Link(
        channel=channel,
        k=torch.full((size,), k, device=device),
        snr_db=torch.full((size,), snr_db, device=device),
        generator=torch.Generator().manual_seed(draw * 1_000_003 + number),
    )

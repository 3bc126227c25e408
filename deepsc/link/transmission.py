"""One transmission: JSC encoder, channel, JSC decoder, the same for every modality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deepsc.link.channel import Channel
from deepsc.link.jsc import JSCDecoder, JSCEncoder, sent_mask


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
    tap: Callable[[Tensor, Tensor], None] | None = None
    """Told of the symbols that cross, as sent and as equalised: complex64, (symbols,) each."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """B items as the receiver has them."""

    symbols: Tensor
    """complex64, (B, S, K): equalised, 0 where nothing was sent."""
    snr: Tensor
    """SNR of each symbol before the equaliser, linear: (B, 1, 1), or (B, S, K) where the receiver knows a
    gain a symbol."""
    equalised: bool
    """Whether `symbols` are the MMSE estimate, snr / (snr + 1) (x + noise); else x + noise."""
    mask: Tensor
    """(B, S), 1 for valid tokens."""
    k: Tensor
    """(B,), symbols per token that were sent."""
    snr_db: Tensor
    """(B,), SNR an item that both ends know."""


def carry(encode: Callable[[Tensor, Tensor], Tensor], mask: Tensor, link: Link, *, k_max: int) -> Received:
    """Send a batch over the channel.

    Args:
        encode: makes the symbols (B, S, K), from k (B,) and the SNR in dB (B,) that the transmitter knows.
        mask: (B, S), 1 for valid tokens.
        link: how to send them.
        k_max: K.
    """
    channel, generator, k = link.channel, link.generator, link.k
    shape = (len(k), mask.shape[1], k_max)
    gain = channel.draw_gain(shape, generator=generator, device=mask.device)
    known_snr_db = channel.known_snr_db(gain, link.snr_db)
    mine = slice(None) if link.rows is None else link.rows
    symbols = encode(k[mine], known_snr_db[mine])  # (B, S, K)
    sent = symbols if link.rows is None else symbols.new_zeros(shape).index_copy(0, link.rows, symbols)
    received = channel.receive(sent, gain, link.snr_db, generator=generator)[mine]
    equalised = channel.equalise(received, gain[mine], link.snr_db[mine])
    used = sent_mask(k[mine], mask, k_max)  # (B, S, K)
    if link.tap is not None:
        link.tap(symbols[used.bool()], equalised[used.bool()])
    return Received(
        # Nothing was sent on the unused symbols, so the receiver hears nothing there either.
        symbols=equalised * used,
        snr=channel.symbol_snr(gain[mine], link.snr_db[mine]),
        equalised=channel.csi == "perfect",
        mask=mask,
        k=k[mine],
        snr_db=known_snr_db[mine],
    )


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
    received = carry(
        lambda k, snr_db: encoder(features, mask, k=k, snr_db=snr_db), mask, link, k_max=encoder.k_max
    )
    return decoder(received.symbols, k=received.k, snr_db=received.snr_db)


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

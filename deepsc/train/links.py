"""The links a training draws: k by the sandwich rule, SNRs uniform in dB unless a codec knows better."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepsc.codec.base import Codec
from deepsc.config import TrainConfig
from deepsc.link.transmission import Link


def sandwich_k(ks: Sequence[int], size: int, *, generator: torch.Generator) -> Tensor:
    """One k an item: a third smallest, a third largest, a third random (the sandwich rule, Yu et al. 2019).

    The thirds are of a batch, not of a step: one pass serves all, and the expected gradient is the same.
    Where 3 does not divide the batch, chance decides which third gets more.

    Args:
        ks: trained values, rising.
        size: number of items B.
        generator: source of randomness.

    Returns:
        int64, (B,).
    """
    values = torch.tensor(ks)
    picks = values[torch.randint(len(ks), (size,), generator=generator)]
    role = (torch.arange(size) + torch.randint(3, (1,), generator=generator)) % 3
    picks[role == 0], picks[role == 1] = ks[0], ks[-1]
    return picks[torch.randperm(size, generator=generator)]


def draw_links(
    codec: Codec, config: TrainConfig, sizes: Sequence[int], *, seed: int, device: torch.device
) -> tuple[Link, ...]:
    """A link for each transmission: k by the sandwich rule and SNR uniform in dB, one each per item.

    A codec may move SNRs to where it has something to learn, see `Codec.focus_snr_db`.

    Args:
        codec: says what it is trained for.
        config: the channel.
        sizes: items in each transmission.
        seed: of k, SNR, and then fading and noise.
        device: where the codec is.

    Returns:
        As many links as `sizes`; none for the local model.
    """
    channel = config.channel
    if channel is None:
        return ()
    generator = torch.Generator().manual_seed(seed)
    low, high = codec.config.snr_range_db
    links = []
    for ks, size in zip(codec.config.uplinks, sizes, strict=True):
        snr_db = low + (high - low) * torch.rand(size, generator=generator)
        k = sandwich_k(ks, size, generator=generator)
        snr_db = codec.focus_snr_db(snr_db, k, generator=generator)
        links.append(Link(channel=channel, k=k.to(device), snr_db=snr_db.to(device), generator=generator))
    return tuple(links)

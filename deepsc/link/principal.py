"""Principal-component start: JSC codecs that begin as the best linear code of a local model's features.

With random JSC codecs a trained encoder and decoder hear only noise of each other, and unlearn most of what
they knew before they meet again. Started here, the first k symbols carry the first 2 k principal components:
the code is ordered from the first step on, and the decoder gets features as it knows them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepsc.link.jsc import JSCDecoder, JSCEncoder


@torch.no_grad()
def start_as_principal_code(encoder: JSCEncoder, decoder: JSCDecoder, features: Tensor) -> None:
    """Make a JSC codec send whitened principal components, and its decoder add them up again.

    All components have the same variance, so that the power per symbol is the same for every k. The decoder's
    last layer norm gets the gains and offsets that fit the features best, one by one.

    Args:
        encoder: changed in place.
        decoder: changed in place.
        features: (N, d_model), what the encoder is to send.
    """
    for block in (encoder.block, *decoder.blocks):
        nn.init.zeros_(block.down.weight)  # a residual block that adds nothing yet
        nn.init.zeros_(block.down.bias)
    mean = features.mean(dim=0)  # (d_model,)
    centred = (features - mean).double()
    variance, directions = torch.linalg.eigh(centred.T @ centred / len(features))  # rising
    variance, directions = variance.float().flip(0), directions.float().T.flip(0)
    # A code wider than the features' rank has nothing to put into its last symbols.
    count = min(2 * encoder.k_max, int((variance > 1e-8 * variance[0]).sum()))
    directions, deviation = directions[:count], variance[:count].sqrt()  # (count, d_model), (count,)
    encode = directions / deviation.unsqueeze(1)  # (count, d_model)
    encoder.out.weight[:count] = encode
    encoder.out.bias[:count] = -encode @ mean
    # Two components of unit variance make a symbol of energy 2, which is sent with energy 1.
    decoder.inp.weight.zero_()
    decoder.inp.weight[:, :count] = (directions * (2**0.5 * deviation).unsqueeze(1)).T
    decoder.inp.bias.copy_(mean)
    received = mean + (features - mean) @ directions.T @ directions  # (N, d_model)
    normalised = nn.functional.layer_norm(received, received.shape[-1:])
    spread = normalised - normalised.mean(dim=0)
    gain = (spread * (features - mean)).sum(dim=0) / spread.square().sum(dim=0).clamp_min(1e-12)
    decoder.norm.weight.copy_(gain)
    decoder.norm.bias.copy_(mean - gain * normalised.mean(dim=0))

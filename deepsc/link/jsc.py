"""Joint source-channel (JSC) codec: token features to k complex channel symbols a token, and back.

The code is a nested bottleneck: the encoder emits K_max ordered symbols a token, the first k are sent,
truncated and then power-normalised. Both halves are told k and the SNR through FiLM (Perez et al., 2018), so
that one training run serves every k and every SNR. Nothing outside this file knows either.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CONDITION_WIDTH = 64


class FiLMBlock(nn.Module):
    """Pre-norm residual MLP whose hidden layer is scaled and shifted by the condition.

    Args:
        d_model: width of the features.
        d_hidden: width of the hidden layer.
    """

    def __init__(self, *, d_model: int, d_hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, d_hidden)
        self.film = nn.Linear(_CONDITION_WIDTH, 2 * d_hidden)
        self.down = nn.Linear(d_hidden, d_model)
        nn.init.zeros_(self.film.weight)  # start unconditioned: scale 1, shift 0
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (B, S, d_model) and condition (B, 64) to (B, S, d_model)."""
        scale, shift = self.film(condition).unsqueeze(1).chunk(2, dim=-1)  # (B, 1, d_hidden) each
        hidden = self.up(self.norm(x)) * (1 + scale) + shift  # (B, S, d_hidden)
        return x + self.down(nn.functional.gelu(hidden))


class Conditioner(nn.Module):
    """Embeds (k, SNR) for the FiLM blocks.

    Args:
        k_max: largest k.
        snr_range_db: trained SNRs; others are clamped to them, so that a deep fade stays in known terrain.
    """

    def __init__(self, *, k_max: int, snr_range_db: tuple[float, float]) -> None:
        super().__init__()
        self.k_max = k_max
        self.snr_range_db = snr_range_db
        self.width = _CONDITION_WIDTH
        self.mlp = nn.Sequential(
            nn.Linear(2, _CONDITION_WIDTH),
            nn.SiLU(),
            nn.Linear(_CONDITION_WIDTH, _CONDITION_WIDTH),
            nn.SiLU(),
        )

    def forward(self, k: Tensor, snr_db: Tensor) -> Tensor:
        """Map k (B,) and SNR in dB (B,) to (B, 64)."""
        snr = snr_db.clamp(*self.snr_range_db) / 10
        return self.mlp(torch.stack((k / self.k_max, snr), dim=-1))


def first_symbols(k: Tensor, k_max: int) -> Tensor:
    """Which symbols of a token are sent: k (B,) to bool (B, 1, k_max), the first k."""
    return (torch.arange(k_max, device=k.device) < k.unsqueeze(1)).unsqueeze(1)


def sent_mask(k: Tensor, token_mask: Tensor, k_max: int) -> Tensor:
    """Which symbols are sent: the first k of each valid token.

    Args:
        k: (B,), symbols per token of each item.
        token_mask: (B, S), 1 for valid tokens.
        k_max: K.

    Returns:
        bool, (B, S, K).
    """
    return token_mask.bool().unsqueeze(2) & first_symbols(k, k_max)


def normalise_power(x: Tensor, sent: Tensor) -> Tensor:
    """Scale each item to unit mean energy over the symbols it sends; the others become 0.

    Args:
        x: complex, (B, S, K).
        sent: bool, (B, S, K).
    """
    x = x * sent
    count = sent.sum(dim=(1, 2), keepdim=True)
    energy = (x.real.square() + x.imag.square()).sum(dim=(1, 2), keepdim=True) / count
    return x * torch.rsqrt(energy + 1e-12)


class JSCEncoder(nn.Module):
    """Token features to channel symbols.

    Args:
        d_model: width of the features.
        k_max: complex symbols per token of the whole code.
        snr_range_db: trained SNRs.
    """

    def __init__(self, *, d_model: int, k_max: int, snr_range_db: tuple[float, float]) -> None:
        super().__init__()
        self.k_max = k_max
        self.conditioner = Conditioner(k_max=k_max, snr_range_db=snr_range_db)
        self.block = FiLMBlock(d_model=d_model, d_hidden=2 * d_model)
        self.out = nn.Linear(d_model, 2 * k_max)

    def forward(self, features: Tensor, token_mask: Tensor, *, k: Tensor, snr_db: Tensor) -> Tensor:
        """Encode.

        Args:
            features: (B, S, d_model).
            token_mask: (B, S), 1 for valid tokens.
            k: (B,), symbols per token to send.
            snr_db: (B,), SNR the transmitter knows.

        Returns:
            complex64, (B, S, k_max): unit mean energy over the sent symbols, 0 elsewhere.
        """
        reals = self.out(self.block(features, self.conditioner(k, snr_db))).float()  # (B, S, 2 k_max)
        symbols = torch.view_as_complex(reals.unflatten(-1, (self.k_max, 2)))  # (B, S, k_max)
        return normalise_power(symbols, sent_mask(k, token_mask, self.k_max))


class JSCDecoder(nn.Module):
    """Equalised channel symbols to token features.

    Args:
        d_model: width of the features.
        k_max: complex symbols per token of the whole code.
        snr_range_db: trained SNRs.
    """

    def __init__(self, *, d_model: int, k_max: int, snr_range_db: tuple[float, float]) -> None:
        super().__init__()
        self.conditioner = Conditioner(k_max=k_max, snr_range_db=snr_range_db)
        self.inp = nn.Linear(2 * k_max, d_model)
        self.blocks = nn.ModuleList(FiLMBlock(d_model=d_model, d_hidden=2 * d_model) for _ in range(2))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, symbols: Tensor, *, k: Tensor, snr_db: Tensor) -> Tensor:
        """Decode symbols to features.

        Args:
            symbols: complex, (B, S, k_max), 0 where nothing was sent.
            k: (B,), symbols per token that were sent.
            snr_db: (B,), SNR the receiver knows.

        Returns:
            (B, S, d_model).
        """
        condition = self.conditioner(k, snr_db)
        x = self.inp(torch.view_as_real(symbols).flatten(2))  # (B, S, d_model)
        for block in self.blocks:
            x = block(x, condition)
        return self.norm(x)

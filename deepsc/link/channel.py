"""Physical channels on complex baseband symbols: AWGN, Rayleigh and Rician fading.

y = h x + n with unit mean energy of x per symbol, E|h|^2 = 1 and n ~ CN(0, 1/snr), that is variance 1/(2 snr)
per real dimension. snr is E_s/N_0 per complex symbol.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from data.files.errors import ToolkitError

CHANNELS = ("awgn", "rayleigh", "rician")
FADINGS = ("block", "symbol")
CSI = ("perfect", "none")


def db_to_linear(value_db: Tensor) -> Tensor:
    """10^(value/10)."""
    return torch.pow(10.0, value_db / 10)


def complex_normal(shape: tuple[int, ...], *, generator: torch.Generator, device: torch.device) -> Tensor:
    """CN(0, 1): real and imaginary parts N(0, 1/2) each; complex64 of `shape`."""
    # Drawn where the generator lives, so that a seed gives the same noise on every device.
    parts = torch.randn((*shape, 2), generator=generator, device=generator.device)
    return torch.view_as_complex(parts * math.sqrt(0.5)).to(device)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One uplink, batched over items, differentiable in x.

    Raises:
        ToolkitError: from the constructor, naming the flag.
    """

    kind: str = "awgn"
    """"awgn" (h = 1), "rayleigh" (h ~ CN(0, 1)) or "rician" (line of sight plus scatter)."""
    fading: str = "block"
    """"block": one h a sentence or image; "symbol": a fresh h a symbol."""
    csi: str = "perfect"
    """"perfect": linear MMSE equalisation at the receiver, and with block fading both ends know |h|^2.
    "none": y as is."""
    rician_factor: float = 4.0
    """Power of the line of sight over that of the scatter, linear; only "rician" reads it."""

    def __post_init__(self) -> None:
        for flag, value, allowed in (
            ("--channel", self.kind, CHANNELS),
            ("--fading", self.fading, FADINGS),
            ("--csi", self.csi, CSI),
        ):
            if value not in allowed:
                raise ToolkitError(f"{flag}: {value!r} given, allowed: {', '.join(allowed)}")
        if not 0 <= self.rician_factor < math.inf:
            raise ToolkitError(
                f"--rician-factor: {self.rician_factor} given, a finite number >= 0 is allowed"
            )

    def draw_gain(
        self, x_shape: tuple[int, int, int], *, generator: torch.Generator, device: torch.device
    ) -> Tensor:
        """Fading coefficients h with E|h|^2 = 1.

        Args:
            x_shape: (B, S, K), the shape of the symbols they will meet.
            generator: source of randomness; AWGN draws nothing.
            device: where the result goes.

        Returns:
            complex64, (B, 1, 1) for AWGN and block fading, else (B, S, K).
        """
        shape = x_shape if self.fading == "symbol" and self.kind != "awgn" else (x_shape[0], 1, 1)
        if self.kind == "awgn":
            return torch.ones(shape, dtype=torch.complex64, device=device)
        scatter = complex_normal(shape, generator=generator, device=device)
        if self.kind == "rayleigh":
            return scatter
        factor = self.rician_factor
        return math.sqrt(factor / (factor + 1)) + math.sqrt(1 / (factor + 1)) * scatter

    def known_snr_db(self, gain: Tensor, snr_db: Tensor) -> Tensor:
        """SNR that both ends may act on: snr |h|^2 if h is known and one per item, else the nominal snr.

        Args:
            gain: h, as from `draw_gain`.
            snr_db: (B,), nominal E_s/N_0.

        Returns:
            (B,), dB.
        """
        if self.csi == "perfect" and gain.shape[1:] == (1, 1):
            return snr_db + 20 * torch.log10(gain.abs().reshape(-1).clamp_min(1e-6))
        return snr_db

    def receive(self, x: Tensor, gain: Tensor, snr_db: Tensor, *, generator: torch.Generator) -> Tensor:
        """h x + n, not equalised.

        Args:
            x: (B, S, K), complex64 symbols of unit mean energy.
            gain: h, broadcast to x.
            snr_db: (B,), E_s/N_0 of each item.
            generator: source of the noise.

        Returns:
            y, (B, S, K), complex64.

        Raises:
            ToolkitError: if an SNR is not finite.
        """
        if not (finite := torch.isfinite(snr_db)).all():
            raise ToolkitError(f"SNR: {snr_db[~finite][0].item()} dB given, finite numbers are allowed")
        noise_std = db_to_linear(-snr_db / 2).view(-1, 1, 1)  # sqrt(N_0); complex_normal has unit variance
        return gain * x + noise_std * complex_normal(tuple(x.shape), generator=generator, device=x.device)

    def equalise(self, y: Tensor, gain: Tensor, snr_db: Tensor) -> Tensor:
        """Linear MMSE estimate of x, conj(h) y / (|h|^2 + 1/snr), or y itself without CSI; shape of y.

        AWGN is the case h = 1, so block fading at (snr, h) and AWGN at snr |h|^2 reach the receiver alike.
        """
        if self.csi == "none":
            return y
        return gain.conj() * y / (gain.abs().square() + db_to_linear(-snr_db).view(-1, 1, 1))

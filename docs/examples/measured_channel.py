"""Send over a channel that was measured: impulse responses from a file.

You see how many of twelve sentences arrive as the local model says them: without fading, over Rayleigh block
fading, and over the impulse responses of the file. A sentence meets one measured response. Its symbols lie on
the subcarriers of an OFDM signal, so that some are heard well and others badly. A sentence rarely loses all.

    python measured_channel.py my.npz

reads your file: `taps`, complex, (measurements, delays), as a channel sounder gives them, one tap a sample of
the signal. Without a file the script draws taps of its own. They stand in for a measurement, and are none.
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

import deepsc
from deepsc.link.channel import Channel

SUBCARRIERS = 64
SENTENCES = [
    f"{who} {what}"
    for who in ("A man in a blue shirt", "A brown dog", "A young girl", "A woman in a red dress")
    for what in ("is running through the snow.", "is sitting on a bench.", "is playing in the water.")
]


@dataclass(frozen=True, kw_only=True)
class Measured(Channel):
    """OFDM over measured impulse responses: one response an item, symbol n on subcarrier n mod 64.

    With a cyclic prefix longer than the response, a subcarrier sees y = H x + n, where H is the response's
    Fourier transform. The receiver knows H.
    """

    kind: str = "measured"
    file: str = ""
    """An .npz file of `taps`, complex, (measurements, delays)."""

    @cached_property
    def responses(self) -> torch.Tensor:
        """H, complex64, (measurements, subcarriers), scaled to a mean |H|^2 of 1 over the file."""
        taps = np.load(self.file)["taps"]
        taps = taps / np.sqrt((np.abs(taps) ** 2).sum(axis=1).mean())
        return torch.tensor(np.fft.fft(taps, n=SUBCARRIERS), dtype=torch.complex64)

    def draw_gain(self, x_shape, *, generator, device):
        """H of each symbol, (B, S, k)."""
        items, tokens, k = x_shape
        chosen = torch.randint(len(self.responses), (items,), generator=generator)
        subcarrier = torch.arange(tokens * k) % SUBCARRIERS
        return self.responses[chosen][:, subcarrier].view(items, tokens, k).to(device)


def stand_in(file: Path) -> Path:
    """Write 200 responses of eight Rayleigh taps, each 3 dB weaker than the one before."""
    draw = np.random.default_rng(0)
    taps = draw.normal(size=(200, 8)) + 1j * draw.normal(size=(200, 8))
    file.parent.mkdir(exist_ok=True)
    np.savez(file, taps=taps * 10 ** (-0.15 * np.arange(8)))
    return file


file = Path(sys.argv[1]) if len(sys.argv) > 1 else stand_in(Path("runs/taps.npz"))
measured = Measured(file=str(file))
power = measured.responses.abs() ** 2
weakest_db = 10 * power.min().log10()
print(f"{len(power)} responses, mean |H|^2 {power.mean():.2f}, weakest subcarrier {weakest_db:.0f} dB")

model = deepsc.load("text-multi30k-en-de-medium")
local = model.local(SENTENCES)
print("arrive as the local model says them, k = 4")
for name, channel in (("awgn", "awgn"), ("rayleigh", "rayleigh"), ("measured", measured)):
    shares = []
    for snr_db in (0, 6, 12):
        texts = model.transmit(SENTENCES, k=4, snr_db=snr_db, channel=channel, seed=0).texts
        arrived = sum(text == wanted for text, wanted in zip(texts, local, strict=True))
        shares.append(f"{snr_db:2} dB {arrived:2} of {len(local)}")
    print(f"{name:9}", *shares, sep="   ")

"""Channel codes of the digital baseline: which blocks of bits arrive in so many uses at such an SNR."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm

Bits = NDArray[np.int64]
Array = NDArray[np.float64]


class ChannelCode(ABC):
    """Transmitter and receiver know the SNR; what fails is known to have failed."""

    name: str

    @abstractmethod
    def error_rate(self, bits: Bits, uses: Bits, snr: Array) -> Array:
        """Block error probability that the transmitter expects.

        Args:
            bits: (items, versions), bits of a block.
            uses: (items,), complex channel uses.
            snr: (items, 1) or (items, largest of uses), E_s/N_0 of each use, linear.

        Returns:
            (items, versions).
        """

    def arrives(self, bits: Bits, uses: Bits, snr: Array, *, generator: torch.Generator) -> NDArray[np.bool_]:
        """Send a block for each item, (items,); arguments as of `error_rate`, with bits (items,)."""
        rates = self.error_rate(bits[:, None], uses, snr)[:, 0]
        drawn = torch.rand(len(bits), generator=generator, dtype=torch.float64).numpy()
        return np.greater_equal(drawn, rates)


class Capacity(ChannelCode):
    """An ideal code: sum_i log2(1 + snr_i) bits over the uses i arrive without error, and no bit more."""

    name = "capacity"

    def error_rate(self, bits: Bits, uses: Bits, snr: Array) -> Array:
        """0 or 1."""
        budget = uses * mean_over(np.log2(1 + snr), uses)
        return np.greater(bits, budget[:, None]).astype(np.float64)


class Finite(ChannelCode):
    """The best code of this length, by the normal approximation (Polyanskiy, Poor and Verdu, 2010).

    Their theorem 54 with the term of log n that their figures have: of the N = 2 n real uses that n complex
    ones are, each at the same SNR, log2 M = N C - sqrt(N V) Q^-1(epsilon) + log2(N) / 2, with
    C = log2(1 + snr) / 2 and V = snr (snr + 2) / (2 (snr + 1)^2) log2(e)^2. With several gains in a block, C
    and V are their means over the block. It is an approximation, not a bound.
    """

    name = "finite"

    def error_rate(self, bits: Bits, uses: Bits, snr: Array) -> Array:
        """Q((N C + log2(N) / 2 - bits) / sqrt(N V))."""
        capacity = mean_over(np.log2(1 + snr) / 2, uses)
        spread = snr * (snr + 2) / (2 * (snr + 1) ** 2) * math.log2(math.e) ** 2
        real = 2.0 * uses
        deviation = np.sqrt(np.maximum(real * mean_over(spread, uses), 1e-300))
        margin = (real * capacity + np.log2(real) / 2)[:, None] - bits
        return np.asarray(norm.sf(margin / deviation[:, None]), dtype=np.float64)


def mean_over(values: Array, uses: Bits) -> Array:
    """Mean over each item's channel uses, (items,), of (items, 1) or (items, largest of uses)."""
    if values.shape[1] == 1:
        return values[:, 0]
    inside = np.arange(values.shape[1]) < uses[:, None]
    return np.asarray(np.where(inside, values, 0).sum(axis=1) / uses)

"""Separate source and channel coding, measured as a codec is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from data.files.errors import ToolkitError
from deepsc.digital.block_codes import Array, Capacity, ChannelCode
from deepsc.link.channel import Channel
from deepsc.modality import Measurer

Counts = NDArray[np.int64]

TARGET_ERROR_RATE = 0.01
"""A version is trusted if its expected block error probability is at most this."""


class Digital(Measurer):
    """Sends of each item's versions the closest that the channel code can be trusted with, else the smallest.

    Args:
        bits: (items, versions), size of each version.
        distortion: (items, versions), how far each version is from its item; None: every version is exact.
            Of versions that are equally far the first is sent.
        outcome: takes items and their versions, (rows,) each; what the local model makes of them,
            (rows, statistics). It is asked for what arrives alone.
        nothing: (items, statistics), what the receiver makes of silence.
        tokens: (items,), S.
        channel: draws the gains; transmitter and receiver know them.
        code: the channel code; None: `Capacity`.
        figures: of the source code, by name; `measure` passes them on.

    Raises:
        ToolkitError: if nobody knows the gains of the channel.
    """

    def __init__(
        self,
        *,
        bits: Counts,
        outcome: Callable[[Counts, Counts], Counts],
        nothing: Counts,
        tokens: Counts,
        channel: Channel,
        distortion: Array | None = None,
        code: ChannelCode | None = None,
        figures: Mapping[str, float] | None = None,
    ) -> None:
        if channel.fades and channel.csi == "none":
            raise ToolkitError(
                f"csi {channel.csi!r} given, separate coding chooses rates by the gains; 'perfect' is allowed"
            )
        self._bits, self._outcome, self._nothing = bits, outcome, nothing
        self._distortion = np.zeros(bits.shape) if distortion is None else distortion
        self._tokens, self._channel = tokens, channel
        self._code, self._figures = code or Capacity(), figures or {}

    def measure(self, *, k: int, snr_db: float, seed: int) -> tuple[Counts, dict[str, float]]:
        """Send every item once; see `deepsc.modality.Measurer`.

        The figure "bits an item" is the mean of what was sent.
        """
        generator = torch.Generator().manual_seed(seed)
        uses = self._tokens * k
        snr = self._snr(uses, snr_db, generator)
        rates = self._code.error_rate(self._bits, uses, snr)  # (items, versions)
        trusted = rates <= TARGET_ERROR_RATE
        closest = np.where(trusted, self._distortion, np.inf).argmin(axis=1)
        best = np.where(trusted.any(axis=1), closest, self._bits.argmin(axis=1))
        rows = np.arange(len(uses))
        sent = self._bits[rows, best]
        arrived = self._code.arrives(sent, uses, snr, generator=generator)
        counts = self._nothing.copy()
        counts[arrived] = self._outcome(rows[arrived], best[arrived])
        return counts, {**self._figures, "bits an item": float(sent.mean())}

    def _snr(self, uses: Counts, snr_db: float, generator: torch.Generator) -> Array:
        """SNR of each use where each has a gain of its own, (items, largest of uses), else (items, 1)."""
        each = self._channel.fading == "symbol" and self._channel.fades
        shape = (len(uses), int(uses.max()) if each else 1, 1)
        gain = self._channel.draw_gain(shape, generator=generator, device=torch.device("cpu"))
        power: Array = gain.abs().square().squeeze(-1).double().numpy()
        return 10 ** (snr_db / 10) * power

"""5G NR LDPC code (TS 38.212) with QAM and soft demapping, by Sionna: encoded, sent and decoded."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.files.errors import ToolkitError
from data.settings import named
from deepsc.digital.block_codes import Array, Bits, ChannelCode, Finite, mean_over
from deepsc.link.channel import complex_normal

if TYPE_CHECKING:
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
    from sionna.phy.mapping import Demapper, Mapper

MODULATIONS = (2, 4, 6, 8)
"""Bits per QAM symbol."""
HIGHEST_RATE = 948 / 1024
"""Of NR's tables of modulation and coding schemes (TS 38.214, 5.1.3.1)."""
ITERATIONS = 20
"""Of belief propagation; Sionna's default, with which its own tables of block error rates are made."""
GAP_DB = 1.0
"""How far from the normal approximation the transmitter expects the code to be."""
_LEAST, _LARGEST = 12, 8448
"""Information bits of a code block."""
_WIDE = 3824
"""Information bits above which the code goes down to rate 1/3 only, and to 1/5 otherwise."""
_BATCH = 256


class LDPC(ChannelCode):
    """LDPC-coded QAM in all channel uses that there are.

    The SNR decides on the modulation: the one of largest bit-wise mutual information whose code rate is at
    most 948/1024. Where the lowest rate does not fill the channel uses, the block is repeated and its
    log-likelihood ratios are added. The bits are random, as NR's scrambler makes them. No bit is spent on a
    checksum: the receiver is taken to know which block is wrong.

    Raises:
        ToolkitError: from the constructor, if Sionna is missing.
    """

    name = "ldpc"

    def __init__(self) -> None:
        try:
            import sionna.phy.fec.ldpc  # noqa: F401
        except ImportError as error:
            raise ToolkitError(
                f"{named('code')}: 'ldpc' given, which needs sionna-no-rt: pip install "
                "'deepsc-toolkit[digital]'"
            ) from error

    def error_rate(self, bits: Bits, uses: Bits, snr: Array) -> Array:
        """The normal approximation `GAP_DB` lower, or 1 where no modulation has room."""
        rates = Finite().error_rate(bits, uses, snr * 10 ** (-GAP_DB / 10))
        room = HIGHEST_RATE * MODULATIONS[-1] * uses
        return np.where(np.maximum(bits, _LEAST) <= room[:, None], rates, 1.0)

    def arrives(self, bits: Bits, uses: Bits, snr: Array, *, generator: torch.Generator) -> NDArray[np.bool_]:
        """Encode, send and decode a block for each item; blocks of one shape together."""
        modulations = modulation(bits, uses, snr)
        groups = defaultdict(list)
        for item, shape in enumerate(zip(bits.tolist(), uses.tolist(), modulations.tolist(), strict=True)):
            groups[shape].append(item)
        result = np.zeros(len(bits), dtype=np.bool_)
        for (size, length, order), items in sorted(groups.items()):
            if not order:
                continue
            for start in range(0, len(items), _BATCH):
                rows = items[start : start + _BATCH]
                noise = torch.from_numpy(1 / np.maximum(snr[rows, :length], 1e-12))
                result[rows] = _send(size, length, order, noise, generator=generator)
        return result


def modulation(bits: Bits, uses: Bits, snr: Array) -> Bits:
    """Bits per symbol that each block is sent with, (items,); 0: none has room."""
    db = 10 * np.log10(np.maximum(snr, 1e-12))
    best, chosen = np.full(len(bits), -1.0), np.zeros(len(bits), dtype=np.int64)
    for order in MODULATIONS:
        information = mean_over(np.interp(db, *_information_table(order)), uses)
        room = np.maximum(bits, _LEAST) <= HIGHEST_RATE * order * uses
        better = room & (information > best)
        best, chosen = np.where(better, information, best), np.where(better, order, chosen)
    return chosen


@cache
def _information_table(order: int) -> tuple[Array, Array]:
    """SNR in dB and bit-wise mutual information of Gray-labelled square QAM, bits per symbol.

    I and Q are two pulse amplitude modulations: m - sum_i E[log2(1 + p(y | other bit) / p(y | bit))] each.
    """
    half = order // 2
    labels = np.arange(2**half)
    gray = labels ^ (labels >> 1)  # of the amplitudes in rising order
    amplitudes = 2.0 * labels - (2**half - 1)
    amplitudes /= math.sqrt(2 * np.mean(amplitudes**2))  # half of a symbol's energy
    nodes, weights = np.polynomial.hermite.hermgauss(40)
    snrs_db = np.arange(-20.0, 40.5, 0.5)
    information = np.empty(len(snrs_db))
    for number, snr_db in enumerate(snrs_db):
        noise = math.sqrt(10 ** (-snr_db / 10))  # sqrt(N_0); variance N_0 / 2 by the weight exp(-node^2)
        received = amplitudes[:, None] + noise * nodes  # (points, nodes)
        likelihood = -(((received[..., None] - amplitudes) / noise) ** 2)  # log, (points, nodes, points)
        lost = 0.0
        for bit in range(half):
            same = (gray[:, None] >> bit & 1) == (gray >> bit & 1)  # (points, points)
            of_same = np.logaddexp.reduce(np.where(same[:, None], likelihood, -np.inf), axis=-1)
            lost += float(np.mean((np.logaddexp.reduce(likelihood, axis=-1) - of_same) @ weights))
        information[number] = 2 * (half - lost / math.log(2) / math.sqrt(math.pi))
    return snrs_db, information


def _send(
    bits: int, uses: int, order: int, noise: Tensor, *, generator: torch.Generator
) -> NDArray[np.bool_]:
    """Whether blocks arrive, (B,).

    Args:
        bits: of each block; above 8448 in several code blocks.
        uses: channel uses of each.
        order: bits per symbol.
        noise: (B, 1) or (B, uses), N_0 of each use.
        generator: of bits and noise.
    """
    blocks = -(-bits // _LARGEST)
    size = max(_LEAST, -(-bits // blocks))
    ends = [uses * block // blocks for block in range(blocks + 1)]
    right = np.ones(len(noise), dtype=np.bool_)
    for start, stop in itertools.pairwise(ends):
        part = noise if noise.shape[1] == 1 else noise[:, start:stop]
        right &= _send_block(size, stop - start, order, part, generator=generator)
    return right


@torch.inference_mode()
def _send_block(
    size: int, uses: int, order: int, noise: Tensor, *, generator: torch.Generator
) -> NDArray[np.bool_]:
    """Whether code blocks arrive, (B,); arguments as of `_send`."""
    lowest = 3 if size > _WIDE else 5
    symbols = min(uses, lowest * size // order)  # of the code; then it is repeated
    encoder, decoder = _code(size, symbols * order, order)
    mapper, demapper = _mapping(order)
    sent = torch.randint(2, (len(noise), size), generator=generator).float()
    copies = torch.arange(uses) % symbols
    x = mapper(encoder(sent))[:, copies]  # (B, uses)
    n0 = noise.float().expand(-1, uses)
    cpu = torch.device("cpu")
    y = x + n0.sqrt() * complex_normal(tuple(x.shape), generator=generator, device=cpu)
    ratios = demapper(y, n0).reshape(len(noise), uses, order)
    total = torch.zeros(len(noise), symbols, order).index_add_(1, copies, ratios)
    received = decoder(total.reshape(len(noise), symbols * order))
    right: NDArray[np.bool_] = (received == sent).all(dim=1).numpy()
    return right


@lru_cache(maxsize=1024)
def _code(size: int, length: int, order: int) -> tuple[LDPC5GEncoder, LDPC5GDecoder]:
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    encoder = LDPC5GEncoder(size, length, num_bits_per_symbol=order, device="cpu")
    return encoder, LDPC5GDecoder(encoder, num_iter=ITERATIONS, device="cpu")


@cache
def _mapping(order: int) -> tuple[Mapper, Demapper]:
    from sionna.phy.mapping import Demapper, Mapper

    return Mapper("qam", order, device="cpu"), Demapper("app", "qam", order, device="cpu")

"""JSC codec of tokens: a point of a learned constellation a token, and the posterior given all that arrives.

A token is sent as the first k complex coordinates of its point, so that one constellation serves every k. The
receiver weighs how likely each token makes its own symbols, which is exact for white Gaussian noise, and how
likely it is in its place: by bigrams first, then by a Transformer over what they make of the sentence. The
first is the matched filter of separate coding, the second what a source code would have removed.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.amp import is_autocast_available

from deepsc.link.bigrams import BigramPrior
from deepsc.link.jsc import Conditioner, first_symbols, normalise_power, sent_mask
from deepsc.link.transformer import pre_norm_transformer
from deepsc.link.transmission import Link, Received, carry

_MOST_DROPOUT = 0.1


class TokenEncoder(nn.Module):
    """Token ids to channel symbols.

    Args:
        vocab_size: points V.
        k_max: complex symbols per token of the whole code.
        d_model: width of the features that move a token's point; None: a token is always sent as its point.
    """

    def __init__(self, *, vocab_size: int, k_max: int, d_model: int | None = None) -> None:
        super().__init__()
        self.k_max = k_max
        self.points = nn.Parameter(torch.randn(vocab_size, 2 * k_max))
        self.shift: nn.Linear | None = None
        if d_model is not None:
            self.shift = nn.Linear(d_model, 2 * k_max)
            nn.init.zeros_(self.shift.weight)  # start at the points
            nn.init.zeros_(self.shift.bias)

    def forward(
        self, tokens: Tensor, token_mask: Tensor, *, k: Tensor, features: Tensor | None = None
    ) -> Tensor:
        """Encode.

        Args:
            tokens: (B, S), ids.
            token_mask: (B, S), 1 for valid tokens.
            k: (B,), symbols per token to send.
            features: (B, S, d_model), of the tokens in their context, where the encoder reads them.

        Returns:
            complex64, (B, S, k_max): unit mean energy over the sent symbols, 0 elsewhere.
        """
        reals = self.points[tokens].float()  # (B, S, 2 k_max)
        if self.shift is not None:
            reals = reals + self.shift(features).float()
        symbols = torch.view_as_complex(reals.unflatten(-1, (self.k_max, 2)))  # (B, S, k_max)
        return normalise_power(symbols, sent_mask(k, token_mask, self.k_max))

    @torch.no_grad()
    def start(self, probability: Tensor) -> None:
        """Give each point an energy in proportion to its token's surprise, -log p.

        What is expected anyway needs little energy to be told from the rest; the mean over the tokens is that
        of unit points.

        Args:
            probability: (V,), of each token in the training data, none 0.
        """
        surprise = -probability.log().clamp(max=-0.5)
        energy = surprise / (probability * surprise).sum()
        self.points.mul_(energy.sqrt().unsqueeze(1))


class TokenDecoder(nn.Module):
    """Equalised channel symbols to the posterior of each token.

    Args:
        vocab_size: points V.
        k_max: complex symbols per token of the whole code.
        width: of the context Transformer.
        layers: of the context Transformer.
        heads: of the context Transformer.
        dropout: of the context Transformer; at most 0.1, for it meets other noise at each step anyway.
        max_length: most tokens of a sentence.
        snr_range_db: trained SNRs.
        bigrams: most that the prior holds.
        end: the token that ends a sentence.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        k_max: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
        max_length: int,
        snr_range_db: tuple[float, float],
        bigrams: int,
        end: int,
    ) -> None:
        super().__init__()
        self.log_frequency = nn.Parameter(torch.full((vocab_size,), -1.0), requires_grad=False)
        """(V,), log of how frequent each token is in the training data, in nats; see `start`."""
        self.prior = BigramPrior(vocab_size=vocab_size, bigrams=bigrams, end=end)
        self.embeddings = nn.Parameter(0.5 * torch.randn(vocab_size, width))
        self.positions = nn.Parameter(0.02 * torch.randn(max_length, width))
        self.inp = nn.Linear(2 * k_max, width)
        self.conditioner = Conditioner(k_max=k_max, snr_range_db=snr_range_db)
        self.condition = nn.Linear(self.conditioner.width, width)
        self.context = pre_norm_transformer(
            width=width, layers=layers, heads=heads, dropout=min(dropout, _MOST_DROPOUT)
        )
        self.out = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, received: Received, points: Tensor, *, held_out: Tensor | None = None) -> Tensor:
        """Decode.

        Args:
            received: B sentences of S tokens.
            points: the encoder's, (V, 2 k_max).
            held_out: (2, M), bigrams that the prior is not to know; see `BigramPrior`.

        Returns:
            Logits of the tokens, (B, S, V): log posterior but for a constant a token.
        """
        believed = self._in_float32(received, points, held_out)  # (B, S, V)
        x = believed.softmax(dim=-1) @ self.embeddings  # (B, S, width)
        x = x + self.inp(torch.view_as_real(received.symbols).flatten(2))
        x = x + self.positions[: x.shape[1]]
        x = x + self.condition(self.conditioner(received.k, received.snr_db)).unsqueeze(1)
        x = self.context(x, src_key_padding_mask=received.mask == 0)
        return believed + nn.functional.linear(self.out(x), self.embeddings, self.bias)

    def log_likelihood(self, received: Received, points: Tensor) -> Tensor:
        """Log likelihood of what arrived, for every token in every place, but for a constant a place.

        2 Re <x, y> - |x|^2 of each point x, in units of the noise N_0: exact for a matched filter's output y
        in white Gaussian noise, where a sentence's power is that of the vocabulary's mean.

        Args:
            received: B sentences of S tokens.
            points: (V, 2 k_max).

        Returns:
            (B, S, V), in nats.
        """
        k_max = points.shape[1] // 2
        energy = points.square().view(-1, k_max, 2).sum(dim=2)  # (V, K), of each symbol of each point
        probability = self.log_frequency.softmax(dim=0).unsqueeze(1)  # (V, 1)
        mean = (probability * energy.cumsum(dim=1)).sum(dim=0)  # (K,), of the first k symbols
        scale = torch.rsqrt(mean[received.k - 1] / received.k).view(-1, 1, 1)  # (B, 1, 1)
        snr = received.snr  # (B, 1 or S, 1 or K)
        # The MMSE equaliser multiplies by snr / (snr + 1); the matched filter, in units of N_0, by snr.
        filtered = received.symbols * (snr + 1) if received.equalised else received.symbols * snr
        statistic = torch.view_as_real(2 * scale * filtered).flatten(2)  # (B, S, 2 K)
        weight = first_symbols(received.k, k_max) * snr * scale**2  # (B, 1 or S, K)
        return statistic @ points.T - weight @ energy.T

    def belief(self, received: Received, points: Tensor, held_out: Tensor | None = None) -> Tensor:
        """Logits of the tokens by what arrived and the bigrams, (B, S, V); arguments as of `forward`."""
        likelihood = self.log_likelihood(received, points)
        with torch.no_grad():  # through the neighbours' symbols training would gain little
            prior = self.prior(likelihood, received.mask, held_out)
        return likelihood + prior

    def _in_float32(self, received: Received, points: Tensor, held_out: Tensor | None) -> Tensor:
        """`belief` under autocast too: at 18 dB bf16 would round hundreds of nats to whole ones."""
        kind = points.device.type
        with torch.autocast(kind, enabled=False) if is_autocast_available(kind) else nullcontext():
            return self.belief(received, points, held_out)

    @torch.no_grad()
    def start(self, probability: Tensor) -> None:
        """Take the probability of each token in the training data, (V,)."""
        self.log_frequency.copy_(probability.log())


class Expectation(nn.Module):
    """What a table holds, averaged over the posterior; a module, so that its products have a name."""

    def forward(self, logits: Tensor, table: Tensor) -> Tensor:
        """Map logits (B, S, V) and a table (V, d) to (B, S, d)."""
        return logits.softmax(dim=-1) @ table


def token_probability(counts: Tensor) -> Tensor:
    """Probability of each token from its count in the training data, (V,).

    Half a token is added to each count (Krichevsky and Trofimov's estimator), so that none is impossible.
    """
    smoothed = counts + 0.5
    return smoothed / smoothed.sum()


def start_token_code(encoder: TokenEncoder, decoder: TokenDecoder, bigrams: Tensor) -> None:
    """Start a JSC codec of tokens from the bigrams of the training data, (2, M)."""
    counts = torch.bincount(bigrams[1], minlength=len(encoder.points))  # each token is second in one
    probability = token_probability(counts).to(encoder.points.device)
    encoder.start(probability)
    decoder.start(probability)
    decoder.prior.start(bigrams.to(probability.device))


def send_tokens(
    encoder: TokenEncoder | None,
    decoder: TokenDecoder | None,
    tokens: Tensor,
    mask: Tensor,
    link: Link | None,
    *,
    features: Tensor | None = None,
    held_out: Tensor | None = None,
) -> Tensor:
    """Send B sentences of S tokens over the channel.

    Args:
        encoder: at the UE; the local model has none.
        decoder: at the server.
        tokens: (B, S), ids.
        mask: (B, S), 1 for valid tokens.
        link: how to send them.
        features: as of `TokenEncoder`.
        held_out: as of `TokenDecoder`.

    Returns:
        Logits of the tokens at the server, (B, S, V).

    Raises:
        ValueError: if one of the first two or the link is None.
    """
    if encoder is None or decoder is None or link is None:
        raise ValueError("a codec with a channel needs a link, and the local model has no channel")
    received = carry(
        lambda k, _: encoder(tokens, mask, k=k, features=features), mask, link, k_max=encoder.k_max
    )
    return decoder(received, encoder.points, held_out=held_out)

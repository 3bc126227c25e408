"""The token code against theory: exact likelihoods, error rates of known constellations, nested points."""

import math

import pytest
import torch

from deepsc.link.channel import Channel
from deepsc.link.token_code import Expectation, TokenDecoder, TokenEncoder, token_probability
from deepsc.link.transmission import Link, Received, carry

V, K_MAX, RANGE_DB = 30, 6, (-6.0, 18.0)
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
TOKENS = torch.randint(V, MASK.shape, generator=torch.Generator().manual_seed(1))


def make(vocab_size: int = V, k_max: int = K_MAX) -> tuple[TokenEncoder, TokenDecoder]:
    torch.manual_seed(0)
    encoder = TokenEncoder(vocab_size=vocab_size, k_max=k_max)
    decoder = TokenDecoder(
        vocab_size=vocab_size, k_max=k_max, width=8, layers=1, heads=2, dropout=0.0, max_length=5000,
        snr_range_db=RANGE_DB, bigrams=8, end=1,
    )  # fmt: skip
    return encoder.eval(), decoder.eval()


def link(size: int, *, k: int, snr_db: float, **channel: str) -> Link:
    return Link(
        channel=Channel(**{"kind": "awgn", **channel}),
        k=torch.full((size,), k),
        snr_db=torch.full((size,), snr_db),
        generator=torch.Generator().manual_seed(2),
    )


def received(encoder: TokenEncoder, tokens: torch.Tensor, mask: torch.Tensor, over: Link) -> Received:
    return carry(lambda k, _: encoder(tokens, mask, k=k), mask, over, k_max=encoder.k_max)


def test_each_sentence_has_unit_mean_energy_over_what_it_sends() -> None:
    encoder, _ = make()
    k = torch.tensor([6, 2, 4])
    x = encoder(TOKENS, MASK, k=k)
    sent = MASK.sum(1) * k
    assert torch.allclose(x.abs().square().sum((1, 2)) / sent, torch.ones(3), atol=1e-5)
    assert torch.equal((x != 0).sum((1, 2)), sent)


def test_a_smaller_k_sends_the_beginning_of_each_point() -> None:
    encoder, _ = make()
    long, short = (encoder(TOKENS, MASK, k=torch.full((3,), k)) for k in (6, 2))
    ratio = (short[..., :2] / long[..., :2])[MASK.bool()].reshape(-1)
    assert torch.allclose(ratio.imag, torch.zeros_like(ratio.imag), atol=1e-5)
    assert torch.allclose(short[0, ..., :2] / long[0, ..., :2], ratio[0].expand(5, 2), atol=1e-5)


@pytest.mark.parametrize("fading", ["block", "symbol"])
@pytest.mark.parametrize("kind", ["awgn", "rayleigh", "rician"])
@torch.no_grad()
def test_the_likelihood_is_that_of_white_gaussian_noise(kind: str, fading: str) -> None:
    """Against the density of y itself: exp(-|y - h x|^2 / N_0), constants a place aside."""
    encoder, decoder = make()
    over = link(3, k=4, snr_db=3.0, kind=kind, fading=fading)
    sound = received(encoder, TOKENS, MASK, over)
    found = decoder.log_likelihood(sound, encoder.points)
    # The same draws again, from the same seed.
    again = torch.Generator().manual_seed(2)
    shape = (3, 5, K_MAX)
    gain = over.channel.draw_gain(shape, generator=again, device=MASK.device)
    sent = encoder(TOKENS, MASK, k=over.k)
    y = over.channel.receive(sent, gain, over.snr_db, generator=again)[..., :4]
    h = gain.expand(shape)[..., :4]
    points = torch.view_as_complex(encoder.points.view(V, K_MAX, 2))[:, :4]
    # Scaled to unit mean energy over equally likely tokens: the decoder knows no other frequencies yet.
    points = points / (points.abs().square().sum(1).mean() / 4).sqrt()
    distance = (y.unsqueeze(2) - h.unsqueeze(2) * points).abs().square().sum(-1)  # (B, S, V)
    expected = -distance * 10**0.3
    valid = MASK.bool()
    found, expected = (x - x.mean(-1, keepdim=True) for x in (found, expected))
    assert torch.allclose(found[valid], expected[valid], atol=2e-3)


@torch.no_grad()
def test_two_opposite_points_err_as_often_as_bpsk() -> None:
    """Q(sqrt(2 k snr)) for antipodal signals of k symbols."""
    encoder, decoder = make(vocab_size=2, k_max=2)
    encoder.points.copy_(torch.tensor([[1.0, 0, 1, 0], [-1.0, 0, -1, 0]]))
    tokens = torch.randint(2, (40, 5000), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(tokens)
    for k, snr_db in ((1, 0.0), (2, 0.0), (2, -3.0)):
        sound = received(encoder, tokens, mask, link(40, k=k, snr_db=snr_db))
        wrong = (decoder.log_likelihood(sound, encoder.points).argmax(-1) != tokens).float().mean().item()
        rate = 0.5 * math.erfc(math.sqrt(k * 10 ** (snr_db / 10)))
        assert wrong == pytest.approx(rate, abs=5 * math.sqrt(rate / tokens.numel()))


@torch.no_grad()
def test_autocast_leaves_the_likelihood_its_digits() -> None:
    """At 18 dB and more the likelihoods are hundreds of nats, of which bf16 keeps 8 bits."""
    encoder, decoder = make()
    torch.nn.init.zeros_(decoder.embeddings)  # nothing but the likelihood
    sound = received(encoder, TOKENS, MASK, link(3, k=6, snr_db=24.0))
    exact = decoder(sound, encoder.points)
    with torch.autocast("cpu", torch.bfloat16):
        cast = decoder(sound, encoder.points)
    assert exact.abs().max() > 500
    assert torch.allclose(exact, cast, atol=1e-3)


@torch.no_grad()
def test_padding_does_not_change_a_posterior() -> None:
    encoder, decoder = make()
    k, snr_db = torch.tensor([4]), torch.tensor([0.0])

    def posterior(length: int) -> torch.Tensor:
        mask = (torch.arange(length) < 3).long().unsqueeze(0)
        symbols = encoder(TOKENS[:1, :length], mask, k=k)
        sound = Received(
            symbols=symbols, snr=torch.ones(1, 1, 1), equalised=True, mask=mask, k=k, snr_db=snr_db
        )
        return decoder(sound, encoder.points)[0, :3]

    assert torch.allclose(posterior(3), posterior(5), atol=1e-5)


@torch.no_grad()
def test_the_start_gives_rare_tokens_the_energy() -> None:
    encoder, decoder = make(vocab_size=2000)
    counts = 1e6 / torch.arange(1, 2001)
    probability = token_probability(counts)
    assert probability.sum().item() == pytest.approx(1)
    encoder.start(probability)
    decoder.start(probability)
    assert torch.allclose(decoder.log_frequency.exp(), probability)
    energy = encoder.points.square().mean(1)
    assert energy[-200:].mean() > 2 * energy[:5].mean()
    assert (probability * energy).sum().item() == pytest.approx(1, rel=0.2), "the mean is that of unit points"
    frequent = (probability > math.exp(-0.5)).nonzero()
    assert len(frequent) == 0
    assert (energy > 0).all(), "even a token that is nearly certain is sent"


def test_an_expectation_is_a_mean_over_the_posterior() -> None:
    table = torch.randn(4, 3)
    certain = torch.full((1, 2, 4), -1e4)
    certain[0, 0, 2] = certain[0, 1, 0] = 0
    assert torch.equal(Expectation()(certain, table)[0], table[[2, 0]])
    assert torch.allclose(Expectation()(torch.zeros(1, 1, 4), table)[0, 0], table.mean(0))

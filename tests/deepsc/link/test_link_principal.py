"""The principal-component start: untrained, the code is the best linear one of the local features."""

import pytest
import torch

from deepsc.link.channel import Channel
from deepsc.link.jsc import JSCDecoder, JSCEncoder
from deepsc.link.principal import start_as_principal_code
from deepsc.link.transmission import Link, transmit

WIDTH, K_MAX, TOKENS = 12, 4, 500


def features(rank: int) -> torch.Tensor:
    """Rows of a layer norm's output, (TOKENS, WIDTH), of `rank` dimensions with falling variance."""
    generator = torch.Generator().manual_seed(rank)
    codes = torch.randn((TOKENS, rank), generator=generator) * 0.7 ** torch.arange(rank)
    return torch.nn.functional.layer_norm(codes @ torch.randn((rank, WIDTH), generator=generator), (WIDTH,))


def jsc() -> tuple[JSCEncoder, JSCDecoder]:
    torch.manual_seed(0)
    return tuple(
        half(d_model=WIDTH, k_max=K_MAX, snr_range_db=(-6.0, 18.0)).eval()
        for half in (JSCEncoder, JSCDecoder)
    )


def received(encoder: JSCEncoder, decoder: JSCDecoder, sent: torch.Tensor, k: int) -> torch.Tensor:
    """(TOKENS, WIDTH) after a channel that is as good as none."""
    link = Link(
        channel=Channel(kind="awgn"),
        k=torch.tensor([k]),
        snr_db=torch.tensor([90.0]),
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        return transmit(encoder, decoder, sent[None], torch.ones((1, TOKENS)), link)[0]


def test_features_within_the_code_arrive_as_they_were() -> None:
    """2 K_max = 8 real numbers a token hold features of 6 dimensions whole."""
    sent = features(rank=6)
    encoder, decoder = jsc()
    start_as_principal_code(encoder, decoder, sent)
    assert torch.allclose(received(encoder, decoder, sent, K_MAX), sent, atol=0.02)


def test_k_symbols_carry_the_first_2k_principal_components() -> None:
    sent = features(rank=WIDTH)
    encoder, decoder = jsc()
    start_as_principal_code(encoder, decoder, sent)
    decoder.norm = torch.nn.Identity()
    mean = sent.mean(0)
    _, _, directions = torch.linalg.svd(sent - mean, full_matrices=False)
    for k in range(1, K_MAX + 1):
        first = directions[: 2 * k]
        best = mean + (sent - mean) @ first.T @ first
        assert torch.allclose(received(encoder, decoder, sent, k), best, atol=0.03)


@pytest.mark.parametrize("k", range(1, K_MAX + 1))
def test_every_k_sends_unit_power_without_scaling(k: int) -> None:
    """Whitened components: the normalisation has nothing to do, so the decoder's scale suits each k."""
    sent = features(rank=WIDTH)
    encoder, decoder = jsc()
    start_as_principal_code(encoder, decoder, sent)
    reals = encoder.out(sent)[:, : 2 * k]
    assert reals.square().mean().item() == pytest.approx(1, rel=1e-3)

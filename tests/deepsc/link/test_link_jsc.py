"""The JSC codec: nested code, power, and what k and SNR may and may not change."""

import pytest
import torch

from deepsc.link.jsc import (
    JSCDecoder,
    JSCEncoder,
    normalise_power,
    sent_mask,
)

K_MAX, WIDTH, RANGE_DB = 6, 16, (-6.0, 18.0)
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])


def filmed(module: torch.nn.Module) -> torch.nn.Module:
    """As after training: FiLM layers, which start at 0, have values."""
    torch.manual_seed(0)
    for name, parameter in module.named_parameters():
        if ".film." in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


@pytest.fixture
def encoder() -> JSCEncoder:
    torch.manual_seed(1)
    return filmed(JSCEncoder(d_model=WIDTH, k_max=K_MAX, snr_range_db=RANGE_DB))


@pytest.fixture
def decoder() -> JSCDecoder:
    torch.manual_seed(2)
    return filmed(JSCDecoder(d_model=WIDTH, k_max=K_MAX, snr_range_db=RANGE_DB))


def features(items: int = 3, tokens: int = 5) -> torch.Tensor:
    return torch.randn((items, tokens, WIDTH), generator=torch.Generator().manual_seed(3))


def test_each_item_has_unit_mean_energy_over_the_symbols_it_sends(encoder: JSCEncoder) -> None:
    k = torch.tensor([6, 2, 4])
    x = encoder(features(), MASK, k=k, snr_db=torch.tensor([0.0, 18.0, -6.0]))
    assert x.shape == (3, 5, K_MAX)
    assert x.dtype == torch.complex64
    sent = MASK.sum(1) * k
    energy = x.abs().square().sum((1, 2)) / sent
    assert torch.allclose(energy, torch.ones(3), atol=1e-5)
    assert torch.equal((x != 0).sum((1, 2)), sent)


def test_a_smaller_k_sends_the_first_symbols_of_the_same_code() -> None:
    """Truncated first, normalised after: the shorter code is the longer one's beginning, at unit energy."""
    code = torch.view_as_complex(features(3, 5)[..., :12].unflatten(-1, (K_MAX, 2)).contiguous())
    long = normalise_power(code, sent_mask(torch.tensor([6, 6, 6]), MASK, K_MAX))
    short = normalise_power(code, sent_mask(torch.tensor([2, 2, 2]), MASK, K_MAX))
    assert torch.all(short[..., 2:] == 0)
    ratio = (short[..., :2] / long[..., :2])[MASK.bool()]
    assert torch.allclose(ratio.imag, torch.zeros_like(ratio.imag), atol=1e-5)
    for item in range(3):
        own = (short[item, ..., :2] / long[item, ..., :2])[MASK[item].bool()].real
        assert torch.allclose(own, own[0, 0].expand_as(own), atol=1e-5)


def test_power_of_one_item_does_not_depend_on_the_others(encoder: JSCEncoder) -> None:
    x = features()
    loud = x.clone()
    loud[1:] *= 100
    k, snr_db = torch.tensor([4, 4, 4]), torch.zeros(3)
    first = encoder(x, MASK, k=k, snr_db=snr_db)[0]
    assert torch.allclose(first, encoder(loud, MASK, k=k, snr_db=snr_db)[0], atol=1e-5)


def test_padding_does_not_change_the_symbols(encoder: JSCEncoder) -> None:
    x = features(1, 3)
    padded = torch.cat((x, 50 * torch.ones(1, 4, WIDTH)), dim=1)
    mask, padded_mask = torch.ones(1, 3), torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    k, snr_db = torch.tensor([4]), torch.tensor([5.0])
    alone = encoder(x, mask, k=k, snr_db=snr_db)
    beside = encoder(padded, padded_mask, k=k, snr_db=snr_db)
    assert torch.allclose(alone, beside[:, :3], atol=1e-6)
    assert torch.all(beside[:, 3:] == 0)


@pytest.mark.parametrize(("k", "snr_db"), [(2, 5.0), (4, 12.0)])
def test_both_halves_are_told_k_and_snr(
    encoder: JSCEncoder, decoder: JSCDecoder, k: int, snr_db: float
) -> None:
    """The code itself, not only its length, depends on what the codec is told."""

    def code(k: int, snr_db: float) -> torch.Tensor:
        x = encoder(features(1), MASK[:1], k=torch.tensor([k]), snr_db=torch.tensor([snr_db]))[..., :2]
        return x / x.abs().square().sum().sqrt()  # without the power

    def decoded(k: int, snr_db: float) -> torch.Tensor:
        symbols = torch.view_as_complex(features(1)[..., :12].unflatten(-1, (K_MAX, 2)).contiguous())
        return decoder(symbols, k=torch.tensor([k]), snr_db=torch.tensor([snr_db]))

    for half in (code, decoded):
        assert torch.allclose(half(k, snr_db), half(k, snr_db))
        assert not torch.allclose(half(k, snr_db), half(k + 2, snr_db), atol=1e-3)
        assert not torch.allclose(half(k, snr_db), half(k, snr_db + 6), atol=1e-3)


def test_snr_beyond_the_trained_range_counts_as_its_edge(encoder: JSCEncoder) -> None:
    """A deep fade reaches the codec as an SNR it never saw."""
    k = torch.tensor([4])
    edge = encoder(features(1), MASK[:1], k=k, snr_db=torch.tensor([-6.0]))
    fade = encoder(features(1), MASK[:1], k=k, snr_db=torch.tensor([-60.0]))
    assert torch.equal(edge, fade)


def test_gradients_reach_every_parameter(encoder: JSCEncoder, decoder: JSCDecoder) -> None:
    k, snr_db = torch.tensor([6, 2, 4]), torch.zeros(3)
    decoder(encoder(features(), MASK, k=k, snr_db=snr_db), k=k, snr_db=snr_db).square().sum().backward()
    for name, parameter in (*encoder.named_parameters(), *decoder.named_parameters()):
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0 or name.endswith("out.bias"), name

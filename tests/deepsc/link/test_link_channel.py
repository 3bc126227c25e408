"""Channels against theory: powers, error rates, equaliser, gradients."""

import dataclasses
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.files.errors import ToolkitError
from data.settings import Range
from deepsc.link.channel import (
    AWGN,
    CHANNELS,
    FADINGS,
    Channel,
    Rayleigh,
    Rician,
    channel_fields,
    channel_from_fields,
    complex_normal,
)

CPU = torch.device("cpu")
EVERY = [(kind, fading) for kind in CHANNELS for fading in FADINGS]
SNRS_DB = (-6.0, 0.0, 7.3, 18.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def qpsk(shape: tuple[int, ...], *, seed: int = 1) -> Tensor:
    signs = torch.randint(2, (*shape, 2), generator=seeded(seed)) * 2.0 - 1
    return torch.view_as_complex(signs * math.sqrt(0.5))


def decibel(power: float) -> float:
    return 10 * math.log10(power)


@pytest.mark.parametrize(("kind", "fading"), EVERY)
def test_measured_snr_of_each_item_is_the_nominal_one(kind: str, fading: str) -> None:
    """0.05 dB is four standard deviations of 150 000 noise samples, and of 150 000 gains."""
    channel = Channel(kind=kind, fading=fading)
    items = 75_000 * len(SNRS_DB)
    x = qpsk((items, 1, 2))
    snr_db = torch.tensor(SNRS_DB).repeat(items // len(SNRS_DB))
    generator = seeded()
    gain = channel.draw_gain((items, 1, 2), generator=generator, device=CPU)
    assert decibel(gain.abs().square().mean().item()) == pytest.approx(0, abs=0.05)
    signal = gain * x
    noise = channel.receive(x, gain, snr_db, generator=generator) - signal
    for column, nominal_db in enumerate(SNRS_DB):
        mine = slice(column, None, len(SNRS_DB))
        known = (signal[mine].abs().square().mean() / gain[mine].abs().square().mean()).item()
        measured_db = decibel(known / noise[mine].abs().square().mean().item())
        assert measured_db == pytest.approx(nominal_db, abs=0.05)
        # Half of N_0 in each real dimension, and the dimensions independent.
        real, imag = noise[mine].real, noise[mine].imag
        assert decibel((real.square().mean() / imag.square().mean()).item()) == pytest.approx(0, abs=0.05)
        assert (real * imag).mean().abs() < 0.01 * real.square().mean()


def q_function(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2))


def rician_qpsk_bit_error(snr: float, factor: float) -> float:
    """Craig's form: (1/pi) int_0^(pi/2) E[exp(-snr |h|^2 / (2 sin^2 t))] dt, E by the Rician transform."""
    angle = (np.arange(4000) + 0.5) / 4000 * math.pi / 2
    s = snr / (2 * np.sin(angle) ** 2)
    transform = (1 + factor) / (1 + factor + s) * np.exp(-factor * s / (1 + factor + s))
    return float(transform.mean() / 2)


def rayleigh_qpsk_symbol_error(snr: float) -> float:
    """The closed form of M-ary phase shift keying over Rayleigh fading (Simon and Alouini), M = 4."""
    mu = math.sqrt(snr / 2 / (1 + snr / 2))
    return 0.75 * (1 - mu * 4 / (3 * math.pi) * (math.pi / 2 + math.atan(mu)))


def assert_rate(errors: Tensor, theory: float) -> None:
    """Within four binomial standard deviations."""
    count = errors.numel()
    assert theory * count > 200, "too few errors expected to test anything"
    assert errors.double().mean().item() == pytest.approx(
        theory, abs=4 * math.sqrt(theory * (1 - theory) / count)
    )


def through(channel: Channel, x: Tensor, snr_db: float, *, seed: int = 0) -> Tensor:
    """What the receiver decides on."""
    generator = seeded(seed)
    gain = channel.draw_gain((x.shape[0], x.shape[1], x.shape[2]), generator=generator, device=CPU)
    snr = torch.full((x.shape[0],), snr_db)
    return channel.equalise(channel.receive(x, gain, snr, generator=generator), gain, snr)


@pytest.mark.parametrize("snr_db", [-3.0, 4.0, 9.0])
def test_awgn_error_rates(snr_db: float) -> None:
    snr = 10 ** (snr_db / 10)
    x = qpsk((400, 10, 100))
    y = through(Channel(), x, snr_db)
    bit = q_function(math.sqrt(snr))
    assert_rate(torch.view_as_real(x).sign() != torch.view_as_real(y).sign(), bit)
    assert_rate((x.real.sign() != y.real.sign()) | (x.imag.sign() != y.imag.sign()), 2 * bit - bit**2)
    if snr_db < 9:
        bpsk = x.real.sign().to(torch.complex64)
        y = through(Channel(), bpsk, snr_db)
        assert_rate(y.real.sign() != bpsk.real, q_function(math.sqrt(2 * snr)))


@pytest.mark.parametrize("fading", FADINGS)
@pytest.mark.parametrize("snr_db", [0.0, 10.0, 18.0])
def test_fading_error_rates(fading: str, snr_db: float) -> None:
    """One symbol an item, so that the errors of block fading are independent too."""
    snr = 10 ** (snr_db / 10)
    x = qpsk((300_000, 1, 1))
    y = through(Channel(kind="rayleigh", fading=fading), x, snr_db)
    assert_rate(x.real.sign() != y.real.sign(), 0.5 * (1 - math.sqrt(snr / (2 + snr))))
    assert_rate(
        (x.real.sign() != y.real.sign()) | (x.imag.sign() != y.imag.sign()), rayleigh_qpsk_symbol_error(snr)
    )
    assert rician_qpsk_bit_error(snr, 0.0) == pytest.approx(0.5 * (1 - math.sqrt(snr / (2 + snr))), rel=1e-4)
    for factor in (1.0, 4.0) if snr_db < 18 else (1.0,):
        y = through(Channel(kind="rician", fading=fading, rician_factor=factor), x, snr_db)
        assert_rate(x.real.sign() != y.real.sign(), rician_qpsk_bit_error(snr, factor))


@pytest.mark.parametrize(("kind", "fading"), EVERY)
def test_block_fading_has_one_gain_an_item_and_symbol_fading_one_a_symbol(kind: str, fading: str) -> None:
    x = qpsk((6, 5, 4))
    gain = Channel(kind=kind, fading=fading).draw_gain((6, 5, 4), generator=seeded(), device=CPU)
    y = Channel(kind=kind, fading=fading).receive(x, gain, torch.full((6,), 200.0), generator=seeded())
    seen = (y / x).flatten(1)  # without noise, h
    expected = 1 if kind == "awgn" else 6 if fading == "block" else 120
    assert len(torch.unique(torch.view_as_real(seen).mul(1e4).round().flatten(0, 1), dim=0)) == expected
    if fading == "block":
        assert torch.allclose(seen, seen[:, :1].expand_as(seen), atol=1e-6)


def test_rician_gain_is_a_line_of_sight_and_scatter() -> None:
    gain = Channel(kind="rician", rician_factor=3.0).draw_gain(
        (200_000, 1, 1), generator=seeded(), device=CPU
    )
    assert gain.mean().item() == pytest.approx(math.sqrt(3 / 4), abs=0.01)
    assert (gain - gain.mean()).abs().square().mean().item() == pytest.approx(1 / 4, abs=0.005)


def test_equaliser_is_the_linear_minimum_of_the_mean_square_error() -> None:
    channel = Channel(kind="rayleigh", fading="symbol")
    gain = channel.draw_gain((3, 4, 5), generator=seeded(), device=CPU)
    snr_db = torch.tensor([-6.0, 3.0, 15.0])
    noise = (10 ** (-snr_db / 10)).view(-1, 1, 1)

    def error(weight: Tensor) -> Tensor:
        """E|w y - x|^2 for unit energy x."""
        return (weight * gain - 1).abs().square() + weight.abs().square() * noise

    weight = channel.equalise(torch.ones(3, 4, 5, dtype=torch.complex64), gain, snr_db)
    assert torch.allclose(error(weight), 1 / (1 + gain.abs().square() / noise), atol=1e-5)
    for step in (0.05, -0.05, 0.05j, -0.05j):
        assert (error(weight + step) > error(weight)).all()
    assert torch.equal(Channel(csi="none").equalise(gain, gain, snr_db), gain)


def test_block_fading_with_csi_reaches_the_receiver_as_awgn_at_its_own_snr() -> None:
    """The check of a Rayleigh map against the AWGN map rests on this."""
    channel, x = Channel(kind="rayleigh"), qpsk((8, 3, 4))
    gain = channel.draw_gain((8, 3, 4), generator=seeded(), device=CPU)
    snr_db = torch.linspace(-6, 18, 8)
    y = channel.receive(x, gain, snr_db, generator=seeded(2))
    own_db = channel.known_snr_db(gain, snr_db)
    assert torch.allclose(own_db, snr_db + 10 * torch.log10(gain.abs().square().flatten()), atol=1e-4)
    one = torch.ones_like(gain)
    assert torch.allclose(
        channel.equalise(y, gain, snr_db), Channel().equalise(y / gain, one, own_db), atol=1e-4, rtol=1e-4
    )


def test_snr_is_nominal_where_nobody_knows_the_gain() -> None:
    snr_db = torch.tensor([3.0, 4.0])
    for channel in (
        Channel(kind="rayleigh", csi="none"),
        Channel(kind="rayleigh", fading="symbol"),
        Channel(),
    ):
        gain = channel.draw_gain((2, 3, 4), generator=seeded(), device=CPU)
        assert torch.equal(channel.known_snr_db(gain, snr_db), snr_db)
    deep = torch.zeros(2, 1, 1, dtype=torch.complex64)
    assert Channel(kind="rayleigh").known_snr_db(deep, snr_db).isfinite().all()


@pytest.mark.parametrize(("kind", "fading"), EVERY)
def test_gradients_reach_the_symbols(kind: str, fading: str) -> None:
    x = qpsk((2, 2, 3)).to(torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda symbols: through(Channel(kind=kind, fading=fading), symbols, 5.0), x
    )


@pytest.mark.parametrize(("kind", "fading"), EVERY)
def test_a_seed_decides_everything(kind: str, fading: str) -> None:
    send = partial(through, Channel(kind=kind, fading=fading), qpsk((2, 3, 4)), 5.0)
    assert torch.equal(send(seed=3), send(seed=3))
    assert not torch.equal(send(seed=3), send(seed=4))


@pytest.mark.parametrize(("kind", "fading"), EVERY)
def test_a_batch_of_snrs_equals_its_items_alone(kind: str, fading: str) -> None:
    channel, x = Channel(kind=kind, fading=fading), qpsk((4, 3, 5))
    generator = seeded(7)
    gain = channel.draw_gain((4, 3, 5), generator=generator, device=CPU)
    state = generator.get_state()
    together = channel.receive(x, gain, torch.tensor(SNRS_DB), generator=generator)
    for item, snr_db in enumerate(SNRS_DB):
        alone = channel.receive(x, gain, torch.full((4,), snr_db), generator=generator.set_state(state))
        assert torch.equal(together[item], alone[item])
        at_once = channel.equalise(together, gain, torch.tensor(SNRS_DB))[item : item + 1]
        mine = gain[item : item + 1]
        assert torch.allclose(at_once, channel.equalise(alone[item : item + 1], mine, torch.tensor([snr_db])))


def test_complex_normal_has_unit_power() -> None:
    values = complex_normal((200_000,), generator=seeded(), device=CPU)
    assert values.dtype == torch.complex64
    assert values.abs().square().mean().item() == pytest.approx(1, abs=0.01)
    assert values.square().mean().abs() < 0.01  # circular
    assert values.mean().abs() < 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "nakagami"}, "kind: 'nakagami' given, allowed: awgn, rayleigh, rician"),
        ({"fading": "fast"}, "fading: 'fast' given"),
        ({"csi": "partial"}, "csi: 'partial' given"),
        *(({"rician_factor": factor}, "rician_factor") for factor in (-1.0, math.nan, math.inf)),
    ],
)
def test_wrong_channels_name_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        Channel(**change)


@pytest.mark.parametrize("snr_db", [math.nan, math.inf, -math.inf])
def test_an_snr_that_is_not_a_number_is_refused(snr_db: float) -> None:
    x, one = qpsk((2, 3, 4)), torch.ones(2, 1, 1, dtype=torch.complex64)
    snr = torch.tensor([0.0, snr_db])
    send: Callable[[], Tensor] = lambda: Channel().receive(x, one, snr, generator=seeded())  # noqa: E731
    with pytest.raises(ToolkitError, match=f"SNR: {snr_db} dB given"):
        send()


def test_a_name_makes_the_channel_of_its_class() -> None:
    for cls, kind in ((AWGN, "awgn"), (Rayleigh, "rayleigh"), (Rician, "rician")):
        assert Channel(kind=kind, csi="none") == cls(csi="none")
        assert type(pickle.loads(pickle.dumps(cls()))) is cls
    with pytest.raises(ToolkitError, match="kind: 'awgn' given, Rician is 'rician'"):
        dataclasses.replace(Rician(), kind="awgn")


def test_a_channel_of_ones_own_is_known_by_its_name_and_takes_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deepsc.link.channel._channels", {"awgn": AWGN})

    @dataclass(frozen=True, kw_only=True)
    class Fog(Channel):
        kind: str = "fog"
        density: Annotated[float, Range(0)] = 1.0

    fog = Channel(kind="fog", fading="symbol")
    assert fog == Fog(fading="symbol")
    fields = channel_fields(Fog(density=2.0))
    assert fields["density"] == 2.0
    assert channel_from_fields({**fields, "epochs": 3}) == (Fog(density=2.0), {"epochs": 3})
    for kind in ("awgn", "none"):
        with pytest.raises(ToolkitError, match=f"kind '{kind}' given, which is another channel's"):
            type("Clear", (Channel,), {"kind": kind})

"""The digital baseline: source codes, channel codes, what arrives, versions of an image."""

import builtins
import functools
import gc
import itertools
import json
import math
import struct
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ncx2
from support.needed import need

from data.files.errors import ToolkitError
from data.images.load import load_images
from data.images.sets import ImageSplit
from data.text.tokenizer import JointBPE
from deepsc.checkpoint import from_pretrained
from deepsc.digital import Digital, TextSource, channel_code, code_names, image_versions
from deepsc.digital.bits import shortest, value
from deepsc.digital.block_codes import Capacity, Finite
from deepsc.digital.images import SCALES, WEBP_QUALITIES, _webp
from deepsc.digital.ppmd import MEMORY, ORDER, PPMd
from deepsc.digital.source import BYTE_END, Bigram, Deflate, Huffman, SourceCode
from deepsc.image.evaluate import ImageEvaluator
from deepsc.image.model import ImageCodec
from deepsc.image.separate import separate_images
from deepsc.link.channel import Channel

SENTENCES = ["a man is reading a book .", "two dogs run in the park .", "the woman sees a red car ."]
TOKENIZER = JointBPE.train(SENTENCES, vocab_size=300)
TOKENS = [TOKENIZER.encode([sentence])[0] for sentence in SENTENCES]
SIZE, END = TOKENIZER.vocab_size, TOKENIZER.eos_id
BYTES = [[*sentence.encode(), BYTE_END] for sentence in SENTENCES]
CODES: dict[str, SourceCode] = {
    "bigram": Bigram(TOKENS * 20, size=SIZE, end=END),
    "tokens": Huffman(TOKENS * 20, size=SIZE, end=END, of_tokens=True),
    "bytes": Huffman(BYTES * 20, size=257, end=BYTE_END, of_tokens=False),
    "deflate": Deflate(),
}


def one_item(**changes: Any) -> Digital:
    """20 tokens, versions of 100 and 300 bits that are answered wrong and right."""
    fields: dict[str, Any] = {
        "bits": np.array([[100, 300]]), "distortion": np.array([[4.0, 2.0]]),
        "outcome": lambda items, versions: np.array([[[1, 10], [7, 10]]])[items, versions],
        "nothing": np.array([[0, 10]]), "tokens": np.array([20]), "channel": Channel(),
    }  # fmt: skip
    return Digital(**fields | changes)


def test_a_channel_whose_gains_nobody_knows_is_refused() -> None:
    with pytest.raises(ToolkitError, match="csi 'none' given, separate coding"):
        one_item(channel=Channel(kind="rayleigh", csi="none"))
    one_item(channel=Channel(csi="none"))


def many_items(items: int, **changes: Any) -> Digital:
    """Items of 20 tokens and 100 bits, answered right if they arrive."""
    fields: dict[str, Any] = {
        "bits": np.full((items, 1), 100), "distortion": None,
        "outcome": lambda arrived, _: np.ones((len(arrived), 1), dtype=np.int64),
        "nothing": np.zeros((items, 1), dtype=np.int64), "tokens": np.full(items, 20),
    }  # fmt: skip
    return one_item(**fields | changes)


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(0, 10**9))
def test_the_shortest_number_lies_in_the_interval_and_no_shorter_one_does(
    low: int, width: int, rest: int
) -> None:
    scale = low + width + rest
    bits = shortest(low, low + width, scale)
    for padded in (bits, bits + "000"):
        numerator, denominator = value(padded)
        assert low * denominator <= numerator * scale < (low + width) * denominator
    assert len(bits) <= math.log2(scale / width) + 1
    if bits:
        n = len(bits) - 1
        assert -(-(low << n) // scale) * scale >= (low + width) << n


def test_huffman_code_is_complete_and_near_the_entropy() -> None:
    code = Huffman(BYTES * 200, size=257, end=BYTE_END, of_tokens=False)
    lengths = np.array([len(code.words[symbol]) for symbol in range(257)])
    assert np.sum(2.0**-lengths) == pytest.approx(1), "Kraft's inequality with equality"
    counts = np.ones(257)
    for sentence in BYTES * 200:
        counts += np.bincount(sentence, minlength=257)
    share = counts / counts.sum()
    entropy = -(share * np.log2(share)).sum()
    assert entropy <= (share * lengths).sum() < entropy + 1


@pytest.mark.parametrize("name", list(CODES))
@given(data=st.data())
def test_every_source_code_gives_back_what_it_was_given(name: str, data: st.DataObject) -> None:
    code = CODES[name]
    end, size = (END, SIZE) if code.of_tokens else (BYTE_END, 256)
    symbols = st.integers(0, size - 1).filter(lambda symbol: symbol != end)
    sentence = [*data.draw(st.lists(symbols, max_size=40)), end]
    bits = code.encode(sentence)
    assert bits is not None
    assert code.decode(bits) == sentence
    assert code.decode(bits + "0" * data.draw(st.integers(0, 20))) == sentence, "zeros fill the block"


def test_the_arithmetic_code_is_as_long_as_its_models_information() -> None:
    code = Bigram(TOKENS * 20, size=SIZE, end=END)
    for sentence in [*TOKENS, TOKENS[0][:-1] + TOKENS[1]]:
        information = 0.0
        for before, symbol in itertools.pairwise([END, *sentence]):
            bounds = code._bounds(before)
            information -= math.log2((bounds[symbol + 1] - bounds[symbol]) / bounds[-1])
        # Less than one bit saved, as zeros behind the last one are not sent; less than one lost.
        assert information - 1 < len(code.encode(sentence)) < information + 1
    assert len(code.encode(TOKENS[0])) < len(CODES["tokens"].encode(TOKENS[0]) or "")


def test_ppmd_gives_back_what_it_was_given_and_is_short_for_what_it_has_seen() -> None:
    need("pyppmd", extra="digital")
    code = PPMd(SENTENCES * 20)
    for sentence in [*SENTENCES, "two men run .", "", "Größe 速い", "\x00\xff", "z" * 300]:
        symbols = [*sentence.encode(), BYTE_END]
        bits = code.encode(symbols)
        assert bits is not None
        assert code.decode(bits) == symbols
        assert code.decode(bits + "000000000") == symbols
    assert len(code.encode(BYTES[0]) or "") < 20
    assert code.encode([*b"two\nlines", BYTE_END]) is None


def test_ppmd_codes_are_those_of_an_encoder_of_their_own_and_its_process_ends() -> None:
    pyppmd = need("pyppmd", extra="digital")
    code = PPMd(SENTENCES)
    for sentence in (*SENTENCES, "two men"):
        encoder = pyppmd.Ppmd7Encoder(ORDER, MEMORY)
        data = sentence.encode()
        written = encoder.encode("".join(one + "\n" for one in SENTENCES).encode()) + encoder.encode(data)
        assert code._written(data) == written + encoder.flush()
    process, _ = code._copies
    del code
    gc.collect()
    assert process.wait(timeout=60) == 0


@settings(max_examples=20)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_sentence_comes_back_as_the_tokens_that_the_local_model_reads(sentence: str) -> None:
    source = text_source()
    name, bits = source.encode(sentence)
    assert name in code_names()
    assert source.decode(bits + "000") == TOKENIZER.encode([sentence])[0]


@functools.cache
def text_source() -> TextSource:
    return TextSource(SENTENCES * 20, TOKENIZER, vocab_size=SIZE, max_length=1000)


def test_a_sentence_costs_the_shortest_of_its_codes_and_the_bits_that_tell_which() -> None:
    source = text_source()
    names = [code.name for code in source.codes]
    assert tuple(names) == code_names()
    long = "ab" * 500
    sizes, shares = source.sizes([SENTENCES[0], long])
    for sentence, size in zip([SENTENCES[0], long], sizes, strict=True):
        words = source.words(sentence)
        tells = {name: min(number + 1, len(names) - 1) for number, name in enumerate(names)}
        assert size == min(tells[name] + len(bits) for name, bits in words.items())
    assert sum(shares.values()) == pytest.approx(1)
    words = source.words(long)
    assert len(words["deflate"]) < len(words["byte Huffman"]), "zlib sees the repetition"
    raw = zlib.compress(long.encode(), 9)[2:-4]
    assert len(words["deflate"]) == 8 * len(raw), "no zlib header nor checksum is sent"


def test_without_pyppmd_one_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert PPMd.name not in [code.name for code in text_source.__wrapped__().codes]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "pip install 'deepsc-toolkit[digital]'" in line


def test_without_sionna_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sionna"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ToolkitError, match=r"^code: 'ldpc' given.*deepsc-toolkit\[digital\]"):
        channel_code("ldpc")
    with pytest.raises(ToolkitError, match=r"^code: 'turbo' given, allowed: capacity, finite, ldpc"):
        channel_code("turbo")


@pytest.mark.parametrize(("k", "bits"), [(1, 100), (2, 100), (5, 300)])
def test_bits_are_delivered_from_the_snr_at_which_they_fit_the_capacity(k: int, bits: int) -> None:
    threshold_db = 10 * math.log10(2 ** (bits / (20 * k)) - 1)
    below, _ = one_item().measure(k=k, snr_db=threshold_db - 0.01, seed=0)
    above, _ = one_item().measure(k=k, snr_db=threshold_db + 0.01, seed=0)
    expected = {100: ([0, 10], [1, 10]), 300: ([1, 10], [7, 10])}[bits]
    assert (below[0].tolist(), above[0].tolist()) == expected


def test_fading_delivers_as_often_as_the_gain_allows() -> None:
    items = 20_000
    counts, _ = many_items(items, channel=Channel(kind="rayleigh")).measure(k=2, snr_db=10.0, seed=0)
    outage = 1 - math.exp(-(2 ** (100 / 40) - 1) / 10)
    assert 1 - counts.mean() == pytest.approx(outage, abs=4 * math.sqrt(outage * (1 - outage) / items))


@pytest.mark.parametrize("code", [Capacity(), Finite()])
def test_a_gain_for_each_symbol_averages_where_one_for_all_fails(code: Capacity | Finite) -> None:
    """100 bits in 60 uses at 10 dB: the ergodic capacity of Rayleigh fading, 2.9 bits a use, has room."""
    each = many_items(500, channel=Channel(kind="rayleigh", fading="symbol"), code=code)
    block = many_items(500, channel=Channel(kind="rayleigh"), code=code)
    assert each.measure(k=3, snr_db=10.0, seed=0)[0].mean() > 0.99
    assert block.measure(k=3, snr_db=10.0, seed=0)[0].mean() < 0.85


@pytest.mark.parametrize("uses", [100, 200])
@pytest.mark.parametrize("error_rate", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("snr", [0.3, 1.0])
def test_the_normal_approximation_lies_just_below_the_converse(
    snr: float, error_rate: float, uses: int
) -> None:
    """Polyanskiy, Poor and Verdu (2010), theorem 41: no code of n real uses has more than -log2 beta bits.

    By noncentral chi-square distributions: with y = x + z the information density is at least its
    epsilon-quantile where |z - x / snr|^2 is at most s, and beta is the chance of that if y is noise alone,
    of variance 1 + snr. Their figures show the approximation closely below it.
    """
    real = 2 * uses
    s = ncx2.ppf(1 - error_rate, real, real / snr)
    most = -math.log2(ncx2.cdf(s / (1 + snr), real, real * (1 + snr) / snr))
    bits = np.arange(1, 4 * uses)[None]
    rates = Finite().error_rate(bits, np.array([uses]), np.array([[snr]]))[0]
    bits_at_rate = float(np.interp(error_rate, rates, bits[0]))
    assert 0 < most - bits_at_rate < 6


def test_the_normal_approximation_is_that_of_the_spectre_toolbox() -> None:
    """normapx_awgn.m of github.com/yp-mit/spectre: C N + K sqrt(N) + log2(N) / 2, in its own terms."""
    uses, error_rate, quantile = 100, 1e-3, -3.090232306167813  # norminv(1e-3)
    for power in (0.5, 1.0, 10.0):
        dispersion = math.sqrt(power / 2) * math.sqrt(power + 2) / (power + 1) * math.log2(math.e)
        real = 2 * uses
        bits = real * math.log2(1 + power) / 2 + dispersion * quantile * math.sqrt(real) + math.log2(real) / 2
        rate = Finite().error_rate(np.array([[bits]]), np.array([uses]), np.array([[power]]))
        assert rate.item() == pytest.approx(error_rate, rel=1e-6)


def test_block_errors_of_the_normal_approximation_are_drawn() -> None:
    items, snr = 20_000, 10 ** (6.5 / 10)
    finite = many_items(items, code=Finite())
    counts, figures = finite.measure(k=2, snr_db=6.5, seed=0)
    rate = Finite().error_rate(np.array([[100]]), np.array([40]), np.array([[snr]])).item()
    assert 0.05 < rate < 0.5
    assert 1 - counts.mean() == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / items))
    assert figures == {"bits an item": 100}
    again, _ = finite.measure(k=2, snr_db=6.5, seed=0)
    assert np.array_equal(counts, again)
    capacity_db = 10 * math.log10(2 ** (100 / 40) - 1)
    assert many_items(items).measure(k=2, snr_db=capacity_db + 0.01, seed=0)[0].all()
    assert finite.measure(k=2, snr_db=capacity_db + 0.01, seed=0)[0].mean() < 0.7


@pytest.mark.parametrize("code", ["capacity", "finite", "ldpc"])
def test_a_closer_version_is_sent_only_if_it_can_be_trusted(code: str) -> None:
    if code == "ldpc":
        need("sionna.phy", extra="digital")
    digital = one_item(code=channel_code(code))
    small, large = (digital.measure(k=4, snr_db=snr_db, seed=0)[0][0].tolist() for snr_db in (8.0, 20.0))
    assert (small, large) == ([1, 10], [7, 10])


@pytest.mark.parametrize(
    ("mcs", "order", "rate", "block", "snr_db"),
    [
        ("6", 2, 449 / 1024, "24", 5 / 14),
        ("6", 2, 449 / 1024, "100", 5 / 14),
        ("12", 4, 434 / 1024, "100", 80 / 14),
    ],
)
def test_ldpc_fails_as_often_as_in_sionnas_own_tables(
    mcs: str, order: int, rate: float, block: str, snr_db: float
) -> None:
    """sionna/sys/bler_tables/PDSCH_table1.json; four standard deviations of 400 blocks and of the table's."""
    need("sionna.phy", extra="digital")
    from deepsc.digital.ldpc import _send

    table = json.loads((resources.files("sionna.sys") / "bler_tables/PDSCH_table1.json").read_text())
    row = table["category"]["1"]["index"]["1"]["MCS"][mcs]
    column = int(np.argmin(np.abs(np.array(row["SNR_db"]) - snr_db)))
    assert row["SNR_db"][column] == pytest.approx(snr_db)
    expected = row["CBS"][block]["BLER"][column]
    uses = math.ceil(int(block) / rate / order)
    noise = torch.full((400, 1), 10 ** (-snr_db / 10))
    arrived = _send(int(block), uses, order, noise, generator=torch.Generator().manual_seed(0))
    assert 1 - arrived.mean() == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 300))


def test_ldpc_lies_near_the_normal_approximation_and_the_snr_chooses_the_modulation() -> None:
    need("sionna.phy", extra="digital")
    from deepsc.digital.ldpc import modulation

    ldpc = channel_code("ldpc")
    bits, uses = np.full(200, 80), np.full(200, 64)
    generator = torch.Generator().manual_seed(0)

    def share(snr_db: float) -> float:
        snr = np.full((200, 1), 10 ** (snr_db / 10))
        return float(ldpc.arrives(bits, uses, snr, generator=generator).mean())

    threshold_db = next(
        snr_db / 10
        for snr_db in range(-50, 200)
        if Finite().error_rate(bits[:1, None], uses[:1], np.array([[10 ** (snr_db / 100)]])).item() < 1e-2
    )
    assert share(threshold_db - 1) < 0.9
    assert share(threshold_db + 2) > 0.97
    orders = [
        modulation(bits[:1], uses[:1], np.array([[10 ** (snr_db / 10)]])).item() for snr_db in (0, 8, 25)
    ]
    assert orders == sorted(orders)
    assert orders[0] == 2 < orders[-1]
    assert modulation(np.array([600]), np.array([64]), np.array([[1e6]])).item() == 0, "no room"
    assert not ldpc.arrives(np.array([600]), np.array([64]), np.array([[1e6]]), generator=generator).any()


def test_ldpc_sends_short_long_repeated_and_faded_blocks() -> None:
    """Fewer bits than a code block has, more than one holds, and less than the lowest rate."""
    need("sionna.phy", extra="digital")
    ldpc = channel_code("ldpc")
    generator = torch.Generator().manual_seed(0)
    bits, uses = np.array([1, 40, 9000, 40]), np.array([40, 2000, 6000, 60])
    snr = np.full((4, 6000), 10.0)
    snr[3] = np.random.default_rng(0).exponential(10.0, 6000)
    assert ldpc.arrives(bits, uses, snr, generator=generator).all()
    weak = np.array([[10 ** (-12 / 10)]])
    assert ldpc.arrives(np.array([40]), np.array([2000]), weak, generator=generator).all(), "1/100 bits a use"


def test_the_closest_of_the_versions_that_fit_is_sent_however_large() -> None:
    assert one_item().measure(k=4, snr_db=18.0, seed=0)[0].tolist() == [[7, 10]]
    closer_but_smaller = one_item(distortion=np.array([[1.0, 2.0]]))
    counts, figures = closer_but_smaller.measure(k=4, snr_db=18.0, seed=0)
    assert (counts.tolist(), figures["bits an item"]) == ([[1, 10]], 100.0)


def test_the_local_model_looks_at_what_arrives_alone_and_once(image_folders: dict[str, Path]) -> None:
    local = from_pretrained(image_folders["local"])
    split = load_images(**local.document["corpus"]).test.head(6)
    looked: list[int] = []

    class Counting(ImageEvaluator):
        def measure(self, **where: Any) -> Any:
            looked.append(len(self._split))
            return super().measure(**where)

    assert isinstance(local.codec, ImageCodec)
    evaluator = Counting(local.codec, split, channel=None)
    digital = separate_images(local, split, evaluator, channel=Channel(), code="capacity")
    classes = looked.pop()  # a grey image of each class: what the receiver has where nothing arrives
    assert (classes, looked) == (len(local.document["class_names"]), [])
    nothing = digital.measure(k=1, snr_db=-40.0, seed=0)[0]
    assert (looked, nothing[:, 1].tolist()) == ([], [1] * 6)
    everything, figures = digital.measure(k=64, snr_db=60.0, seed=0)
    assert sum(looked) == 6
    assert (digital.measure(k=64, snr_db=60.0, seed=0)[0] == everything).all()
    assert sum(looked) == 6
    versions = image_versions(split)
    assert figures["bits an item"] == versions.bits[:, -1].mean()
    finest = [versions.image(number, -1) for number in range(6)]
    split = ImageSplit(images=finest, labels=split.labels)
    assert (everything == evaluator.on(split).measure(k=0, snr_db=0.0, seed=0)[0]).all()


def test_finer_versions_of_an_image_cost_more_and_are_closer() -> None:
    split = load_images(dataset="easy-vqa").test.head(4)
    versions = image_versions(split)
    bits = versions.bits
    assert bits.shape == versions.distortion.shape == (4, len(SCALES) * len(WEBP_QUALITIES))
    for image, original in enumerate(split.images):
        received = [versions.image(image, version).astype(float) for version in range(bits.shape[1])]
        assert all(pixels.shape == original.shape for pixels in received)
        errors = [np.square(pixels - original).mean() for pixels in received]
        assert errors[bits[image].argmax()] < errors[bits[image].argmin()]
        assert bits[image].max() < 8 * original.size
        assert versions.distortion[image] == pytest.approx(errors)


def test_a_webp_file_is_made_again_from_the_bytes_that_are_counted() -> None:
    """What is not counted is the same for all images of a size; two bits say which of three sizes it is."""
    split = load_images(dataset="easy-vqa").test.head(20)
    bits = image_versions(split).bits
    for version, (scale, quality) in enumerate(itertools.product(SCALES, WEBP_QUALITIES)):
        side = round(64 * scale)
        for image, pixels in enumerate(split.images):
            data = _webp(pixels, scale=scale, quality=quality)
            sent = data[20:23] + data[30:]
            assert bits[image, version] == 2 + 8 * len(sent)
            frame = sent[:3] + b"\x9d\x01\x2a" + struct.pack("<HH", side, side) + sent[3:]
            chunk = b"VP8 " + struct.pack("<I", len(frame)) + frame
            assert b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk == data

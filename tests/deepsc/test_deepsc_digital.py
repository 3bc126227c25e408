"""The digital baseline: code lengths, the capacity's cliff, versions of an image."""

import itertools
import math
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from data.images import load_images
from deepsc.channels import Channel
from deepsc.digital import (
    SCALES,
    WEBP_QUALITIES,
    Digital,
    _webp,
    huffman_lengths,
    image_versions,
    text_bits,
)

SENTENCES = ["a man is reading a book .", "two dogs run in the park .", "the woman sees a red car ."]


def one_item(**changes: Any) -> Digital:
    """20 tokens, versions of 100 and 300 bits that are answered wrong and right."""
    fields: dict[str, Any] = {
        "bits": np.array([[100, 300]]), "counts": np.array([[[1, 10], [7, 10]]]),
        "nothing": np.array([[0, 10]]), "tokens": np.array([20]), "channel": Channel(),
    }  # fmt: skip
    return Digital(**fields | changes)


def test_huffman_code_is_complete_and_near_the_entropy() -> None:
    lengths = huffman_lengths(SENTENCES * 200)
    assert np.sum(2.0**-lengths) == pytest.approx(1), "Kraft's inequality with equality"
    counts = np.ones(256)
    for sentence in SENTENCES * 200:
        counts += np.bincount(list(sentence.encode()), minlength=256)
    share = counts / counts.sum()
    entropy = -(share * np.log2(share)).sum()
    assert entropy <= (share * lengths).sum() < entropy + 1


def test_a_sentence_costs_the_shorter_of_both_codes() -> None:
    lengths = huffman_lengths(SENTENCES)
    long = "ab" * 500
    bits = text_bits([SENTENCES[0], long], lengths)
    assert bits[0] == 1 + lengths[list(SENTENCES[0].encode())].sum()
    assert bits[1] < lengths[list(long.encode())].sum(), "zlib sees the repetition"
    raw = zlib.compress(long.encode(), 9)[2:-4]
    assert bits[1] == 1 + 8 * len(raw), "no zlib header nor checksum is sent"


@pytest.mark.parametrize(("k", "bits"), [(1, 100), (2, 100), (5, 300)])
def test_bits_are_delivered_from_the_snr_at_which_they_fit_the_capacity(k: int, bits: int) -> None:
    threshold_db = 10 * math.log10(2 ** (bits / (20 * k)) - 1)
    below, _ = one_item().measure(k=k, snr_db=threshold_db - 0.01, seed=0)
    above, _ = one_item().measure(k=k, snr_db=threshold_db + 0.01, seed=0)
    expected = {100: ([0, 10], [1, 10]), 300: ([1, 10], [7, 10])}[bits]
    assert (below[0].tolist(), above[0].tolist()) == expected


def test_fading_delivers_as_often_as_the_gain_allows() -> None:
    items = 20_000
    many = one_item(
        bits=np.full((items, 1), 100), counts=np.ones((items, 1, 1), dtype=np.int64),
        nothing=np.zeros((items, 1), dtype=np.int64), tokens=np.full(items, 20),
        channel=Channel(kind="rayleigh"),
    )  # fmt: skip
    counts, _ = many.measure(k=2, snr_db=10.0, seed=0)
    outage = 1 - math.exp(-(2 ** (100 / 40) - 1) / 10)
    assert 1 - counts.mean() == pytest.approx(outage, abs=4 * math.sqrt(outage * (1 - outage) / items))


def test_finer_versions_of_an_image_cost_more_and_are_closer() -> None:
    split = load_images(dataset="easy-vqa").test.head(4)
    bits, versions = image_versions(split)
    assert bits.shape == (4, len(versions))
    assert all(version.images[0].shape == split.images[0].shape for version in versions)
    for image, original in enumerate(split.images):
        errors = [np.abs(v.images[image].astype(int) - original.astype(int)).mean() for v in versions]
        assert errors[bits[image].argmax()] < errors[bits[image].argmin()]
        assert bits[image].max() < 8 * original.size


def test_a_webp_file_is_made_again_from_the_bytes_that_are_counted() -> None:
    """What is not counted is the same for all images of a size, but for one bit: whole or half."""
    split = load_images(dataset="easy-vqa").test.head(20)
    bits, _ = image_versions(split)
    for version, (scale, quality) in enumerate(itertools.product(SCALES, WEBP_QUALITIES)):
        side = round(64 * scale)
        for image, pixels in enumerate(split.images):
            data = _webp(pixels, scale=scale, quality=quality)
            sent = data[20:23] + data[30:]
            assert bits[image, version] == 1 + 8 * len(sent)
            frame = sent[:3] + b"\x9d\x01\x2a" + struct.pack("<HH", side, side) + sent[3:]
            chunk = b"VP8 " + struct.pack("<I", len(frame)) + frame
            assert b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk == data

"""With block Rayleigh fading and perfect CSI, f_Rayleigh(s) is the mean of f_AWGN(s g), g ~ Exp(1)."""

from pathlib import Path

import numpy as np
import pytest

from data.images import load_images
from deepsc.channels import Channel
from deepsc.checkpoint import from_pretrained
from deepsc.image import ImageCodec
from deepsc.image_run import ImageEvaluator

QUANTILES = 40
SNR_DB = 3.0


@pytest.mark.parametrize("k", [1, 4])
def test_the_rayleigh_map_is_the_average_of_the_awgn_map(image_folders: dict[str, Path], k: int) -> None:
    codec = from_pretrained(image_folders["codec"]).codec
    assert isinstance(codec, ImageCodec)
    test = load_images(dataset="digits").test
    awgn, rayleigh = (
        ImageEvaluator(codec, test, channel=Channel(kind=kind)) for kind in ("awgn", "rayleigh")
    )
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    snrs_db = SNR_DB + 10 * np.log10(-np.log1p(-middles))  # of Exp(1)'s quantiles
    averaged = np.mean(
        [awgn.measure(k=k, snr_db=snr, seed=seed)[0][:, 0] for seed, snr in enumerate(snrs_db)], axis=0
    )
    faded = np.mean(
        [rayleigh.measure(k=k, snr_db=SNR_DB, seed=1000 + seed)[0][:, 0] for seed in range(QUANTILES)], axis=0
    )
    difference = faded - averaged  # (images,)
    interval = 3.5 * difference.std() / np.sqrt(len(difference))
    assert abs(difference.mean()) < interval
    assert interval < 0.02
    at_mean_snr = np.mean([awgn.measure(k=k, snr_db=SNR_DB, seed=s)[0][:, 0] for s in range(10)], axis=0)
    assert (at_mean_snr - faded).mean() > interval, "the AWGN map at the mean SNR is another map"

"""With block Rayleigh fading and perfect CSI, f_Rayleigh(s) is the mean of f_AWGN(s g), g ~ Exp(1)."""

from pathlib import Path

import numpy as np
import pytest

from accuracy_maps import load_map
from data.images.load import load_images
from deepsc.checkpoint import from_pretrained
from deepsc.image.evaluate import ImageEvaluator
from deepsc.image.model import ImageCodec
from deepsc.link.channel import Channel
from deepsc.zoo.find import FOLDER, MAPS

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


def averaged(
    grid: np.ndarray, axis_db: tuple[float, ...], mean_db: tuple[float, ...], axis: int, *, below: str
) -> np.ndarray:
    """E[f(s g)] along one SNR axis at mean SNRs s; below the grid f is its first value ("edge") or nothing
    ("zero")."""
    power = -np.log1p(-(np.arange(10_000) + 0.5) / 10_000)  # Exp(1)'s quantiles
    faded_db = np.add.outer(np.array(mean_db), 10 * np.log10(power))
    left = None if below == "edge" else 0.0
    hats = np.eye(len(axis_db))  # what each value of the grid weighs in a linear interpolation
    weights = np.stack([np.interp(faded_db, axis_db, hat, left=left).mean(axis=1) for hat in hats])
    return np.moveaxis(np.tensordot(weights, grid, (0, axis)), 0, axis)


def release_name(path: Path) -> str:
    return path.parents[1].name


@pytest.mark.parametrize("path", sorted(FOLDER.glob(f"*/{MAPS}/*-rayleigh.json")), ids=release_name)
def test_a_shipped_rayleigh_map_is_the_average_of_the_awgn_map(path: Path) -> None:
    """Within both intervals; below its first SNR, which may be lower, an AWGN map is between nothing and its
    edge."""
    rayleigh, awgn = load_map(path), load_map(path.with_name(path.name.replace("rayleigh", "awgn")))
    low = awgn.ratio
    for axis, (of_rayleigh, of_awgn) in enumerate(zip(rayleigh.axes, awgn.axes, strict=True)):
        if not awgn.axis_names[axis].startswith("snr"):
            assert set(of_rayleigh) <= set(of_awgn)
            low = np.compress(np.isin(of_awgn, of_rayleigh), low, axis=axis)
        assert of_rayleigh[0] >= of_awgn[0]
    high = low
    assert (rayleigh.model, rayleigh.local_accuracy) == (awgn.model, awgn.local_accuracy)
    axes = [number for number, name in enumerate(awgn.axis_names) if name.startswith("snr")]
    for axis in axes:  # each transmission fades by itself
        low = averaged(low, awgn.axes[axis], rayleigh.axes[axis], axis, below="zero")
        high = averaged(high, awgn.axes[axis], rayleigh.axes[axis], axis, below="edge")
    half = (rayleigh.ratio_high - rayleigh.ratio_low) / 2 + ((awgn.ratio_high - awgn.ratio_low) / 2).max()
    difference = rayleigh.ratio - high
    clear = difference  # from 6 dB on hardly a fade falls below the grid
    for axis in axes:
        clear = np.compress(np.array(rayleigh.axes[axis]) >= 6, clear, axis=axis)
    print(
        f"{path.parents[1].name}: at mean SNRs from 6 dB on, measured minus averaged is "
        f"{clear.mean():.4f} in the mean and {np.abs(clear).max():.4f} at most; everywhere "
        f"{difference.mean():.4f} and {np.abs(difference).max():.4f}"
    )
    assert np.all(rayleigh.ratio >= low - half)
    assert np.all(rayleigh.ratio <= high + half)


@pytest.mark.parametrize("path", sorted(FOLDER.glob(f"*/{MAPS}/*-awgn.json")), ids=release_name)
def test_the_shipped_maps_of_a_codec_divide_by_one_local_model(path: Path) -> None:
    awgn = load_map(path)
    for other in path.parent.glob("*.json"):
        assert load_map(other).provenance["local"] == awgn.provenance["local"], other.name

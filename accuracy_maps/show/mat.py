"""Maps for MATLAB, as the `sem_table.mat` of Yan et al. (IEEE Wireless Commun. Lett., 2022) is laid out."""

from __future__ import annotations

import os

import numpy as np
from scipy.io import savemat

from accuracy_maps.map import AccuracyMap
from data.files.atomic import atomic_path

SNR_DB = tuple(range(-10, 21))
"""Columns of their table."""


def save_mat(accuracy_map: AccuracyMap, path: str | os.PathLike[str]) -> None:
    """Write a map as `sem_table`: a row for each k = 1, 2, ..., a column for each SNR of -10:1:20 dB.

    Their optimizers index it so. Between measured points it is the envelope, interpolated; above the largest
    it is the edge. Below the smallest k or SNR nothing was measured, and the table says 0, which no threshold
    accepts. The measured grid itself is there too, as `k`, `snr_db` and `ratio`; `synthetic` is 1 where the
    data are generated.

    Args:
        accuracy_map: f(k, SNR).
        path: a name that ends in .mat.
    """
    table = np.zeros((accuracy_map.k[-1], len(SNR_DB)))
    measured = [column for column, snr in enumerate(SNR_DB) if snr >= accuracy_map.snr_db[0]]
    snr_db = np.minimum([SNR_DB[column] for column in measured], accuracy_map.snr_db[-1])
    first, last = accuracy_map.k[0], accuracy_map.k[-1]
    table[first - 1 :, measured] = accuracy_map.lookup(np.arange(first, last + 1)[:, None], snr_db)
    variables = {
        "sem_table": table,
        "k": np.array(accuracy_map.k),
        "snr_db": np.array(accuracy_map.snr_db),
        "ratio": accuracy_map.ratio,
        "synthetic": float(accuracy_map.synthetic),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        savemat(stream, variables)

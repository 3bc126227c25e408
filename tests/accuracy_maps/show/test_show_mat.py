"""Yan et al.'s sem_table, as their MATLAB code indexes it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from accuracy_maps import AccuracyMap
from accuracy_maps.show.mat import save_mat


def test_rows_are_k_from_1_and_columns_snr_from_minus_10(
    make_map: Callable[..., AccuracyMap], tmp_path: Path
) -> None:
    one = make_map()
    save_mat(one, tmp_path / "sem_table.mat")
    stored = loadmat(tmp_path / "sem_table.mat")
    table = stored["sem_table"]
    assert table.shape == (one.k[-1], 31)

    def at(k: int, snr_db: int) -> float:
        """sem_table(sym, round(snr) - min(snr_range) + 1), counted from 1."""
        return float(table[k - 1, snr_db + 10])

    for i, k in enumerate(one.k):
        for j, snr in enumerate(one.snr_db):
            assert at(k, int(snr)) == one.envelope[i, j]
    assert np.all(table[: one.k[0] - 1] == 0), "nothing was measured there"
    assert at(one.k[-1], int(one.snr_db[0]) - 1) == 0
    assert at(one.k[-1], 20) == one.envelope[-1, -1]
    between = one.k[0] + 1
    assert at(between, int(one.snr_db[-1])) == one.row(between)[-1]
    assert stored["k"].ravel().tolist() == list(one.k)
    assert stored["snr_db"].ravel().tolist() == list(one.snr_db)
    np.testing.assert_array_equal(stored["ratio"], one.ratio)
    assert stored["synthetic"].item() == 1
    save_mat(make_map(synthetic=False), tmp_path / "real.mat")
    assert loadmat(tmp_path / "real.mat")["synthetic"].item() == 0

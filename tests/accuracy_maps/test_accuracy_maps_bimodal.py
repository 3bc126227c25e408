"""The map of two transmissions: axes, diagonal, lookup, file, plot."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from accuracy_maps import AccuracyMap, BimodalMap, load_map
from accuracy_maps.show.plot import plot_bimodal
from accuracy_maps.show.table import format_map
from data.files.errors import ToolkitError

AXES: dict[str, Any] = {
    "k_text": (1, 4), "k_image": (2, 8, 16), "snr_text_db": (-6.0, 0.0, 6.0), "snr_image_db": (-6.0, 0.0, 6.0)
}  # fmt: skip
SHAPE = (2, 3, 3, 3)


def smooth() -> np.ndarray:
    """Rises along every axis, not alike along any two; up to 90."""
    i, j, s, t = np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij")
    return 10 + 12 * i + 9 * j + 7 * s + 18 * t


def make(accuracy: np.ndarray | None = None, **changes: Any) -> BimodalMap:
    accuracy = smooth() if accuracy is None else accuracy
    fields: dict[str, Any] = {
        "modality": "vqa", "task": "answer", "channel": "awgn", "metric": "accuracy % of questions",
        "model": {"name": "vqa-deit", "preset": "tiny"}, "synthetic": True, **AXES,
        "accuracy": accuracy, "accuracy_low": accuracy - 1, "accuracy_high": accuracy + 1,
        "ratio_low": (accuracy - 1) / 100, "ratio_high": (accuracy + 1) / 100,
        "local_accuracy": 100.0, "local_low": 99.0, "local_high": 100.0,
        "provenance": {"dataset": "squares"},
    }  # fmt: skip
    return BimodalMap(**fields | changes)


def test_the_diagonal_is_where_both_snrs_are_one() -> None:
    one = make()
    diagonal = one.on_diagonal(one.ratio)
    assert diagonal.shape == (2, 3, 3)
    for n in range(3):
        np.testing.assert_array_equal(diagonal[:, :, n], one.ratio[:, :, n, n])
    np.testing.assert_allclose(one.row(4, 8), one.envelope[1, 1, [0, 1, 2], [0, 1, 2]])


def test_the_diagonal_of_unlike_axes_is_what_they_share() -> None:
    accuracy = smooth()[:, :, :, :2]
    one = make(
        accuracy, snr_image_db=(0.0, 6.0), accuracy_low=accuracy, accuracy_high=accuracy,
        ratio_low=accuracy / 100, ratio_high=accuracy / 100,
    )  # fmt: skip
    assert one.snr_db == (0.0, 6.0)
    np.testing.assert_array_equal(
        one.on_diagonal(one.accuracy)[0, 0], [accuracy[0, 0, 1, 0], accuracy[0, 0, 2, 1]]
    )
    apart = make(accuracy, snr_image_db=(1.0, 7.0), accuracy_low=accuracy, accuracy_high=accuracy,
                 ratio_low=accuracy / 100, ratio_high=accuracy / 100)  # fmt: skip
    with pytest.raises(ToolkitError, match="no SNR in common"):
        apart.row(4, 8)


def test_lookup_is_the_envelope_at_grid_points_and_linear_between() -> None:
    one = make()
    assert one.lookup(4, 16, 6.0, -6.0) == pytest.approx(one.envelope[1, 2, 2, 0])
    assert one.lookup(4, 16, -6.0, 6.0) == pytest.approx(one.envelope[1, 2, 0, 2])
    between = one.lookup(1, 5, np.array([3.0]), np.array([-3.0]))
    corners = one.envelope[0, :2, 1:, :2]
    assert between == pytest.approx([corners.mean()])
    np.testing.assert_allclose(one.lookup(1, 2, [-6, 0, 6]), one.row(1, 2))
    assert one.lookup(1, 2, 3.0).shape == ()
    assert one.lookup([[1], [4]], [2, 8, 16], 3.0).shape == (2, 3)
    assert one.lookup([1, 4], 8, 3.0)[1] == one.lookup(4, 8, 3.0)
    with pytest.raises(ToolkitError, match="a k is nan"):
        one.lookup(np.nan, 8, 3.0)


def test_lookup_outside_clamps_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    one = make()
    with caplog.at_level(logging.WARNING):
        assert one.lookup(9, 16, 60.0, 60.0) == pytest.approx(one.envelope[1, 2, 2, 2])
    assert "k_text outside the map's 1..4" in caplog.text
    assert "snr_image_db outside" in caplog.text
    with pytest.raises(ToolkitError, match="nan"):
        one.lookup(1, 2, float("nan"))


def test_an_axis_of_one_value_can_be_looked_up() -> None:
    accuracy = smooth()[:1, :, :, :1]
    fields = dict.fromkeys(("accuracy_low", "accuracy_high"), accuracy)
    ratios = dict.fromkeys(("ratio_low", "ratio_high"), accuracy / 100)
    one = make(accuracy, k_text=(4,), snr_image_db=(0.0,), **fields, **ratios)
    assert one.lookup(4, 8, 0.0) == pytest.approx(one.envelope[0, 1, 1, 0])


def test_the_envelope_falls_along_no_axis() -> None:
    noisy = np.clip(smooth() + np.random.default_rng(0).normal(0, 15, SHAPE), 1, None)
    one = make(noisy)
    for axis in range(4):
        assert np.all(np.diff(one.envelope, axis=axis) >= 0)
    np.testing.assert_allclose(make().envelope, make().ratio)


def test_file_round_trip_and_schema(tmp_path: Path, make_map: Callable[..., AccuracyMap]) -> None:
    one, path = make(), tmp_path / "map.json"
    one.save(path)
    document = json.loads(path.read_text())
    assert document["schema_version"] == 2
    assert set(document["units"]) == set(AXES)
    again = load_map(path)
    assert isinstance(again, BimodalMap)
    assert again.to_document() == one.to_document()
    with pytest.raises(ToolkitError, match="schema_version is 2, this release reads 1"):
        AccuracyMap.load(path)
    flat = make_map()
    flat.save(path)
    assert json.loads(path.read_text())["schema_version"] == 1
    assert isinstance(load_map(path), AccuracyMap)
    with pytest.raises(ToolkitError, match="schema_version is 1, this release reads 2"):
        BimodalMap.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k_image": (8, 2, 16)}, "k_image must be rising positive integers"),
        ({"k_text": (1, 2, 3)}, "accuracy has shape"),
        ({"snr_text_db": (0.0, 0.0, 1.0)}, "snr_text_db must be rising finite numbers"),
    ],
)
def test_inconsistent_maps_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        make(**changes)


def test_csv_has_a_line_a_cell(tmp_path: Path) -> None:
    one = make()
    one.save_csv(tmp_path / "map.csv")
    lines = (tmp_path / "map.csv").read_text().splitlines()
    assert lines[0].startswith("k_text,k_image,snr_text_db,snr_image_db,accuracy,")
    assert len(lines) == 1 + 2 * 3 * 3 * 3
    row = dict(zip(lines[0].split(","), lines[-2].split(","), strict=True))
    assert [row[name] for name in AXES] == ["4", "16", "6", "0"]
    assert float(row["ratio"]) == pytest.approx(one.ratio[1, 2, 2, 1], rel=1e-5)


def test_plot_and_table(tmp_path: Path, drawn: list[Figure]) -> None:
    one = make()
    plot_bimodal(one, tmp_path / "map.png")
    columns = len(one.k_text)
    for below in drawn[0].axes[columns : 2 * columns]:
        (heat,) = below.collections
        assert heat.get_clim() == (one.ratio[:, -1].min(), one.ratio[:, -1].max()), "all of the colours"
        assert tuple(below.get_xticks()) == one.snr_image_db
        assert tuple(below.get_yticks()) == one.snr_text_db
    assert imread(tmp_path / "map.png")[..., :3].std() > 0.01
    table = format_map(one).splitlines()
    assert table[3].split() == ["1,", "2", *(f"{value:.3f}" for value in one.on_diagonal(one.ratio)[0, 0])]
    assert len(table) == 3 + 6
    asked = format_map(replace(one, provenance={"language_prior": 9.589}))
    assert "(two words of the question alone: 9.59)" in asked.splitlines()[1]

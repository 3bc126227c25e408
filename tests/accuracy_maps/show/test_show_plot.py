"""The plot of a map: a PNG with a line per k, written whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from accuracy_maps import AccuracyMap
from accuracy_maps.show.compare import snr_at, symbols_line, symbols_per_word, thresholds
from accuracy_maps.show.plot import plot_map


def test_a_png_is_written_with_a_line_per_k(
    make_map: Callable[..., AccuracyMap], tmp_path: Path, drawn: list[Figure]
) -> None:
    one = make_map(provenance={"dataset": "captions"})
    plot_map(one, tmp_path / "new" / "map.png")
    image = imread(tmp_path / "new" / "map.png")
    assert image.shape[0] > 300
    assert image.shape[1] > 500
    assert image[..., :3].std() > 0.01, "something is drawn"
    (axes,) = drawn[0].axes
    lines = {line.get_label(): line for line in axes.lines}
    for k, ratio in zip(one.k, one.ratio, strict=True):
        np.testing.assert_array_equal(lines[f"$k = {k}$"].get_xdata(), one.snr_db)
        np.testing.assert_array_equal(lines[f"$k = {k}$"].get_ydata(), ratio)
    assert tuple(axes.get_xticks()) == one.snr_db, "what was measured"
    assert axes.get_legend().get_window_extent().x0 > axes.get_window_extent().x1, "it hides no curve"
    assert "dB" in axes.get_xlabel()
    assert "sacreBLEU" in axes.get_ylabel()
    assert "synthetic" in axes.get_title(), "synthetic data are labelled wherever their numbers appear"
    plot_map(make_map(provenance={"dataset": "captions"}, synthetic=False), tmp_path / "real.png")
    assert "synthetic" not in drawn[1].axes[0].get_title()


def test_a_map_beside_says_that_it_is_synthetic_and_names_are_no_formulas(
    make_map: Callable[..., AccuracyMap], tmp_path: Path, drawn: list[Figure]
) -> None:
    name = "a $\\frac{$ \x1b[2J"
    one = make_map(synthetic=False, metric=f"{name} x", provenance={"dataset": name}, model={"preset": name})
    plot_map(one, tmp_path / "map.png", beside=[make_map(model={"baseline": name})])
    (axes,) = drawn[0].axes
    labels = [str(line.get_label()) for line in axes.lines]
    assert any("ideal code; synthetic data" in label for label in labels)
    assert any(label.startswith("codec:\n") for label in labels)


def test_maps_beside_one_are_dashed_and_all_say_where_they_reach_the_level(
    make_map: Callable[..., AccuracyMap], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    one = make_map()
    others = [make_map(model={"baseline": "digital", "code": code}) for code in ("finite", "ldpc")]
    plot_map(one, tmp_path / "map.png", beside=others)
    (axes,) = drawn[0].axes
    styles = [line.get_linestyle() for line in axes.lines if len(np.unique(line.get_xdata())) > 1]
    assert styles.count("--") == styles.count("-.") == len(one.k)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    at = ", ".join(thresholds(one).values())
    assert {
        f"{name}; synthetic data:\n0.9 at {at} dB, $k$ rising"
        for name in ("codec", "digital, finite-length code", "digital, 5G LDPC")
    } <= set(labels)


def test_symbols_are_told_per_word_too(
    make_map: Callable[..., AccuracyMap], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    one = make_map(provenance={"tokens_per_word": 1.25})
    expected = {str(k): f"{1.25 * k:.1f}" for k in one.k}
    assert symbols_per_word(one) == expected
    assert symbols_line(one) == "symbols per word, by k: " + "; ".join(
        ": ".join(pair) for pair in expected.items()
    )
    plot_map(one, tmp_path / "map.png")
    labels = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert {f"$k = {k}$ ({symbols} per word)" for k, symbols in expected.items()} <= set(labels)
    assert symbols_per_word(make_map(provenance={})) == {}
    assert symbols_line(make_map(provenance={})) == ""


@pytest.mark.parametrize(
    ("ratios", "snr_db"),
    [([0.2, 0.8, 1.0], 4.5), ([0.9, 0.95, 1.0], -3.0), ([0.1, 0.2, 0.89], None), ([0.9, 0.9, 0.9], -3.0)],
)
def test_the_snr_at_a_ratio_is_interpolated(ratios: list[float], snr_db: float | None) -> None:
    assert snr_at((-3.0, 3.0, 6.0), ratios) == (snr_db if snr_db is None else pytest.approx(snr_db))


def test_one_cell_can_be_plotted(make_map: Callable[..., AccuracyMap], tmp_path: Path) -> None:
    cell = np.array([[30.0]])
    one = make_map(
        k=(4,), snr_db=(3.0,), accuracy=cell, accuracy_low=cell, accuracy_high=cell, ratio_low=cell / 40,
        ratio_high=cell / 40, provenance={}, model={},
    )  # fmt: skip
    plot_map(one, tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_failing_plot_leaves_the_old_one(
    make_map: Callable[..., AccuracyMap], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "map.png").write_bytes(b"old")

    def half(_: Figure, path: Path, **__: object) -> None:
        path.write_bytes(b"\x89PNG half")
        raise MemoryError

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(MemoryError):
        plot_map(make_map(), tmp_path / "map.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_zero_has_no_sign(make_map: Callable[..., AccuracyMap]) -> None:
    """An SNR a little below zero, in tenths of a dB."""
    one = make_map(accuracy=np.array([[35.4, 36.003, 38.0], [39.0, 39.5, 40.0]]))
    snr_db = snr_at(one.snr_db, one.ratio[0])
    assert snr_db is not None
    assert -0.05 < snr_db < 0
    assert thresholds(one)["4"] == "0.0"

"""The map type: what it refuses, its file, its envelope and its interpolation."""

import csv
import dataclasses
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accuracy_maps import AccuracyMap, monotone_envelope
from data.files.errors import ToolkitError

MakeMap = Callable[..., AccuracyMap]
GRID = np.array([[10.0, 20.0, 30.0], [15.0, 25.0, 38.0]])
NAN, INF = float("nan"), float("inf")


# Validation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": (8, 4)}, "k must be rising positive integers"),
        ({"k": (4, 4)}, "k must be rising positive integers"),
        ({"k": (0, 4)}, "k must be rising positive integers"),
        ({"k": (4.5, 8)}, "k must be rising positive integers"),
        ({"k": (NAN, 8)}, "k must be rising positive integers"),
        ({"k": ()}, "k must be rising positive integers"),
        ({"k": (4, 8, 12)}, "accuracy has shape (2, 3), the axes say (3, 3)"),
        ({"snr_db": (0.0, -6.0, 12.0)}, "snr_db must be rising finite numbers"),
        ({"snr_db": (0.0, 0.0, 12.0)}, "snr_db must be rising finite numbers"),
        ({"snr_db": (-6.0, NAN, 12.0)}, "snr_db must be rising finite numbers"),
        ({"snr_db": (-6.0, 0.0, INF)}, "snr_db must be rising finite numbers"),
        ({"snr_db": ()}, "snr_db must be rising finite numbers"),
        ({"snr_db": (0.0,)}, "the axes say (2, 1)"),
        ({"channel": "fog"}, "channel is 'fog', allowed: awgn, rayleigh, rician"),
        ({"accuracy": GRID * NAN}, "accuracy must be finite"),
        ({"accuracy": -GRID}, "accuracy must be finite and at least 0"),
        ({"ratio_high": GRID * INF}, "ratio_high must be finite"),
        ({"accuracy_low": GRID.T}, "accuracy_low has shape (3, 2)"),
        ({"accuracy_low": GRID + 2}, "accuracy_low lies above accuracy_high"),
        ({"ratio_low": GRID + 2}, "ratio_low lies above ratio_high"),
        ({"local_accuracy": 0.0}, "local_accuracy must be above 0"),
        ({"local_accuracy": -1.0}, "local_accuracy must be above 0"),
        ({"local_accuracy": NAN}, "local_accuracy must be above 0"),
        ({"local_accuracy": INF}, "local_accuracy must be above 0"),
        ({"local_low": 42.0}, "local interval is [42.0, 41.0]"),
        ({"local_high": NAN}, "local interval is"),
        ({"local_high": INF}, "local interval is"),
    ],
)
def test_an_inconsistent_map_is_refused(make_map: MakeMap, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolkitError) as error:
        make_map(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_all_errors_are_listed_at_once(make_map: MakeMap) -> None:
    with pytest.raises(ToolkitError) as error:
        make_map(k=(8, 4), channel="fog", local_accuracy=0.0, accuracy=GRID * NAN)
    for part in ("k must be", "channel is", "local_accuracy must", "accuracy must"):
        assert part in str(error.value)


def test_ratio_is_accuracy_over_local_accuracy_raw(make_map: MakeMap) -> None:
    accuracy = np.array([[50.0, 20.0, 30.0], [15.0, 25.0, 38.0]])
    bumpy = make_map(accuracy=accuracy)
    np.testing.assert_array_equal(bumpy.ratio, accuracy / 40)
    assert bumpy.ratio.max() > 1, "kept as measured"
    assert bumpy.envelope.max() <= 1


# The file


def assert_equal(one: AccuracyMap, other: AccuracyMap) -> None:
    for field in dataclasses.fields(AccuracyMap):
        np.testing.assert_equal(getattr(one, field.name), getattr(other, field.name), field.name)


def test_what_is_saved_is_loaded_bit_for_bit(make_map: MakeMap, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    accuracy = draw.random((2, 3)) * 40
    saved = make_map(accuracy=accuracy, accuracy_low=accuracy / 3, accuracy_high=accuracy * 1.1)
    path = tmp_path / "new" / "map.json"
    saved.save(path)
    loaded = AccuracyMap.load(path)
    assert_equal(loaded, saved)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    document = json.loads(path.read_text())
    assert document["kind"] == "accuracy-map"
    assert document["units"]["snr_db"].startswith("dB")
    assert "complex" in document["units"]["k"]


@settings(max_examples=30)
@given(data=st.data())
def test_any_map_survives_its_file(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    k = sorted(data.draw(st.sets(st.integers(1, 99), min_size=1, max_size=4)))
    snr = sorted(data.draw(st.sets(st.floats(-40, 40), min_size=1, max_size=4)))
    grid = data.draw(arrays(float, (len(k), len(snr)), elements=st.floats(0, 100)))
    local = data.draw(st.floats(1e-3, 100))
    one = AccuracyMap(
        modality="text", task=data.draw(st.text(st.characters(exclude_categories=["Cs"]))), channel="rician",
        metric="m", model={"name": "x"}, synthetic=data.draw(st.booleans()), k=tuple(k), snr_db=tuple(snr),
        accuracy=grid, accuracy_low=grid, accuracy_high=grid, ratio_low=grid, ratio_high=grid,
        local_accuracy=local, local_low=local, local_high=local,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("map") / "map.json"
    one.save(path)
    assert_equal(AccuracyMap.load(path), one)


def refused(path: Path) -> str:
    with pytest.raises(ToolkitError) as error:
        AccuracyMap.load(path)
    message = str(error.value)
    assert "\n" not in message
    assert path.name in message
    return message


def test_truncated_anywhere_is_one_line(make_map: MakeMap, tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    make_map().save(path)
    whole = path.read_bytes()
    end = len(whole.rstrip())
    for length in (*range(0, end, 9), *range(end - 20, end)):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "flops"}, "kind is 'flops', expected 'accuracy-map'"),
        ({"schema_version": 2}, "schema_version is 2"),
        ({"schema_version": None}, "schema_version is None"),
        ({"units": {"k": "real symbols per token", "snr_db": "dB"}}, "units are"),
        ({"units": {"k": "complex channel symbols per token", "snr_db": "linear"}}, "units are"),
        ({"units": None}, "units are"),
        ({"k": [8, 4]}, "k must be rising"),
        ({"k": "48"}, "damaged"),
        ({"k": None}, "damaged"),
        ({"k": [[4], [8]]}, "damaged"),
        ({"k": {"4": 1, "8": 2}}, "damaged"),
        ({"k": [4, 10**400]}, "damaged"),
        ({"snr_db": [-6, 0, 10**400]}, "damaged"),
        ({"snr_db": ["a", "b", "c"]}, "damaged"),
        ({"accuracy": [[1, 2, 3], [4, 5]]}, "damaged"),
        ({"accuracy": [[1, 2, 3], [4, 5, None]]}, "accuracy must hold numbers alone"),
        ({"accuracy": [[1, 2, 3], [4, 5, {}]]}, "damaged"),
        ({"accuracy": 7}, "accuracy is 7"),
        ({"accuracy": []}, "accuracy has shape (0,)"),
        ({"local_accuracy": "much"}, "damaged"),
        ({"local_accuracy": None}, "damaged"),
        ({"local_accuracy": NAN}, "is no finite number"),
        ({"model": "large"}, "damaged"),
        ({"provenance": 3}, "damaged"),
        ({"channel": "\x1b[31m"}, r"channel is '\x1b[31m'"),
    ],
)
def test_a_foreign_or_damaged_document_is_one_line(
    make_map: MakeMap, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(make_map().to_document() | changes))
    assert message in refused(path)


def test_every_field_is_needed(make_map: MakeMap, tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    document = make_map().to_document()
    for name in document:
        path.write_text(json.dumps({key: value for key, value in document.items() if key != name}))
        assert name in refused(path)


def test_the_csv_keeps_every_digit_of_an_axis(make_map: MakeMap, tmp_path: Path) -> None:
    make_map(k=(4, 1234567), snr_db=(0.1, 0.1234567, 12.0)).save_csv(tmp_path / "map.csv")
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    assert [row["snr_db"] for row in rows[:3]] == ["0.1", "0.1234567", "12"]
    assert rows[-1]["k"] == "1234567"


def test_the_csv_has_a_line_a_cell(make_map: MakeMap, tmp_path: Path) -> None:
    one = make_map(accuracy=np.array([[12.0, 10.0, 30.0], [15.0, 25.0, 44.0]]))
    one.save_csv(tmp_path / "map.csv")
    text = (tmp_path / "map.csv").read_text()
    assert text.endswith("\n")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["k"], row["snr_db"]) for row in rows] == list(itertools.product("48", ["-6", "0", "12"]))
    assert list(rows[0]) == [
        "k", "snr_db", "accuracy", "accuracy_low", "accuracy_high", "ratio", "ratio_low", "ratio_high",
        "envelope", "synthetic",
    ]  # fmt: skip
    assert {row["synthetic"] for row in rows} == {"1"}
    for name in list(rows[0])[2:-1]:
        column = np.array([float(row[name]) for row in rows]).reshape(2, 3)
        np.testing.assert_allclose(column, getattr(one, name), rtol=1e-5, err_msg=name)
    assert float(rows[0]["envelope"]) == float(rows[1]["envelope"]) == pytest.approx(11 / 40)
    assert float(rows[-1]["ratio"]) == pytest.approx(1.1)
    assert float(rows[-1]["envelope"]) == 1.0


# The envelope


def grids(high: float = 1.0) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(1, 4), st.integers(1, 4))
    values = st.floats(0, high) | st.sampled_from([0.0, 0.5 * high, high])
    return shapes.flatmap(lambda shape: arrays(float, shape, elements=values))


def upper_sets(rows: int, columns: int) -> Iterator[np.ndarray]:
    """Every set of cells that holds, with a cell, all cells above it in both axes."""
    for starts in itertools.combinations_with_replacement(range(columns, -1, -1), rows):
        yield np.array([[column >= start for column in range(columns)] for start in starts])


@settings(max_examples=40)
@given(grids())
def test_envelope_is_the_least_squares_monotone_fit(ratio: np.ndarray) -> None:
    """Moreau's conditions of a projection on a cone, here that of the grids monotone along both axes.

    It is spanned by the constant and the indicators of upper sets; the residual must have no component along
    any of them, and be orthogonal to the fit.
    """
    fit = monotone_envelope(ratio)
    residual = ratio - fit
    assert abs((residual * fit).sum()) < 1e-6
    assert abs(residual.sum()) < 1e-6
    for cells in upper_sets(*ratio.shape):
        assert residual[cells].sum() < 1e-6


def test_upper_sets_are_all_there() -> None:
    assert len({cells.tobytes() for cells in upper_sets(3, 3)}) == 20  # 6 over 3 staircases
    for cells in upper_sets(3, 4):
        assert np.all(np.diff(cells.astype(int), axis=0) >= 0)
        assert np.all(np.diff(cells.astype(int), axis=1) >= 0)


@settings(max_examples=20)
@given(grids(1.5))
def test_envelope_is_monotone_within_0_and_1_and_its_own_envelope(ratio: np.ndarray) -> None:
    fit = monotone_envelope(ratio)
    assert fit.shape == ratio.shape
    assert np.all((fit >= 0) & (fit <= 1))
    for axis in (0, 1):
        assert np.all(np.diff(fit, axis=axis) >= 0)
    np.testing.assert_allclose(monotone_envelope(fit), fit, atol=1e-8)


@settings(max_examples=20)
@given(grids())
def test_a_monotone_map_is_left_as_it_is(ratio: np.ndarray) -> None:
    rising = np.maximum.accumulate(np.maximum.accumulate(ratio, axis=0), axis=1)
    np.testing.assert_allclose(monotone_envelope(rising), rising, atol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "fit"),
    [
        ([[0.2, 0.8]], [[0.2, 0.8]]),
        ([[0.8, 0.2]], [[0.5, 0.5]]),
        ([[0.8], [0.2]], [[0.5], [0.5]]),
        ([[0.1, 0.5, 0.3, 0.9]], [[0.1, 0.4, 0.4, 0.9]]),
        ([[0.8, 0.6], [0.4, 0.2]], [[0.5, 0.5], [0.5, 0.5]]),
        ([[0.0, 0.6], [0.3, 0.0]], [[0.0, 0.3], [0.3, 0.3]]),
        ([[0.5, 1.2, 1.4]], [[0.5, 1.0, 1.0]]),
        ([[1.4, 0.8]], [[1.0, 1.0]]),  # the mean 1.1 is clipped after the fit, not before
    ],
)
def test_known_envelopes(ratio: list[list[float]], fit: list[list[float]]) -> None:
    np.testing.assert_allclose(monotone_envelope(ratio), fit, atol=1e-7)


def test_the_envelope_serves_any_number_of_axes() -> None:
    ratio = np.random.default_rng(1).random((2, 3, 2, 2))
    fit = monotone_envelope(ratio)
    for axis in range(4):
        assert np.all(np.diff(fit, axis=axis) >= 0)
    residual = ratio - fit
    assert abs(residual.sum()) < 1e-6
    assert abs((residual * fit).sum()) < 1e-6
    assert monotone_envelope([0.3, 0.1]).tolist() == pytest.approx([0.2, 0.2])


def test_the_argument_is_not_changed() -> None:
    ratio = np.array([[0.8, 0.2]])
    monotone_envelope(ratio)
    assert ratio.tolist() == [[0.8, 0.2]]


# Interpolation


def test_lookup_gives_the_envelope_at_grid_points(
    make_map: MakeMap, caplog: pytest.LogCaptureFixture
) -> None:
    bumpy = make_map(accuracy=np.array([[12.0, 10.0, 30.0], [15.0, 25.0, 44.0]]))
    for k, row in zip(bumpy.k, bumpy.envelope, strict=True):
        np.testing.assert_allclose(bumpy.lookup(k, bumpy.snr_db), row, atol=1e-12)
    assert not caplog.records, "no warning inside the grid, edges included"


def test_lookup_is_bilinear_in_k_and_db(make_map: MakeMap) -> None:
    one = make_map()
    assert one.lookup(4, -3.0) == pytest.approx(15 / 40)
    assert one.lookup(4, 3.0) == pytest.approx(22.5 / 40), "a quarter of the way in dB"
    assert one.lookup(6, -6.0) == pytest.approx(12.5 / 40)
    assert one.lookup(5, 6.0) == pytest.approx((0.75 * 25 + 0.25 * 31.5) / 40)


@given(st.integers(4, 8), st.floats(-6, 12))
def test_lookup_inside_a_cell_is_the_bilinear_formula(k: int, snr_db: float) -> None:
    accuracy = np.array([[1.0, 7.0], [2.0, 9.0]])
    one = AccuracyMap(
        modality="text", task="t", channel="awgn", metric="m", model={}, synthetic=True, k=(4, 8),
        snr_db=(-6.0, 12.0), accuracy=accuracy, accuracy_low=accuracy, accuracy_high=accuracy,
        ratio_low=accuracy, ratio_high=accuracy, local_accuracy=10.0, local_low=10.0, local_high=10.0,
    )  # fmt: skip
    u, v = (k - 4) / 4, (snr_db + 6) / 18
    expected = (1 - u) * (1 - v) * 0.1 + (1 - u) * v * 0.7 + u * (1 - v) * 0.2 + u * v * 0.9
    assert one.lookup(k, snr_db) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("k", "snr_db", "ratio", "named"),
    [(4, -20.0, 10 / 40, "SNR"), (8, 99.0, 38 / 40, "SNR"), (2, 0.0, 20 / 40, "k = 2"),
     (30, 0.0, 25 / 40, "k = 30")],
)  # fmt: skip
def test_lookup_outside_the_grid_clamps_and_says_so(
    make_map: MakeMap, caplog: pytest.LogCaptureFixture, k: int, snr_db: float, ratio: float, named: str
) -> None:
    with caplog.at_level(logging.WARNING):
        assert make_map().lookup(k, snr_db) == pytest.approx(ratio)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert named in record.getMessage()
    assert "clamped" in record.getMessage()


def test_infinite_snr_clamps_and_nan_is_refused(make_map: MakeMap) -> None:
    one = make_map()
    np.testing.assert_allclose(one.lookup(8, [-INF, INF]), [15 / 40, 38 / 40])
    with pytest.raises(ToolkitError, match="nan"):
        one.lookup(8, [0.0, NAN])


def test_lookup_takes_several_k(make_map: MakeMap, caplog: pytest.LogCaptureFixture) -> None:
    one = make_map()
    ks, snrs = np.array([[4], [5], [8], [6]]), np.array([-6.0, 1.0, 12.0])
    wanted = [[float(one.lookup(int(k), snr)) for snr in snrs] for (k,) in ks]
    np.testing.assert_array_equal(one.lookup(ks, snrs), wanted)
    assert one.lookup([4, 6, 8], [-6.0, 0.0, 12.0]).shape == (3,)
    assert not caplog.records
    assert one.lookup([1, 2, 30, 40], 0.0).shape == (4,)
    assert [record.getMessage()[:6] for record in caplog.records] == ["k = 1 ", "k = 40"]
    with pytest.raises(ToolkitError, match="a k is nan"):
        one.lookup(NAN, 0.0)


def test_lookup_keeps_the_snrs_shape(make_map: MakeMap) -> None:
    one = make_map()
    assert one.lookup(8, np.zeros((2, 5, 3))).shape == (2, 5, 3)
    assert one.lookup(8, 0.0).shape == ()
    assert one.row(6).shape == (3,)


def test_a_map_of_one_cell_is_constant(make_map: MakeMap) -> None:
    cell = np.array([[30.0]])
    one = make_map(
        k=(4,), snr_db=(3.0,), accuracy=cell, accuracy_low=cell, accuracy_high=cell, ratio_low=cell / 40,
        ratio_high=cell / 40,
    )  # fmt: skip
    np.testing.assert_allclose(one.lookup(9, [-50.0, 3.0, 50.0]), 0.75)

"""Damaged maps and cells: read as what they say, or refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mutations import damaged_bytes, damaged_documents, hostile_pickle, outcome, refused_for_size

from accuracy_maps import AccuracyMap, BimodalMap, load_map
from accuracy_maps.sweep import cells
from accuracy_maps.sweep.cells import Cell, CellStore
from data.files.documents import LARGEST_JSON

GRID = np.array([[10.0, 20.0], [15.0, 38.0]])
FIELDS = {
    "modality": "text", "task": "translate", "channel": "awgn", "metric": "sacreBLEU", "synthetic": True,
    "model": {"name": "toy"}, "local_accuracy": 40.0, "local_low": 39.0, "local_high": 41.0,
    "other_metrics": {"BLEU-1": {"local": 0.7, "cells": [[0.1, 0.2], [0.3, 0.4]]}}, "provenance": {"seed": 3},
}  # fmt: skip


def grids(accuracy: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "accuracy": accuracy, "accuracy_low": accuracy - 1, "accuracy_high": accuracy + 1,
        "ratio_low": accuracy / 40 - 0.05, "ratio_high": accuracy / 40 + 0.05,
    }  # fmt: skip


TEXT = AccuracyMap(k=(4, 8), snr_db=(-6.0, 12.0), **grids(GRID), **FIELDS)
VQA = BimodalMap(
    k_text=(1, 4), k_image=(2, 8), snr_text_db=(0.0, 12.0), snr_image_db=(0.0, 12.0),
    **grids(np.arange(1.0, 17.0).reshape(2, 2, 2, 2) + 10), **FIELDS | {"modality": "vqa"},
)  # fmt: skip
MAPS = st.sampled_from([TEXT, VQA])


def use(path: Path) -> None:
    """Read a map as its consumers do; what was accepted must serve them."""
    found = outcome(lambda: load_map(path), path)
    if found is None:
        return
    assert np.all(np.isfinite(found.envelope))
    assert np.all((found.envelope >= 0) & (found.envelope <= 1))
    again = path.with_name("again.json")
    found.save(again)
    assert load_map(again).to_document() == found.to_document()
    found.save_csv(again.with_suffix(".csv"))
    ks = [axis[0] for name, axis in zip(found.axis_names, found.axes, strict=True) if name.startswith("k")]
    assert np.all(np.isfinite(found.lookup(*ks, [-np.inf, 3.0, np.inf])))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps") / "map.json"


@settings(max_examples=300)
@given(text=MAPS.flatmap(lambda one: damaged_documents(one.to_document(), skip=("provenance",))))
def test_a_map_with_hostile_values(path: Path, text: str) -> None:
    path.write_text(text)
    use(path)


@settings(max_examples=150)
@given(content=MAPS.flatmap(lambda one: damaged_bytes(json.dumps(one.to_document()).encode())))
def test_a_map_with_damaged_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    use(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"synthetic": "no"},
        {"modality": ["text"]},
        {"k": [True, 8]},
        {"k": ["4", "8"]},
        {"accuracy": [[10.0, True], [15.0, 38.0]]},
        {"snr_db": [-6.0, True]},
        {"local_low": True},
        {"local_accuracy": "40"},
        {"accuracy": [["10", "20"], ["15", "38"]]},
        {"other_metrics": {"BLEU-1": 3}},
        {"model": [["name", "toy"]]},
        {"units": {"k": "real symbols per token", "snr_db": "dB, E_b/N_0"}},
        {"local_accuracy": 5e-324, "local_low": 0},
    ],
)
def test_what_is_nearly_a_map_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(TEXT.to_document() | changes))
    assert outcome(lambda: load_map(path), path) is None


def test_ratios_of_any_size_have_an_envelope_at_once(make_map: Callable[..., AccuracyMap]) -> None:
    accuracy = np.random.default_rng(0).uniform(0, 1e280, (2, 3))
    found = make_map(accuracy=accuracy, accuracy_low=accuracy, accuracy_high=accuracy)
    assert np.all((found.envelope >= 0) & (found.envelope <= 1))


CELL = Cell(counts=np.arange(12).reshape(4, 3), figures={"BLEU-1": 0.5})


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_cell(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    store = CellStore(tmp_path_factory.mktemp("cells"), {"seed": 0})
    store.save("local", CELL)
    (path,) = store._folder.glob("*.npz")
    path.write_bytes(data.draw(damaged_bytes(path.read_bytes())))
    found = outcome(lambda: store.load("local"), path)
    if found is not None:
        assert found.counts.ndim == 2
        assert found.counts.dtype.kind == "i"


@pytest.mark.parametrize(
    "arrays",
    [
        {"counts": np.array(3)},
        {"counts": np.zeros((2, 3))},
        {"counts": np.array(["a"])},
        {"counts": np.array([object()])},
        {"figures": np.array("[1, 2]")},
        {"figures": np.array('{"BLEU-1": "high"}')},
        {"figures": np.array('{"BLEU-1": NaN}')},
        {"figures": np.array("[" * 100_000)},
    ],
)
def test_a_foreign_cell(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    store = CellStore(tmp_path / "cells", {"seed": 0})
    path = tmp_path / "cells" / "local.npz"
    np.savez(path, **{"counts": CELL.counts, "figures": np.array('{"BLEU-1": 0.5}')} | arrays)
    assert outcome(lambda: store.load("local"), path) is None


def test_a_cell_that_unpacks_to_a_great_deal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "LARGEST_CELL", 2**16)
    store = CellStore(tmp_path / "cells", {"seed": 0})
    store.save("local", Cell(counts=np.zeros((2**14, 3), dtype=np.int64), figures={}))
    path = tmp_path / "cells" / "local.npz"
    assert path.stat().st_size < 2**12
    assert outcome(lambda: store.load("local"), path) is None


def test_huge_maps_plans_and_cells(tmp_path: Path) -> None:
    for read, name in (
        (load_map, "map.json"), (lambda path: CellStore(path.parent, {"seed": 0}), "plan.json")
    ):  # fmt: skip
        path = tmp_path / name
        refused_for_size(lambda: read(path), path, largest=LARGEST_JSON)  # noqa: B023, called at once
    store = CellStore(tmp_path / "cells", {"seed": 0})
    cell = tmp_path / "cells" / "local.npz"
    with cell.open("wb") as stream:  # an array that is no archive, which numpy would read whole
        head = {"descr": "<i8", "fortran_order": False, "shape": (cells.LARGEST_CELL // 8, 1)}
        np.lib.format.write_array_header_1_0(stream, head)
    refused_for_size(lambda: store.load("local"), cell, largest=cells.LARGEST_CELL)


def test_a_pickle_is_no_cell(tmp_path: Path) -> None:
    store = CellStore(tmp_path / "cells", {"seed": 0})
    path = tmp_path / "cells" / "local.npz"
    path.write_bytes(hostile_pickle(tmp_path / "ran"))
    assert outcome(lambda: store.load("local"), path) is None
    assert not (tmp_path / "ran").exists()


@settings(max_examples=60)
@given(content=damaged_bytes(b'{"seed": 0, "checkpoints": ["ab"]}'))
def test_a_damaged_plan(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("cells") / "plan.json"
    path.write_bytes(content)
    outcome(lambda: CellStore(path.parent, {"seed": 0, "checkpoints": ["ab"]}), path.parent)

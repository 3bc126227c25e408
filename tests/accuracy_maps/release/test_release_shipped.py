"""Maps of shipped codecs: three cells of each are measured anew, and lie inside the map's intervals.

The same test items and the same draw of noise and fading: with another draw one cell in six would lie outside
a 95 % interval, which does not hold the second draw's own scatter.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

import deepsc
from accuracy_maps import load_map
from accuracy_maps.show.compare import is_baseline
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.measure import Sweep
from deepsc.checkpoint import read_config
from deepsc.zoo.find import CODEC, FOLDER, MAPS

SHARED = Path(os.environ.get("DEEPSC_DATA") or Path(__file__).parents[4] / "shared" / "data")
SHIPPED = [(path.parents[1].name, path) for path in sorted(FOLDER.glob(f"*/{MAPS}/*.json"))]


def three_cells(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The lowest and the highest corner, and what is steepest: the middle."""
    return [tuple(0 for _ in shape), tuple(n // 2 for n in shape), tuple(n - 1 for n in shape)]


def of_task(name: str, task: str) -> list[Path]:
    """Maps of a codec's task; the local model is measured for the first of them."""
    return [path for other, path in SHIPPED if other == name and load_map(path).task == task]


def measured_anew(name: str, path: Path) -> list[tuple[Any, float, float, float]]:
    """Of three cells, and of the local model: where, and accuracy now between the ends of the interval."""
    stored = load_map(path)
    before = dict(stored.provenance["config"])
    known = {field.name for field in dataclasses.fields(MapConfig)}
    of_baseline = is_baseline(stored)
    dataset = read_config(FOLDER / name / CODEC)["corpus"]["dataset"]
    kept_in_a_folder = dataset in ("multi30k", "cifar10", "imagenette", "daquar")
    if kept_in_a_folder and not (SHARED / dataset).is_dir():
        pytest.skip(f"no {dataset} in {SHARED} (set $DEEPSC_DATA)")
    fields = {key: value for key, value in before.items() if key in known} | {
        "codecs": () if of_baseline else (name,), "local": name, "output": "unused.json", "beside": None,
        "also_beside": (), "data_dir": str(SHARED) if kept_in_a_folder else None, "device": "cpu",
        "mat": False, "channel": stored.channel,
        **dict.fromkeys(("k", "k_text", "k_image", "snr_db")),
    }  # fmt: skip
    if of_baseline:
        fields |= {"k": stored.axes[0], "snr_db": stored.axes[1]}
    sweep = Sweep(MapConfig(**fields))
    assert sweep.test.items == stored.provenance["test_items"]
    score = sweep.test.scorer.score
    groups = {group.model: group for group in sweep.groups}
    result = []
    for cell in three_cells(stored.accuracy.shape):
        values = [axis[index] for axis, index in zip(stored.axes, cell, strict=True)]
        half = len(values) // 2
        k, snr = (part[0] if half == 1 else tuple(part) for part in (values[:half], values[half:]))
        owner = sweep.owners[(k,) if half == 1 else k]
        (counted,) = sweep.measure(dataclasses.replace(groups[owner], points=((k, snr),)))
        accuracy = score(counted.counts.sum(axis=0))
        result.append((values, stored.accuracy_low[cell], accuracy, stored.accuracy_high[cell]))
    if path == of_task(name, stored.task)[0]:
        (local,) = sweep.measure(groups[None])
        result.append(("local", stored.local_low, score(local.counts.sum(axis=0)), stored.local_high))
    return result


@pytest.mark.parametrize(("name", "path"), SHIPPED, ids=lambda value: getattr(value, "stem", value))
def test_three_cells_of_a_shipped_map_are_found_again(name: str, path: Path) -> None:
    for where, low, accuracy, high in measured_anew(name, path):
        slack = 1e-9 * max(1.0, high)  # of a map without noise
        assert low - slack <= accuracy <= high + slack, f"{where}: {low:.2f} <= {accuracy:.2f} <= {high:.2f}"


@pytest.mark.parametrize(("name", "path"), SHIPPED, ids=lambda value: getattr(value, "stem", value))
def test_maps_of_a_task_divide_by_one_local_accuracy(name: str, path: Path) -> None:
    stored = load_map(path)
    first = load_map(of_task(name, stored.task)[0])
    assert (stored.local_accuracy, stored.provenance["test_items"]) == (
        first.local_accuracy, first.provenance["test_items"],
    )  # fmt: skip


def test_every_shipped_codec_has_a_map() -> None:
    assert {name for name, _ in SHIPPED} == set(deepsc.list_codecs())


def test_three_different_cells() -> None:
    for shape in ((5, 9), (2, 2, 3, 3), (3, 1)):
        assert len(set(three_cells(shape))) == 3
        assert all(
            index < size for cell in three_cells(shape) for index, size in zip(cell, shape, strict=True)
        )

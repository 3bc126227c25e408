"""What tells maps and models apart: the metric's tokenizer, and weights rather than the files they lie in."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.micro_codec import use_micro_preset

from accuracy_maps.bimodal import load_map
from accuracy_maps.command import main
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.build import build_map
from accuracy_maps.sweep.cells import CellStore, store_folder
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.measure import Sweep
from deepsc.command import main as train
from deepsc.text.evaluate import BleuStatistics, TextEvaluator


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is measured; every sentence counts as right."""
    use_micro_preset(monkeypatch)
    right = BleuStatistics(["one two three four five"], ["one two three four five"]).counts
    calls: list[Any] = []

    def measure(self: TextEvaluator, points: Any, *, seed: int) -> Any:
        calls.extend(points)
        return [(np.repeat(right, len(self._references), axis=0), {})] * len(points)

    monkeypatch.setattr(TextEvaluator, "measure_together", measure)
    return calls


def train_chinese(folder: Path, *flags: str) -> dict[str, Path]:
    """A local model and a codec of short Chinese sentences."""
    people, places = "男女狗猫牛马羊鸟", "家里 公园 学校 街上 商店 海边 山上".split()  # noqa: SIM905
    lines = [f"{person}在{place}看{other}。" for person in people for place in places for other in people]
    (folder / "lines").write_text("\n".join(lines), encoding="utf-8")
    shared = [
        "--modality", "text", "--preset", "micro", "--epochs", "1", "--batch-tokens", "2048",
        "--source", str(folder / "lines"), "--target", str(folder / "lines"), *flags,
    ]  # fmt: skip
    made = {name: folder / name for name in ("local", "codec")}
    assert train([*shared, "--channel", "none", "--output", str(made["local"])]) == 0
    codec = ["--k", "2", "--init-from", str(made["local"]), "--output", str(made["codec"])]
    assert train([*shared, *codec]) == 0
    return made


def sweep_of(folders: dict[str, Path], output: Path, *flags: str) -> list[str]:
    return [
        "--modality", "text", "--codec", str(folders["codec"]), "--local", str(folders["local"]),
        "--snr-db=0,6", "--device", "cpu", "--output", str(output), *flags,
    ]  # fmt: skip


def test_a_map_of_chinese_says_how_it_was_cut_to_words(
    measured: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = train_chinese(tmp_path, "--pair", "en-zh")
    call = sweep_of(folders, tmp_path / "map.json")
    assert main(call) == 0
    made = load_map(tmp_path / "map.json")
    assert "tok:zh" in made.metric
    assert made.provenance["metric_options"] == {"bleu_tokenize": "zh"}
    measured.clear()
    caplog.set_level("INFO")
    assert main([*call, "--bleu-tokenize", "zh"]) == 0, "what follows from the language may be said too"
    assert not measured
    assert "finished already" in caplog.text


def test_nameless_languages_without_spaces_are_refused_not_scored_wrongly(
    measured: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folders = train_chinese(tmp_path)
    assert "build-accuracy-map will refuse this: the references" in caplog.text
    assert main(sweep_of(folders, tmp_path / "map.json")) == 2
    assert "give --bleu-tokenize zh, ja-mecab or char" in capsys.readouterr().err
    assert main(sweep_of(folders, tmp_path / "map.json", "--bleu-tokenize", "char")) == 0
    assert "tok:char" in load_map(tmp_path / "map.json").metric


def test_bleu_tokenize_is_for_text_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = dict.fromkeys(("local", "codec"), tmp_path)
    flags = sweep_of(folders, tmp_path / "map.json", "--bleu-tokenize", "zh")
    flags[1] = "image"
    assert main(flags) == 2
    assert "--bleu-tokenize: given, image is not scored by BLEU" in capsys.readouterr().err


def shuffled(folders: dict[str, Path], to: Path) -> dict[str, Path]:
    """The same models in other files, as equal trainings write them."""
    made = {}
    for name, folder in folders.items():
        made[name] = Path(shutil.copytree(folder, to / name))
        path = made[name] / "model.safetensors"
        with safe_open(path, framework="pt") as stored:
            metadata = dict(reversed(stored.metadata().items()))
        save_file(load_file(path), path, metadata={**metadata, "again": "1"})
    return made


def config_of(folders: dict[str, Path], output: Path, **changes: Any) -> MapConfig:
    return MapConfig(
        codecs=(str(folders["codec"]),), local=str(folders["local"]), output=str(output), snr_db=(0.0, 6.0),
        **changes,
    )  # fmt: skip


def test_equal_models_go_on_with_each_others_cells_and_maps(
    folders: dict[str, Path], tmp_path: Path, measured: list[Any]
) -> None:
    config = config_of(folders, tmp_path / "map.json")
    build_map(config)
    measured.clear()
    again = config_of(shuffled(folders, tmp_path / "again"), tmp_path / "map.json")
    build_map(again)
    assert not measured
    first, second = Sweep(config), Sweep(again)
    assert first.fingerprint == second.fingerprint
    assert first.file_plan != second.file_plan


def test_what_an_earlier_release_told_by_files_is_read(
    folders: dict[str, Path], tmp_path: Path, measured: list[Any]
) -> None:
    """A finished map, cells of an interrupted sweep, and the map beside a baseline."""
    config = config_of(folders, tmp_path / "map.json")
    build_map(config)
    sweep = Sweep(config)
    document = json.loads((tmp_path / "map.json").read_text())
    origin = document["provenance"]
    for told, checkpoint in zip((*origin["codecs"], origin["local"]), sweep.checkpoints, strict=True):
        assert told["sha256"] == checkpoint.sha256
        told["sha256"] = checkpoint.file_sha256
    del origin["config"]["bleu_tokenize"]
    (tmp_path / "map.json").write_text(json.dumps(document))
    measured.clear()
    build_map(config)
    assert not measured
    baseline = dataclasses.replace(
        config, codecs=(), baseline="digital", beside=config.output, output=str(tmp_path / "digital.json")
    )
    assert Sweep(baseline).owners
    assert isinstance(AccuracyMap.load(config.output), AccuracyMap)
    (tmp_path / "map.json").unlink()
    store = CellStore(store_folder(Path(config.output)), sweep.file_plan)
    for group in sweep.groups:
        for point, cell in zip(group.points, sweep.measure(group), strict=True):
            store.save(group.name(point), cell)
    measured.clear()
    build_map(config)
    assert not measured

"""A fourth modality needs one new file in deepsc and one in data: the two of docs/own-modality.md."""

import sys
from pathlib import Path

import pytest
from support.pages import files_of

import data
import deepsc
from accuracy_maps import AccuracyMap
from accuracy_maps.command import main as build_accuracy_map
from deepsc.command import main as train_deepsc
from deepsc.modality import modality_names


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The page's two files, as if they lay in the packages."""
    root = tmp_path_factory.mktemp("own")
    files = files_of("own-modality.md")
    assert set(files) == {"data/sensors.py", "deepsc/sensor/modality.py"}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)
    monkeypatch.setattr(deepsc, "__path__", [*deepsc.__path__, str(root / "deepsc")])
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(root / "data")])
    for name in ("deepsc.sensor.modality", "deepsc.sensor", "data.sensors"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_modalities_are_found_by_name(sensor: None) -> None:
    assert modality_names() == ("image", "sensor", "text", "vqa")


@pytest.mark.usefixtures("sensor")
def test_the_commands_train_and_measure_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local, codec, out = (str(tmp_path / name) for name in ("local", "codec", "map.json"))
    shared = ["--modality", "sensor", "--device", "cpu"]
    assert train_deepsc([*shared, "--channel", "none", "--output", local]) == 0
    assert train_deepsc([*shared, "--k", "1,2", "--init-from", local, "--output", codec]) == 0
    sweep = [*shared, "--codec", codec, "--local", local, "--snr-db=-6:18:12", "--output", out]
    assert build_accuracy_map(sweep) == 0
    assert "accuracy over the channel / local" in capsys.readouterr().out
    one = AccuracyMap.load(out)
    assert (one.modality, one.k) == ("sensor", (1, 2))
    assert one.local_accuracy > 80
    assert one.ratio[-1, -1] > one.ratio[0, 0] > 0.3
    assert train_deepsc([*shared, "--channel", "none", "--output", local]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_another_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train_deepsc(["--modality", "smell"])
    error = capsys.readouterr().err
    assert "'smell'" in error
    assert "image" in error

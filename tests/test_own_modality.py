"""A fourth modality needs one new file in deepsc and one in data: the two of tests/own_modality."""

import sys
from pathlib import Path

import pytest

import data
import deepsc
from accuracy_maps import AccuracyMap
from accuracy_maps.command import main as build_accuracy_map
from deepsc.command import main as train_deepsc
from deepsc.modality import modality_names

FILES = Path(__file__).parent / "own_modality"


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two files, as if they lay in the packages."""
    monkeypatch.setattr(deepsc, "__path__", [*deepsc.__path__, str(FILES / "deepsc")])
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(FILES / "data")])
    for name in ("deepsc.modality_sensor", "data.sensors"):
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

"""Maps of one's own folder of photographs: bad images, class names, and the digital baseline."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from accuracy_maps import AccuracyMap
from accuracy_maps.command import main
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.measure import Sweep
from data.files.errors import ToolkitError
from deepsc.digital import image_versions

FLAGS = ["--modality", "image", "--device", "cpu"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and blue images, larger than the codec's, and one of each split that cannot be read."""
    root = tmp_path_factory.mktemp("photographs")
    draw = np.random.default_rng(0)
    for split, (label, colour) in itertools.product(
        ("train", "test"), (("red", (200, 30, 30)), ("blue", (30, 30, 200)))
    ):
        folder = root / "photographs" / split / label
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = np.clip(draw.normal(colour, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / "broken.jpg").write_bytes(b"no image")
    return root / "photographs"


@pytest.fixture(scope="module")
def output(photographs: Path) -> Path:
    """The map that one command makes of the folder."""
    path = photographs.parent / "map.json"
    training = ["--folder", str(photographs), "--preset", "tiny", "--k", "1,2", "--epochs", "8"]
    flags = [*FLAGS, "--from-scratch", "--skip-bad", "--snr-db", "18", "--output", str(path)]
    assert main([*flags, "--", *training]) == 0
    return path


def test_bad_images_are_skipped_in_trainings_and_sweep(
    output: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = AccuracyMap.load(output)
    assert found.provenance["test_items"] == 60
    assert found.local_accuracy > 60
    stem = str(output.with_suffix(""))
    again = [*FLAGS, "--local", f"{stem}-local", "--codec", f"{stem}-codec", "--snr-db", "18"]
    assert main([*again, "--output", str(output.with_name("other.json"))]) == 2
    error = capsys.readouterr().err
    assert "4 of 124 images are bad" in error
    assert not output.with_name("other.json").exists()
    training = ["--folder", str(photographs), "--preset", "tiny", "--skip-bad"]
    assert main([*FLAGS, "--from-scratch", "--output", str(output), "--", *training]) == 2
    assert "--skip-bad: given behind --" in capsys.readouterr().err


def test_only_images_can_be_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--modality", "text", "--local", "a", "--codec", "b", "--skip-bad"]) == 2
    assert "--skip-bad: given, text reads no folder of images" in capsys.readouterr().err


def test_checkpoints_that_number_other_classes_are_refused(output: Path) -> None:
    local, codec = (output.with_name(f"map-{name}") for name in ("local", "codec"))
    whole = (codec / "config.json").read_text()
    config = MapConfig(codecs=(str(codec),), local=str(local), output="unused.json", skip_bad=True)
    document = json.loads(whole)
    assert document["class_names"] == ["blue", "red"]
    (codec / "config.json").write_text(json.dumps(document | {"class_names": ["red", "blue"]}))
    with pytest.raises(ToolkitError, match=r"^codecs: .*\['red', 'blue'\], local .* has \['blue', 'red'\]"):
        Sweep(config)
    del document["class_names"]  # as of an earlier release
    (codec / "config.json").write_text(json.dumps(document))
    Sweep(config)
    (codec / "config.json").write_text(whole)


def test_photographs_are_coded_at_the_size_that_the_codec_sends(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = set()

    def versions(split):  # type: ignore[no-untyped-def]
        sizes.update(image.shape for image in split.images)
        return image_versions(split)

    monkeypatch.setattr("deepsc.image.separate.image_versions", versions)
    path = output.with_name("digital.json")
    flags = [*FLAGS, "--baseline", "digital", "--beside", str(output), "--skip-bad", "--output", str(path)]
    assert main([*flags, "--local", str(output.with_name("map-local"))]) == 0
    assert sizes == {(32, 32, 3)}

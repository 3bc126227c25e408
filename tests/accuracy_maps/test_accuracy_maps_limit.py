"""A limit beyond the test set is said, whatever the set counts: sentences, images, images with questions."""

from pathlib import Path

import pytest

from accuracy_maps.sweep.build import open_sweep
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.engine import LocalEngine


@pytest.mark.parametrize("name", ["folders", "image_folders", "vqa_folders"])
def test_a_limit_beyond_the_test_set_is_said(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = request.getfixturevalue(name)
    data_dir = str(request.getfixturevalue("clevr")) if name == "vqa_folders" else None

    def said(limit: int | None) -> tuple[int, str]:
        caplog.clear()
        config = MapConfig(
            codecs=(str(folders["codec"]),), local=str(folders["local"]), output=str(tmp_path / "map.json"),
            limit=limit, device="cpu", data_dir=data_dir,
        )  # fmt: skip
        whole = open_sweep(config, LocalEngine()).test.whole
        assert whole is not None
        return whole, caplog.text

    whole, text = said(None)
    assert "limit" not in text
    assert "limit" not in said(whole)[1]
    _, text = said(whole + 1)
    assert f"limit: {whole + 1} given, the whole test set has {whole} and is measured" in text

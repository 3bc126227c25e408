"""profile-flops: the file it writes, its errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data.artifacts import ToolkitError
from deepsc.checkpoint import write_config
from deepsc.config import TextCodecConfig
from profiling import FlopsFile, corrected
from profiling.command import PRESET_K, main

ROOT = Path(__file__).parents[2]
LENGTHS = ["--source-length", "3", "--target-length", "2"]


def checkpoint(folder: Path, **changes: Any) -> Path:
    codec = TextCodecConfig.from_preset("tiny", **{"k": (2, 6)} | changes)
    write_config(folder, {"task": "translate", "codec": codec.to_dict()})
    return folder


def test_preset_is_written_to_a_file_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "flops.json"
    assert main(["--modality", "text", "--preset", "tiny", *LENGTHS, "--output", str(path)]) == 0
    output = capsys.readouterr()
    assert "FlopCounterMode" in output.out
    assert output.err == ""
    file = FlopsFile.load(path)
    config = TextCodecConfig.from_preset("tiny", k=PRESET_K)
    parts = corrected(config, source_length=3, target_length=2)
    assert (file.local_flops, file.ue_flops, file.server_flops) == (parts.local, parts.ue, parts.server)
    assert (file.k, file.source_length, file.target_length) == (16, 3, 2)
    assert file.model == config.model_name
    assert file.breakdown["corrected"]["encoder"] == parts.encoder
    assert file.provenance["config"]["codec"]["k"] == list(PRESET_K)
    assert [entry.name for entry in path.parent.iterdir()] == ["flops.json"]


def test_checkpoint_is_known_by_its_config_alone(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "codec")
    path = tmp_path / "flops.json"
    flags = ["--modality", "text", "--checkpoint", str(folder), "--k", "2", *LENGTHS, "--output", str(path)]
    assert main(flags) == 0
    file = FlopsFile.load(path)
    assert file.breakdown["jsc_symbols_computed"] == 6
    assert len(file.provenance["data_sha256"][str(folder / "config.json")]) == 64


def test_k_outside_the_presets_family_is_a_code_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "flops.json"
    flags = ["--modality", "text", "--preset", "tiny", "--k", "7", *LENGTHS, "--output", str(path)]
    assert main(flags) == 0
    assert FlopsFile.load(path).breakdown["jsc_symbols_computed"] == 7


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "0"], "at least 1"),
        (["--k", "4.5"], "at least 1"),
        (["--source-length", "-3"], "at least 1"),
        (["--source-length", "257"], "1 to 256"),
        (["--target-length", "257"], "1 to 256"),
        (["--preset", "huge"], "huge"),
        (["--beams", "4"], "--beams"),
        (["--checkpoint", "missing"], "missing: not a checkpoint"),
        (["--checkpoint", "codec", "--preset", "tiny"], "not allowed with"),
        (["--checkpoint", "codec", "--k", "5"], "the codec allows 2, 6"),
        (["--checkpoint", "local"], "the codec's checkpoint"),
        (["--checkpoint", "damaged"], "damaged"),
        (["--checkpoint", "foreign"], "unknown codec fields"),
    ],
)
def test_errors_are_one_line_exit_2_and_leave_nothing(
    flags: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint(tmp_path / "codec")
    checkpoint(tmp_path / "local", k=())
    checkpoint(tmp_path / "damaged")
    (tmp_path / "damaged" / "config.json").write_text('{"kind": "deepsc-ch')
    checkpoint(tmp_path / "foreign")
    document = json.loads((tmp_path / "foreign" / "config.json").read_text())
    document["codec"]["colour"] = "red"
    (tmp_path / "foreign" / "config.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    try:
        status = main(["--modality", "text", "--output", "flops.json", *flags])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    output = capsys.readouterr()
    assert status == 2
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    flags = ["--modality", "text", "--preset", "tiny", *LENGTHS]
    assert main([*flags, "--output", str(tmp_path / "taken" / "flops.json")]) == 2
    output = capsys.readouterr()
    assert "cannot write" in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_help_and_reading_load_no_torch() -> None:
    code = "import sys, profiling.command as c; c.build_parser(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_file_of_another_unit_or_without_a_count_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flops.json"
    FlopsFile(
        modality="text", model={}, k=16, source_length=20, target_length=20, decoding="greedy, KV cache",
        local_flops=3.0, ue_flops=1.0, server_flops=2.0,
    ).save(path)  # fmt: skip
    assert FlopsFile.load(path).local_flops == 3.0
    document = json.loads(path.read_text())
    for change in ({"unit": "MAC"}, {"local_flops": 0}, {"server_flops": None}, {"schema_version": 99}):
        path.write_text(json.dumps(document | change))
        with pytest.raises(ToolkitError, match=r"flops\.json|FLOPs file"):
            FlopsFile.load(path)

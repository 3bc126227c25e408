"""profile-flops: the file it writes, its errors."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import optimizer.command
from data.files.errors import ToolkitError
from deepsc.checkpoint import write_config
from deepsc.text.config import TextCodecConfig
from optimizer import TrainConfig
from profiling import FlopsFile
from profiling.closed.parts import split
from profiling.closed.text import text_parts
from profiling.command import main, parse_config
from profiling.config import ProfileConfig
from profiling.modalities import PRESET_K_TEXT

ROOT = Path(__file__).parents[2]
_TOWER = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
CLIP = {  # reads images beside its text
    "model_type": "clip",
    "text_config": _TOWER | {"vocab_size": 9, "bos_token_id": 0, "eos_token_id": 1},
    "vision_config": _TOWER | {"image_size": 8, "patch_size": 4},
}
LENGTHS = ["--source-length", "3", "--target-length", "2"]


def checkpoint(folder: Path, **changes: Any) -> Path:
    codec = TextCodecConfig.from_preset("tiny", **{"k": (2, 6)} | changes)
    write_config(folder, {"modality": "text", "task": "translate", "codec": codec.to_dict()})
    return folder


def test_preset_is_written_to_a_file_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "flops.json"
    assert main(["--modality", "text", "--preset", "tiny", *LENGTHS, "--output", str(path)]) == 0
    assert capsys.readouterr().err == ""
    file = FlopsFile.load(path)
    config = TextCodecConfig.from_preset("tiny", k=PRESET_K_TEXT)
    shares = split(text_parts(config, source_length=3, target_length=2, k=16))
    assert (file.local_flops, file.ue_flops, file.server_flops) == (
        shares.local.count, shares.ue.count, shares.server.count,
    )  # fmt: skip
    assert (file.k, file.source_length, file.target_length) == (16, 3, 2)
    assert file.model == config.model_name
    assert file.provenance["config"]["codec"]["k"] == list(PRESET_K_TEXT)
    assert [entry.name for entry in path.parent.iterdir()] == ["flops.json"]


def test_the_answer_is_ten_lines_and_the_rest_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next command is one that `optimize` understands."""
    monkeypatch.chdir(tmp_path)
    flags = ["--modality", "text", "--preset", "tiny", "--k", "8", *LENGTHS, "--output", "my flops.json"]
    assert main([*flags, "--table", "t.md"]) == 0
    answer = capsys.readouterr().out
    assert answer.count("\n") <= 10
    shares = split(text_parts(TextCodecConfig.from_preset("tiny", k=PRESET_K_TEXT), source_length=3,
                              target_length=2, k=8))  # fmt: skip
    shown = dict(re.findall(r"^(.*?)  .* (\S+)$", answer, re.MULTILINE))
    for label, flops in (("local task", shares.local), ("UE's share", shares.ue),
                         ("server's share", shares.server), ("channel codec", shares.channel)):  # fmt: skip
        assert shown[label] == f"{flops.count / 1e6:.3f}"
    assert "wrote my flops.json, t.md\n" in answer
    (words,) = re.findall(r"^next: (.*?)   \(", answer, re.MULTILINE)
    options = optimizer.command.parser(None).parse_args(shlex.split(words)[1:])
    config = optimizer.command.to_config(options)
    assert isinstance(config, TrainConfig)
    assert (config.inputs.text_flops, config.inputs.text_map) == (Path("my flops.json"), Path("MAP"))
    assert config.inputs.k_text == 8
    assert main([*flags, "--detail"]) == 0
    detail = capsys.readouterr().out
    assert "FlopCounterMode" in detail
    assert "transformer.model.encoder" in detail
    assert answer.splitlines()[-1] == detail.splitlines()[-1]


def test_the_map_of_a_codec_that_ships_is_found_by_optimize(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    codec = "text-multi30k-en-de-medium"
    assert main(["--modality", "text", "--checkpoint", codec, "--k", "16"]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words[:3] == ["next:", "optimize", "--text-flops"]
    assert "--k-text" not in words  # optimize's own default
    assert "--text-map" not in words
    assert words[words.index("--ue-device") + 1] == "raspberry-pi-4"


def test_checkpoint_is_known_by_its_config_alone(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "codec")
    path = tmp_path / "flops.json"
    flags = ["--modality", "text", "--checkpoint", str(folder), "--k", "2", *LENGTHS, "--output", str(path)]
    assert main(flags) == 0
    file = FlopsFile.load(path)
    assert file.breakdown["jsc_symbols_computed"] == [6]
    assert len(file.provenance["data_sha256"][str(folder / "config.json")]) == 64


def test_k_outside_the_presets_family_is_a_code_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "flops.json"
    flags = ["--modality", "text", "--preset", "tiny", "--k", "7", *LENGTHS, "--output", str(path)]
    assert main(flags) == 0
    assert FlopsFile.load(path).breakdown["jsc_symbols_computed"] == [7]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "0"], "--k: 0 given, 1 to 4096 is allowed"),
        (["--k", "4097"], "--k: 4097 given, 1 to 4096 is allowed"),
        (["--k", "4.5"], "--k: '4.5' given, a whole number is allowed"),
        (["--source-length", "-3"], "at least 1"),
        (["--source-length", "257"], "1 to 256"),
        (["--target-length", "257"], "1 to 256"),
        (["--preset", "huge"], "--preset: 'huge' given, allowed: tiny, mini, small, medium, base"),
        (["--beams", "0"], "at least 1"),
        (["--k-image", "4"], "--k-image: given, --modality text has none"),
        (["--image-size", "32"], "--image-size: given, --modality text has none"),
        (["--timm", "resnet18"], "not allowed with"),
        (["--table", "t.doc"], "--table: 't.doc' given, a name ending in .md, .tex, .csv"),
        (["--plot", "p.gif"], "--plot: 'p.gif' given"),
        (["--threads", "1", "--batch", "2"], "--batch, --threads: given, --latency is needed"),
        (["--latency", "--dtype", "int8"], "int8"),
        (["--latency", "--device", "meat"], "--device: 'meat' given"),
        (["--latency", "--clock-hz", "-1"], "--clock-hz: -1.0 given"),
        (["--checkpoint", "missing"], "--checkpoint: 'missing' given, a folder that is there is allowed"),
        (["--checkpoint", "codec", "--preset", "tiny"], "--preset: given, the checkpoint says it"),
        (["--checkpoint", "codec", "--k", "5"], "the codec allows 2, 6"),
        (["--checkpoint", "local"], "the codec's checkpoint"),
        (["--checkpoint", "damaged"], "damaged"),
        (["--checkpoint", "foreign"], "unknown fields"),
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
        status = main(["--modality", "text", "--output", "flops.json", *LENGTHS, *flags])
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


def test_a_flops_file_of_other_settings_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flops.json"
    flags = ["--modality", "text", "--preset", "tiny", *LENGTHS, "--output", str(path)]
    assert main(flags) == 0
    assert main([*flags, "--k", "16"]) == 0  # the default, so the same settings
    before = path.read_bytes()
    capsys.readouterr()
    for others in (["--k", "4"], ["--beams", "2"], ["--target-length", "3"], ["--preset", "small"]):
        assert main([*flags, *others]) == 2
        error = capsys.readouterr().err
        assert f"--output: {path} is there" in error
        assert "--overwrite" in error
        assert not others[0].endswith("length") or "target_length was 2, is now 3" in error
        assert path.read_bytes() == before
    assert main([*flags, "--k", "4", "--overwrite"]) == 0
    assert FlopsFile.load(path).k == 4
    path.write_text("my notes")
    assert main(flags) == 2
    assert f"--output: {path} is there, and no FLOPs file" in capsys.readouterr().err
    assert path.read_text() == "my notes"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "folder"], "--output: cannot write folder: it is no file"),
        (["--table", "folder.md"], "--table: cannot write folder.md: it is no file"),
        (["--plot", "notes.md/a.png"], "--plot: cannot write notes.md/a.png: "),
        (["--table", "/proc/t.md"], "--table: cannot write /proc/t.md: "),
        (["--output", "f.md", "--table", "f.md"], "--table: f.md given, --output writes that file"),
        (["--table", "a.csv", "--table", "./a.csv"], "--table: ./a.csv given, --table writes that file"),
        (["--table", "notes.md"], "--table: notes.md is there, and not made by profile-flops"),
        (["--table", "notes.tex"], "--table: notes.tex is there, and not made by profile-flops"),
        (["--table", "notes.csv"], "--table: notes.csv is there, and not made by profile-flops"),
        (["--plot", "notes.png"], "--plot: notes.png is there, and not made by profile-flops"),
    ],
)
def test_files_are_checked_before_anything_is_counted(
    flags: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.md").mkdir()
    for suffix in ("md", "tex", "csv", "png"):
        (tmp_path / f"notes.{suffix}").write_text("**my own** notes")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("profiling.profile.profile_codec", None)  # not reached
    assert main(["--modality", "text", "--preset", "tiny", *LENGTHS, *flags]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "notes.md").read_text() == "**my own** notes"


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_tables_and_plots_of_an_earlier_call_are_written_anew(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["t.md", "t.tex", "t.csv"]
    flags = ["--modality", "image", "--preset", "tiny", "--plot", f"p.{suffix}"]
    flags += [flag for name in names for flag in ("--table", name)]
    assert main(flags) == 0
    assert main(flags) == 0
    (tmp_path / "t.md").write_text("my own notes")
    assert main(flags) == 2
    assert main([*flags, "--overwrite"]) == 0
    assert (tmp_path / "t.md").read_text().startswith("**")


def test_a_table_of_another_model_may_be_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--timm", "resnet18", "--image-size", "64"]
    assert main([*flags, "--overwrite"]) == 2
    assert "--overwrite: given, --timm has none" in capsys.readouterr().err
    (tmp_path / "t.md").write_text("my own notes")
    assert main([*flags, "--table", "t.md"]) == 2
    assert main([*flags, "--table", "t.md", "--overwrite"]) == 0


def test_help_and_reading_load_no_torch() -> None:
    code = "import sys, profiling.command as c; c.build_parser(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_image_and_vqa_are_written_with_their_own_sizes(tmp_path: Path) -> None:
    path = tmp_path / "flops.json"
    extra = ["--plot", str(tmp_path / "p.svg"), "--table", str(tmp_path / "t.md"), "--output", str(path)]
    assert main(["--modality", "image", "--preset", "tiny", "--k", "8", "--image-size", "40", *extra]) == 0
    file = FlopsFile.load(path)
    assert (file.modality, file.k, file.source_length, file.target_length) == ("image", 8, 26, None)
    assert file.model["image_size"] == 40
    flags = ["--modality", "vqa", "--preset", "tiny", "--k-text", "5", "--k-image", "8", "--answers", "3"]
    assert main([*flags, "--source-length", "7", "--overwrite", *extra]) == 0
    file = FlopsFile.load(path)
    assert (file.modality, file.k, file.k_text, file.k_image) == ("vqa", None, 5, 8)
    assert (file.source_length, file.image_length, file.model["answers"]) == (7, 17, 3)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["flops.json", "p.svg", "t.md"]


def test_beams_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "flops.json"
    flags = ["--modality", "text", "--preset", "tiny", *LENGTHS, "--output", str(path)]
    assert main(flags) == 0
    greedy = FlopsFile.load(path)
    assert main([*flags, "--beams", "4", "--overwrite"]) == 0
    beams = FlopsFile.load(path)
    assert beams.decoding == "beam search, KV cache, 4 beams"
    decoder = greedy.breakdown["parts"][-1]["corrected"]
    assert beams.server_flops - greedy.server_flops == 3 * decoder


def test_models_of_others_get_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--timm", "resnet18", "--image-size", "64", "--table", "t.csv"]) == 0
    output = capsys.readouterr().out
    assert output.count("\n") <= 13
    *_, wrote, following = output.splitlines()
    assert wrote == "wrote t.csv"
    assert following.startswith("next: profile-flops --modality image --preset deit-small ")
    assert "11.69 M parameters" in output
    assert "MAC printed as one FLOP" in output
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]  # no FLOPs file: there is no split
    config = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 50,
              "bos_token_id": 1, "eos_token_id": 1}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["--hf-config", "config.json", "--source-length", "5"]) == 0
    assert "input_ids [5]" in capsys.readouterr().out
    (tmp_path / "config.json").write_text(json.dumps(CLIP))
    assert main(["--hf-config", "config.json", "--source-length", "5", "--detail"]) == 0
    output = capsys.readouterr()
    assert "input_ids [5], pixel_values [3, 8, 8]" in output.out
    assert "vision_model.encoder.layers.*.mlp.fc1" in output.out
    assert output.err == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--timm", "resnet5000"], "timm has no such model; close: resnet"),
        (["--timm", "resnet18", "--k", "4"], "--k: given, --timm has none"),
        (["--timm", "resnet18", "--output", "f.json"], "--output: given, --timm has none"),
        (["--timm", "deit_tiny_patch16_224", "--image-size", "7"], "--image-size"),
        (["--hf-config", "missing.json"], "missing.json: no such file"),
        (["--hf-config", "foreign.json"], "foreign.json"),
        ([], "one of the arguments"),
        (
            ["--modality", "vqa", "--k", "4"],
            "vqa has none; it has --answers, --image-size, --k-image, --k-text",
        ),
        (["--modality", "image", "--checkpoint", "codec"], "--modality: 'image' given, it is 'text'"),
        (["--hf-config", "clip.json", "--image-size", "12"], "does not run on these inputs alone"),
        (
            ["--modality", "image", "--preset", "tiny", "--image-size", "33"],
            "--image-size: 33 given, a multiple of patch_size 8",
        ),
    ],
)
def test_errors_of_other_subjects_are_one_line(
    flags: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "foreign.json").write_text('{"model_type": "shopping-list"}')
    (tmp_path / "clip.json").write_text(json.dumps(CLIP))
    checkpoint(tmp_path / "codec")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    try:
        status = main(flags)
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    output = capsys.readouterr()
    assert status == 2
    assert message in output.err
    assert output.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_flags_make_the_config() -> None:
    config = parse_config(
        ["--modality", "text", "--k", "8", "--latency", "--threads", "1", "--table", "a.md"]
    )
    assert config.latency is not None
    assert config == ProfileConfig(modality="text", k=8, table=("a.md",), latency=config.latency)
    assert (config.latency.threads, config.latency.batch) == (1, 1)


def test_a_settings_file_counts_less_than_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--modality", "vqa", "--k-image", "8", "--latency", "--batch", "2", "--table", "a.md"]
    with pytest.raises(SystemExit) as stop:
        main([*flags, "--print-config"])
    assert stop.value.code == 0
    path = tmp_path / "settings.yaml"
    path.write_text(capsys.readouterr().out)
    assert parse_config(["--config", str(path)]) == parse_config(flags)
    again = parse_config(["--config", str(path), "--threads", "1", "--k-image", "16"])  # timed by the file
    assert again.latency is not None
    assert (again.k_image, again.latency.batch, again.latency.threads) == (16, 2, 1)
    path.write_text("modality: text\nlatency: {batch: 0}\nk_image: 4")
    assert main(["--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"{path}: latency.batch: 0 given, at least 1 is allowed" in error
    path.write_text("modality: text")
    assert main(["--config", str(path), "--timm", "resnet18"]) == 2
    assert "one of the arguments --modality, --timm, --hf-config is needed" in capsys.readouterr().err


def test_from_python_errors_name_fields() -> None:
    with pytest.raises(ToolkitError, match=r"^k_image: given, modality text has none; it has beams, k"):
        ProfileConfig(modality="text", k_image=4)
    with pytest.raises(ToolkitError, match=r"^modality: none given, one of the arguments modality, timm"):
        ProfileConfig()


def test_a_file_of_another_unit_or_without_a_count_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flops.json"
    FlopsFile(
        modality="text", model={}, k=16, source_length=20, target_length=20, decoding="greedy, KV cache",
        local_flops=3.0, ue_flops=1.0, server_flops=2.0,
    ).save(path)  # fmt: skip
    assert FlopsFile.load(path).local_flops == 3.0
    document = json.loads(path.read_text())
    with pytest.raises(ToolkitError, match="k_image must be above 0"):
        FlopsFile(
            modality="vqa", model={}, k_text=16, source_length=20, image_length=17, decoding="one pass",
            local_flops=3.0, ue_flops=1.0, server_flops=2.0,
        )  # fmt: skip
    for change in ({"unit": "MAC"}, {"local_flops": 0}, {"server_flops": None}, {"schema_version": 99}):
        path.write_text(json.dumps(document | change))
        with pytest.raises(ToolkitError, match=r"flops\.json|FLOPs file"):
            FlopsFile.load(path)

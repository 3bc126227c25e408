"""train-deepsc on the command line: what it makes, and how it says no."""

import re
import shutil
from pathlib import Path

import pytest

from deepsc.checkpoint import from_pretrained
from deepsc.command import build_parser, config_from_args, main
from deepsc.modality import modality_names

SMALL = ["--modality", "text", "--dataset", "captions", "--caption-count", "60", "--preset", "micro",
         "--epochs", "1", "--batch-tokens", "512"]  # fmt: skip


def complaint(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """The one line of an error; checks status 2 and that there is no traceback."""
    try:
        status: object = main(flags)
    except SystemExit as stop:  # argparse's own way out
        status = stop.code
    assert status == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("train-deepsc: error: ")
    assert "Traceback" not in "".join(lines)
    return lines[-1]


def test_one_k_makes_a_codec_for_that_k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "codec"
    assert main([*SMALL, "--k", "3", "--channel", "rician", "--output", str(output)]) == 0
    assert re.search(r"validation loss \d+\.\d{4} nats", capsys.readouterr().out)
    checkpoint = from_pretrained(output)
    assert checkpoint.codec.config.k == (3,)
    assert checkpoint.document["training"]["channel"] == "rician"
    assert {path.name for path in output.iterdir()} == {
        "config.json", "tokenizer.json", "model.safetensors", "state.safetensors", "tensorboard",
    }  # fmt: skip


def test_local_model_and_reconstruction(tmp_path: Path) -> None:
    output = tmp_path / "local"
    flags = [*SMALL, "--channel", "none", "--task", "reconstruct", "--output", str(output)]
    assert main(flags) == 0
    checkpoint = from_pretrained(output)
    assert checkpoint.codec.config.k == ()
    assert checkpoint.document["task"] == "reconstruct"
    assert main([*flags, "--resume"]) == 0, "a finished run resumes to itself"


def test_own_corpus(tmp_path: Path) -> None:
    for name, words in (("a", ("one", "two", "three")), ("b", ("eins", "zwei", "drei"))):
        lines = [f"{words[i % 3]} {words[i // 3 % 3]} {i}" for i in range(120)]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    files = ["--source", str(tmp_path / "a"), "--target", str(tmp_path / "b")]
    flags = ["--modality", "text", "--preset", "micro", "--epochs", "1", "--batch-tokens", "512", "--k", "2"]
    assert main([*flags, *files, "--output", str(tmp_path / "codec")]) == 0
    document = from_pretrained(tmp_path / "codec").document
    assert document["synthetic"] is False
    assert len(document["provenance"]["data_sha256"]) == 2


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--k", "0"), "--k: '0' given"),
        (("--k", "8,4"), "--k: '8,4' given"),
        (("--k", "four"), "--k: 'four' given"),
        (("--snr-db", "nan"), "--snr-db: 'nan' given"),
        (("--snr-db=18:-6",), "--snr-db: '18:-6' given"),
        (("--epochs", "0"), "--epochs: '0' given"),
        (("--learning-rate", "-1"), "--learning-rate"),
        (("--seed", "-3"), "--seed"),
        (("--preset", "huge"), "--preset: invalid choice: 'huge'"),
        (("--channel", "wire"), "--channel: invalid choice: 'wire'"),
        (("--rician-factor", "-2", "--channel", "rician"), "--rician-factor"),
        (("--pair", "en-en"), "--pair: 'en-en' given"),
        (("--pair", "en-xx"), "--pair: 'en-xx' given"),
        (("--source", "a.txt"), "--source and --target must be given together"),
        (("--init-from", "nowhere"), "nowhere: not a checkpoint"),
        (("--device", "tpu7"), "--device: 'tpu7'"),
        (("--wrong",), "unrecognized arguments: --wrong"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    flags: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "codec"
    assert says in complaint(capsys, *SMALL, "--output", str(output), *flags)
    assert not output.exists()


FILES = ["--source", "a.txt", "--target", "b.txt"]


@pytest.mark.parametrize(
    ("modality", "flags", "says"),
    [
        ("text", FILES, "a.txt: no such file"),
        (
            "text",
            [*FILES, "--dataset", "multi30k"],
            "--dataset: 'multi30k' given, --source and --target have",
        ),
        ("text", [*FILES, "--pair", "en"], "--pair: 'en' given, two different languages"),
        (
            "text",
            [*FILES, "--caption-count", "8000"],
            "--caption-count: 8000 given, --dataset captions alone",
        ),
        ("text", ["--caption-count", "8000"], "--caption-count: 8000 given, --dataset captions alone"),
        ("text", ["--dataset", "multi30k", "--caption-count", "9"], "--caption-count: 9 given"),
        ("image", ["--folder", "a", "--dataset", "cifar10"], "--dataset: 'cifar10' given, --folder has none"),
        ("image", ["--folder", "a"], "--folder: a holds no images"),
    ],
)
def test_what_the_data_do_not_read_is_refused(
    modality: str, flags: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "codec"
    assert says in complaint(capsys, "--modality", modality, *flags, "--output", str(output))
    assert not output.exists()


def test_the_help_says_what_the_data_are_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    for modality, defaults in (("text", ("multi30k", "en-de", "8000")), ("image", ("cifar10",))):
        with pytest.raises(SystemExit):
            main(["--modality", modality, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        assert all(f"(default: {value})" in shown for value in defaults)


@pytest.mark.parametrize("modality", modality_names())
def test_the_help_has_examples_of_the_modality(modality: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--modality", modality, "--help"])
    shown = capsys.readouterr().out.replace("\\\n", " ")
    local, codec = (line.split()[1:] for line in shown.splitlines() if line.startswith("  train-deepsc "))
    configs = [config_from_args(build_parser(modality).parse_args(flags)) for flags in (local, codec)]
    assert {config.modality for config in configs} == {modality}
    assert configs[0].training.channel == "none"
    assert all(len(k) > 1 for k in configs[1].trained_k.values())
    assert configs[1].init_from == configs[0].output


def test_truncated_checkpoint_to_start_from(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folders["local"], tmp_path / "local")
    weights = tmp_path / "local" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    flags = ("--init-from", str(tmp_path / "local"), "--output", str(tmp_path / "codec"))
    assert "model.safetensors: damaged" in complaint(capsys, *SMALL, *flags)
    assert not (tmp_path / "codec").exists()


def test_existing_run_is_not_overwritten(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folders["codec"] / "model.safetensors").read_bytes()
    assert "holds a run already; give --resume" in complaint(
        capsys, *SMALL, "--output", str(folders["codec"])
    )
    assert (folders["codec"] / "model.safetensors").read_bytes() == before

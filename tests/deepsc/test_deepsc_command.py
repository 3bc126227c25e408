"""train-deepsc on the command line: what it makes, and how it says no."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from accuracy_maps.command import build_parser as map_parser
from deepsc.checkpoint import from_pretrained, read_config
from deepsc.command import build_parser, config_from_args, main
from deepsc.image.config import STEMS
from deepsc.modality import modality_names
from deepsc.text.config import TEXT_PRESETS

ROOT = Path(__file__).parents[2]
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
        (("--k", "0"), "--k: 0 given, 1 to 4096 is allowed"),
        (("--k", "8,4"), "--k: 8,4 given, rising values"),
        (("--k", "four"), "--k: 'four' given"),
        (("--snr-db", "nan"), "--snr-db: nan given"),
        (("--snr-db=18:-6",), "--snr-db: 18:-6 given, LOW:HIGH with LOW <= HIGH"),
        (("--epochs", "-1"), "--epochs: -1 given, at least 0"),
        (
            ("--epochs", "0", "--channel", "none"),
            "--epochs: 0 given, --channel none and a codec",
        ),
        (
            ("--epochs", "0", "--init-from", "a"),
            "--epochs: 0 given, --channel none and a codec",
        ),
        (("--learning-rate", "-1"), "--learning-rate"),
        (("--seed", "-3"), "--seed"),
        (("--preset", "huge"), "--preset: 'huge' given, allowed: tiny"),
        (("--channel", "wire"), "--channel: 'wire' given, allowed: awgn, rayleigh, rician"),
        (("--rician-factor", "-2", "--channel", "rician"), "--rician-factor"),
        (("--pair", "en-en"), "--pair: 'en-en' given"),
        (("--pair", "en-xx"), "--pair: 'en-xx' given"),
        (("--source", "a.txt"), "--target: none given, --source and --target must be given together"),
        (("--init-from", "nowhere"), "--init-from: 'nowhere' given, a folder that is there is allowed"),
        (("--device", "tpu7"), "--device: 'tpu7'"),
        (("--device", "gpu"), "--device: 'gpu' given, allowed: cpu, cuda"),
        (("--device", "meta"), "--device: 'meta' given, allowed: cpu, cuda"),
        (("--device", ""), "--device '' given"),
        (("--init-from", ""), "--init-from '' given"),
        (("--pretrained", ""), "--pretrained '' given"),
        (("--data-dir", ""), "--data-dir '' given"),
        (("--data-dir", "data"), "--data-dir: data given, --dataset multi30k alone"),
        (("--channel", "none", "--k", "4"), "--k: given, --channel none"),
        (("--channel", "none", "--k", "16"), "--k: given, --channel none"),
        (("--channel", "none", "--snr-db", "3"), "--snr-db: given, --channel none"),
        (("--channel", "none", "--fading", "block"), "--fading: given, --channel none"),
        (("--channel", "none", "--csi", "none"), "--csi: given, --channel none"),
        (("--channel", "none", "--rician-factor", "1"), "--rician-factor: given, --channel none"),
        (("--consistency", "2"), "--consistency: 2 given, --channel none alone"),
        (("--bpe-dropout", "0.1"), "--bpe-dropout: 0.1 given, --channel none alone"),
        (("--split", "9"), "--split: 9 given, 0 to"),
        (("--channel", "none", "--bpe-dropout", "1"), "--bpe-dropout: 1.0 given, at least 0 and below 1"),
        (
            ("--bpe-dropout", "0.1", "--channel", "none", "--epochs", "0", "--init-from", "a"),
            "--bpe-dropout: given, --epochs 0 trains nothing",
        ),
        (
            ("--consistency", "2", "--channel", "none", "--dropout", "0"),
            "--consistency: 2 given, without dropout both passes are alike",
        ),
        (
            ("--consistency", "2", "--channel", "none", "--epochs", "0", "--init-from", "a"),
            "--consistency: given, --epochs 0 trains nothing",
        ),
        (("--channel", "none", "--consistency", "-1"), "--consistency: -1.0 given, at least 0"),
        (("--learning-rate", "1e308"), "--learning-rate"),
        (("--k", "1048576"), "--k: 1048576 given, 1 to 4096"),
        (("--snr-db=-1e308:1e308",), "--snr-db: -1e+308 given, -100 to 100"),
        (("--epochs", "9" * 20), "--epochs"),
        (("--batch-tokens", "9" * 20), "--batch-tokens"),
        (("--patience", "9" * 20), "--patience"),
        (("--seed", "9" * 20), "--seed"),
        (("--caption-count", "9" * 20), "--caption-count"),
        (("--wrong",), "unrecognized arguments: --wrong"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    flags: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "codec"
    assert says in complaint(capsys, *SMALL, "--output", str(output), *flags)
    assert not output.exists()


def test_dropout_is_the_presets_or_the_checkpoints_unless_given(tmp_path: Path) -> None:
    def dropout(name: str, *flags: str) -> float:
        output = tmp_path / name
        assert main([*SMALL, "--channel", "none", "--output", str(output), *flags]) == 0
        return read_config(output)["codec"]["dropout"]

    assert dropout("preset") == TEXT_PRESETS["micro"].dropout > 0
    assert dropout("given", "--dropout", "0.3", "--consistency", "2.5") == 0.3
    assert read_config(tmp_path / "given")["training"]["consistency"] == 2.5
    again = ("--init-from", str(tmp_path / "given"), "--epochs", "1")
    assert dropout("kept", *again) == 0.3
    assert dropout("anew", *again, "--dropout", "0") == 0


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
        ("text", ["--source", "", "--target", "b.txt"], "--source '' given"),
        ("image", ["--folder", ""], "--folder '' given"),
        (
            "image",
            ["--folder", "a", "--data-dir", "b"],
            "--data-dir: b given, --dataset cifar10 and imagenette alone",
        ),
        (
            "image",
            ["--dataset", "digits", "--data-dir", "b"],
            "--data-dir: b given, --dataset cifar10 and imagenette alone",
        ),
        ("vqa", ["--data-dir", "b"], "--data-dir: b given, --dataset daquar, vqa-v2 and clevr alone"),
        ("vqa", ["--channel", "none", "--k-text", "8"], "--k-text: given, --channel none"),
        ("vqa", ["--channel", "none", "--k-image", "8"], "--k-image: given, --channel none"),
        ("vqa", ["--k-text", "5000"], "--k-text: 5000 given, 1 to 4096"),
        ("image", ["--dataset", "digits", "--image-size", "1000000"], "--image-size: 1000000 given"),
        (
            "image",
            ["--dataset", "digits", "--image-size", "4096", "--patch-size", "4"],
            "into 1048576 patches; at most",
        ),
        ("image", ["--dataset", "digits", "--depth", "9999999"], "depth: 9999999 given"),
        ("image", ["--folder", "a", "--dataset", "cifar10"], "--dataset: 'cifar10' given, --folder has none"),
        ("image", ["--folder", "a"], "--folder: a: no such folder"),
    ],
)
def test_what_the_data_do_not_read_is_refused(
    modality: str, flags: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "codec"
    assert says in complaint(capsys, "--modality", modality, *flags, "--output", str(output))
    assert not output.exists()


def test_an_empty_output_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """It would be the folder that one happens to stand in."""
    monkeypatch.chdir(tmp_path)
    assert "--output '' given" in complaint(capsys, *SMALL, "--output", "")
    assert not list(tmp_path.iterdir())


def test_a_model_of_one_block_has_it_at_the_user_equipment(tmp_path: Path) -> None:
    """`--depth 1` needs no `--split`, and its error would name a flag that nobody gave."""
    flags = [
        "--modality",
        "image",
        "--dataset",
        "digits",
        "--preset",
        "tiny",
        "--epochs",
        "1",
        "--depth",
        "1",
    ]
    assert main([*flags, "--batch-tokens", "8000", "--k", "2", "--output", str(tmp_path / "run")]) == 0
    assert from_pretrained(tmp_path / "run").codec.config.split == 1


def test_something_is_said_before_every_long_step(
    tmp_path: Path, folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for name, init in (("anew", []), ("on", ["--init-from", str(folders["local"])])):
        assert main([*SMALL, "--k", "2", *init, "--output", str(tmp_path / name)]) == 0
    for step in ("reading the data", "training the tokenizer", "preparing the batches", "building the model",
                 "starting the JSC codec"):  # fmt: skip
        assert step in caplog.text


# The console scripts, as pyproject.toml names them

SCRIPTS = {
    name: target.replace(":", ".")
    for name, target in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()
}


def script(name: str, *flags: str) -> list[str]:
    """A call of a command, as its console script makes it."""
    module, function = SCRIPTS[name].rsplit(".", 1)
    return [
        sys.executable, "-c", f"import sys; from {module} import {function}; sys.exit({function}())", *flags,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "at"),
    [
        *((name, "argparse") for name in sorted(SCRIPTS)),
        ("train-deepsc", "numpy"),
    ],
)
def test_ctrl_c_while_libraries_load_is_one_line(name: str, at: str, tmp_path: Path) -> None:
    """Ctrl-C comes as a module is imported, the first one or one that torch needs."""
    hook = tmp_path / "sitecustomize.py"
    hook.write_text(
        "import os, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {at!r} and 'data.terminal.start' in sys.modules:\n"
        "            sys.meta_path.remove(self)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    flags = ["--modality", "text", "--dataset", "captions", "--preset", "tiny"]
    run = subprocess.run(
        script(name, *flags), env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in run.stderr
    assert (run.returncode, run.stderr.splitlines()[-1]) == (130, f"{name}: interrupted")
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the stream")
def test_a_closed_stderr_disturbs_nothing(tmp_path: Path) -> None:
    """What a log prints does not land on stdout, nor in the file that gets the stream's number."""
    flags = ["--modality", "text", "--dataset", "captions", "--caption-count", "60", "--preset", "tiny",
             "--epochs", "1", "--k", "2", "--output", "codec"]  # fmt: skip
    call = " ".join(map(shlex.quote, script("train-deepsc", *flags)))
    run = subprocess.run(
        f"{call} 2>&-", shell=True, cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode == 0
    loss, wrote, following = run.stdout.splitlines()
    assert re.fullmatch(r"codec: validation loss \d+\.\d{4} nats \(synthetic data\)", loss)
    assert wrote == "wrote codec"
    assert following.startswith("next: build-accuracy-map ")
    assert from_pretrained(tmp_path / "codec").metrics["epoch"] == 0


def test_the_help_says_what_the_data_are_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    for modality, defaults in (("text", ("multi30k", "en-de", "8000")), ("image", ("cifar10",))):
        with pytest.raises(SystemExit):
            main(["--modality", modality, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        assert all(f"(default: {value})" in shown for value in defaults)


def printed_config(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*flags, "--print-config"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("channel", [("--channel", "rician", "--rician-factor", "2"), ("--channel", "none")])
def test_a_printed_config_makes_the_same_run(
    channel: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(printed_config(capsys, *SMALL, *channel, "--device", "cpu"))
    assert printed_config(capsys, "--config", str(file)) == file.read_text()
    assert "epochs: 3" in printed_config(capsys, "--config", str(file), "--epochs", "3")


def test_a_mistake_in_a_config_file_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("modality: text\ntraining: {epochs: -1, channel: {kind: wire}}\nk: [0]\n")
    line = complaint(capsys, "--config", str(file))
    for part in (".epochs: -1 given", ".kind: 'wire' given, allowed: awgn", "k: 0 given"):
        assert part in line
    file.write_text("modality: text\ntraining: {channel: null}\n")
    assert "--k: given, --channel none" in complaint(capsys, "--config", str(file), "--k", "3")


@pytest.mark.parametrize("modality", modality_names())
def test_the_help_has_examples_of_the_modality(modality: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--modality", modality, "--help"])
    shown = capsys.readouterr().out.replace("\\\n", " ")
    local, codec = (line.split()[1:] for line in shown.splitlines() if line.startswith("  train-deepsc "))
    configs = [config_from_args(build_parser(modality).parse_args(flags)) for flags in (local, codec)]
    assert {config.modality for config in configs} == {modality}
    assert configs[0].training.channel is None
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


def next_words(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The command that is named last."""
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("next: ")
    return shlex.split(line.removeprefix("next: ").partition("   (")[0])


def test_the_next_command_is_named_and_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the local model its codec, with the same data; after the codec its map."""
    trained = SimpleNamespace(metrics={"epoch": 1, "validation_loss": 1.0}, document={"synthetic": False})
    monkeypatch.setattr("deepsc.train.run.train_codec", lambda config: trained)
    data = ["--modality", "text", "--dataset", "captions", "--preset", "tiny"]
    local = ["--channel=none", "--consistency", "1", "--output", "runs/my local", "--resume"]
    assert main([*data, *local]) == 0
    words = next_words(capsys)
    assert words[:7] == ["train-deepsc", *data]
    codec = config_from_args(build_parser("text").parse_args(words[1:]))
    assert codec.training.channel is not None
    assert (codec.init_from, codec.output, codec.resume) == ("runs/my local", "runs/my codec", False)
    assert main(words[1:]) == 0
    words = next_words(capsys)
    assert words[0] == "build-accuracy-map"
    options = vars(map_parser().parse_args(words[1:]))
    assert list(options["codecs"]) == ["runs/my codec"]
    assert options["local"] == "runs/my local"
    own = ["--channel=none", "--epochs=0", "--init-from", "runs/my codec", "--output", "own"]
    assert main([*data, *own]) == 0
    options = vars(map_parser().parse_args(next_words(capsys)[1:]))
    assert (list(options["codecs"]), options["local"]) == (["runs/my codec"], "own")
    assert main([*data, "--k", "4", "--output", "alone"]) == 0
    assert "--local LOCAL" in shlex.join(next_words(capsys))
    (tmp_path / "local.yaml").write_text("bpe_dropout: 0.05\ntraining: {channel: null, consistency: 2}")
    assert main([*data, "--config", str(tmp_path / "local.yaml"), "--output", "runs/base"]) == 0
    codec = config_from_args(build_parser("text").parse_args(next_words(capsys)[1:]))
    assert codec.training.channel is not None
    assert codec.output == "runs/base-codec"
    hybrid = ["--modality", "image", "--dataset", "digits", "--image-size", "32", "--stem", STEMS[0]]
    assert main([*hybrid, "--channel", "none", "--stem-weights", "stem.pth", "--output", "runs/local"]) == 0
    config_from_args(build_parser("image").parse_args(next_words(capsys)[1:]))

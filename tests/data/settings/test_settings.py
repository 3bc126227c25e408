"""A field of a config makes the check, the flag, its help and the YAML key."""

import argparse
import dataclasses
import importlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data.settings
from data.files.errors import ToolkitError
from data.settings import (
    Flag,
    Layer,
    Parser,
    Problem,
    Range,
    Settings,
    SettingsError,
    add_config_flags,
    add_flags,
    as_yaml,
    build,
    early,
    from_args,
    layers_of,
    merge,
    named,
    read_layer,
    run_command,
)
from data.settings.files import LARGEST_FILE


def modality_mix(text: str) -> tuple[str, ...]:
    kind, _, count = text.partition(":")
    if kind not in ("text", "image") or not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} given, such as text:2 is allowed")
    return (kind,) * int(count)


@dataclass(frozen=True, kw_only=True)
class Training(Settings):
    epochs: Annotated[int, Range(1)] = 6
    """Passes over 100 % of the
    data. All of it.

    Background that the help leaves out.
    """
    rate: Annotated[float, Range(above=0)] = 1.5e-3
    """Peak."""
    beta: Annotated[float, Range(0, 1)] = 0.5
    dropout: Annotated[float, Range(0, below=1)] = 0.0
    start: Annotated[float, Range(above=0, most=1)] = 0.1
    k: Annotated[tuple[int, ...], Range(1, 1024, rising=True)] = (4, 8, 12)
    """Symbols per token."""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    plain: int = 0

    def problems(self) -> Iterator[Problem]:
        if 12 % self.epochs:
            yield Problem("epochs", f"{self.epochs} given, a divisor of 12 is allowed")


@dataclass(frozen=True, kw_only=True)
class Channel(Settings):
    kind: Literal["awgn", "none"] = "awgn"
    """"none": the local model."""
    snr_db: tuple[float, ...] = (-6.0, 0.5)
    """E_s/N_0."""
    span: tuple[float, float] = (-6.0, 18.0)
    """Trained E_s/N_0."""
    noise: Annotated[float, Range(finite=False)] = 0.0
    threads: Annotated[int, Range(1)] | None = None
    """CPU threads; none: torch's choice."""


@dataclass(frozen=True, kw_only=True)
class Base(Settings):
    output: Path
    """Folder of the run."""
    preset: Annotated[str, Range(choices=("tiny", "small"))] = "small"
    """Size."""


@dataclass(frozen=True, kw_only=True)
class Run(Base):
    training: Training = Training(epochs=4)
    channel: Channel | None = None
    mix: Annotated[tuple[str, ...], Flag("--ues", metavar="MIX", type=modality_mix)] = ("text",)
    """UEs."""
    k_text: Annotated[int, Range(1), Flag("--k-text", "--kt")] = 16
    """k^T."""
    files: Annotated[tuple[Path, ...], Flag("--file", action="append")] = ()
    """Files."""
    names: Annotated[tuple[str, ...], Flag(nargs="+", hidden=True)] = ()
    resume: bool = False
    """Go on."""
    bound: Annotated[bool, Flag("--no-bound", help="leave the bound out")] = True
    """Whether the bound is computed."""
    init_from: str | None = None
    """Folder to start from."""

    def problems(self) -> Iterator[Problem]:
        if self.resume and self.init_from:
            yield Problem("init_from", f"{self.init_from!r} given, none is allowed with {named('resume')}")


def parser() -> Parser:
    made = Parser(prog="some-command")
    add_config_flags(made)
    add_flags(made, Run)
    add_flags(
        made.add_argument_group("training"), Training, at="training", defaults={"rate": 0.25, "beta": None}
    )
    add_flags(made, Channel, "kind", "snr_db", "span", "threads", at="channel")
    return made


def of_flags(line: str) -> Run:
    return from_args(Run, parser().parse_args(line.split()))


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command with these flags ends in."""
    assert run_command("some-command", lambda: print(of_flags(line))) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err.removeprefix("some-command: error: ").rstrip("\n")


# From Python


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"epochs": 0}, "epochs: 0 given, at least 1 is allowed"),
        ({"epochs": 2**31 + 1}, f"epochs: {2**31 + 1} given, at most 2147483648 is allowed"),
        ({"epochs": "6"}, "epochs: '6' given, a whole number is allowed"),
        ({"epochs": True}, "epochs: True given, a whole number is allowed"),
        ({"epochs": 2.0}, "epochs: 2.0 given, a whole number is allowed"),
        ({"epochs": None}, "epochs: None given, a whole number is allowed"),
        (
            {"epochs": 10**5000},
            "epochs: a number of thousands of digits given, at most 2147483648 is allowed",
        ),
        ({"epochs": 5}, "epochs: 5 given, a divisor of 12 is allowed"),
        ({"plain": -(2**31) - 1}, "plain: -2147483649 given, at least -2147483648 is allowed"),
        ({"seed": 2**63}, "seed: 9223372036854775808 given, 0 to 9223372036854775807 is allowed"),
        ({"rate": 0}, "rate: 0.0 given, above 0 is allowed"),
        ({"rate": float("nan")}, "rate: nan given, a finite number is allowed"),
        ({"rate": float("inf")}, "rate: inf given, a finite number is allowed"),
        ({"rate": 10**400}, "rate: 1" + "0" * 89 + " ... " + "0" * 90 + " given, a number is allowed"),
        ({"beta": 1.5}, "beta: 1.5 given, 0 to 1 is allowed"),
        ({"dropout": 1}, "dropout: 1.0 given, at least 0 and below 1 is allowed"),
        ({"start": 0}, "start: 0.0 given, above 0 up to 1 is allowed"),
        ({"k": (0, 4)}, "k: 0 given, 1 to 1024 is allowed"),
        ({"k": (4, 4)}, "k: 4,4 given, rising values are allowed"),
        ({"k": 4}, "k: 4 given, whole numbers, as in 4,8,12, are allowed"),
        ({"k": (4, "8")}, "k: 4,8 given, whole numbers, as in 4,8,12, are allowed"),
    ],
)
def test_a_field_is_checked(values: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Training(**values)
    assert str(caught.value) == says


def test_all_problems_come_at_once_and_keep_their_fields() -> None:
    with pytest.raises(ToolkitError) as caught:
        Training(epochs=0, rate=-1.0, k=(3, 2))
    assert isinstance(caught.value, SettingsError)
    assert [problem.field for problem in caught.value.problems] == ["epochs", "rate", "k"], (
        "12 % 0 breaks no other"
    )
    with pytest.raises(SettingsError, match=r"^rate: .*; epochs: 5 given, a divisor of 12 is allowed$"):
        Training(epochs=5, rate=-1.0)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_rule_that_breaks_on_good_values_is_a_bug() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Broken(Settings):
        def problems(self) -> Iterator[Problem]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Broken()


def test_values_are_made_what_the_annotation_says() -> None:
    training = Training(rate=1, epochs=np.int64(3), k=[1, 2], beta=np.float32(0.5))  # type: ignore[arg-type]
    assert (training.rate, training.epochs, training.k, training.beta) == (1.0, 3, (1, 2), 0.5)
    assert {type(training.rate), type(training.beta), type(training.epochs)} == {float, int}
    run = Run(output="runs", training=training, files=["a"])  # type: ignore[arg-type]
    assert (run.output, run.training, run.files) == (Path("runs"), training, (Path("a"),))
    assert replace(run, resume=True).resume
    assert np.isnan(Channel(noise=float("nan")).noise)


def test_a_class_without_the_decorator_is_told_so() -> None:
    class Forgotten(Settings):
        epochs: int = 1

    with pytest.raises(TypeError, match="Forgotten lacks @dataclass"):
        Forgotten()


# Flags


def test_flags_make_the_config() -> None:
    assert of_flags("--output runs") == Run(output=Path("runs"))
    config = of_flags(
        "--output runs --epochs 3 --rate 1e-3 --k 2,3 --k-text 12 --kt 8 --ues text:2 --file a --file b,c "
        "--names x y,z --resume --no-bound --preset=tiny --snr-db -6:0:3 --span -6:18 --kind none --threads 2"
    )
    assert config == Run(
        output=Path("runs"), preset="tiny", training=Training(epochs=3, rate=1e-3, k=(2, 3)), k_text=8,
        mix=("text", "text"), files=(Path("a"), Path("b,c")), names=("x", "y,z"), resume=True, bound=False,
        channel=Channel(kind="none", snr_db=(-6.0, -3.0, 0.0), span=(-6.0, 18.0), threads=2),
    )  # fmt: skip
    assert of_flags("--output a --snr-db -.5,-1e-3").channel == Channel(snr_db=(-0.5, -1e-3))


def test_a_flag_replaces_one_value_of_a_part_and_keeps_the_default_of_the_others() -> None:
    assert of_flags("--output a --beta 1").training == Training(epochs=4, beta=1.0)


def test_help_is_the_docstring_with_the_default() -> None:
    text = " ".join(parser().format_help().split())
    for line in (
        "--epochs EPOCHS Passes over 100 % of the data. All of it (default: 6)",
        "--rate RATE Peak (default: 0.25)",
        "--beta BETA --dropout",
        "--seed SEED (default: 0)",
        "--output OUTPUT Folder of the run --preset {tiny,small} Size (default: small)",
        "--ues MIX UEs (default: text)",
        "--k-text K_TEXT, --kt K_TEXT k^T (default: 16)",
        "--file FILES Files --resume Go on --no-bound leave the bound out --init-from",
        "--kind {awgn,none} \"none\": the local model (default: awgn)",
        "--snr-db LIST E_s/N_0 (default: -6,0.5)",
        "--span LOW:HIGH Trained E_s/N_0 (default: -6:18)",
        "--threads THREADS CPU threads; none: torch's choice",
        "--config FILE", "--print-config", "--version",
    ):  # fmt: skip
        assert line in text
    for absent in ("Background", "--names", "==SUPPRESS=="):
        assert absent not in text


def test_every_error_of_the_flags_names_its_flag_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(
        "--epochs 0 --rate x --k 4.5 --kt 4.5 --ues vqa --snr-db a:b --kind rayleigh --preset huge "
        "--span 1:2:3 --dropout nan --init-from a --seed " + "9" * 5000,
        capsys,
    )
    digits = "'" + "9" * 89 + " ... " + "9" * 89 + "'"
    assert sorted(line.split("; ")) == sorted(
        [
            "--epochs: 0 given, at least 1 is allowed",
            "--rate: 'x' given, a number is allowed",
            "--dropout: nan given, a finite number is allowed",
            "--k: '4.5' given, whole numbers, as in 4,8,12, are allowed",
            f"--seed: {digits} given, a whole number is allowed",
            "--kind: 'rayleigh' given, allowed: awgn, none",
            "--snr-db: 'a' given, a finite number is allowed",
            "--span: '1:2:3' given, 2 values, as in LOW:HIGH, are allowed",
            "--ues: 'vqa' given, such as text:2 is allowed",
            "--output: none given, one is needed",
            "--preset: 'huge' given, allowed: tiny, small",
            "--k-text: '4.5' given, a whole number is allowed",
        ]
    )


def test_a_rule_across_fields_names_flags(capsys: pytest.CaptureFixture[str]) -> None:
    says = "--init-from: 'b' given, none is allowed with --resume"
    assert refusal("--output a --resume --init-from b", capsys) == says
    with pytest.raises(SettingsError, match=r"^init_from: 'b' given, none is allowed with resume$"):
        Run(output=Path("a"), resume=True, init_from="b")


def test_a_name_is_a_flag_where_the_command_has_it_and_a_field_elsewhere() -> None:
    heard: list[str] = []

    def body() -> None:
        parser().parse_args([])
        heard.extend(map(named, ("mix", "training.epochs", "epochs", "init_from", "carrier_hz", "bound")))

    assert run_command("some-command", body) == 0
    assert heard == ["--ues", "--epochs", "--epochs", "--init-from", "carrier_hz", "--no-bound"]
    parser().parse_args([])
    assert (named("mix"), named("training.epochs")) == ("mix", "training.epochs")


@pytest.mark.parametrize(
    "words", [["--epoch", "3"], ["--output"], ["stray"], ["--epochs", "--resume"], ["-6"]]
)
def test_what_is_no_flag_is_one_line_with_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@dataclass(frozen=True, kw_only=True)
class Report(Settings):
    folder: Annotated[Path, Flag("folder", metavar="RUN_FOLDER")]
    """What was written."""
    page: Base


def test_an_argument_by_position_and_a_part_without_a_default(capsys: pytest.CaptureFixture[str]) -> None:
    made = Parser(prog="report")
    add_flags(made, Report)
    add_flags(made, Base, at="page")
    assert "RUN_FOLDER What was written" in " ".join(made.format_help().split())
    report = from_args(Report, made.parse_args(["runs", "--output", "page"]))
    assert report == Report(folder=Path("runs"), page=Base(output=Path("page")))
    args = made.parse_args(["runs"])
    assert run_command("report", lambda: print(from_args(Report, args))) == 2
    assert capsys.readouterr().err == "report: error: --output: none given, one is needed\n"


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        Parser(prog="some-command train").parse_args(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"some-command {importlib.metadata.version('deepsc-toolkit')}\n"


# Layers and files


def written(folder: Path, text: str) -> str:
    path = folder / "runs.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_flag_counts_more_than_the_file_and_the_file_more_than_what_is_below(tmp_path: Path) -> None:
    path = written(
        tmp_path, "output: from-file\ntraining: {epochs: 3, rate: 1e-3}\nchannel:\n  snr_db: -6:0:3\n"
    )
    args = parser().parse_args(["--config", path, "--epochs", "2"])
    config = from_args(Run, args, {"training": {"epochs": 1, "beta": 1}}, {"preset": "tiny"})
    assert config.training == Training(epochs=2, rate=1e-3, beta=1.0)
    assert (config.output, config.preset) == (Path("from-file"), "tiny")
    assert config.channel == Channel(snr_db=(-6.0, -3.0, 0.0))
    assert merge(*layers_of(args))["training"] == {"epochs": "2", "rate": 1e-3}
    above = from_args(Run, args, above={"training": {"epochs": 12}, "bound": False})
    assert (above.training.epochs, above.training.rate, above.bound) == (12, 1e-3, False)


def test_every_error_of_a_file_names_the_file_and_the_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a short name: a line has an end
    path = "runs.yaml"
    written(
        tmp_path,
        "epochs: 3\ntraining: {epoch: 1, rate: -1, k: [4, x], plain: 1.0}\nchannel: 3\npresets: tiny\n"
        "resume: 'yes'\nmix: vqa\noutput: 2\nzzz: 1\n1: 2\n",
    )
    line = refusal(f"--config {path} --beta 2", capsys)
    for text in (
        f"{path}: epochs: no such setting; near: training.epochs",
        f"{path}: training.epoch: no such setting; near: training.epochs",
        f"{path}: presets: no such setting; near: preset",
        f"{path}: zzz: no such setting; there are: output, preset, training.epochs, ",
        f"{path}: 1: no such setting",
        f"{path}: training.rate: -1.0 given, above 0 is allowed",
        f"{path}: training.k: [4, 'x'] given, whole numbers, as in 4,8,12, are allowed",
        f"{path}: training.plain: 1.0 given, a whole number is allowed",
        "--beta: 2.0 given, 0 to 1 is allowed",
        f"{path}: channel: 3 given, settings of its own are allowed: kind, snr_db, span, noise, threads",
        f"{path}: resume: 'yes' given, true or false is allowed",
        f"{path}: mix: 'vqa' given, such as text:2 is allowed",
        f"{path}: output: 2 given, a path is allowed",
    ):
        assert text in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2", "'a' given twice, once is allowed"),
        ("a: &x [1]\nb: *x", "an alias given, none is allowed"),
        ("a: &x {b: *x}", "an alias given, none is allowed"),
        ("a: [", "not a readable YAML file"),
        ("[a]: 1", "not a readable YAML file"),
        ("a: !!python/object:os.system 1", "not a readable YAML file"),
        ("a: !!timestamp x", "not a readable YAML file"),
        ("a: !!int ''", "not a readable YAML file"),
        ("a: !!bool x", "not a readable YAML file"),
        ("a: !!float x", "not a readable YAML file"),
        ("a: 1\n---\nb: 1", "not a readable YAML file"),
        ("a: " + "9" * 5000, "not a readable YAML file"),
        ("a: " + "[" * 500, "not a readable YAML file"),
        ("a: \x07", "not a readable YAML file"),
        ("- a", "list given, settings as in `name: value` are allowed"),
        ("text", "str given, settings"),
        ("#" * (LARGEST_FILE + 1), "at most 65,536 are allowed"),
    ],
)
def test_a_file_that_is_none_of_settings_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ToolkitError) as caught:
        read_layer(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.sampled_from("ab:-!&*?|>{}[],#'\"%@`~<=0.e\n\t "), max_size=30))
def test_whatever_a_file_holds_it_is_settings_or_one_line(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("settings"), text)
    with suppress(ToolkitError):
        assert isinstance(read_layer(path).values, dict)


def test_a_file_that_is_missing_or_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="no such file"):
        read_layer(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    with pytest.raises(ToolkitError, match="not a readable YAML file"):
        read_layer(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1e6), ("1E-3", 1e-3), (".5", 0.5), ("-6", -6), ("+3", 3), ("010", "010"), ("6:18", "6:18"),
        ("1_000", "1_000"), ("0x10", "0x10"), ("no", "no"), ("on", "on"), ("true", True), ("~", None),
        ("", None), ("null", None), ("none", "none"), ("2026-01-01", "2026-01-01"), ("'1'", "1"),
        ("-.inf", -float("inf")), ("[1, a]", [1, "a"]), ("-6:18:3", "-6:18:3"), ("4,8", "4,8"), ("-", [None]),
        ("<<", "<<"), ("=", "="),
    ],
)  # fmt: skip
def test_plain_values_are_read_by_yaml_1_2(text: str, value: object, tmp_path: Path) -> None:
    layer = read_layer(written(tmp_path, f"a: {text}" if text != "-" else "a:\n  -"))
    assert layer.values == {"a": value}
    assert type(layer.values["a"]) is type(value)
    assert read_layer(written(tmp_path, "")).values == {}


def test_layers_from_python() -> None:
    part = Training(epochs=2, beta=0.25)
    assert build(Run, {"output": "a", "training": part}, {"training": {"beta": 1}}).training == Training(
        epochs=2, beta=1.0
    )
    assert build(Run, {"output": "a", "channel": {"threads": 2}}, {"channel": None}).channel is None
    assert build(Run, {"output": "a", "channel": None}, {"channel": {}}).channel == Channel()
    with pytest.raises(SettingsError, match=r"^training.epoch: no such setting; near: training.epochs$"):
        build(Run, {"output": "a", "training": {"epoch": 1}})
    assert build(Training, Layer({"epoch": 1}, unknown=True)) == Training()
    with pytest.raises(SettingsError, match=r"^channel: 3 given, settings of its own are allowed"):
        build(Run, {"output": "a", "channel": 3})
    layers: list[dict[str, object]] = [{"a": {"b": 1, "c": 1}, "d": 1}, {"a": {"b": 2}, "d": {"e": 3}}]
    assert merge(*layers) == {"a": {"b": 2, "c": 1}, "d": {"e": 3}}
    assert layers[0] == {"a": {"b": 1, "c": 1}, "d": 1}


def test_what_decides_on_the_flags_is_known_early(tmp_path: Path) -> None:
    path = written(tmp_path, "modality: image\n")
    assert early(["--modality", "text"], "modality") == "text"
    assert early(["--modality=text", "--config", path], "modality") == "text"
    assert early([f"--config={path}"], "modality") == "image"
    assert early(["--config", path], "other") is None
    for words in ([], ["--modality"], ["--", "--modality", "text"], ["--config"]):
        assert early(words, "modality") is None


# --print-config

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "1e6",
        "null",
        "~",
        "-",
        "no",
        "#a",
        "a: b",
        "*x",
        "010",
        "{",
        "\n\n",
        "\x85\x7f\ufeff",
        "=",
        "<<",
        " a ",
    ]
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
trainings = st.builds(
    Training,
    epochs=st.sampled_from([1, 2, 3, 4, 6, 12]),
    rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    beta=st.floats(0, 1),
    k=st.lists(st.integers(1, 1024), unique=True).map(lambda ks: tuple(sorted(ks))),
    seed=st.integers(0, 2**63 - 1),
)
channels = st.builds(
    Channel,
    kind=st.sampled_from(["awgn", "none"]),
    snr_db=st.lists(numbers, max_size=4).map(tuple),
    span=st.tuples(numbers, numbers),
    noise=st.floats(allow_nan=False),
    threads=st.none() | st.integers(1, 99),
)
runs = st.builds(
    Run,
    output=texts.map(Path),
    training=trainings,
    channel=st.none() | channels,
    mix=st.lists(texts, max_size=3).map(tuple),
    files=st.lists(texts.map(Path), max_size=3).map(tuple),
    names=st.lists(texts, max_size=3).map(tuple),
    bound=st.booleans(),
    init_from=st.none() | texts,
)


@settings(max_examples=30, deadline=None)
@given(config=runs, modality=texts)
def test_a_config_that_is_printed_and_read_again_is_the_same(
    config: Run, modality: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("settings") / "runs.yaml"
    path.write_text(as_yaml(config, {"modality": modality}), encoding="utf-8", newline="")
    args = parser().parse_args(["--config", str(path)])
    assert from_args(Run, args, chosen={"modality": modality}) == config
    assert early(["--config", str(path)], "modality") == modality


def test_print_config_writes_the_values_with_their_help_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--output runs --epochs 3 --snr-db -6:0:3"
    with pytest.raises(SystemExit) as stop:
        from_args(Run, parser().parse_args([*words.split(), "--print-config"]), chosen={"modality": "text"})
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "modality: text\n# Folder of the run\noutput: runs\n# Size\npreset: small\ntraining:\n"
        "  # Passes over 100 % of the data. All of it\n  epochs: 3\n"
    )
    assert "\n# Whether the bound is computed\nbound: true\n" in text, "not the help of --no-bound"
    assert "\n  snr_db: [-6.0, -3.0, 0.0]\n" in text
    args = parser().parse_args(["--config", written(tmp_path, text)])
    assert from_args(Run, args, chosen={"modality": "text"}) == of_flags(words)


# What is loaded


def loaded_after(statements: str) -> set[str]:
    code = f"import sys\n{statements}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_a_config_loads_no_argparse_and_a_command_no_yaml() -> None:
    config = (
        "import dataclasses\nfrom typing import Annotated\nfrom data.settings import Range, Settings, named\n"
        "@dataclasses.dataclass(frozen=True, kw_only=True)\nclass C(Settings):\n"
        "    a: Annotated[int, Range(1)] = 1\n"
        "C(a=2)\n"
    )
    assert not loaded_after(config) & {"argparse", "tqdm", "yaml", "torch", "numpy"}
    command = (
        "from data.settings import *\nparser = Parser()\nadd_config_flags(parser)\nadd_flags(parser, C)\n"
        "from_args(C, parser.parse_args(['--a', '3']))\nfrom data.settings.fields import _docstrings\n"
        "assert not _docstrings.cache_info().misses\nparser.format_help()\n"
        "assert _docstrings.cache_info().misses\n"
    )
    # and no source, but for the help
    assert not loaded_after(config + command) & {"yaml", "torch", "numpy", "difflib"}


def test_the_face_holds_what_it_says() -> None:
    assert all(getattr(data.settings, name).__name__ == name for name in data.settings.__all__)
    with pytest.raises(AttributeError, match="attribute build_all"):
        getattr(data.settings, "build_all")  # noqa: B009
    assert dataclasses.fields(Settings) == ()

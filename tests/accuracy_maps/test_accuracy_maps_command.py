"""build-accuracy-map's mistakes: one line, exit status 2, nothing written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scratch_runs import FAMILY

from accuracy_maps import AccuracyMap
from accuracy_maps.command import main
from accuracy_maps.show.table import format_map
from accuracy_maps.sweep.build import build_map
from accuracy_maps.sweep.config import MapConfig
from data.files.errors import ToolkitError
from deepsc.digital import code_names
from deepsc.zoo.find import DEFAULTS, FOLDER, map_path

IMAGE_MAP = map_path(FOLDER / DEFAULTS["image"], "awgn")
Refused = Callable[..., str]


@pytest.fixture
def copies(folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Checkpoints that a test may damage."""
    return {name: Path(shutil.copytree(path, tmp_path / name)) for name, path in folders.items()}


@pytest.fixture
def refused(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Gives the command, which must fail as a mistake should, and returns what it says."""

    def run(*flags: str, codec: Path | None = None, local: Path | None = None) -> str:
        output = tmp_path / "output"
        command = [
            "--modality", "text", "--codec", str(codec or folders["codec"]), "--local",
            str(local or folders["local"]), "--snr-db", "0", "--limit", "16", "--device", "cpu",
            "--output", str(output / "map.json"), *flags,
        ]  # fmt: skip
        capsys.readouterr()
        try:
            status = main(command)
        except SystemExit as stop:  # argparse's own errors
            status = stop.code
        assert status == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert printed.err.startswith("build-accuracy-map: error: ")
        assert not output.exists()
        return printed.err

    return run


def change(folder: Path, **changes: Any) -> None:
    """Change config.json; a field that becomes None is removed."""
    path = folder / "config.json"
    document = json.loads(path.read_text()) | changes
    for name, value in changes.items():
        if value is None:
            del document[name]
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "0"], "--k: 0 given, 1 to 4096 is allowed"),
        (["--k", "-4"], "--k"),
        (["--k", "4,2"], "--k: 4,2 given, rising values are allowed"),
        (["--k", "2,3,5"], "--k: [3, 5] given, the codecs are trained for [2, 4, 6]"),
        (["--snr-db", "nan"], "--snr-db: nan given, a finite number"),
        (["--snr-db", "inf"], "--snr-db"),
        (["--snr-db", "0:nan:1"], "--snr-db"),
        (["--snr-db", "6,0"], "rising values are allowed"),
        (["--snr-db", "-200:0:10"], "--snr-db: -200.0 given, -100 to 100 is allowed"),
        (["--snr-db", "-1e308:1e308:1"], "at most 10000 values are allowed"),
        (["--snr-db", "-1e308,1e308"], "--snr-db: -1e+308 given"),
        (["--k", "4097"], "--k: 4097 given, 1 to 4096 is allowed"),
        (["--draws", str(10**12)], "--draws: 1000000000000 given, 1 to 10000 is allowed"),
        (["--beams", "65"], "--beams: 65 given, 1 to 64 is allowed"),
        (["--limit", "1"], "--limit: 1 given, at least 16 is allowed"),
        (["--beside", ""], "--beside '' given, a value is allowed"),
        (["--data-dir", ""], "--data-dir '' given, a value is allowed"),
        (["--task", ""], "--task '' given, a value is allowed"),
        (["--draws", "0"], "--draws"),
        (["--beams", "0"], "--beams"),
        (["--limit", "0"], "--limit"),
        (["--channel", "fog"], "--channel"),
        (["--seed", "-1"], "--seed: -1 given"),
        (["--seed", str(2**64)], "--seed"),
        (["--seed", "1.5"], "--seed"),
        (["--device", "abacus"], "--device: 'abacus'"),
        (["--output", "map.txt"], "--output: 'map.txt' given, a name that ends in .json"),
        (["--modality", "smell"], "--modality"),
        (["--loca", "x"], "--loca"),
        (["--codec", "absent"], "--codec: 'absent' given, a folder that is there is allowed"),
        (["--local", "absent"], "--local: 'absent' given, a folder that is there is allowed"),
        (["--codec"], "--codec"),
    ],
)
def test_wrong_flags_are_refused(refused: Refused, flags: list[str], message: str) -> None:
    assert message in refused(*flags)


def printed_config(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What --print-config says."""
    with pytest.raises(SystemExit) as stop:
        main([*flags, "--print-config"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_a_file_of_settings_stands_for_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.yaml"
    flags = "--modality text --codec a b --local c --snr-db -6:6:6 --beside d.json e.json --engine ray"
    whole = printed_config(capsys, *flags.split())
    for line in ("modality: text", "engine: ray", "codecs: [a, b]", "snr_db: [-6.0, 0.0, 6.0]",
                 "beside: d.json", "also_beside: [e.json]", "device: null"):  # fmt: skip
        assert f"\n{line}\n" in f"\n{whole}"
    path.write_text(whole)
    assert printed_config(capsys, "--config", str(path)) == whole
    assert "\ndraws: 3\n" in printed_config(capsys, "--config", str(path), "--draws", "3")


def test_a_file_of_settings_is_checked_as_flags_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("modality: text\nlocal: c\ncodecs: [a]\ndraws: 0\nnoise: 3\n")
    assert main(["--config", str(path), "--beams", "65", "--print-config"]) == 2
    error = capsys.readouterr().err
    for says in (f"{path}: draws: 0 given, 1 to 10000 is allowed", f"{path}: noise: no such setting",
                 "--beams: 65 given, 1 to 64 is allowed"):  # fmt: skip
        assert says in error
    path.write_text("modality: image\nlocal: c\ncodecs: [a]\nbeams: 4\n")
    assert main(["--config", str(path)]) == 2
    assert "--beams: given, image has no beam search" in capsys.readouterr().err
    path.write_text("modality: text\nlocal: [1]\ncodecs: 3\n")
    for flags in (["--from-scratch"], ["--print-config"]):
        assert main(["--config", str(path), *flags]) == 2
        assert f"{path}: codecs: 3 given" in capsys.readouterr().err
    path.write_text("local: c\n")
    assert main(["--config", str(path)]) == 2
    assert "--modality: none given, allowed: image, text, vqa" in capsys.readouterr().err


def test_what_is_no_flag_is_no_missing_modality(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["results.json"])
    assert stop.value.code == 2
    assert "'results.json' given, the subcommand report or flags are allowed" in capsys.readouterr().err


def test_checkpoints_that_differ_in_one_field_name_that_one(
    refused: Refused, copies: dict[str, Path]
) -> None:
    corpus = json.loads((copies["codec"] / "config.json").read_text())["corpus"]
    change(copies["codec"], corpus=corpus | {"caption_count": 9})
    assert refused(codec=copies["codec"]).endswith(" differ in corpus.caption_count: 9 and 800\n")


def test_a_table_commands_no_terminal(make_map: Callable[..., AccuracyMap]) -> None:
    one = make_map(metric="BLEU\x1b[2J x", provenance={"dataset": "a\x1b]0;b\x07"})
    assert "\x1b" not in format_map(one)


def test_a_codec_is_measured_for_what_it_was_trained_for(refused: Refused) -> None:
    says = "--task: 'reconstruct' given, of a model trained for 'translate' is allowed: translate"
    assert says in refused("--task", "reconstruct")


@pytest.mark.parametrize("scratch", [(), ("--from-scratch",)], ids=["trained", "scratch"])
@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("vqa", ["--k", "4"], "--k: given, vqa has --k-text and --k-image"),
        ("vqa", ["--mat"], "--mat: given, vqa has none"),
        ("vqa", ["--beside", "map.json"], "--beside: given, vqa has none"),
        ("vqa", ["--beams", "4"], "--beams: given, vqa has no beam search"),
        ("image", ["--beams", "1"], "--beams: given, image has no beam search"),
        ("image", ["--k-image", "4"], "--k-image: given, image has --k\n"),
        ("text", ["--k-text", "4"], "--k-text: given, text has --k\n"),
        ("text", ["--k-image", "4"], "--k-image: given, text has --k\n"),
    ],
)
def test_flags_that_would_change_nothing_are_refused(
    refused: Refused, name: str, flags: list[str], message: str, scratch: tuple[str, ...]
) -> None:
    assert message in refused("--modality", name, *flags, *scratch)


def test_data_that_read_no_folder_refuse_one(refused: Refused, image_folders: dict[str, Path]) -> None:
    """By the rule of train-deepsc."""
    message = "--data-dir: nowhere given, {}dataset multi30k alone reads it"
    assert message.format("") in refused("--data-dir", "nowhere")
    assert message.format("--") in refused("--data-dir", "nowhere", "--from-scratch", *FAMILY)
    digits = refused("--modality", "image", "--data-dir", "nowhere", codec=image_folders["codec"],
                     local=image_folders["local"])  # fmt: skip
    assert "--data-dir: nowhere given, dataset cifar10 and imagenette alone read it" in digits


def test_an_output_that_cannot_be_written_is_found_before_measuring(
    folders: dict[str, Path], tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot write" in refused("--output", str(tmp_path / "file" / "map.json"))


def test_a_codec_is_no_local_model_and_the_other_way_round(
    refused: Refused, folders: dict[str, Path]
) -> None:
    assert "is a codec; give the local model, trained without a channel" in refused(local=folders["codec"])
    assert "is a local model; give one trained over a channel" in refused(codec=folders["local"])
    twice = refused("--codec", str(folders["codec"]), str(folders["codec"]))
    assert "another codec are both trained for k = 2" in twice


def test_a_baseline_is_of_a_local_model_beside_a_map_of_its_modality(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    given: dict[str, Any] = {"codecs": (), "output": str(tmp_path / "map.json"), "baseline": "digital"}
    with pytest.raises(ToolkitError, match="is a codec; give the local model, trained without a channel"):
        build_map(MapConfig(**given, local=str(folders["codec"]), k=(2,)))
    with pytest.raises(ToolkitError, match=r"beside: .* is of modality image, one of text is allowed"):
        build_map(MapConfig(**given, local=str(folders["local"]), beside=str(IMAGE_MAP)))


def test_a_baselines_code_makes_another_map_that_says_how_its_sentences_were_coded(
    folders: dict[str, Path], tmp_path: Path, refused: Refused
) -> None:
    given: dict[str, Any] = {
        "codecs": (), "output": str(tmp_path / "map.json"), "baseline": "digital", "k": (2,),
        "snr_db": (0.0, 15.0), "limit": 16, "local": str(folders["local"]),
    }  # fmt: skip
    ideal = build_map(MapConfig(**given))
    with pytest.raises(ToolkitError, match=r"^output: .*\(code was capacity, is now finite\)"):
        build_map(MapConfig(**given, code="finite"))
    finite = build_map(MapConfig(**given, code="finite", overwrite=True))
    assert (ideal.model["code"], finite.model["code"]) == ("capacity", "finite")
    assert np.any(ideal.accuracy != finite.accuracy), "not the finished map of the other code"
    for one in (ideal, finite):
        assert one.provenance["source_codes"] == list(code_names())
        source = one.provenance["source"]
        shares = [source[f"share coded by {name}"] for name in code_names()]
        assert sum(shares) == pytest.approx(1)
        assert source["bits an item"] > 8
    assert "--code: 'finite' given, --baseline alone has one" in refused("--code", "finite")
    with pytest.raises(ToolkitError, match=r"^code: 'turbo' given, allowed: capacity, finite, ldpc"):
        MapConfig(**given, code="turbo")


def test_a_baseline_takes_what_is_not_given_from_the_map_beside_it(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """Its SNRs unless told others, and its channel with the Rician factor."""
    codec, beside = tmp_path / "codec", str(tmp_path / "rician.json")
    shutil.copytree(folders["codec"], codec)
    document = json.loads((codec / "config.json").read_text())
    document["training"] |= {"channel": "rician", "rician_factor": 9.0}
    (codec / "config.json").write_text(json.dumps(document))
    shared: dict[str, Any] = {"local": str(folders["local"]), "limit": 16}
    build_map(MapConfig(codecs=(str(codec),), output=beside, k=(2,), snr_db=(3.0, 6.0), **shared))
    given: dict[str, Any] = {"codecs": (), "baseline": "digital", "beside": beside, **shared}
    taken = build_map(MapConfig(output=str(tmp_path / "taken.json"), **given))
    assert taken.axes == ((2,), (3.0, 6.0))
    assert taken.provenance["channel"]["rician_factor"] == 9.0
    assert list(taken.provenance["config"]["snr_db"]) == [3.0, 6.0]
    awgn: dict[str, Any] = {"output": str(tmp_path / "told.json"), "snr_db": (1.0,), "channel": "awgn"}
    with pytest.raises(ToolkitError, match=r"^draws: 2 given, a baseline over AWGN draws neither"):
        build_map(MapConfig(**awgn, draws=2, **given))
    told = build_map(MapConfig(**awgn, **given))
    assert told.axes == ((2,), (1.0,))
    assert told.channel == "awgn"
    document = json.loads(Path(beside).read_text())
    document["provenance"]["local"]["sha256"] = "of another"
    Path(beside).write_text(json.dumps(document))
    with pytest.raises(ToolkitError, match=r"^beside: .* divides by another local model"):
        build_map(MapConfig(output=str(tmp_path / "other.json"), **given))


@pytest.mark.parametrize(
    ("field", "value"),
    [("task", "reconstruct"), ("corpus", {"dataset": "captions", "caption_count": 9}), ("modality", "image")],
)
@pytest.mark.parametrize("which", ["codec", "local"])
def test_checkpoints_that_do_not_belong_together_are_refused(
    refused: Refused, copies: dict[str, Path], field: str, value: Any, which: str
) -> None:
    change(copies[which], **{field: value})
    message = refused(**{which: copies[which]})
    assert field in message or str(value) in message


@pytest.mark.parametrize(
    ("field", "value"),
    [("channel", "rayleigh"), ("fading", "symbol"), ("csi", "none"), ("rician_factor", 9.0)],
)
def test_codecs_of_different_channels_are_refused(
    refused: Refused, copies: dict[str, Path], folders: dict[str, Path], field: str, value: Any
) -> None:
    training = json.loads((copies["codec"] / "config.json").read_text())["training"]
    change(copies["codec"], training=training | {field: value})
    assert f"differ in {field}" in refused("--codec", str(folders["codec"]), str(copies["codec"]))


DAMAGE: list[dict[str, Any]] = [
    *(
        {field: None}
        for field in ("task", "corpus", "modality", "training", "codec", "dataset", "provenance")
    ),
    *({field: value} for field in ("corpus", "training", "codec") for value in (3, [1], {"foreign": 1})),
]


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_config_with_a_field_missing_or_damaged_is_refused(
    refused: Refused, copies: dict[str, Path], damage: dict[str, Any]
) -> None:
    for folder in copies.values():
        change(folder, **damage)
    assert "config.json: damaged or foreign file" in refused(codec=copies["codec"], local=copies["local"])


def test_a_corpus_that_is_not_there_is_named(
    refused: Refused, copies: dict[str, Path], tmp_path: Path
) -> None:
    corpus = {
        "dataset": "files",
        "source": str(tmp_path / "absent.en"),
        "target": str(tmp_path / "absent.de"),
    }
    for folder in copies.values():
        change(folder, corpus=corpus)
    assert "absent.en: no such file" in refused(codec=copies["codec"], local=copies["local"])
    for folder in copies.values():
        change(folder, corpus={"dataset": "multi30k"})
    message = refused("--data-dir", str(tmp_path / "none"), codec=copies["codec"], local=copies["local"])
    assert "--data-dir or $DEEPSC_DATA must hold multi30k/" in message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("which", ["codec", "local"])
def test_a_truncated_or_missing_part_of_a_checkpoint_is_named(
    refused: Refused, copies: dict[str, Path], name: str, which: str
) -> None:
    path = copies[which] / name
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:length])
        assert name in refused(**{which: copies[which]})
    path.unlink()
    assert name in refused(**{which: copies[which]})


def test_weights_of_another_model_are_refused(
    refused: Refused, copies: dict[str, Path], folders: dict[str, Path]
) -> None:
    shutil.copy(folders["local"] / "model.safetensors", copies["codec"])
    assert "belongs to another model" in refused(codec=copies["codec"])

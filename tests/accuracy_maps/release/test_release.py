"""Making a release: rounded weights, maps of those weights alone, a card of its files."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from support.micro_codec import MORE_CAPTIONS, run_config, use_micro_preset

import deepsc
from accuracy_maps import BimodalMap, load_map
from accuracy_maps.release import ReleaseConfig, make_release, model_card, zoo_page
from accuracy_maps.release.__main__ import main
from accuracy_maps.release.page import plot_release
from accuracy_maps.show.compare import thresholds
from accuracy_maps.sweep.build import build_map
from accuracy_maps.sweep.config import MapConfig
from data.files.errors import ToolkitError
from data.files.tensors import read_safetensors, write_safetensors
from deepsc.checkpoint import from_pretrained, read_weights
from deepsc.train.run import train_codec
from deepsc.zoo.find import CARD, DEFAULTS, FOLDER, MAPS, list_codecs
from profiling.command import main as profile_flops

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def release(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two maps and a FLOPs file. Read only: copy to change."""
    root = tmp_path_factory.mktemp("release")
    config = {"local": str(folders["local"]), "codec": str(folders["codec"]), "output": str(root / "mine")}
    folder = make_release(ReleaseConfig(**config))
    measured = {"codecs": (str(folder),), "local": str(folder), "snr_db": (0.0, 18.0), "limit": 40}
    build_map(MapConfig(**measured, output=str(root / "map.json"), device="cpu"))
    digital = {"baseline": "digital", "beside": str(root / "map.json"), "local": str(folder), "limit": 40}
    build_map(MapConfig(**digital, output=str(root / "digital.json"), device="cpu"))
    flops = [
        "--modality",
        "text",
        "--checkpoint",
        str(folder),
        "--k",
        "4",
        "--output",
        str(root / "flops.json"),
    ]
    assert profile_flops(flops) == 0
    made = ["--codec", str(folder), "--local", str(folder), "--output", str(folder), "--map"]
    made += [str(root / "map.json"), str(root / "digital.json"), "--flops", str(root / "flops.json")]
    assert main(made) == 0
    return folder


def test_weights_are_rounded_and_computed_with_in_float32(release: Path, folders: dict[str, Path]) -> None:
    for part in ("codec", "local"):
        stored, _ = read_weights(release / part / "model.safetensors")
        before, _ = read_safetensors(folders[part] / "model.safetensors")
        assert torch.bfloat16 in {tensor.dtype for tensor in stored.values()}
        for name, tensor in before.items():
            rounded = tensor.bfloat16() if tensor.is_floating_point() else tensor
            assert torch.equal(stored[name], rounded)
            assert stored[name].dtype == rounded.dtype
    loaded = deepsc.load(release)
    assert {parameter.dtype for parameter in loaded.codec.parameters()} == {torch.float32}
    assert loaded.release == release
    assert loaded.card == (release / "card.md").read_text()


def test_what_a_codec_has_of_its_local_model_is_stored_once(release: Path, tmp_path: Path) -> None:
    """And found there; another local model is refused."""
    own, _ = read_safetensors(release / "codec" / "model.safetensors")
    whole, _ = read_weights(release / "codec" / "model.safetensors")
    local, _ = read_safetensors(release / "local" / "model.safetensors")
    assert not own.keys() & local.keys()
    assert whole.keys() == own.keys() | local.keys()
    copy = tmp_path / "mine"
    shutil.copytree(release, copy)
    weights = copy / "local" / "model.safetensors"
    _, header = read_safetensors(weights)
    name = min(local)
    write_safetensors(weights, local | {name: local[name] + 1}, header)
    with pytest.raises(ToolkitError, match=r"local.model\.safetensors: belongs to another model than"):
        deepsc.load(copy)
    weights.unlink()
    with pytest.raises(ToolkitError, match=r"local.model\.safetensors: no such file; the codec .* takes"):
        deepsc.load(copy)


def test_a_codec_is_found_from_its_own_folder(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by a link to it, or where its files are links, as in the hub's cache."""
    expected = from_pretrained(release / "codec").sha256
    link = tmp_path / "link"
    link.symlink_to(release / "codec")
    assert from_pretrained(link).sha256 == expected
    copy = tmp_path / "copy"
    for path in (path for path in release.rglob("*.*") if path.is_file()):
        place = copy / path.relative_to(release)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path)
    assert from_pretrained(copy / "codec").sha256 == expected
    monkeypatch.chdir(release / "codec")
    assert from_pretrained(".").sha256 == expected


def test_the_codecs_own_transformer_may_be_its_local_model(
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Then each started from the other, before it was rounded and after."""
    use_micro_preset(monkeypatch)
    for number, codec in enumerate((folders["codec"], tmp_path / "1" / "codec"), start=1):
        own, output = tmp_path / f"own{number}", tmp_path / str(number)
        training = {"epochs": 0, "channel": "none"}
        train_codec(run_config(own, corpus=MORE_CAPTIONS, training=training, init_from=str(codec)))
        make_release(ReleaseConfig(codec=str(codec), local=str(own), output=str(output)))
        whole, _ = read_weights(output / "codec" / "model.safetensors")
        local, _ = read_weights(output / "local" / "model.safetensors")
        alone, _ = read_safetensors(output / "codec" / "model.safetensors")
        assert alone.keys() == whole.keys() - local.keys()
        made = re.findall(
            r"^\| (what it started from|local model|codec) \|", model_card(output), re.MULTILINE
        )
        assert made == ["what it started from", "codec", "local model"], (
            "in the order in which they were made"
        )
    assert "started from another model" not in caplog.text


def test_a_release_of_another_local_model_stores_the_codec_whole(
    release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also in the folder where the two shared their weights before."""
    copy, other = tmp_path / "mine", tmp_path / "other"
    shutil.copytree(release, copy)
    shutil.copytree(release / "local", other)
    local, header = read_safetensors(other / "model.safetensors")
    name = min(local)
    write_safetensors(other / "model.safetensors", local | {name: local[name] + 1}, header)
    document = json.loads((other / "config.json").read_text())
    del document["provenance"]["rounded"]  # which tells the model that the codec started from
    (other / "config.json").write_text(json.dumps(document))
    before = from_pretrained(copy / "codec").sha256
    make_release(ReleaseConfig(codec=str(copy), local=str(other), output=str(copy)))
    assert "started from another model" in caplog.text
    own, _ = read_safetensors(copy / "codec" / "model.safetensors")
    assert local.keys() <= own.keys()
    assert from_pretrained(copy / "codec").sha256 == before


def test_made_anew_of_itself_it_stays_the_same(release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    shutil.copytree(release, copy)
    maps = tuple(map(str, sorted((release / "maps").glob("*.json"))))
    flops = str(release / "flops.json")
    config = ReleaseConfig(codec=str(release), local=str(release), maps=maps, flops=flops, output=str(copy))
    make_release(config)
    for path in release.rglob("*.*"):
        if path.suffix == ".safetensors":
            assert read_safetensors(copy / path.relative_to(release))[1] == read_safetensors(path)[1]
        else:
            assert (copy / path.relative_to(release)).read_bytes() == path.read_bytes(), path


def test_the_card_says_what_the_files_say(release: Path) -> None:
    card = model_card(release)
    assert card.startswith("# mine\n")
    found = load_map(release / "maps" / "translate-awgn.json")
    assert f"| local model, sacreBLEU | {found.local_accuracy:.2f} [" in card
    assert "on 40 test items" in card
    assert "captions en-de (synthetic)" in card
    flops = json.loads((release / "flops.json").read_text())
    assert f"local {flops['local_flops']:.3g}, UE {flops['ue_flops']:.3g}" in card
    assert "| map | of | k = 2 | k = 4 | k = 6 |" in card
    assert "| translate-awgn | codec; synthetic data, awgn |" in card
    assert "| translate-awgn-digital-capacity | digital, ideal code; synthetic data, awgn |" in card
    for name in ("local model", "codec", "map translate-awgn", "FLOPs"):
        assert f"\n| {name} | `" in card


@pytest.mark.parametrize(
    ("changes", "before", "terms"),
    [
        ({}, "", ""),
        ({"pair": "de-en"}, "; before that captions de-en", "; of captions de-en: generated by this toolkit"),
        ({"source": "/home/a.en", "target": "b.de"}, "; before that a.en, b.de", "; of a.en, b.de: those of"),
        ({"dataset": "multi30k"}, "; before that multi30k en-de", "; of multi30k en-de: github.com/multi30k"),
    ],
)
def test_the_card_names_the_data_before(
    changes: dict[str, str], before: str, terms: str, release: Path, tmp_path: Path
) -> None:
    """Of the training that the local model started from."""
    folder = shutil.copytree(release, tmp_path / "copy")
    document = json.loads((folder / "codec" / "config.json").read_text())
    origin = document["provenance"]["initial"]["provenance"]
    origin["initial"] = {"provenance": {"config": {"corpus": document["corpus"] | changes}, "command": []}}
    (folder / "codec" / "config.json").write_text(json.dumps(document))
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", model_card(folder), re.MULTILINE))
    assert rows["trained on"] == "captions en-de (synthetic)" + before
    assert rows["terms of the data"].startswith("generated by this toolkit (synthetic): Apache-2.0" + terms)
    assert bool(before) == (";" in rows["terms of the data"])


def test_maps_and_flops_of_other_weights_are_refused(
    release: Path, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    document = json.loads((release / "maps" / "translate-awgn.json").read_text())
    document["provenance"]["codecs"][0]["sha256"] = "0" * 64
    other.write_text(json.dumps(document))
    flags = ["--codec", str(release), "--local", str(release), "--output", str(tmp_path / "made")]
    assert main([*flags, "--map", str(other)]) == 2
    assert f"--map: {other} was not measured on the released weights" in capsys.readouterr().err
    flops = tmp_path / "flops.json"
    document = json.loads((release / "flops.json").read_text())
    document["model"]["d_model"] = 7
    flops.write_text(json.dumps(document))
    assert main([*flags, "--flops", str(flops)]) == 2
    assert f"--flops: {flops} is of another model" in capsys.readouterr().err
    swapped = ReleaseConfig(
        codec=str(folders["local"]), local=str(folders["local"]), output=str(tmp_path / "x")
    )
    with pytest.raises(ToolkitError, match="a codec trained over a channel and its local model are allowed"):
        make_release(swapped)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", deepsc.list_codecs())
def test_the_card_of_a_shipped_codec_is_of_its_files(name: str) -> None:
    assert (FOLDER / name / "card.md").read_text() == model_card(FOLDER / name)


def test_the_card_of_a_vqa_codec_has_a_row_for_each_k_of_the_question() -> None:
    folder = FOLDER / "vqa-easy-vqa-medium"
    awgn = BimodalMap.load(folder / MAPS / "answer-awgn.json")
    lines = (folder / CARD).read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = ["map", "of", "k^T", *(f"k^I = {k}" for k in awgn.k_image)]
    found = {int(row[2]): row[3:] for row in rows[rows.index(head) :] if row[0] == "answer-awgn"}
    reached = thresholds(awgn)
    assert found == {
        k_text: [reached[f"{k_text}, {k_image}"] for k_image in awgn.k_image] for k_text in awgn.k_text
    }


def test_the_page_of_the_zoo_is_of_the_cards() -> None:
    page = (DOCS / "model-zoo.md").read_text(encoding="utf-8")
    assert page == zoo_page(), "python -m accuracy_maps.release.page docs"
    for name in list_codecs():
        assert imread(DOCS / "figures" / f"{name}.png")[..., :3].std() > 0.01
        assert f"\n## {name}\n" in page


def test_a_release_is_drawn_with_separate_coding_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    for name in list_codecs():
        plot_release(FOLDER / name, tmp_path / f"{name}.png")
    text, image, vqa = (drawn[list_codecs().index(DEFAULTS[name])] for name in ("text", "image", "vqa"))
    for figure, code in ((text, "5G LDPC"), (image, "finite-length code")):
        labels = [label.get_text() for label in figure.axes[0].get_legend().get_texts()]
        assert [label.partition(":")[0] for label in labels if "dB" in label] == ["codec", f"digital, {code}"]
    assert len(vqa.axes) > 4

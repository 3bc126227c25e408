"""Benchmarks: the sweep's throughput is compared on identical counts and fails where it should; the tables of
nested codecs and of separate coding say how they came to be.
"""

import argparse
import csv
import itertools
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from flag_types import int_list, positive_int
from torch import nn

from accuracy_maps import load_map
from benchmarks import (
    back_translation,
    digital_text,
    image_tokens,
    map_throughput,
    nested_vs_dedicated,
    section_v,
    semantic_unaware,
    stem_steps,
    text_receivers,
    text_steps,
    vqa_blind,
    vqa_variants,
)
from data.files.provenance import git_commit, package_versions
from data.questions.load import load_vqa
from data.text.parallel import read_pairs
from deepsc.checkpoint import from_pretrained
from deepsc.text.material import corpus_of
from deepsc.vqa.config import VQACodecConfig
from deepsc.vqa.model import VQACodec


@pytest.fixture
def flags(folders: dict[str, Path]) -> list[str]:
    return ["--codec", str(folders["codec"]), "--k", "2,6", "--snr-db", "0,18", "--limit", "12"]


def clock(monkeypatch: pytest.MonkeyPatch, *, plain_s: float) -> None:
    """Ours takes a second, the plain loop as long as it is told, with the cache half of it."""
    times = itertools.accumulate(itertools.cycle((0.0, 1.0, 0.0, plain_s / 2, 0.0, plain_s)))
    monkeypatch.setattr(map_throughput.time, "process_time", lambda: next(times))


@pytest.mark.parametrize(("plain_s", "fails"), [(10.0, False), (9.9, True)])
def test_counts_are_identical_and_the_ratio_is_held(
    flags: list[str], plain_s: float, fails: bool, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    clock(monkeypatch, plain_s=plain_s)
    if fails:
        with pytest.raises(SystemExit, match=r"ours is 9\.9 times as fast .* at least 10 is required"):
            map_throughput.main(flags)
    else:
        map_throughput.main(flags)
    printed = capsys.readouterr().out
    assert "12 sentences of captions en-de (synthetic), 4 cells, identical counts" in printed
    assert re.search(rf"plain +{2 * plain_s:.1f} .* {plain_s:.1f}x$", printed, re.MULTILINE)


def test_other_counts_are_an_error(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one_cell = map_throughput.one_cell

    def wrong(*args: object, k: int, snr_db: float, cache: bool) -> np.ndarray:
        counts = one_cell(*args, k=k, snr_db=snr_db, cache=cache)
        return counts + (snr_db == 18 and not cache)

    monkeypatch.setattr(map_throughput, "one_cell", wrong)
    with pytest.raises(SystemExit, match=r"^plain and ours differ at k = 2, 18 dB$"):
        map_throughput.main(flags)


def test_the_table_of_nested_codecs_has_its_provenance_beside_it(
    image_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--modality", "image", "--local", str(image_folders["local"]), "--k", "1,4", "--seeds", "1",
             "--draws", "1", "--limit", "20", "--output", str(tmp_path), "--", "--dataset", "digits",
             "--preset", "tiny", "--epochs", "1", "--batch-tokens", "6000"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["nested_vs_dedicated.py", *flags])
    nested_vs_dedicated.main()
    with (tmp_path / "nested-image.csv").open() as file:
        rows = [(int(row["k"]), float(row["snr_db"]), int(row["seed"])) for row in csv.DictReader(file)]
    assert sorted(rows) == list(itertools.product((1, 4), (-6.0, 18.0), (0,)))
    origin = json.loads((tmp_path / "nested-image.json").read_text())["provenance"]
    assert origin["command"] == ["nested_vs_dedicated.py", *flags]
    assert origin["seeds"] == [0]
    assert origin["git_commit"] == git_commit()
    assert origin["packages"] == package_versions()
    assert "CPUs" in origin["machine"]
    assert len(origin["maps"]) == 3
    for name, told in origin["maps"].items():
        found = load_map(tmp_path / f"{name}.json").provenance
        assert told == {"created": found["created"], "git_commit": found["git_commit"]}
        assert origin["data_sha256"] == found["data_sha256"]


def test_text_by_separate_coding_needs_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "digital.json"
    flags = ["--dataset", "captions", "--vocab-size", "400", "--limit", "20", "--k", "1,4"]
    assert digital_text.main([*flags, "--codes", "capacity", "finite", "--output", str(out)]) == 0
    found = json.loads(out.read_text())
    bits = found["bits_a_sentence"]
    assert bits["bigram arithmetic"] < bits["token Huffman"] < bits["byte Huffman"]
    assert bits["the shortest"] < bits["byte Huffman or deflate"]
    old, capacity, _ = found["snr_db_at_level"].values()
    assert all(capacity[k] < old[k] for k in ("1", "4")), "fewer bits arrive at a lower SNR"
    assert capacity["4"] < capacity["1"]
    assert found["provenance"]["config"]["k"] == [1, 4]
    assert "captions en-de (synthetic): 20 test sentences" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "values"), [("4", (4,)), ("4,8,12", (4, 8, 12)), ("1, 2", (1, 2))])
def test_int_list_reads_rising_integers(text: str, values: tuple[int, ...]) -> None:
    assert int_list(text) == values


@pytest.mark.parametrize(
    "text", ["", "0", "-4", "4,0", "4,4", "8,4", "4.0", "four", "4,,8", "4,", "nan", "9" * 5000]
)
def test_int_list_refuses_the_rest(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="given"):
        int_list(text)


def test_numbers_are_checked() -> None:
    assert positive_int("12") == 12
    for text in ("0", "-1", "1.5", "", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
            positive_int(text)


def test_steps_of_a_hybrid_are_timed_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--dataset", "digits", "--preset", "tiny", "--image-size", "16", "--images", "2", "--steps", "1"]
    assert stem_steps.main(flags) == 0
    printed = capsys.readouterr().out
    for way in stem_steps.WAYS:
        assert re.search(rf"^{way} +\d+\.\d{{3}} +\d+\.\d{{3}} +\d+\.\d{{2}}x$", printed, re.MULTILINE), way
    assert "features on disk: 0.5 kB an image" in printed, "448 bytes, and half of the head"


def test_steps_of_a_text_model_are_timed_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert text_steps.main(["--preset", "tiny", "--batch-tokens", "256", "--steps", "2"]) == 0
    printed = capsys.readouterr().out
    assert "captions en-de (synthetic), tiny, at most 256 tokens a step, 2 steps" in printed
    for way in text_steps.WAYS:
        assert re.search(rf"^{way} +\d+\.\d{{3}} +\d+\.\d{{2}}x$", printed, re.MULTILINE), way


def test_images_cross_as_clusters_of_their_tokens(
    image_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """At a high SNR clustering loses what is lost; the linear code without a channel loses nothing."""
    flags = ["--local", str(image_folders["local"]), "--clusters", "4,64", "--images", "200"]
    flags += ["--limit", "200"]
    assert image_tokens.main([*flags, "--k", "4", "--snr-db=-20,40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    linear, few, many = ([float(cell) for cell in line.split("|")[2:-1]] for line in lines[-3:])
    assert linear[0] == 1
    assert linear[1] < 0.5 < linear[2]
    assert few[0] < many[0] < 1.05
    for bare, noise, clean in (few, many):
        assert noise < bare
        assert clean == pytest.approx(bare, abs=0.02)


def test_questions_are_asked_of_other_images(
    vqa_folders: dict[str, Path],
    clevr: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A model that looks is right less often where it is shown another image."""
    flags = ["--local", str(vqa_folders["local"]), "--data-dir", str(clevr)]
    monkeypatch.setattr(sys, "argv", ["vqa_blind.py", *flags])
    with pytest.raises(SystemExit) as end:
        vqa_blind.main()
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("60 questions about 30 images of CLEVR")
    frequent, prior, other, own = map(float, re.findall(r" (\d+\.\d\d)$", printed, re.MULTILINE))
    assert 0 < frequent <= prior < 100
    assert other < own


def test_without_a_gate_fusion_is_torchs_own_decoder() -> None:
    torch.manual_seed(0)
    codec = VQACodec(VQACodecConfig.from_preset("tiny", answers=("yes", "no"))).eval()
    fusion, width = codec.fusion, codec.config.fusion_width
    question, image, mask = torch.randn(3, 4, width), torch.randn(3, 5, width), torch.ones(3, 4)
    gated = fusion(question, mask, image, None)
    vqa_variants.without_gate(codec)
    expected = question
    for layer in fusion.layers:
        expected = layer(expected, image)
    added = fusion(question, mask, image, None)
    torch.testing.assert_close(added, fusion.norm(expected))
    assert not torch.allclose(added, gated)


def test_question_layers_can_be_post_norm() -> None:
    torch.manual_seed(0)
    codec = VQACodec(VQACodecConfig.from_preset("tiny", answers=("yes", "no"))).eval()
    embedded, mask = torch.randn(2, 3, codec.config.text_width), torch.ones(2, 3)
    vqa_variants.post_norm(codec)
    encoded = codec.text_encoder(embedded, mask)
    (layer,) = codec.text_encoder.context.layers
    x = embedded + codec.text_encoder.positions[:3]
    x = layer.norm1(x + layer.self_attn(x, x, x, need_weights=False)[0])
    x = layer.norm2(x + layer.linear2(nn.functional.gelu(layer.linear1(x))))
    torch.testing.assert_close(encoded, x)


def test_variants_of_vqa_are_trained_beside_each_other(
    clevr: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vqa_variants, "load_vqa", lambda dataset: load_vqa(dataset="clevr", data_dir=clevr))
    built = []

    def noted(name: str, change: Callable[[VQACodec], None]) -> Callable[[VQACodec], None]:
        def apply(codec: VQACodec) -> None:
            built.append((name, len(codec.text_encoder.context.layers)))
            change(codec)

        return apply

    variants = {name: noted(name, change) for name, change in vqa_variants.VARIANTS.items()}
    monkeypatch.setattr(vqa_variants, "VARIANTS", variants)
    words = ["--preset", "tiny", "--text-layers", "2", "--epochs", "3", "--seeds", "2"]
    assert vqa_variants.main(words) == 0
    assert built == [(name, 2) for name in variants for _ in range(2)]
    printed = capsys.readouterr()
    epochs = re.findall(r"^(.+), seed (\d), epoch (\d): (\S+) %", printed.err, re.MULTILINE)
    assert [row[:3] for row in epochs] == [
        (how, str(seed), str(epoch))
        for how in vqa_variants.VARIANTS for seed in range(2) for epoch in range(1, 4)
    ]  # fmt: skip
    head, _, *rows = printed.out.splitlines()
    assert head.startswith("|  | epoch 1 | epoch 2 | epoch 3 | CPU s |")
    for variant, row in zip(vqa_variants.VARIANTS, rows, strict=True):
        last = [float(right) for name, _, epoch, right in epochs if (name, epoch) == (variant, "3")]
        name, *means, _ = (cell.strip() for cell in row.strip("|").split("|"))
        mean, low, high = map(float, re.findall(r"[\d.]+", means[-1]))
        assert (name, low, high) == (variant, min(last), max(last))
        assert mean == pytest.approx(sum(last) / 2, abs=0.1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--noise-dbm-hz", "-150"], "a map or a noise given, none is allowed"),
        (["--ues", "vqa:2"], "--ues: no map of separate coding ships for all of its modalities"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    flags: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["semantic_unaware.py", *flags])
    with pytest.raises(SystemExit) as end:
        semantic_unaware.main()
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_semantic_codec_and_separate_coding_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At this noise separate coding of images earns less, whatever the policy."""
    monkeypatch.setattr(semantic_unaware, "NOISES_DBM_HZ", (-160.0,))
    flags = ["--ues", "image:2", "--k-image", "32", "--ue-device", "jetson-nano", "--seeds", "1"]
    flags += ["--episodes", "1", "--test-episodes", "4", "--output", str(tmp_path / "unaware.png")]
    monkeypatch.setattr(sys, "argv", ["semantic_unaware.py", *flags])
    with pytest.raises(SystemExit) as end:
        semantic_unaware.main()
    assert end.value.code == 0, capsys.readouterr().err
    rows = [line.split("|")[2:-1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == ["semantic codec", "separate coding, best code of that length"]
    codec, separate = ([float(cell.split()[0]) for cell in row[1:]] for row in rows)
    assert all(one > other for one, other in zip(codec, separate, strict=True))
    assert (tmp_path / "unaware.png").stat().st_size > 10_000


def test_every_table_of_section_v_has_one_place_in_the_docs() -> None:
    pages = [page.read_text(encoding="utf-8") for page in section_v.DOCS.glob("*.md")]
    marks = re.findall(r"<!-- table: ([\w-]+) -->\n\|", "".join(pages))
    told_in_words = {"fig5", "fig6", "fig7", "who"}
    assert sorted(marks) == sorted(set(section_v.TABLES) - told_in_words)


def test_numbers_of_ues_are_columns(tmp_path: Path) -> None:
    rows = [f"| {ues} | {name} | {ues}.0 | {share} % | 100 % | 10.0 | 0 |"
            for ues in (4, 32) for name, share in (("central", "100.0"), ("trained", "99.0"))]  # fmt: skip
    head = "| UEs | policy | QoE | of central | finished | steps | CPU s |"
    (tmp_path / "any-number.txt").write_text("\n".join([head, "|---|--:|", *rows]))
    assert [list(row) for row in section_v.TABLES["any-number"](tmp_path)] == [
        ["UEs", "4", "32"],
        ["central, QoE", "4.0", "32.0"],
        ["mappo, QoE", "4.0", "32.0"],
        ["mappo, of central", "99.0 %", "99.0 %"],
    ]


def test_runs_of_section_v_are_done_once_and_fill_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that fails stops no other; what is not done leaves the page as it was."""
    table = "notes\n| a | b |\n|---|--:|\n| {} | |\n"
    runs = {
        "who": f"python -c {shlex.quote(f'print({table!r})')}",
        "ppo": "python -c 'raise SystemExit(3)'",
        "any-number": "python -c 'import sys; print(*sys.argv[1:])' {out}/gap?.txt",
        "any-32": "python -c 'print(0)'",
    }
    monkeypatch.setattr(section_v, "RUNS", runs)
    monkeypatch.setattr(section_v, "AFTER", {"any-number": "who", "any-32": "ppo"})
    monkeypatch.setattr(section_v, "DOCS", tmp_path / "docs")
    out, page = tmp_path / "out", tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    mark = "<!-- table: {} -->\n| a |\n|---|\n| old |\n\n"
    page.write_text(mark.format("who") + mark.format("ppo"))
    out.mkdir()
    for name in ("gap2.txt", "gap1.txt"):
        (out / name).touch()
    flags = ["--output", str(out), "--processes", "2"]
    assert section_v.main(flags) == 2
    assert "ppo: ended with status 3" in capsys.readouterr().err
    assert (out / "any-number.txt").read_text().endswith(f"\n{out}/gap1.txt {out}/gap2.txt\n")
    assert not (out / "any-32.txt").exists(), "what it reads is missing"
    asked, _, said = (out / "who.txt").read_text().partition("\n")
    (out / "who.txt").write_text(f"{asked}\n{said.replace('{}', 'kept')}")
    runs["ppo"] = "python -c 'print(1)'"
    assert section_v.main([*flags, "--only", "who,ppo"]) == 0
    (out / "ppo.txt").unlink()
    assert section_v.main([*flags, "--write"]) == 0
    wanted = "<!-- table: who -->\n| a | b |\n| --- | --- |\n| kept |  |\n\n"
    assert page.read_text() == wanted + mark.format("ppo")
    assert section_v.main([*flags, "--only", "all"]) == 2
    assert "--only: 'all' given, allowed: who, ppo" in capsys.readouterr().err


def test_back_translated_pairs_are_aligned_and_hold_no_test_sentence(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = from_pretrained(folders["local"])
    corpus = corpus_of(local.document, None)
    assert local.document["corpus"]["pair"] == "en-de"
    held_out = corpus.test[0][0]
    captions = ["two cats sit on a small boat", corpus.train[0][0], held_out, "a dog sleeps on a red car"]
    (tmp_path / "captions.en").write_text("\n".join([*captions, captions[0]]))
    words = [
        "--local",
        str(folders["local"]),
        "--captions",
        str(tmp_path / "captions.en"),
        "--processes",
        "1",
    ]
    assert back_translation.main([*words, "--output", str(tmp_path / "pairs")]) == 0
    assert "4 sentences, 2 of them left out" in capsys.readouterr().out
    pairs = read_pairs(*(tmp_path / "pairs" / f"back-translated.{name}.gz" for name in ("de", "en")))
    of_captions, of_corpus = pairs[:2], pairs[2:]
    assert [target for _, target in of_captions] == captions[::3], "what people wrote is the target"
    translations = back_translation.translate(str(folders["local"]), captions[::3])
    assert [source for source, _ in of_captions] == translations
    assert of_corpus == tuple((german, english) for english, german in corpus.train)


def test_only_a_local_model_translates_back(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--local", str(folders["codec"]), "--captions", "captions.en", "--output", "pairs"]
    assert back_translation.main(words) == 2
    assert (
        "codec is a codec of modality text, task translate; a local model of text" in capsys.readouterr().err
    )


def test_receivers_of_several_codecs_are_compared(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "receivers.json"
    codec = str(folders["codec"])
    words = [
        "--codec",
        codec,
        codec,
        "--local",
        str(folders["local"]),
        "--limit",
        "12",
        "--snr-db",
        "0",
        "18",
    ]
    assert text_receivers.main([*words, "--receivers", "bigrams", "codec", "--output", str(out)]) == 0
    ratio = json.loads(out.read_text())["ratio"]
    for of_k in ratio.values():
        assert all(np.shape(rows) == (2, 2) for rows in of_k.values())
    assert all(first == second for first, second in ratio["codec"].values()), "one codec twice"
    assert any(first != second for first, second in ratio["bigrams"].values()), "random points differ"
    assert f"{np.mean(ratio['codec']['2'], axis=0)[1]:.3f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[0.8, 1.0]], "0.5"),
        ([[0.8, 1.0], [0.6, 1.0]], "0.6 (0.5 to 0.8)"),
        ([[0.8, 1.0], [0.1, 0.2]], "never, 1 of 2"),
    ],
)
def test_the_snr_that_codecs_need_is_a_mean_with_its_range(rows: list[list[float]], told: str) -> None:
    assert text_receivers._reached([0.0, 1.0], rows) == told

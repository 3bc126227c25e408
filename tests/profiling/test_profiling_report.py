"""Tables, FLOPs file and plot."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from data.files.errors import ToolkitError
from deepsc.text.config import TextCodecConfig
from profiling import Flops, FlopsFile, plot, report
from profiling.closed.parts import split
from profiling.counted.residuals import check
from profiling.counted.running import collapse
from profiling.profile import CodecProfile, profile_codec
from profiling.tables import Table, write_tables

TINY = TextCodecConfig.from_preset("tiny", k=(4, 16))


@pytest.fixture(scope="module")
def profile() -> CodecProfile:
    return profile_codec(TINY, k=4, source_length=5, target_length=3)


def test_file_holds_the_split_and_its_parts(profile: CodecProfile, tmp_path: Path) -> None:
    path = tmp_path / "flops.json"
    report.flops_file(profile, {}).save(path)
    file = FlopsFile.load(path)
    shares = split(profile.parts)
    assert (file.local_flops, file.ue_flops, file.server_flops) == (
        shares.local.count, shares.ue.count, shares.server.count,
    )  # fmt: skip
    assert (file.decoding, file.k, file.model) == ("greedy, KV cache", 4, TINY.model_name)
    assert (file.source_length, file.target_length, file.k_text, file.image_length) == (5, 3, None, None)
    parts = file.breakdown["parts"]
    for part in parts:
        assert part["corrected"] == part["flop_counter_mode"] == 2 * part["fvcore_macs"]
        assert part["corrected"] == sum(part["modules"].values())
    assert sum(part["corrected"] for part in parts if part["local"]) == file.local_flops
    assert parts[1]["as_printed"] is None


def test_totals_of_a_profile(profile: CodecProfile) -> None:
    assert profile.total() == Flops.total(part.corrected for part in profile.parts)
    assert Flops.total(profile.by_module().values()) == profile.total()
    feedforward = profile.by_module()["transformer.model.encoder.layers.*.fc1"]
    assert feedforward == Flops(2 * TINY.layers * 5 * TINY.d_model * TINY.d_ff)


def test_what_appendix_a_leaves_out_is_not_zero_in_the_table(profile: CodecProfile) -> None:
    row = next(row for row in report.tables(profile)[0].rows if row[0].startswith("JSC decoder"))
    assert row[1] == "not counted"


def test_the_channel_codec_has_a_row_of_its_own(profile: CodecProfile) -> None:
    row = next(row for row in report.tables(profile)[0].rows if row[0] == "channel codec")
    jsc = Flops.total(part.corrected for part in profile.parts if "JSC" in part.name)
    assert row[2] == row[3] == row[4] == f"{jsc.count / 1e6:.3f}"


def test_residuals_lead_from_each_tools_number_to_the_corrected_one(profile: CodecProfile) -> None:
    table = next(table for table in report.tables(profile) if "each tool prints" in table.title)
    rows = {row[0].strip(): float(row[1]) for row in table.rows}
    norm = 5 * TINY.d_model * (TINY.layers * 2 * 5 + 3 * TINY.layers * 3) / 1e6  # fvcore's 5 an element
    norm += 5 * TINY.d_model * 5 * (2 * TINY.context_layers + 1) / 1e6  # of the JSC decoder
    assert rows["layer_norm counted"] == pytest.approx(-norm, abs=1e-3)
    assert rows["FlopCounterMode prints"] == rows["corrected"]
    explained = rows["fvcore prints"] + rows["MAC printed as one FLOP"] + rows["layer_norm counted"]
    assert explained == pytest.approx(rows["corrected"], abs=2e-3)


def test_operators_passed_over_are_named_with_their_size(profile: CodecProfile) -> None:
    elements = profile.counted[2].products.elements
    assert elements["softmax"] == TINY.layers * TINY.heads * 5 * 5
    assert elements["silu"] == TINY.layers * 5 * TINY.d_ff
    assert elements["bias"] == TINY.layers * 5 * (5 * TINY.d_model + TINY.d_ff)
    assert elements["embedding"] == 5 * TINY.d_model  # positions; words are expected


def test_a_count_that_differs_is_an_error_that_names_the_module(profile: CodecProfile) -> None:
    encoder = profile.counted[2]
    path = "transformer.model.encoder.layers.*.fc1"
    wrong = replace(encoder, closed=dict(encoder.closed) | {path: 2 * encoder.closed[path]})
    with pytest.raises(ToolkitError, match=r"semantic encoder, transformer.*fc1: the closed form gives"):
        check([wrong], allow_uncounted=False)
    check([wrong], allow_uncounted=True)
    check(profile.counted, allow_uncounted=False)


def test_formats_hold_the_same_cells(profile: CodecProfile, tmp_path: Path) -> None:
    for suffix in (".md", ".tex", ".csv"):
        write_tables(str(tmp_path / f"t{suffix}"), report.tables(profile), report.counts(profile))
    markdown, latex = ((tmp_path / f"t{suffix}").read_text() for suffix in (".md", ".tex"))
    for table in report.tables(profile):
        assert table.title in markdown
        for cell in table.rows[0][1:]:
            assert cell.replace("%", r"\%").replace("_", r"\_") in latex
            assert cell in markdown
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == len(report.tables(profile))
    with (tmp_path / "t.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert sum(int(row["corrected_flops"]) for row in rows) == sum(
        part.corrected.count for part in profile.parts
    )
    assert {row["place"] for row in rows} == {"server"}  # points are looked up, which is no product
    assert all(row["corrected_flops"] == row["fvcore_flops"] for row in rows)


def test_special_characters_are_escaped() -> None:
    table = Table(title="a_b & 5 %", columns=("x|y", "n"), rows=(("$x^2$", "1"),))
    assert r"a\_b \& 5 \%" in table.latex()
    assert r"\$x\textasciicircum{}2\$ & 1" in table.latex()
    assert r"| $x^2$ | 1 |" in table.markdown()
    assert table.text() == "a_b & 5 %\nx|y    n\n$x^2$  1\n"
    assert table.csv() == "x|y,n\n$x^2$,1\n"


def test_a_models_name_breaks_no_format() -> None:
    name = "deit\nsmall\x1b[2J <b>"
    table = Table(title=name, columns=("part", name), rows=(("=cmd()", name),))
    assert r"\caption{deit small\textbackslash{}x1b[2J <b>}" in table.latex()
    for text in (table.text(), table.markdown(), table.latex(), table.csv()):
        assert "\x1b" not in text
    assert len(table.text().splitlines()) == 3
    assert len(table.markdown().splitlines()) == 5
    assert "<b>" not in table.markdown()
    assert "'=cmd()" in table.csv()


def test_plot_is_written_whole_or_not_at_all(profile: CodecProfile, tmp_path: Path) -> None:
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")):
        path = tmp_path / f"split{suffix}"
        plot.plot_split(str(path), profile.parts, title="tiny")
        assert path.read_bytes().startswith(magic)
    with pytest.raises(ToolkitError, match=r"plot: .*\.png, \.pdf, \.svg"):
        plot.plot_split(str(tmp_path / "split.bmp"), profile.parts, title="tiny")
    assert len(list(tmp_path.iterdir())) == 3


def test_layers_are_collapsed() -> None:
    assert collapse("a.layers.11.attn.q") == "a.layers.*.attn.q"
    assert collapse("a.mlp.0") == "a.mlp.*"
    assert collapse("0") == "0"
    assert collapse("a.conv1.x2y") == "a.conv1.x2y"

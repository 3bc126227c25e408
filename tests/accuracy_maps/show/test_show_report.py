"""`build-accuracy-map report`: its page reads the map as Python does, offline; a name stays text."""

import itertools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.full_disk import files_limited_to
from support.page_browser import WIDTHS, Visit, browser  # noqa: F401

from accuracy_maps import AccuracyMap, BimodalMap
from accuracy_maps.command import main
from accuracy_maps.grid import axis_start
from accuracy_maps.show.compare import thresholds
from accuracy_maps.show.report import write_report
from data.files.errors import ToolkitError

HOSTILE = '</script><img src=x onerror="window.broken = 1"><script>window.broken = 1</script>'


@pytest.fixture
def text_map(make_map: Callable[..., AccuracyMap], tmp_path: Path) -> Path:
    # falls once in k and once in SNR, so that envelope and measurement differ
    accuracy = np.array([[10.0, 26.0, 24.0], [15.0, 25.0, 38.0], [14.0, 30.0, 39.0]])
    ends = {"accuracy_low": accuracy - 1, "accuracy_high": accuracy + 1}
    ratios = {"ratio_low": accuracy / 40 - 0.05, "ratio_high": accuracy / 40 + 0.05}
    other = {"BLEU-1": {"local": 0.7, "cells": (accuracy / 60).tolist()}}
    made = make_map(k=(4, 8, 20), accuracy=accuracy, other_metrics=other, **ends, **ratios)
    made.save(tmp_path / "map.json")
    return tmp_path / "map.json"


def test_the_axis_begins_below_every_curve_of_the_page() -> None:
    """A digital baseline falls to 0 where the codec's ratios lie close together."""
    codec, digital = np.array([[0.82, 0.99]]), np.array([[0.0, 1.0]])
    assert axis_start(codec) == pytest.approx(0.7)
    assert axis_start(codec, digital) == 0


def test_on_a_full_disk_the_old_page_survives(text_map: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(text_map)]) == 0
    page = text_map.with_suffix(".html")
    page.write_text("the old one")
    capsys.readouterr()
    with files_limited_to(20_000):
        assert main(["report", str(text_map)]) == 2
    assert capsys.readouterr().err == (
        f"build-accuracy-map report: error: cannot write {page}: File too large\n"
    )
    assert page.read_text() == "the old one"
    assert {path.name for path in page.parent.iterdir()} == {text_map.name, page.name}


@pytest.fixture
def digital_map(make_map: Callable[..., AccuracyMap], tmp_path: Path) -> Path:
    made = make_map(model={"name": "toy", "baseline": "digital"}, snr_db=(-3.0, 0.0, 9.0))
    made.save(tmp_path / "digital.json")
    return tmp_path / "digital.json"


@pytest.fixture
def vqa_map(tmp_path: Path) -> Path:
    k_text, k_image, snr_text, snr_image = (1, 3), (1, 2, 8), (-6.0, 0.0, 9.0), (-6.0, 0.0, 3.0, 9.0)
    accuracy = np.random.default_rng(1).uniform(20, 60, size=(2, 3, 3, 4))
    for axis in range(4):
        accuracy = np.sort(accuracy, axis=axis)
    accuracy[1, 1, 1, 1] = 20.0  # falls once, so that envelope and measurement differ
    made = BimodalMap(
        modality="vqa", task="answer", channel="awgn", metric="accuracy", model={"name": "toy"},
        synthetic=True, k_text=k_text, k_image=k_image, snr_text_db=snr_text, snr_image_db=snr_image,
        accuracy=accuracy, accuracy_low=accuracy - 2, accuracy_high=accuracy + 2,
        ratio_low=accuracy / 60 - 0.04, ratio_high=accuracy / 60 + 0.04,
        local_accuracy=60.0, local_low=58.0, local_high=62.0,
    )  # fmt: skip
    made.save(tmp_path / "vqa.json")
    return tmp_path / "vqa.json"


def test_the_command_writes_the_same_page_twice_and_leaves_the_map(
    text_map: Path, digital_map: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = text_map.read_bytes()
    assert main(["report", str(text_map)]) == 0
    page = text_map.with_suffix(".html")
    browse = f"next: python3 -m webbrowser {page.as_uri()}"
    assert capsys.readouterr().out == f"wrote {page}\n{browse}\n"
    output = text_map.parent / "new" / "page.html"
    call = ["report", str(text_map), "--digital", str(digital_map), "--output", str(output)]
    assert main(call) == 0
    first = output.read_bytes()
    assert main(call) == 0
    assert output.read_bytes() == first
    assert text_map.read_bytes() == before
    page = first.decode()
    for told in ("synthetic", "40.00", "captions en-de (synthetic)", "digital baseline", "BLEU-1"):
        assert told in page


def test_the_page_shows_every_baseline_and_where_each_reaches_the_level(
    make_map: Callable[..., AccuracyMap], tmp_path: Path
) -> None:
    codec, paths = make_map(), []
    for number, code in enumerate(("capacity", "finite", "ldpc")):
        accuracy = codec.accuracy * (1 + number / 10)
        made = make_map(model={"name": "toy", "baseline": "digital", "code": code}, accuracy=accuracy)
        made.save(tmp_path / f"{code}.json")
        paths.append(tmp_path / f"{code}.json")
    codec.save(tmp_path / "map.json")
    assert main(["report", str(tmp_path / "map.json"), "--digital", *map(str, paths)]) == 0
    page = (tmp_path / "map.html").read_text()
    table = page.partition('id="thresholds"')[2].partition("</table>")[0]
    makers = ("codec", "digital, ideal code", "digital, finite-length code", "digital, 5G LDPC")
    names = [f"{maker}; synthetic data" for maker in makers]
    assert re.findall("<th>(.*?)</th>", table)[1:5] == names
    columns = [thresholds(one) for one in (codec, *map(AccuracyMap.load, paths))]
    assert re.findall("<td>(.*?)</td>", table) == [column[str(k)] for k in codec.k for column in columns]
    assert "never" in table
    for name in names[1:]:
        assert f"How the digital baseline was made: {name}" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps: ["absent.json"], "absent.json: no such file"),
        (lambda maps: [maps[0], "--output", "page.json"], "--output: 'page.json' given, a name that ends in"),
        (lambda maps: [maps[0], "--digital", maps[0]], "--digital: "),
        (lambda maps: [maps[1], "--digital", maps[2]], "--digital: "),
        (lambda maps: [maps[0], "--digital", "absent.json"], "absent.json: no such file"),
        (lambda maps: [], "MAP"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    text_map: Path, vqa_map: Path, digital_map: Path, capsys: pytest.CaptureFixture[str],
    change: Callable[[list[str]], list[str]], message: str,
) -> None:  # fmt: skip
    folder = text_map.parent
    before = sorted(folder.iterdir())
    try:
        status = main(["report", *change([str(text_map), str(vqa_map), str(digital_map)])])
    except SystemExit as stop:  # argparse's own errors
        status = stop.code
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("build-accuracy-map report: error: ")
    assert message in printed.err
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"kind": "optimize-results"}, "expected 'accuracy-map'; optimize report FOLDER reads it"),
        ({"kind": "flops"}, "expected 'accuracy-map'; optimize with --flops reads it"),
        ({"kind": "\ud800"}, "half of a surrogate pair"),
    ],
)
def test_a_file_of_another_kind_says_what_reads_it(
    tmp_path: Path, document: dict[str, object], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document))
    assert main(["report", str(path)]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["model", "provenance"])
def test_half_a_surrogate_pair_is_refused_on_reading(text_map: Path, name: str) -> None:
    document = json.loads(text_map.read_text())
    document[name]["name"] = "\ud83d"
    text_map.write_text(json.dumps(document))
    before = sorted(text_map.parent.iterdir())
    with pytest.raises(ToolkitError, match="surrogate"):
        write_report(text_map)
    assert sorted(text_map.parent.iterdir()) == before


def test_a_path_that_is_not_utf_8_is_refused(text_map: Path) -> None:
    path = text_map.with_name(os.fsdecode(b"caf\xe9.json"))
    text_map.rename(path)
    with pytest.raises(ToolkitError, match="its name is not UTF-8"):
        write_report(path, text_map.with_name("page.html"))


def test_true_is_no_number_of_another_metric(text_map: Path) -> None:
    document = json.loads(text_map.read_text())
    for change in ({"local": True}, {"cells": [[1.0, True]]}):
        damaged = {"BLEU-1": document["other_metrics"]["BLEU-1"] | change}
        text_map.write_text(json.dumps(document | {"other_metrics": damaged}))
        with pytest.raises(ToolkitError, match="damaged or foreign"):
            write_report(text_map)


@pytest.mark.parametrize("field", ["modality", "task", "channel"])
def test_a_baseline_of_something_else_is_refused(
    text_map: Path, digital_map: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(digital_map.read_text())
    digital_map.write_text(json.dumps(document | {field: "rayleigh"}))
    assert main(["report", str(text_map), "--digital", str(digital_map)]) == 2
    assert f"is of {field} rayleigh, one of" in capsys.readouterr().err


def test_a_truncated_map_keeps_the_old_page(text_map: Path) -> None:
    page = write_report(text_map)
    old = page.read_bytes()
    whole = text_map.read_text()
    for length in (0, 50, len(whole) // 2, len(whole) - 3):
        text_map.write_text(whole[:length])
        assert main(["report", str(text_map)]) == 2
    for field in ("provenance", "model", "other_metrics"):
        text_map.write_text(json.dumps(json.loads(whole) | {field: 3}))
        assert main(["report", str(text_map)]) == 2
    text_map.write_text(json.dumps(json.loads(whole) | {"other_metrics": {"x": {"cells": ["y"]}}}))
    assert main(["report", str(text_map)]) == 2
    assert page.read_bytes() == old


def test_the_page_reads_the_map_as_lookup_does(browser, text_map: Path, digital_map: Path) -> None:  # noqa: F811
    accuracy_map, digital = AccuracyMap.load(text_map), AccuracyMap.load(digital_map)
    visit = Visit(browser, write_report(text_map, digital=digital_map))
    for k, snr_db in itertools.product((4, 5, 8, 13, 20), (-6.0, -5.9, 0.0, 1.7, 11.9, 12.0)):
        visit.set(k=k, snr_db=snr_db)
        f = float(accuracy_map.lookup(k, snr_db))
        assert visit.value("f") == pytest.approx(f, abs=1e-12)
        assert visit.value("accuracy") == pytest.approx(40 * f, abs=1e-10)
        assert visit.value("digital_f") == pytest.approx(float(digital.lookup(k, snr_db)), abs=1e-12)
    visit.set(k=8, snr_db=-6.0, bandwidth_mhz=2, ues=4)
    assert visit.value("measured") == pytest.approx(accuracy_map.ratio[1, 0], abs=1e-12)
    ends = visit.page.locator("#interval").get_attribute("data-value").split(",")
    assert [float(end) for end in ends] == pytest.approx(
        [accuracy_map.ratio_low[1, 0], accuracy_map.ratio_high[1, 0]], abs=1e-12
    )
    share_hz = 2e6 / 4
    assert visit.value("send_s") == pytest.approx(8 / (share_hz * accuracy_map.envelope[1, 0]))
    assert visit.complaints == []


def test_the_page_reads_all_four_axes(browser, vqa_map: Path) -> None:  # noqa: F811
    accuracy_map = BimodalMap.load(vqa_map)
    visit = Visit(browser, write_report(vqa_map))
    for k_text, k_image, text, image in (
        (1, 1, -6.0, -6.0), (2, 5, -2.5, 4.1), (3, 8, 9.0, 9.0), (3, 1, 8.9, -5.9), (2, 2, 0.0, 3.0),
    ):  # fmt: skip
        visit.set(k_text=k_text, k_image=k_image, snr_text_db=text, snr_image_db=image)
        f = float(accuracy_map.lookup(k_text, k_image, text, image))
        assert visit.value("f") == pytest.approx(f, abs=1e-12)
        assert visit.value("send_image_s") == pytest.approx(k_image / (5e6 * f))
    assert visit.page.locator("#heat td").count() == 12
    assert visit.page.locator("#heat td.here").count() == 1
    assert visit.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window_and_asks_for_nothing(browser, text_map: Path, vqa_map: Path, width: int) -> None:  # noqa: F811
    for path in (text_map, vqa_map):
        page = write_report(path)
        grounds = []
        for scheme in ("light", "dark"):
            visit = Visit(browser, page, width=width, scheme=scheme)
            assert visit.fits()
            drawn = visit.page.locator("#curves svg[role=img]").bounding_box()
            assert 0 < drawn["width"] <= width
            assert drawn["height"] >= 240
            grounds.append(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert visit.complaints == []
        assert grounds[0] != grounds[1]


@pytest.mark.parametrize("width", WIDTHS)
def test_tiles_dots_and_colours_show_all_there_is(
    browser,  # noqa: F811
    text_map: Path,
    vqa_map: Path,
    digital_map: Path,
    width: int,
) -> None:
    for path, digital in ((text_map, None), (text_map, digital_map), (vqa_map, None)):
        visit = Visit(browser, write_report(path, digital=digital), width=width)
        assert visit.tiles_fill_their_rows()
        left = visit.page.eval_on_selector("#curves clipPath rect", "rect => rect.x.baseVal.value")
        right = left + visit.page.eval_on_selector(
            "#curves clipPath rect", "rect => rect.width.baseVal.value"
        )
        dots = visit.page.eval_on_selector_all(
            "#curves g circle",
            "dots => dots.map(dot => [dot.cx.baseVal.value - 3, dot.cx.baseVal.value + 3])",
        )
        assert left <= min(low for low, _ in dots)
        assert max(high for _, high in dots) <= right
        shares = visit.page.eval_on_selector_all(
            "section > .scroll .heat td",
            "cells => cells.map(cell => +cell.style.getPropertyValue('--share'))",
        )
        assert (min(shares), max(shares)) == (0, 1)
    read = "cells => cells.map(cell => [+cell.style.getPropertyValue('--share'), +cell.textContent])"
    envelope = BimodalMap.load(vqa_map).envelope
    for share, f in visit.page.eval_on_selector_all("#heat td", read):
        assert share == pytest.approx((f - envelope.min()) / np.ptp(envelope), abs=2e-3)


def test_lines_are_read_out_and_hidden(browser, text_map: Path) -> None:  # noqa: F811
    visit = Visit(browser, write_report(text_map))
    lines = visit.page.locator("#curves svg path.line")
    count = lines.count()
    visit.page.locator("#curves svg[role=img]").hover(position={"x": 60, "y": 100})  # at the left end, -6 dB
    assert "k = 20: 0.35" in visit.page.locator("#curves .tip").inner_text()
    visit.page.get_by_role("button", name="k = 20").click()
    assert lines.count() == count - 1


def test_a_hostile_name_stays_text(
    browser,  # noqa: F811
    make_map: Callable[..., AccuracyMap],
    tmp_path: Path,
) -> None:
    hostile = make_map(
        task=HOSTILE, metric=HOSTILE, modality=HOSTILE, model={"name": HOSTILE, HOSTILE: HOSTILE},
        other_metrics={HOSTILE: {"local": 0.7, "cells": [[1.0, 2.0, 3.0]] * 2}},
        provenance={"dataset": HOSTILE, "command": ["x", HOSTILE], HOSTILE: {HOSTILE: HOSTILE}},
    )  # fmt: skip
    hostile.save(tmp_path / "map.json")
    page = write_report(tmp_path / "map.json")
    assert page.read_text().count("</script>") == 2  # the data's and the script's own
    visit = Visit(browser, page)
    assert visit.page.evaluate("window.broken") is None
    assert visit.page.locator("img").count() == 0
    assert HOSTILE in visit.page.locator(".lead").inner_text()
    assert visit.complaints == []

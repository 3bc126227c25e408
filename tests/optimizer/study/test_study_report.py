"""`optimize report`: the page's physics is optimizer.world.physics', it opens offline, a name stays text."""

import itertools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.full_disk import files_limited_to
from support.page_browser import WIDTHS, Visit, browser  # noqa: F401

from accuracy_maps import AccuracyMap, BimodalMap, load_map
from optimizer.command import main
from optimizer.study.report import write_report
from optimizer.world.channel.pathloss import pathloss_los_db, pathloss_nlos_db
from optimizer.world.config import EpisodeConfig, SystemConfig, dbm_to_watt
from optimizer.world.physics import (
    State,
    Transmission,
    best_local_clock,
    local_effort,
    local_qoe,
    map_accuracy,
    offloading_effort,
    offloading_qoe,
    snr_db,
)
from optimizer.world.tasks import make_tasks as tasks_of
from optimizer.world.tasks import workload
from profiling import FlopsFile

HOSTILE = '</script><img src=x onerror="window.broken = 1"><script>window.broken = 1</script>'


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    make_map: Callable[..., AccuracyMap],
    make_flops: Callable[..., FlopsFile],
) -> Path:
    """A folder with files of every modality and, in run/, a short run of two seeds on them. Read only."""
    folder = tmp_path_factory.mktemp("report")
    make_map().save(folder / "text-map.json")
    make_map(modality="image", k=(8, 40)).save(folder / "image-map.json")
    k_text, k_image, snr = (4, 16), (8, 32), (-10.0, 0.0, 6.0, 20.0)
    accuracy = np.random.default_rng(2).uniform(5, 60, size=(2, 2, 4, 4))
    for axis in range(4):  # rising along every axis: its own envelope
        accuracy = np.sort(accuracy, axis=axis)
    bimodal = BimodalMap(
        modality="vqa", task="answer", channel="awgn", metric="accuracy", model={"name": "toy"},
        synthetic=True, k_text=k_text, k_image=k_image, snr_text_db=snr, snr_image_db=(*snr[1:], 24.0),
        accuracy=accuracy, accuracy_low=accuracy - 2, accuracy_high=accuracy + 2,
        ratio_low=accuracy / 60 - 0.02, ratio_high=accuracy / 60 + 0.02,
        local_accuracy=60.0, local_low=58.0, local_high=62.0,
    )  # fmt: skip
    bimodal.save(folder / "vqa-map.json")
    for modality, flops, length in (("text", 2.5e9, 20), ("image", 9.2e9, 197), ("vqa", 11.5e9, 197)):
        file = make_flops(flops, modality=modality, source_length=length)
        file.save(folder / f"{modality}-flops.json")
    files = [
        [f"--{modality}-{kind}", str(folder / f"{modality}-{kind}.json")]
        for modality in ("text", "image", "vqa")
        for kind in ("map", "flops")
    ]
    call = [
        "train",
        *itertools.chain(*files),
        "--ues",
        "text:1,image:1,vqa:1",
        "--output",
        str(folder / "run"),
    ]
    quick = ["--episodes", "2", "--test-episodes", "16", "--learners", "mappo", "--seeds", "2", "--no-bound"]
    assert main([*call, *quick]) == 0
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A run's folder that a test may damage."""
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


def edit(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / "results.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_on_a_full_disk_the_old_page_survives(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    page.write_text("the old one")
    with files_limited_to(20_000):
        assert main(["report", str(made / "run"), "--output", str(page)]) == 2
    assert capsys.readouterr().err == f"optimize report: error: cannot write {page}: File too large\n"
    assert page.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [page]


def test_the_command_writes_the_same_page_twice(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "results.json").read_bytes()
    assert main(["report", str(run)]) == 0
    page = run / "report.html"
    browse = f"next: python3 -m webbrowser {page.as_uri()}"
    assert capsys.readouterr().out == f"wrote {page}\n{browse}\n"
    first = (run / "report.html").read_bytes()
    assert main(["report", str(run), "--output", str(run / "new" / "again.html")]) == 0
    assert (run / "new" / "again.html").read_bytes() == first
    assert (run / "results.json").read_bytes() == before
    page = first.decode()
    assert "Mean over 2 seeds, and the range of the seeds" in page
    for told in (
        "synthetic maps: image, text, vqa",
        "mappo",
        "greedy",
        "3 UEs (1 text, 1 image, 1 vqa)",
        "2 seeds",
    ):
        assert told in page


def test_curves_are_means_over_the_seeds_with_their_range(run: Path) -> None:
    from optimizer.study.report import _curves

    document = json.loads((run / "results.json").read_text())
    both = np.array(
        [document["learning_curves"]["mappo"]["qoe"], document["other_learning_curves"]["mappo"][0]["qoe"]]
    )
    assert not np.array_equal(both[0], both[1])
    curve = _curves(document)["mappo"]["qoe"]
    assert curve["mean"] == pytest.approx(both.mean(axis=0), rel=1e-5)
    assert curve["low"] == pytest.approx(both.min(axis=0), rel=1e-5)
    assert curve["high"] == pytest.approx(both.max(axis=0), rel=1e-5)
    del document["other_learning_curves"]  # one seed has no range
    assert set(_curves(document)["mappo"]["qoe"]) == {"mean"}


def expected(
    folder: Path, modality: str, k: tuple[int, ...], *, world: SystemConfig, cost: str, channel: str,
    distance: float, snr: float, ues: int, bandwidth_mhz: float, power: float, queue: int, beta: float,
) -> dict[str, float]:  # fmt: skip
    """What optimizer.world.physics says of the page's setting."""
    system = replace(world, bandwidth_hz=bandwidth_mhz * 1e6)
    episode = EpisodeConfig(mix=(modality,), offload_cost=cost)
    files = load_map(folder / f"{modality}-map.json"), FlopsFile.load(folder / f"{modality}-flops.json")
    tasks = tasks_of({modality: workload(*files, modality=modality, episode=episode, k=[k])}, (modality,))

    def tensor(value: float) -> torch.Tensor:
        return torch.tensor([value], dtype=torch.float64)

    power_w, share, waiting, weight = (
        tensor(value) for value in (dbm_to_watt(power), bandwidth_mhz * 1e6 / ues, queue, beta)
    )
    pathloss = {"los": pathloss_los_db, "nlos": pathloss_nlos_db}
    if channel == "snr":
        gain = 10 ** (tensor(snr) / 10) * share * system.noise_w_hz / power_w
    else:
        gain = 10 ** (-pathloss[channel](system, tensor(distance)) / 10)
    state = State(queue=waiting, channel_gain=gain, battery_j=tensor(np.inf), beta=weight)
    clock = best_local_clock(system, tasks, state)
    received = snr_db(system, power_w=power_w, channel_gain=gain, bandwidth_hz=share)
    accuracy = map_accuracy(tasks, received)
    sent = Transmission(power_w=power_w, clock_hz=clock, bandwidth_hz=share, offloading=tensor(ues))
    latency, energy = offloading_effort(system, tasks, sent, queue=waiting, accuracy=accuracy)
    local_latency, local_energy = local_effort(system, tasks, queue=waiting, clock_hz=clock)
    found = {
        "snr_db": received, "accuracy": accuracy, "latency": latency, "energy": energy,
        "earned": offloading_qoe(system, tasks, state, sent),
        "local_latency": local_latency, "local_energy": local_energy,
        "local_earned": local_qoe(system, tasks, state, clock_hz=clock),
        "upload": waiting * tasks.symbols_of(None) / (share * accuracy.clamp_min(system.accuracy_floor)),
    }  # fmt: skip
    return {name: float(value) for name, value in found.items()}


SETTINGS: list[tuple[str, dict[str, int], dict[str, Any]]] = [
    ("text", {"k_text": 16}, {}),
    ("text", {"k_text": 11}, {"channel": "nlos", "distance": 150, "ues": 4, "power": 18, "beta": 0.83}),
    ("text", {"k_text": 8}, {"channel": "snr", "snr": 4.5, "ues": 3, "bandwidth_mhz": 0.7, "beta": 0}),
    ("image", {"k_image": 29}, {"distance": 200, "bandwidth_mhz": 20, "queue": 3, "beta": 1}),
    ("image", {"k_image": 40}, {"channel": "snr", "snr": -10, "ues": 16}),
    ("vqa", {"k_text": 16, "k_image": 32}, {"channel": "snr", "snr": 28, "queue": 1}),
    ("vqa", {"k_text": 7, "k_image": 21}, {"channel": "nlos", "distance": 60, "ues": 2, "power": 21.3}),
]


@pytest.mark.parametrize(
    ("cost", "world"),
    [
        ("paper", SystemConfig()),
        ("split", SystemConfig(pathloss="uma", station_height_m=25.0)),
        ("paper", SystemConfig(pathloss="indoor", station_height_m=3.0, ue_height_m=1.0)),
    ],
)
def test_the_pages_physics_is_the_optimizers(
    browser,  # noqa: F811
    made: Path,
    run: Path,
    cost: str,
    world: SystemConfig,
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["provenance"]["config"]["episode"].update(offload_cost=cost)
        document["provenance"]["config"]["system"].update(asdict(world))

    edit(run, change)
    visit = Visit(browser, write_report(run))
    start = {
        "channel": "los", "distance": 105, "snr": 10, "ues": 1, "bandwidth_mhz": 5, "power": 24, "queue": 10,
        "beta": 0.5,
    }  # fmt: skip
    earned = set()
    for modality, k, changes in SETTINGS:
        setting = start | changes
        names = {name: f"{name if modality == 'vqa' else 'k'}_{modality}" for name in k}
        visit.set(modality=modality, **setting, **{names[name]: value for name, value in k.items()})
        wanted = expected(made, modality, tuple(k.values()), world=world, cost=cost, **setting)
        found = {name: visit.value(name) for name in wanted}
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12), (modality, setting)
        earned.add(wanted["earned"] > 0)
    assert earned == {True, False}
    for against in ("ues", "bandwidth_mhz", "power", "distance", "k", "queue", "beta"):
        visit.set(against=against)
        assert visit.page.locator("#sweep-qoe svg path.line").count() == 3  # two lines and the axes
    assert visit.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window_and_asks_for_nothing(browser, run: Path, width: int) -> None:  # noqa: F811
    page = write_report(run)
    for scheme in ("light", "dark"):
        visit = Visit(browser, page, width=width, scheme=scheme)
        assert visit.fits()
        plots = visit.page.locator(".plot svg[role=img]")
        assert plots.count() == 1 + 2 + 3 + 3  # QoE, what-if, learning, queues
        for box in (plots.nth(i).bounding_box() for i in range(plots.count())):
            assert 0 < box["width"] <= width
            assert box["x"] >= 0
        assert visit.page.locator("#curve-qoe path.band").count() == 1
        assert visit.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_tiles_fill_their_rows_and_figures_stand_behind_the_limit(browser, run: Path, width: int) -> None:  # noqa: F811
    def bound(document: dict[str, Any]) -> None:
        document["bound"] = 9.0
        for number, tested in enumerate(document["policies"].values()):
            value = 1 - 0.1 * number
            tested["of_bound"] = {"value": value, "low": value - 0.02, "high": value}

    edit(run, bound)
    visit = Visit(browser, write_report(run), width=width)
    assert visit.tiles_fill_their_rows()
    line = visit.page.locator("#of-bound path.rule").bounding_box()
    figures = visit.page.locator("#of-bound text.value")
    assert figures.count() > 3
    for box in (figures.nth(i).bounding_box() for i in range(figures.count())):
        assert line["x"] + 2 < box["x"]
        assert box["x"] + box["width"] <= width
    assert {"100.0", "90.00"} <= set(figures.all_text_contents())


def test_the_learned_policy_leads_though_others_see_more(browser, run: Path) -> None:  # noqa: F811
    def score(document: dict[str, Any]) -> None:
        document["bound"] = 4.0
        scored = {"central": 4.0, "announced": 3.5, "mappo": 3.0, "local": 2.0}
        for name, tested in document["policies"].items():
            qoe = scored.get(name, 1.0)
            tested["qoe"] = {"value": qoe, "low": qoe, "high": qoe}

    edit(run, score)
    visit = Visit(browser, write_report(run))
    assert visit.page.locator("#headline").text_content() == "mappo"
    assert visit.page.locator("#meaning").text_content() == (
        "mappo earns 50 % more than computing locally and is within 25.0 % of the bound on what is possible."
    )
    edit(run, lambda document: document.update(learning_curves={}))
    visit = Visit(browser, write_report(run))
    assert visit.page.locator("#headline").text_content() == "announced", "of those that a UE can follow"


def test_the_what_if_opens_where_offloading_pays_and_its_delays_fill_their_plot(browser, run: Path) -> None:  # noqa: F811
    visit = Visit(browser, write_report(run))
    assert visit.value("earned") > visit.value("local_earned")
    ticks = "#sweep-delay svg text[text-anchor=end]:not(.name)"

    def highest() -> float:
        return max(float(one) for one in visit.page.locator(ticks).all_text_contents())

    rule = visit.page.locator("#sweep-delay path.rule")
    visit.set(queue=1, ues=1, against="beta")
    assert rule.count() == 0, "the limit of 1 s is far"
    assert visit.value("latency") < highest() < 10 * max(visit.value("latency"), visit.value("local_latency"))
    visit.set(queue=10, ues=16, bandwidth_mhz=0.5, against="ues")
    assert visit.value("latency") > 1
    assert rule.count() == 1
    assert 1 <= highest() < 1.5


def test_lines_that_coincide_are_one_with_all_names(browser, run: Path) -> None:  # noqa: F811
    def fall(document: dict[str, Any]) -> None:
        steps = len(document["policies"]["local"]["queue"])
        for name, tested in document["policies"].items():
            last = 5.0 if name == "remote" else 0.001 if name == "greedy" else 0.0
            tested["queue"] = [[10 + (last - 10) * step / (steps - 1)] * 3 for step in range(steps)]

    edit(run, fall)
    visit = Visit(browser, write_report(run))
    names = visit.page.locator("#queue-text .legend button").all_text_contents()
    assert len(names) == 2
    assert "remote" in names
    (others,) = set(names) - {"remote"}
    assert {"mappo", "central", "local", "greedy"} <= set(others.split(", "))


def test_a_pages_words_are_typeset(made: Path, run: Path) -> None:
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    page = page[: page.index("How it was made")]
    assert "kᵀ = 16, kᴵ = 32; β 0.5; a UE&#39;s channel is g|h|²" in page
    assert not re.search(r"\^|\bbeta\b(?![\"_-])", re.sub("<[^>]*>", "", page.partition("<body>")[2]))
    assert "The accuracy maps of image, text and vqa were measured on <b>synthetic" in page
    edit(
        run,
        lambda document: [
            document["accuracy_maps"][name].update(synthetic=False) for name in ("text", "vqa")
        ],
    )
    assert "The accuracy map of image was measured on <b>synthetic" in write_report(run).read_text()


def test_a_page_needs_nothing_but_its_run_folder(
    made: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sliders stay where the folder is moved, or the run was given paths from another place."""
    page = write_report(run).read_bytes()
    assert b"sliders are left out" not in page
    config = lambda document: document["provenance"]["config"]  # noqa: E731
    edit(run, lambda document: config(document)["inputs"].update(text_map="gone/text.json", vqa_flops="."))
    run.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert main(["report", "moved"]) == 0
    moved = (tmp_path / "moved" / "report.html").read_text(encoding="utf-8")
    assert "sliders are left out" not in moved
    what_if = re.compile(r'"what_if":\{.*\}')
    assert what_if.search(moved).group() == what_if.search(page.decode()).group()
    (tmp_path / "moved" / "inputs" / "text-map.json").write_text((made / "text-flops.json").read_text())
    assert "sliders are left out" in write_report("moved").read_text(encoding="utf-8"), "not of the run"


def test_without_the_runs_maps_the_page_says_so(browser, made: Path, run: Path) -> None:  # noqa: F811
    shutil.rmtree(run / "inputs")  # as of a run of an earlier release
    elsewhere = run.parent / "text-map.json"
    edit(run, lambda document: document["provenance"]["config"]["inputs"].update(text_map=str(elsewhere)))
    assert "text-map.json: no such file" in write_report(run).read_text()
    changed = json.loads((made / "text-map.json").read_text())
    elsewhere.write_text(json.dumps(changed | {"local_high": 31.5}))
    page = write_report(run)
    assert "has changed since the run" in page.read_text()
    visit = Visit(browser, page)
    assert visit.page.locator("#earned").count() == 0
    assert visit.page.locator("#queue-text svg path.line").count() >= 2
    assert visit.complaints == []


def test_a_hostile_name_stays_text(browser, run: Path) -> None:  # noqa: F811
    def change(document: dict[str, Any]) -> None:
        document["accuracy_maps"]["text"] |= {"task": HOSTILE, "metric": HOSTILE, "model": {HOSTILE: HOSTILE}}
        document["policies"][HOSTILE] = document["policies"].pop("greedy") | {"sees": HOSTILE}
        document["learning_curves"][HOSTILE] = document["learning_curves"].pop("mappo")
        document["provenance"] |= {"command": [HOSTILE], "machine": HOSTILE, HOSTILE: HOSTILE}

    edit(run, change)
    page = write_report(run)
    assert page.read_text().count("</script>") == 2  # the data's and the script's own
    visit = Visit(browser, page)
    assert visit.page.evaluate("window.broken") is None
    assert visit.page.locator("img").count() == 0
    assert visit.complaints == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.pop("policies"),
        lambda document: document["policies"].clear(),
        lambda document: document["policies"]["mappo"].pop("qoe"),
        lambda document: document["policies"]["mappo"].update(reward="much"),
        lambda document: document["policies"]["mappo"]["qoe"].update(value=float("nan")),
        lambda document: document["policies"]["mappo"].update(queue=[[1.0]]),
        lambda document: document["learning_curves"]["mappo"].update(qoe=["x"]),
        lambda document: document["provenance"].update(config=7),
        lambda document: document["provenance"]["config"]["system"].update(bandwidth_hz=-1.0),
        lambda document: document["provenance"]["config"]["episode"].update(foreign=1),
        lambda document: document.update(schema_version=99),
        lambda document: document.update(kind="accuracy-map"),
        lambda document: document["policies"]["mappo"].update(sees="\ud800"),
    ],
)
def test_damaged_results_are_one_line_and_write_nothing(
    run: Path, damage: Callable[[dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, damage)
    assert main(["report", str(run)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "results.json" in printed.err
    assert not (run / "report.html").exists()


def test_wrong_flags(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run / "absent")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["report", "missing/results.json"]) == 2
    assert capsys.readouterr().err == (
        "optimize report: error: RUN_FOLDER: 'missing/results.json' given, no such file or folder; a folder "
        "that `optimize train` wrote is allowed\n"
    )
    assert main(["report", str(run.parent)]) == 2
    assert "it has no results.json; a folder that" in capsys.readouterr().err
    assert main(["report", str(run / "results.json")]) == 2
    assert f"such as '{run}'" in capsys.readouterr().err
    assert main(["report", "x" * 300]) == 2
    assert "File name too long" in capsys.readouterr().err
    assert main(["report", str(run), "--output", "page.json"]) == 2
    assert "--output: 'page.json' given, a name that ends in .html" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["report"])

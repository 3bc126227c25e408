"""The documentation: its pages run as they stand, its links lead somewhere."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.house import PACKAGES, defining_module, folders
from support.needed import need
from support.pages import DOCS, README, fences, run_page, run_shell

from accuracy_maps import AccuracyMap, load_map
from accuracy_maps.command import main as build_accuracy_map
from deepsc.command import main as train_deepsc
from deepsc.text.config import CorpusConfig
from optimizer.command import main as optimize
from profiling.command import main as profile_flops

COMMANDS = {
    "train-deepsc": train_deepsc,
    "build-accuracy-map": build_accuracy_map,
    "profile-flops": profile_flops,
    "optimize": optimize,
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reader starts."""
    monkeypatch.chdir(tmp_path)


def test_the_tutorial_leads_from_data_to_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run_page("tutorial.md", commands=COMMANDS)
    assert {program for program, *_ in ran} == set(COMMANDS)
    runs = tmp_path / "runs"
    found = load_map(runs / "text-map.json")
    assert isinstance(found, AccuracyMap)
    assert found.provenance["local"]["sha256"] != found.provenance["codecs"][0]["sha256"]
    assert found.local_accuracy > 50, "a map of a model that translates"
    assert found.ratio.min() < 0.5
    assert found.ratio.max() > 0.95
    assert (runs / "text-map.png").stat().st_size > 10_000
    assert (runs / "text-map.csv").read_text().count("\n") == found.accuracy.size + 1
    digital = load_map(runs / "text-digital.json")
    assert digital.model["baseline"] == "digital"
    assert digital.axes == found.axes
    assert digital.local_accuracy == found.local_accuracy
    assert (runs / "optimize" / "results.csv").is_file()
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    (plan,) = re.findall(r"^```\n(varied .*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = capsys.readouterr().out.partition("varied ")[2]
    printed, measured = (
        [float(number) for number in re.findall(r"\d+\.\d{3}\b", text)] for text in (plan, shown)
    )
    # It rests on shipped files, not on what was trained here.
    assert printed == pytest.approx(measured, abs=0.002)


def test_the_readmes_chain_runs_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its commands on fewer captions than their defaults say, and the reports of what they wrote.

    Each command names the next one.
    """
    monkeypatch.setitem(CorpusConfig.__init__.__kwdefaults__, "caption_count", 400)
    chain, reports = (
        next(one.code for one in fences(README) if one.language == "sh" and word in one.code)
        for word in ("pip install . &&", "report runs/")
    )
    ran = run_shell(chain, commands=COMMANDS)
    assert [program for program, *_ in ran] == ["train-deepsc", *COMMANDS]
    assert chain.count("&&") == len(ran) + 2, "nothing but the set-up is left out"
    named = [shlex.split(line) for line in re.findall(r"^next: (.*)$", capsys.readouterr().out, re.MULTILINE)]
    assert [words[0] for words in named] == [program for program, *_ in ran[1:]] + ["optimize"]
    for words, (_, *arguments) in zip(named, ran[1:], strict=False):
        kept = {word for word in words if word.startswith("runs/")}
        assert kept <= {*arguments}, "the same files as in the README"
    assert named[-1] == ["optimize", "report", "runs/optimize"]
    run_shell(reports, commands=COMMANDS)
    runs = tmp_path / "runs"
    assert load_map(runs / "text-map.json").provenance["test_items"] == 50
    for page in ("text-map.html", "optimize/report.html"):
        assert (runs / page).stat().st_size > 20_000


@pytest.mark.parametrize("page", ["channels.md", "own-channel.md", "own-corpus.md"])
def test_the_code_of_a_page_runs(page: str) -> None:
    assert any(fence.language == "python" for fence in fences(page))
    run_page(page, commands=COMMANDS)


def test_every_page_with_code_is_run() -> None:
    """Titled blocks are run by tests/test_own_modality.py."""
    runnable = {
        path.name
        for path in DOCS.glob("*.md")
        if any(fence.language in ("sh", "python") and not fence.title for fence in fences(path.name))
    }
    assert runnable == {"tutorial.md", "channels.md", "own-channel.md", "own-corpus.md"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as a site, built without a warning."""
    need("mkdocstrings", extra="docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        place = page.relative_to(DOCS).with_suffix("")
        folder = site / ("" if page.stem == "index" else place)
        text = (folder / "index.html").read_text(encoding="utf-8")
        assert 'src="http' not in text, f"{page.name} loads something from elsewhere"


def test_every_public_name_is_described(site: Path) -> None:
    """Once on its package's page, by whichever package or subpackage shows it."""
    missing, twice = [], []
    for package in PACKAGES:
        page = (site / "api" / package / "index.html").read_text(encoding="utf-8")
        described = set(re.findall(r'<h[23] id="([\w.]+)" class="doc doc-heading"', page))
        shown: dict[tuple[str, str], list[str]] = {}
        for folder in folders():
            if folder.split(".")[0] == package:
                for name in importlib.import_module(folder).__all__:
                    shown.setdefault((defining_module(folder, name), name), []).append(f"{folder}.{name}")
        for names in shown.values():
            times = len(described & set(names))
            missing += names[:1] if times == 0 else []
            twice += names[:1] if times > 1 else []
    assert missing == [], "add to its subpackage in docs/api; it needs a docstring, too"
    assert twice == []

"""The scripts of docs/examples run as they stand, and show what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.needed import need
from support.pages import DOCS

from accuracy_maps import load_map
from deepsc.zoo.find import FOLDER

SCRIPTS = {path.name for path in (DOCS / "examples").glob("*.py")}


def run(folder: Path, name: str, *arguments: str) -> str:
    """What a script prints, run in an empty folder."""
    ran = subprocess.run(
        [sys.executable, DOCS / "examples" / name, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(DOCS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,  # of a busy machine
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_script_is_tested_and_on_the_page() -> None:
    tested = set(re.findall(r'run\(tmp_path, "(\w+\.py)"\)', Path(__file__).read_text(encoding="utf-8")))
    page = (DOCS / "examples.md").read_text(encoding="utf-8")
    assert tested == SCRIPTS
    assert {
        name for name in SCRIPTS if f"(examples/{name})" in page and f'--8<-- "{name}"' in page
    } == SCRIPTS


def test_a_sentence_arrives_where_the_snr_allows(tmp_path: Path) -> None:
    printed = run(tmp_path, "send_a_sentence.py")
    local = printed.partition("local ")[2].splitlines()[0]
    lines = re.findall(r"^k = +(\d+), +(-?\d+) dB, +(\d+) symbols (.) (.*)$", printed, re.MULTILINE)
    assert [(int(k), int(snr)) for k, snr, *_ in lines] == [(k, snr) for k in (4, 12) for snr in (-6, 0, 6)]
    for *_, star, text in lines:
        assert (star == "*") == (text == local)
    assert lines[0][3] == " "
    assert lines[-1][3] == "*"
    measured, expected = (float(number) for number in re.findall(r"(\d+\.\d) dB", printed))
    assert measured == pytest.approx(expected, abs=1.5)  # of 120 draws


def test_impulse_responses_are_read_from_a_file(tmp_path: Path) -> None:
    """The script's own taps fade; a file of flat responses is the channel without fading."""

    def arrived(printed: str) -> dict[str, list[int]]:
        lines = re.findall(r"^(awgn|rayleigh|measured) (.*)$", printed, re.MULTILINE)
        return {name: [int(count) for count in re.findall(r"dB +(\d+) of 12", row)] for name, row in lines}

    printed = run(tmp_path, "measured_channel.py")
    assert printed.startswith("200 responses, mean |H|^2 1.00")
    drawn = arrived(printed)
    assert drawn["measured"] == sorted(drawn["measured"])
    assert sum(drawn["measured"]) < sum(drawn["awgn"]), "fading costs sentences"
    assert drawn["measured"][-1] == 12
    np.savez(tmp_path / "flat.npz", taps=np.full((3, 1), 2j))
    printed = run(tmp_path, "measured_channel.py", "flat.npz")
    assert printed.startswith("3 responses, mean |H|^2 1.00, weakest subcarrier 0 dB")
    flat = arrived(printed)
    assert flat["rayleigh"] == drawn["rayleigh"]
    assert flat["measured"][1:] == flat["awgn"][1:] == [12, 12]


def test_an_own_policy_is_in_the_table(tmp_path: Path) -> None:
    printed = run(tmp_path, "own_policy.py")
    qoe = {name: float(value) for name, value in re.findall(r"^(\S+) +QoE +([\d.]+)", printed, re.MULTILINE)}
    assert qoe["local"] < qoe["remote"] < qoe["best-two"] < qoe["central"]


def test_a_slow_device_gains_by_offloading(tmp_path: Path) -> None:
    printed = run(tmp_path, "own_device.py")
    paper, own = ({name: float(qoe) for name, qoe in re.findall(r"([a-z]+) +([\d.]+)(?= |$)", line)}
                  for line in printed.splitlines())  # fmt: skip
    assert paper["local"] < paper["remote"] < paper["central"]
    assert 3 * paper["local"] < paper["central"] < 4 * paper["local"]
    assert 0 < 10 * own["local"] < own["remote"] < own["central"]
    assert own["central"] > 20 * own["local"]


def test_matlab_reads_the_map(tmp_path: Path) -> None:
    printed = run(tmp_path, "map_for_matlab.py")
    measured = load_map(FOLDER / "text-multi30k-en-de-medium" / "maps" / "translate-awgn.json")
    assert float(printed.partition("sem_table(8, 11) = ")[2].split()[0]) == pytest.approx(
        float(measured.lookup(np.array(8), np.array(0.0))), abs=0.0005
    )
    needed = [int(k) for k in re.findall(r"k = (\d+)", printed)]
    assert len(set(needed)) > 2
    assert needed == sorted(needed, reverse=True)


def test_stable_baselines_learns_to_offload(tmp_path: Path) -> None:
    need("stable_baselines3", extra="examples")
    printed = run(tmp_path, "stable_baselines.py")
    local, before, after = (float(line.split()[-1]) for line in printed.splitlines())
    assert after > before
    assert after > 5 * local


def test_torchrl_learns(tmp_path: Path) -> None:
    need("torchrl", extra="examples")
    rewards = [float(line.split()[-1]) for line in run(tmp_path, "torchrl_mappo.py").splitlines()]
    assert len(rewards) == 8
    assert sum(rewards[-3:]) / 3 > 1.2 * rewards[0]

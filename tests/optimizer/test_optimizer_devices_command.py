"""`optimize --ue-device --server-device` from the outside, and that every setting is in --print-config."""

import json
from dataclasses import fields

import pytest
import yaml

from optimizer.command import main
from optimizer.policies.config import DqnConfig, MappoConfig
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig


@pytest.fixture
def flags(files, tmp_path):
    run = ["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(tmp_path / "out")]
    return [
        "train",
        *run,
        "--ues",
        "text:2",
        "--learners",
        "",
        "--test-episodes",
        "16",
        "--no-bound",
        "--seeds",
        "1",
    ]


def results(folder):
    return json.loads((folder / "out" / "results.json").read_text())


def test_a_run_with_devices_keeps_them_and_its_page_reads_them(flags, tmp_path, capsys):
    assert main([*flags, "--ue-device", "jetson-nano,phone", "--server-device", "nvidia-t4"]) == 0
    assert "UEs jetson-nano, phone, server nvidia-t4" in capsys.readouterr().out
    document = results(tmp_path)
    config = document["provenance"]["config"]["inputs"]
    assert (config["ue_device"], config["server_device"]) == (["jetson-nano", "phone"], "nvidia-t4")
    kept = {path.name for path in (tmp_path / "out" / "inputs").iterdir()}
    assert {"ue-device-0.json", "ue-device-1.json", "server-device.json"} <= kept
    assert main(["report", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert '"local_clock_max_hz": 921600000.0' in page or '"local_clock_max_hz":921600000.0' in page
    assert "The sliders are left out" not in page
    capsys.readouterr()
    assert main([*flags, "--ue-device", "phone,jetson-nano", "--server-device", "nvidia-t4"]) == 2
    assert "inputs.ue_device was ['jetson-nano', 'phone'], is now" in capsys.readouterr().err


def test_the_papers_devices_are_the_default(flags, tmp_path):
    assert main(flags) == 0
    usual = results(tmp_path)["policies"]
    assert main([*flags, "--ue-device", "paper,paper", "--output", str(tmp_path / "two" / "out")]) == 0
    assert results(tmp_path / "two")["policies"] == usual
    server = [*flags, "--server-device", "nvidia-t4", "--output", str(tmp_path / "slow" / "out")]
    assert main(server) == 0
    other = results(tmp_path / "slow")["policies"]
    assert other["local"]["qoe"]["value"] == usual["local"]["qoe"]["value"]
    assert other["remote"]["qoe"]["value"] < usual["remote"]["qoe"]["value"]


@pytest.mark.parametrize(
    ("name", "at"), [(None, ()), ("train", ()), ("figures", ("train",)), ("pareto", ("train",)), ("plan", ())]
)
def test_every_setting_is_printed_and_read(name, at, tmp_path, capsys):
    words = [*([name] if name else []), *(["--qoe", "5"] if name == "plan" else [])]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--print-config"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    printed = yaml.safe_load(text)
    for part in at:
        printed = printed[part]
    parts = {"inputs": Inputs, "system": SystemConfig, "episode": EpisodeConfig}
    if name != "plan":
        parts |= {"mappo": MappoConfig, "dqn": DqnConfig, "ddqn": DqnConfig}
    for part, config in parts.items():
        assert set(printed[part]) == {field.name for field in fields(config)}
    changed = text.replace("circuit_power_w: 0.1", "circuit_power_w: 0.3").replace("steps: 20", "steps: 25")
    (tmp_path / "run.yaml").write_text(changed)
    with pytest.raises(SystemExit):
        main([*words, "--config", str(tmp_path / "run.yaml"), "--print-config"])
    again = yaml.safe_load(capsys.readouterr().out)
    for part in at:
        again = again[part]
    assert (again["system"]["circuit_power_w"], again["episode"]["steps"]) == (0.3, 25)

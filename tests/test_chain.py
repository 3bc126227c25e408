"""From data to policies through the commands, on the tiny presets; tests/test_docs.py does it for text."""

import json
from pathlib import Path

import numpy as np
import pytest

from accuracy_maps import BimodalMap, load_map
from accuracy_maps.command import main as build_accuracy_map
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.measure import Sweep
from deepsc.command import main as train_deepsc
from optimizer.command import main as optimize
from optimizer.world.inputs import TWO_MODELS
from profiling.command import main as profile_flops

DATA = {
    "image": ["--dataset", "digits", "--batch-tokens", "544", "--epochs", "3"],
    "vqa": ["--dataset", "clevr", "--batch-tokens", "400", "--epochs", "8"],
}
KS = {
    "image": ["--k", "2,8"],
    "vqa": ["--k-text", "1,4", "--k-image", "1,4"],
}
SENT = {  # of the profile, and of the optimizer
    "image": (["--k", "8"], ["--k-image", "8"]),
    "vqa": (["--k-text", "4", "--k-image", "4"],) * 2,
}


@pytest.mark.parametrize("modality", list(DATA))
def test_train_local_train_codec_build_map_profile_optimize(
    modality: str, clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local, codec, out = (str(tmp_path / name) for name in ("local", "codec", "map.json"))
    shared = ["--modality", modality, "--device", "cpu"]
    train = [*shared, "--preset", "tiny", *DATA[modality]]
    if modality == "vqa":
        train += ["--data-dir", str(clevr)]
        shared += ["--data-dir", str(clevr)]
    assert train_deepsc([*train, "--channel", "none", "--output", local]) == 0
    assert train_deepsc([*train, *KS[modality], "--init-from", local, "--output", codec]) == 0
    sweep = ["--local", local, "--snr-db=-6,18", "--limit", "60"]
    assert build_accuracy_map([*shared, *sweep, "--codec", codec, "--output", out]) == 0
    one = load_map(out)
    assert one.modality == modality
    assert one.provenance["local"]["sha256"] != one.provenance["codecs"][0]["sha256"]
    assert one.local_accuracy > 0
    assert Path(out).with_suffix(".png").stat().st_size > 10_000
    assert Path(out).with_suffix(".csv").read_text().count("\n") == one.accuracy.size + 1
    flops, policies = str(tmp_path / "flops.json"), tmp_path / "optimize"
    profiled, chosen = SENT[modality]
    assert profile_flops(["--modality", modality, "--checkpoint", codec, *profiled, "--output", flops]) == 0
    capsys.readouterr()
    files = [f"--{modality}-map", out, f"--{modality}-flops", flops, *chosen, "--output", str(policies)]
    assert optimize([*files, "--episodes", "1", "--test-episodes", "16", "--no-bound"]) == 0
    printed = capsys.readouterr()
    assert f"4 UEs (4 {modality})" in printed.out
    warning = TWO_MODELS % (modality, "")
    assert warning not in printed.err, "map and FLOPs file name the same model"
    results = json.loads((policies / "results.json").read_text())
    assert {"mappo", "remote", "local"} <= set(results["policies"])
    assert {out, flops} == set(results["provenance"]["data_sha256"])
    assert len(np.unique(one.accuracy)) > 1, "k and SNR make a difference"
    if modality == "vqa":
        assert isinstance(one, BimodalMap)
        assert one.accuracy.shape == (2, 2, 2, 2)
        assert build_accuracy_map([*shared, *sweep, "--baseline", "digital", "--output", out]) == 2
        assert "--baseline: 'digital' given, vqa has none" in capsys.readouterr().err
        return
    digital = str(tmp_path / "digital.json")
    baseline = ["--baseline", "digital", "--beside", out, "--mat", "--output", digital]
    assert build_accuracy_map([*shared, *sweep, *baseline]) == 0
    cliff = load_map(digital)
    assert cliff.model["baseline"] == "digital"
    assert cliff.local_accuracy == one.local_accuracy
    assert cliff.axes == one.axes
    assert np.all(np.diff(cliff.accuracy, axis=0) >= -25)
    assert Path(digital).with_suffix(".mat").stat().st_size > 0
    assert build_accuracy_map([*shared, *sweep, *baseline, "--task", "retrieve"]) == 2
    assert "is of task classify, one of retrieve is allowed" in capsys.readouterr().err
    retrieve([*shared, *sweep], codec, out)


def retrieve(sweep: list[str], codec: str, output: str) -> None:
    """Measure the same models for retrieval, in place of the other task's map, and its digital baseline."""
    digital = f"{output}-digital.json"
    ranking = [*sweep, "--task", "retrieve", "--codec", codec, "--output", output]
    assert build_accuracy_map([*ranking, "--overwrite"]) == 0
    assert build_accuracy_map([*sweep, "--baseline", "digital", "--beside", output, "--output", digital]) == 0
    ranked, cliff = load_map(output), load_map(digital)
    assert cliff.task == "retrieve", "as the map beside it"
    assert cliff.local_accuracy == ranked.local_accuracy
    assert 0 < cliff.accuracy.min() < cliff.accuracy.max()
    assert ranked.task == "retrieve"
    assert ranked.metric == (
        "recall@1 % of queries whose nearest of up to 2000 training images is of their class"
    )
    assert {"recall@5", "mAP"} <= set(ranked.other_metrics)
    assert ranked.local_accuracy > 10


def test_cells_of_one_task_are_not_taken_for_anothers(image_folders: dict[str, Path]) -> None:
    folders = {"codecs": (str(image_folders["codec"]),), "local": str(image_folders["local"])}
    plans = {
        Sweep(MapConfig(**folders, output="map.json", limit=16, task=task)).fingerprint
        for task in (None, "classify", "retrieve")
    }
    assert len(plans) == 2


def test_the_local_models_modality_is_checked(
    image_folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        "--modality",
        "text",
        "--codec",
        str(image_folders["codec"]),
        "--output",
        str(tmp_path / "m.json"),
    ]
    assert build_accuracy_map([*flags, "--local", str(image_folders["local"])]) == 2
    assert "is of modality 'image', --modality says 'text'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

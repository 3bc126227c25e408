"""Building a map: end to end, after a kill, the intervals, and what each measurement costs."""

import csv
import dataclasses
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
from support.full_disk import files_limited_to
from support.scratch_runs import scratch

from accuracy_maps import AccuracyMap
from accuracy_maps.command import main
from accuracy_maps.sweep.bootstrap import assemble_map
from accuracy_maps.sweep.build import MAX_ATTEMPTS, build_map
from accuracy_maps.sweep.cells import Cell, CellStore
from accuracy_maps.sweep.config import MapConfig, require_size
from data.files.errors import ToolkitError
from data.text.parallel import ParallelCorpus
from deepsc.checkpoint import Checkpoint
from deepsc.link.channel import AWGN, Channel, Rayleigh
from deepsc.text.evaluate import TextEvaluator, decode_sentences, encode_sentences
from deepsc.text.model import TextCodec
from profiling.command import parse_config

SNR_DB = (-6.0, 18.0)
CELLS = 1 + 3 * len(SNR_DB)
"""The local model, and three k at each SNR."""


def arguments(folders: dict[str, Path], output: Path, *more: str) -> list[str]:
    return [
        "--modality", "text", "--codec", str(folders["codec"]), "--local", str(folders["local"]),
        "--snr-db=-6,18", "--device", "cpu", "--output", str(output), *more,
    ]  # fmt: skip


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def built(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a map that was built without interruption."""
    folder = tmp_path_factory.mktemp("built")
    assert main(arguments(folders, folder / "map.json")) == 0
    return folder


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """What is measured during a test: every (k, SNR)."""
    calls: list[tuple[int, float]] = []
    measure = TextEvaluator.measure_together

    def count(self: TextEvaluator, points: Any, *, seed: int) -> Any:
        calls.extend(points)
        return measure(self, points, seed=seed)

    monkeypatch.setattr(TextEvaluator, "measure_together", count)
    return calls


@pytest.fixture(autouse=True)
def two_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are measured by twos, so that there are several groups."""
    monkeypatch.setattr(TextEvaluator, "together", 2)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sentences in each call of a semantic encoder during a test."""
    calls: list[int] = []
    encode = TextCodec.encode

    def count(self: TextCodec, source: Any, mask: Any) -> Any:
        calls.append(len(source))
        return encode(self, source, mask)

    monkeypatch.setattr(TextCodec, "encode", count)
    return calls


def assert_same_map(folder: Path, other: Path) -> None:
    """Bit for bit, but for the provenance, which tells when and by which command."""
    documents = [json.loads((each / "map.json").read_text()) for each in (folder, other)]
    origins = [document.pop("provenance") for document in documents]
    assert documents[0] == documents[1]
    for name in ("codecs", "local", "channel", "data_sha256", "test_items", "seed"):
        assert origins[0][name] == origins[1][name]
    for name in ("map.csv", "map.png"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_the_default_engine_runs_without_ray(folders: dict[str, Path], tmp_path: Path) -> None:
    """Where `import ray` fails, as on a bare install."""
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from accuracy_maps.command import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert 'accuracy_maps.sweep.engine_ray' not in sys.modules"
    )
    command = [sys.executable, "-c", code, *arguments(folders, tmp_path / "map.json", "--limit", "20")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "map.json").read_text())["provenance"]["engine"] == "local"


def test_ray_that_is_not_installed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(scratch(tmp_path, "--engine", "ray")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("build-accuracy-map: error: --engine: 'ray' given, which is not installed")
    assert files(tmp_path) == []


def test_a_map_its_csv_and_its_plot_are_written_and_nothing_else(
    built: Path, corpus: ParallelCorpus, local: Checkpoint, trained: Checkpoint
) -> None:
    assert files(built) == ["map.csv", "map.json", "map.png"]
    one = AccuracyMap.load(built / "map.json")
    assert (one.k, one.snr_db) == ((2, 4, 6), SNR_DB)
    assert (one.modality, one.task, one.channel, one.synthetic) == ("text", "translate", "awgn", True)
    assert one.model == trained.codec.config.model_name
    assert one.metric.startswith("sacreBLEU nrefs:1|")
    assert "|tok:13a|" in one.metric
    origin = one.provenance
    assert origin["codecs"][0]["sha256"] == trained.sha256
    assert origin["local"]["sha256"] == local.sha256
    assert origin["config"]["snr_db"] == list(SNR_DB)
    assert origin["channel"]["kind"] == "awgn"
    assert origin["dataset"] == corpus.name
    assert origin["test_items"] == len(corpus.test)
    sources = [source for source, _ in corpus.test]
    tokens = sum(len(ids) for ids in local.tokenizer.encode(sources))
    assert origin["tokens_per_word"] == tokens / len(" ".join(sources).split())
    assert {"torch", "transformers", "sacrebleu"} <= set(origin["packages"])
    rows = list(csv.DictReader((built / "map.csv").read_text().splitlines()))
    assert len(rows) == CELLS - 1
    assert [float(row["ratio"]) for row in rows] == pytest.approx(one.ratio.ravel().tolist(), rel=1e-5)
    assert (built / "map.png").read_bytes().startswith(b"\x89PNG")
    assert np.all(one.accuracy > 0)
    assert len(np.unique(one.accuracy)) > 1, "k and SNR make a difference, so that the tests below can fail"
    assert np.all((one.accuracy_low <= one.accuracy) & (one.accuracy <= one.accuracy_high))
    assert np.all((one.ratio_low <= one.ratio) & (one.ratio <= one.ratio_high))
    assert one.local_low <= one.local_accuracy <= one.local_high
    assert set(one.other_metrics) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}


def test_local_accuracy_is_sacrebleu_of_the_test_set(
    built: Path, corpus: ParallelCorpus, local: Checkpoint
) -> None:
    hypotheses = [""] * len(corpus.test)
    for batch in encode_sentences(local.codec, local.tokenizer, [source for source, _ in corpus.test]):
        (texts,) = decode_sentences(local.codec, local.tokenizer, batch, [None])
        for row, text in zip(batch.rows, texts, strict=True):
            hypotheses[row] = text
    expected = sacrebleu.corpus_bleu(hypotheses, [[reference for _, reference in corpus.test]]).score
    assert AccuracyMap.load(built / "map.json").local_accuracy == pytest.approx(expected)


def test_seed_and_draws_decide_the_noise(folders: dict[str, Path], built: Path, tmp_path: Path) -> None:
    one = AccuracyMap.load(built / "map.json")
    flags = ("--k", "2", "--seed", "1", "--draws", "3")
    assert main(arguments(folders, tmp_path / "map.json", *flags)) == 0
    other = AccuracyMap.load(tmp_path / "map.json")
    assert other.k == (2,)
    assert other.local_accuracy == one.local_accuracy, "no noise there"
    assert other.accuracy[0, 0] != one.accuracy[0, 0]


def test_a_finished_map_is_neither_measured_nor_written_again(
    folders: dict[str, Path], built: Path, tmp_path: Path, measured: list[tuple[int, float]],
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Wherever it lies; what is missing beside it is written from it, one of another config is refused."""
    caplog.set_level(logging.INFO)
    folder = Path(shutil.copytree(built, tmp_path / "built"))
    command = arguments(folders, folder / "map.json")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert main(command) == 0
    assert measured == []
    assert caplog.messages == [f"finished already: {folder / 'map.json'}; remove it to measure again"]
    output = capsys.readouterr().out
    assert "sacreBLEU over the channel / local, awgn" in output
    *_, written, following = output.splitlines()
    assert written == f"wrote {', '.join(str(folder / f'map.{end}') for end in ('json', 'csv', 'png'))}"
    words = shlex.split(following.removeprefix("next: "))
    profiled = parse_config(words[1:])
    assert (words[0], profiled.modality) == ("profile-flops", "text")
    assert profiled.checkpoint == str(folders["codec"])
    assert profiled.k == max(AccuracyMap.load(folder / "map.json").k)
    assert main([*command, "--task", "translate"]) == 0, "what it is of anyway"
    assert measured == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    (folder / "map.csv").unlink()
    assert main([*command, "--mat"]) == 0
    assert measured == []
    assert files(folder) == ["map.csv", "map.json", "map.mat", "map.png"]
    assert (folder / "map.csv").read_bytes() == before[folder / "map.csv"][0]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--seed", "1"], "--seed was 0, is now 1"),
        (["--limit", "16", "--k", "4"], "--k was 2,4,6, is now 4; --limit was none, is now 16"),
        (["--snr-db", "-6:18:12"], "--snr-db was -6,18, is now -6,6,18"),
        (["--channel", "rayleigh"], "--channel was awgn, is now rayleigh"),
        (["--draws", "2"], "--draws was 1, is now 2"),
    ],
)
def test_a_map_of_other_settings_is_replaced_by_order_alone(
    folders: dict[str, Path], built: Path, tmp_path: Path, measured: list[tuple[int, float]],
    capsys: pytest.CaptureFixture[str], flags: list[str], says: str,
) -> None:  # fmt: skip
    folder = Path(shutil.copytree(built, tmp_path / "built"))
    command = [*arguments(folders, folder / "map.json"), *flags]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder / 'map.json'} holds a map that other settings made ({says})" in line
    assert line.endswith("give another --output, or --overwrite to replace it")
    assert measured == []
    assert_same_map(folder, built)
    if flags[0] == "--seed":
        assert main([*command, "--overwrite"]) == 0
        assert len(measured) == CELLS
        assert json.loads((folder / "map.json").read_text())["provenance"]["seed"] == 1


def test_a_map_of_other_models_or_no_map_is_not_replaced_either(
    folders: dict[str, Path], built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(built, tmp_path / "built"))
    command = arguments(folders, folder / "map.json")
    document = json.loads((folder / "map.json").read_text())
    document["provenance"]["codecs"][0]["sha256"] = "of another"
    for text, says in ((json.dumps(document), "--codec was another model"), ("{}", "no accuracy map")):
        (folder / "map.json").write_text(text)
        assert main(command) == 2
        assert says in capsys.readouterr().err
        assert (folder / "map.json").read_text() == text


def test_cells_that_a_map_has_not_are_kept(
    folders: dict[str, Path], built: Path, tmp_path: Path, measured: list[tuple[int, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A full sweep that was interrupted, then a small one, then the full one again."""
    command = arguments(folders, tmp_path / "map.json")
    measure = TextEvaluator.measure_together

    def interrupt(self: TextEvaluator, points: Any, *, seed: int) -> Any:
        if len(measured) >= CELLS - 2:
            raise KeyboardInterrupt
        return measure(self, points, seed=seed)

    with monkeypatch.context() as patch:
        patch.setattr(TextEvaluator, "measure_together", interrupt)
        assert main(command) == 130
    assert main([*command, "--k", "2"]) == 0
    assert main([*command, "--k", "2"]) == 0
    assert main([*command, "--overwrite"]) == 0
    assert len(measured) == len(set(measured)) == CELLS
    assert_same_map(tmp_path, built)
    assert files(tmp_path) == files(built)


def test_a_model_whose_training_was_killed_is_named(
    folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codec = Path(shutil.copytree(folders["codec"], tmp_path / "codec"))
    document = json.loads((codec / "config.json").read_text())
    document["training"] |= {"epochs": 99, "patience": 99}
    (codec / "config.json").write_text(json.dumps(document))
    command = arguments(folders | {"codec": codec}, tmp_path / "map.json", "--k", "2", "--limit", "16")
    assert main(command) == 0
    (warning,) = (one.message for one in caplog.records if one.levelno == logging.WARNING)
    assert warning.startswith(f"{codec}: its training is not over, epoch ")
    assert " of 99 is done; train-deepsc --resume" in warning


KILLED = """
import os, signal, sys
from deepsc.text.evaluate import TextEvaluator
from accuracy_maps.command import main
measure, calls = TextEvaluator.measure_together, []
def count(self, points, *, seed):
    calls.append(points)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(self, points, seed=seed)
TextEvaluator.measure_together, TextEvaluator.together = count, 2
main(sys.argv[1:])
"""


def test_a_killed_sweep_goes_on_and_measures_no_cell_twice(
    folders: dict[str, Path], built: Path, tmp_path: Path, measured: list[tuple[int, float]]
) -> None:
    command = arguments(folders, tmp_path / "map.json")
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as many as here: sums depend on it
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *command], capture_output=True, check=False, env=one_thread
    )
    assert killed.returncode == -9
    assert not [name for name in files(tmp_path) if not name.startswith(".")], "no map before it is whole"
    assert main(command) == 0
    assert len(measured) == CELLS - 3, "three were finished before the kill"
    assert len(set(measured)) == len(measured)
    assert_same_map(tmp_path, built)
    assert files(tmp_path) == files(built)


def test_an_interrupted_sweep_ends_with_130_and_goes_on(
    folders: dict[str, Path], built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    measured: list[tuple[int, float]], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = arguments(folders, tmp_path / "map.json")
    measure = TextEvaluator.measure_together

    def interrupt(self: TextEvaluator, points: Any, *, seed: int) -> Any:
        if len(measured) == 5:
            raise KeyboardInterrupt
        return measure(self, points, seed=seed)

    with monkeypatch.context() as patch:
        patch.setattr(TextEvaluator, "measure_together", interrupt)
        assert main(command) == 130
    assert "interrupted" in capsys.readouterr().err
    assert main([*command, "--seed", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "holds cells of another sweep; give another --output, or --overwrite to replace them"
    )
    assert not (tmp_path / "map.json").exists()
    assert main(command) == 0
    assert len(measured) == len(set(measured)) == CELLS
    assert_same_map(tmp_path, built)
    printed = capsys.readouterr().out
    for part in (
        "sacreBLEU over the channel / local, awgn",
        "synthetic data",
        "k \\ SNR dB",
        "95 % interval",
    ):
        assert part in printed
    one = AccuracyMap.load(built / "map.json")
    assert f"local sacreBLEU {one.local_accuracy:.2f}" in printed
    shown, wrote, _ = printed.partition("wrote ")
    assert wrote, "files and the next command come last"
    *_, two, four, six, level, words = shown.splitlines()
    assert [line.split()[0] for line in (two, four, six)] == ["2", "4", "6"]
    assert level.startswith("SNR in dB at a ratio of 0.9")
    assert words.startswith("symbols per word")


def test_nothing_is_measured_again_when_only_the_plot_failed(
    folders: dict[str, Path], built: Path, tmp_path: Path, measured: list[tuple[int, float]],
    encoded: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command = arguments(folders, tmp_path / "map.json")

    def fail(*_: Any, **__: Any) -> None:
        raise ToolkitError("cannot write map.png")

    with monkeypatch.context() as patch:
        patch.setattr("accuracy_maps.show.plot.plot_map", fail)
        assert main(command) == 2
    assert "map.png" in capsys.readouterr().err.splitlines()[-1]
    measured.clear()
    encoded.clear()
    assert main(command) == 0
    assert (measured, encoded) == ([], [])
    assert_same_map(tmp_path, built)


def test_a_failing_cell_is_measured_again_and_the_others_are_kept(
    folders: dict[str, Path], built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    measured: list[tuple[int, float]], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    command = arguments(folders, tmp_path / "map.json")
    measure, bad, left = TextEvaluator.measure_together, (4, 18.0), [MAX_ATTEMPTS]

    def fail(self: TextEvaluator, points: Any, *, seed: int) -> Any:
        if bad in points and left[0]:
            left[0] -= 1
            raise RuntimeError("out of luck")
        return measure(self, points, seed=seed)

    monkeypatch.setattr(TextEvaluator, "measure_together", fail)
    assert main(command) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "1 of 7 cells failed 3 times" in error
    assert "k4_snr18_draws1 (RuntimeError('out of luck'))" in error
    assert "attempt 3 of 3" in caplog.text
    assert len(measured) == len(set(measured)) == CELLS - 1, "its neighbour was measured by itself"
    left[0] = 2
    assert main(command) == 0, "the third attempt succeeds"
    assert measured[CELLS - 1 :] == [bad]
    assert_same_map(tmp_path, built)


def test_on_a_full_disk_the_finished_cells_survive(
    folders: dict[str, Path], built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    measured: list[tuple[int, float]], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = arguments(folders, tmp_path / "map.json")
    save, saved = CellStore.save, []

    def save_while_there_is_room(self: CellStore, name: str, cell: Cell) -> None:
        with files_limited_to(10**9 if len(saved) < 3 else 100):
            save(self, name, cell)
        saved.append(name)

    with monkeypatch.context() as patch:
        patch.setattr(CellStore, "save", save_while_there_is_room)
        assert main(command) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert re.search(r"cannot write .*k\d_snr.*_draws1\.npz: File too large", error)
    assert files(tmp_path) == [".map.json.cells"]
    assert files(tmp_path / ".map.json.cells") == sorted(["plan.json", *(f"{name}.npz" for name in saved)])
    measured.clear()
    assert main(command) == 0
    assert len(measured) == CELLS - 3
    assert_same_map(tmp_path, built)


def test_on_a_full_disk_the_old_map_survives(
    folders: dict[str, Path], built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    measured: list[tuple[int, float]], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = Path(shutil.copytree(built, tmp_path / "built"))
    command = [*arguments(folders, folder / "map.json"), "--seed", "1", "--overwrite"]
    save = AccuracyMap.save

    def save_without_room(self: AccuracyMap, path: Path) -> None:
        with files_limited_to(500):
            save(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(AccuracyMap, "save", save_without_room)
        assert main(command) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert re.search(r"cannot write .*map\.json: File too large", error)
    assert_same_map(folder, built)
    assert files(folder) == [".map.json.cells", *files(built)]
    measured.clear()
    assert main(command) == 0
    assert measured == [], "the cells were kept"
    assert json.loads((folder / "map.json").read_text())["provenance"]["seed"] == 1


def test_a_damaged_cell_is_named(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command = arguments(folders, tmp_path / "map.json", "--limit", "16", "--k", "2")

    def fail(*_: Any) -> None:
        raise ToolkitError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(AccuracyMap, "save", fail)
        assert main(command) == 2
    (store,) = (path for path in tmp_path.iterdir() if path.name.startswith("."))
    (cell, *_) = store.glob("k2*")
    whole = cell.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        cell.write_bytes(whole[:length])
        capsys.readouterr()
        assert main(command) == 2
        assert cell.name in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".png", ".mat"])
def test_what_cannot_be_written_is_refused_before_measuring(
    folders: dict[str, Path], tmp_path: Path, measured: list[tuple[int, float]],
    capsys: pytest.CaptureFixture[str], suffix: str,
) -> None:  # fmt: skip
    (tmp_path / f"map{suffix}").mkdir()
    assert main(arguments(folders, tmp_path / "map.json", "--mat", "--overwrite")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"map{suffix}" in line
    assert measured == []
    assert files(tmp_path) == [f"map{suffix}"]


def test_a_name_too_long_is_refused_before_measuring(
    folders: dict[str, Path], tmp_path: Path, measured: list[tuple[int, float]],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(arguments(folders, tmp_path / f"{'m' * 240}.json")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "File name too long" in line
    assert (measured, files(tmp_path)) == ([], [])


def test_a_local_model_without_a_right_answer_is_refused_before_the_codec_is_measured(
    folders: dict[str, Path], tmp_path: Path, measured: list[tuple[int, float]],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(TextEvaluator, "score", staticmethod(lambda counts: 0.0))
    assert main(arguments(folders, tmp_path / "map.json")) == 2
    assert "the local model answers nothing right" in capsys.readouterr().err
    assert measured == [(0, 0.0)]
    assert files(tmp_path) == [], "its cells are of no use, and in the way of another"


@pytest.mark.parametrize("flags", [["--limit", "16"], ["--limit", "16", "--bleu-tokenize", "zh"]])
def test_a_refused_map_is_not_in_the_way_of_its_own_advice(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], flags: list[str],
) -> None:  # fmt: skip
    command = arguments(folders, tmp_path / "map.json", "--k", "2")

    def score_of_few(counts: np.ndarray) -> float:
        """20 in all, and nothing in a resample, whose counts are floats."""
        return 20.0 if np.issubdtype(counts.dtype, np.integer) else 0.0

    with monkeypatch.context() as patch:
        patch.setattr(TextEvaluator, "score", staticmethod(score_of_few))
        assert main([*command, *flags]) == 2
    error = capsys.readouterr().err
    assert "16 test items are too few for an interval" in error
    assert "use more test items: a larger --limit or none" in error
    assert files(tmp_path) == []
    assert main([*command, "--limit", "100"]) == 0


def test_overwrite_replaces_cells_of_another_sweep(
    folders: dict[str, Path], built: Path, tmp_path: Path, measured: list[tuple[int, float]]
) -> None:
    """Beside a finished map, and beside none; a plan that cannot be read too."""
    folder = Path(shutil.copytree(built, tmp_path / "built"))
    command = arguments(folders, folder / "map.json", "--k", "2", "--limit", "16")
    cells = folder / ".map.json.cells"
    for damaged in (False, True):
        CellStore(cells, {"channel": "of another"}).save("k9_snr0_draws1", cell(np.ones(16, dtype=np.int64)))
        if damaged:
            (cells / "plan.json").write_text("{")
            (folder / "map.json").unlink()
        measured.clear()
        assert main(command) == 2
        assert measured == []
        assert main([*command, "--overwrite"]) == 0
        assert len(measured) == 1 + len(SNR_DB)
        assert not cells.exists()


def test_a_codec_of_ones_own_channel_is_refused_before_anything_is_measured(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], measured: list[tuple[int, float]],
) -> None:  # fmt: skip
    monkeypatch.setattr("deepsc.link.channel._channels", {"awgn": AWGN, "rayleigh": Rayleigh})

    @dataclass(frozen=True, kw_only=True)
    class Fog(Channel):
        kind: str = "fog"

    shutil.copytree(folders["codec"], tmp_path / "codec")
    document = json.loads((tmp_path / "codec" / "config.json").read_text())
    document["training"]["channel"] = Fog.kind
    (tmp_path / "codec" / "config.json").write_text(json.dumps(document))
    command = arguments({**folders, "codec": tmp_path / "codec"}, tmp_path / "map.json", "--limit", "16")
    assert main(command) == 2
    assert "--channel: none given, " in (error := capsys.readouterr().err)
    assert "was trained over 'fog'; allowed: awgn, rayleigh, rician" in error
    assert measured == []


def test_a_killed_calls_temporary_files_are_removed(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in (".map.json.ab12.deepsc.part", ".map.png.ab12.deepsc.part", ".other.json.ab12.part"):
        (tmp_path / name).touch()
    assert main(arguments(folders, tmp_path / "map.json", "--k", "2", "--limit", "16")) == 0
    assert files(tmp_path) == [".other.json.ab12.part", "map.csv", "map.json", "map.png"]


def test_encoder_features_are_computed_once_per_sentence(
    folders: dict[str, Path], corpus: ParallelCorpus, tmp_path: Path, encoded: list[int],
    measured: list[tuple[int, float]],
) -> None:  # fmt: skip
    assert main(arguments(folders, tmp_path / "map.json", "--draws", "2")) == 0
    assert len(measured) == 1 + 2 * (CELLS - 1)
    assert sum(encoded) == 2 * len(corpus.test), "once by the codec, once by the local model"


def test_config_lists_its_errors_at_once() -> None:
    with pytest.raises(ToolkitError) as error:
        MapConfig(
            codecs=(), local="l", output="o.json", k=(0,), snr_db=(float("nan"),), channel="fog", draws=0,
            beams=0, limit=0, seed=-1,
        )  # fmt: skip
    for name in ("codecs", "k", "snr_db", "channel", "draws", "beams", "limit", "seed"):
        assert f"{name}: " in str(error.value)


@pytest.mark.parametrize(
    "changes", [{"snr_db": (6.0, 0.0)}, {"snr_db": (0.0, 0.0)}, {"k": (4, 4)}, {"k": (4, 2)}]
)
def test_axes_that_do_not_rise_are_refused_before_measuring(
    folders: dict[str, Path], tmp_path: Path, measured: list[tuple[int, float]], changes: dict[str, Any]
) -> None:
    with pytest.raises(ToolkitError, match=r"rising|1 to \d+ is allowed"):
        build_map(
            MapConfig(
                codecs=(str(folders["codec"]),),
                local=str(folders["local"]),
                output=str(tmp_path / "map.json"),
                **changes,
            )
        )
    assert measured == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"snr_db": (-1e308, 1e308)}, "snr_db: -1e\\+308 given, -100 to 100 is allowed"),
        ({"snr_db": (float("nan"),)}, "snr_db: nan given"),
        ({"draws": 10**9}, "draws: 1000000000 given, 1 to 10000"),
        ({"beams": 10**9}, "beams: 1000000000 given, 1 to 64"),
        ({"k": (5000,)}, "k: 5000 given, 1 to 4096 is allowed"),
        ({"k_text": (5000,)}, "k_text: 5000 given, 1 to 4096 is allowed"),
        ({"limit": 15}, "limit: 15 given, at least 16 is allowed"),
        ({"output": "map.txt"}, "a name that ends in .json"),
        ({"output": ".json"}, "a name that ends in .json"),
        ({"output": ""}, "a name that ends in .json"),
        ({"beside": "x/../map.json"}, "output: map.json is a map of beside"),
    ],
)
def test_settings_that_would_never_end_or_end_badly_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ToolkitError, match=says):
        MapConfig(**{"codecs": ("c",), "local": "l", "output": "map.json"} | changes)


def test_a_map_has_so_many_cells_at_most() -> None:
    config = MapConfig(codecs=("c",), local="l", output="o.json", snr_db=tuple(0.01 * i for i in range(1001)))
    require_size(config, [(k,) for k in range(1, 6)])
    with pytest.raises(ToolkitError, match="1001 SNRs given, which make 1,002,001 cells"):
        require_size(config, [(1, 1)])
    table = dataclasses.replace(config, mat=True)
    with pytest.raises(ToolkitError, match=r"^mat: given, a map of several transmissions has none"):
        require_size(table, [(4, 4)])


# Intervals, on items that are right or wrong


class Share:
    """Per cent of items answered right."""

    metric = "share"

    def measure(self, *, k: int, snr_db: float, seed: int) -> Any:
        raise NotImplementedError

    @staticmethod
    def score(counts: np.ndarray) -> float:
        return 100.0 * float(counts[0]) / float(counts[1])

    @staticmethod
    def signature() -> str:
        return "right/asked"


def cell(right: np.ndarray) -> Cell:
    return Cell(
        counts=np.stack([right, np.ones_like(right)], axis=1).astype(np.int64), figures={"other": 1.0}
    )


def share_map(local: np.ndarray, over_channel: np.ndarray, *, seed: int = 0) -> AccuracyMap:
    return assemble_map(
        {(0, 0.0): cell(local), (4, 3.0): cell(over_channel)}, Share, ks=(4,), snr_db=(3.0,), seed=seed,
        modality="text", task="translate", channel="awgn", model={}, synthetic=True,
    )  # fmt: skip


@pytest.fixture
def right() -> Callable[[float], np.ndarray]:
    draw = np.random.default_rng(0)
    return lambda share: (draw.random(2000) < share).astype(np.int64)


def test_too_few_items_for_an_interval_and_none_right_are_told_apart() -> None:
    one, few, none = np.ones(1), np.array([1, 0, 0]), np.zeros(3, dtype=np.int64)
    rare = np.eye(1, 20, dtype=np.int64)[0]
    with pytest.raises(ToolkitError, match=r"^1 test items are too few for an interval, at least 16"):
        share_map(one, one)
    with pytest.raises(ToolkitError, match=r"^3 test items are too few"):
        share_map(few, few)
    with pytest.raises(
        ToolkitError,
        match=r"^20 test items are too few .* scores 5\.00, answers right; use more test items: a larger",
    ):
        share_map(rare, rare)
    rarer = np.eye(1, 50, dtype=np.int64)[0]
    with pytest.raises(ToolkitError, match=r"^50 test items are too few .* scores 2\.00, .* train it longer"):
        share_map(rarer, rarer)
    with pytest.raises(ToolkitError, match="answers nothing right"):
        share_map(none, none)


def test_a_codec_equal_to_the_local_model_has_ratio_1_for_certain(
    right: Callable[[float], np.ndarray],
) -> None:
    answers = right(0.7)
    one = share_map(answers, answers)
    assert one.ratio.item() == one.ratio_low.item() == one.ratio_high.item() == 1.0
    assert one.accuracy_low.item() < one.accuracy.item() < one.accuracy_high.item()
    assert (one.local_low, one.local_high) == (one.accuracy_low.item(), one.accuracy_high.item())


def test_intervals_are_as_wide_as_theory_says(right: Callable[[float], np.ndarray]) -> None:
    local, over_channel = right(0.8), right(0.6)
    one = share_map(local, over_channel)
    p, q, items = over_channel.mean(), local.mean(), len(local)
    assert one.accuracy.item() == pytest.approx(100 * p)
    assert one.local_accuracy == pytest.approx(100 * q)
    half_width = 1.96 * 100 * np.sqrt(p * (1 - p) / items)
    assert (one.accuracy_high - one.accuracy_low).item() / 2 == pytest.approx(half_width, rel=0.1)
    # The ratio of independent means, by the delta method.
    half_width = 1.96 * p / q * np.sqrt((1 - p) / (p * items) + (1 - q) / (q * items))
    assert (one.ratio_high - one.ratio_low).item() / 2 == pytest.approx(half_width, rel=0.1)
    assert one.ratio_low.item() < p / q < one.ratio_high.item()
    assert one.metric == "share right/asked"
    assert one.other_metrics == {"other": {"local": 1.0, "cells": [[1.0]]}}


def test_pairing_narrows_the_ratios_interval(right: Callable[[float], np.ndarray]) -> None:
    local = right(0.7)
    paired = share_map(
        local, np.where(np.arange(2000) % 50 == 0, 0, local)
    )  # the same answers but for 1 in 50
    unpaired = share_map(local, right(paired.accuracy.item() / 100))
    widths = [(one.ratio_high - one.ratio_low).item() for one in (paired, unpaired)]
    assert widths[0] < 0.4 * widths[1]


def test_the_bootstrap_follows_from_its_seed(right: Callable[[float], np.ndarray]) -> None:
    local, over_channel = right(0.7), right(0.6)
    one, same, other = (share_map(local, over_channel, seed=seed) for seed in (0, 0, 1))
    assert one.ratio_low == same.ratio_low != other.ratio_low
    assert one.ratio == other.ratio


def test_a_local_model_that_answers_nothing_right_has_no_map(right: Callable[[float], np.ndarray]) -> None:
    with pytest.raises(ToolkitError, match="train it longer"):
        share_map(np.zeros(50, dtype=np.int64), np.ones(50, dtype=np.int64))


def test_cells_that_a_kill_left_of_a_removed_sweep_are_no_other_sweeps(tmp_path: Path) -> None:
    """`remove` takes the plan before the cells, or the cells before the plan: a kill may fall between."""
    folder = tmp_path / "cells"
    cell = Cell(counts=np.array([[1, 2]]), figures={})
    CellStore(folder, {"channel": "awgn"}).save("k4_snr0_draws1", cell)
    (folder / "plan.json").unlink()
    assert CellStore(folder, {"channel": "rayleigh"}).load("k4_snr0_draws1") is None

"""Damaged, foreign and hostile files of every kind: read as what they say, or refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import load_file, save_file
from support.micro_codec import use_micro_preset
from support.mutations import (
    damaged_bytes,
    damaged_documents,
    hostile_pickle,
    outcome,
    refused_for_size,
)
from support.reader import Reader, metadata_of, write_json
from support.readers import CELL, READERS

HEADS = {"checkpoint's weights": "metrics", "training state": "position"}
"""Where the metadata of a file of tensors hold a JSON document, if not in `head`."""


TIMESFORMER = {"model_type": "timesformer", "image_size": 8, "patch_size": 4, "hidden_size": 8,
               "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}  # fmt: skip
POLICY_SIZES = {"hidden": 8, "codes": 1, "clock_when_offloading": False, "learn_clock": False,
                "learn_power": False, "critic": "all", "heads": "lookups", "withdraw_under": 0.0}  # fmt: skip
Make = Callable[[str], tuple[Reader, Path]]


@pytest.fixture
def make(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a good file: make(name of its reader) -> (reader, folder)."""

    def made(name: str) -> tuple[Reader, Path]:
        use_micro_preset(monkeypatch)
        folder = tmp_path / "good"
        folder.mkdir()
        READERS[name].make(folder, folders["codec"])
        assert use(READERS[name], folder)
        return READERS[name], folder

    return made


def use(reader: Reader, folder: Path) -> bool:
    """Whether a file is read; what is accepted must serve its users."""
    value = outcome(lambda: (reader.read(folder),), reader.named(folder))
    if value is None:
        return False
    reader.serves(folder, *value)
    return True


def change_head(path: Path, name: str, text: str) -> None:
    save_file(load_file(path), path, metadata=metadata_of(path) | {name: text})


def head_of(path: Path, name: str) -> Any:
    return json.loads(metadata_of(path)[name])


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes(make: Make, name: str) -> None:
    reader, folder = make(name)
    path = folder / reader.file

    @settings(max_examples=reader.bytes_examples)
    @given(content=damaged_bytes(path.read_bytes()))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        use(reader, folder)

    check()


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.document_examples])
def test_hostile_values(make: Make, name: str) -> None:
    reader, folder = make(name)
    path = folder / reader.file
    in_metadata = path.suffix == ".safetensors"
    document = head_of(path, HEADS.get(name, "head")) if in_metadata else json.loads(path.read_text())

    @settings(max_examples=reader.document_examples)
    @given(text=damaged_documents(document, skip=reader.skip))
    def check(text: str) -> None:
        if in_metadata:
            change_head(path, HEADS.get(name, "head"), text)
        else:
            path.write_text(text)
        use(reader, folder)

    check()


@pytest.mark.parametrize("name", READERS)
def test_pickles_are_never_opened(make: Make, name: str, tmp_path: Path) -> None:
    reader, folder = make(name)
    (folder / reader.file).write_bytes(hostile_pickle(tmp_path / "ran"))
    assert not use(reader, folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.largest])
def test_huge_files(make: Make, name: str) -> None:
    reader, folder = make(name)
    refused_for_size(lambda: reader.read(folder), folder / reader.file, largest=reader.largest)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *(
            ("text map", changes)
            for changes in (
                {"synthetic": "no"}, {"modality": ["text"]}, {"k": [True, 8]}, {"k": ["4", "8"]},
                {"accuracy": [[10.0, True], [15.0, 38.0]]}, {"snr_db": [-6.0, True]}, {"local_low": True},
                {"local_accuracy": "40"}, {"accuracy": [["10", "20"], ["15", "38"]]},
                {"other_metrics": {"BLEU-1": 3}}, {"model": [["name", "toy"]]},
                {"units": {"k": "real symbols per token", "snr_db": "dB, E_b/N_0"}},
                {"local_accuracy": 5e-324, "local_low": 0},
            )
        ),
        *(
            ("text FLOPs", changes)
            for changes in (
                {"local_flops": True}, {"local_flops": "2e9"}, {"k": 16.5}, {"k": "16"},
                {"source_length": 10**400}, {"modality": ["text"]}, {"model": [["name", "toy"]]},
                {"unit": "MAC"}, {"decoding": None},
            )
        ),
        *(
            ("device", changes)
            for changes in (
                {"role": "phone"}, {"role": "server"}, {"capacity": "much"}, {"name": " "},
                {"units": {"clock": "GHz"}}, {"static_power_w": None}, {"clock_min_hz": None},
                {"flops_per_cycle": 8.0}, {"clocks": 3}, {"transmit_max_dbm": {"value": 20.0}},
                *(
                    {name: {"value": value, "basis": basis, "source": source}}
                    for name, value, basis, source in (
                        ("flops_per_cycle", 0.0, "assumed", "a test"),
                        ("flops_per_cycle", True, "assumed", "a test"),
                        ("clock_min_hz", 2e9, "assumed", "a test"),
                        ("transmit_min_dbm", 30.0, "assumed", "a test"),
                        ("active_power_w", 0.0, "assumed", "a test"),
                        ("static_power_w", -0.1, "assumed", "a test"),
                        ("static_power_w", "0.5", "assumed", "a test"),
                        ("static_power_w", 0.5, "hearsay", "a test"),
                        ("static_power_w", 0.5, "measured", ""),
                    )
                ),
            )
        ),
        *(
            ("transformers config", changes)
            for changes in (
                {"model_type": "none"}, {"model_type": 3}, {"architectures": [3]},
                {"architectures": ["pipeline"]}, {"hidden_size": "16"}, {"hidden_size": 10**12},
                {"num_attention_heads": 0}, {"num_attention_heads": 3}, {"hidden_act": "explode"},
                {"vocab_size": -1}, {"vocab_size": float("nan")},
            )
        ),
        *(
            ("transformers config", TIMESFORMER | changes)
            for changes in ({"image_size": "wide"}, {"image_size": [1, 2, 3]}, {"num_channels": -1})
        ),
        *(
            ("policy", changes)
            for changes in (
                *(
                    {"sizes": POLICY_SIZES | sizes}
                    for sizes in (
                        {"hidden": 10**9}, {"hidden": 2**20}, {"codes": 10**9}, {"hidden": 0},
                        {"learn_clock": "no"}, {"critic": "nobody"}, {"heads": "feet"},
                        {"withdraw_under": -1.0},
                    )
                ),
                {"sizes": None}, {"learner": "dqn"}, {"trained_for": None}, {"trained_for": {"codes": 1}},
            )
        ),
        *(
            ("training state", changes)
            for changes in (
                {"epoch": None}, {"epoch": "1"}, {"batch": -1}, {"step": 1.5}, {"step": 10**400},
                {"best_loss": "low"}, {"best_loss": float("nan")}, {"best_loss": float("inf")},
                {"best_epoch": None},
            )
        ),
    ],
)  # fmt: skip
def test_what_is_nearly_such_a_file_is_refused(make: Make, name: str, changes: dict[str, Any]) -> None:
    reader, folder = make(name)
    path = folder / reader.file
    if path.suffix == ".safetensors":
        head = HEADS.get(name, "head")
        change_head(path, head, json.dumps(head_of(path, head) | changes))
    else:
        write_json(path, json.loads(path.read_text()) | changes)
    assert not use(reader, folder)


@pytest.mark.parametrize(
    "metrics", ["[1]", "3", "{}", '{"epoch": 1, "validation_loss": "low"}', "[" * 100_000]
)
def test_metrics_that_are_none(make: Make, metrics: str) -> None:
    reader, folder = make("checkpoint's weights")
    change_head(folder / reader.file, "metrics", metrics)
    assert not use(reader, folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["checkpoint's weights", "policy", "MAPPO checkpoint"])
def test_numbers_that_are_not_finite(make: Make, name: str, value: float) -> None:
    reader, folder = make(name)
    path = folder / reader.file

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        next(tensor for tensor in tensors.values() if tensor.is_floating_point()).view(-1)[0] = value

    change_tensors(path, spoil)
    assert not use(reader, folder)


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata=metadata_of(path))


@pytest.mark.parametrize("what", ["shape", "one number", "integers", "a moment less", "no weights"])
def test_a_state_of_foreign_tensors(make: Make, what: str) -> None:
    reader, folder = make("training state")

    def change(tensors: dict[str, torch.Tensor]) -> None:
        name = next(key for key in tensors if key.startswith("optimizer.exp_avg.") and tensors[key].ndim == 2)
        weights = name.replace("optimizer.exp_avg.", "model.")
        if what == "shape":
            tensors[name] = tensors[name][:1].clone()
        elif what == "one number":  # which torch would spread over all
            tensors[weights] = torch.zeros(1)
        elif what == "integers":
            tensors[name] = tensors[name].long()
        else:
            del tensors[name if what == "a moment less" else weights]

    change_tensors(folder / reader.file, change)
    assert not use(reader, folder)


@pytest.mark.parametrize("what", ["shape", "missing", "generator", "generator's type"])
def test_a_mappo_checkpoint_of_foreign_tensors(make: Make, what: str) -> None:
    reader, folder = make("MAPPO checkpoint")

    def change(tensors: dict[str, torch.Tensor]) -> None:
        name, state = "adam.1.exp_avg", tensors["generator"]  # the first parameter is a number
        if what == "shape":
            tensors[name] = tensors[name][:1].clone()
        elif what == "missing":
            del tensors[name]
        else:
            tensors["generator"] = state[:9].clone() if what == "generator" else state.float()

    change_tensors(folder / reader.file, change)
    assert not use(reader, folder)


@pytest.mark.parametrize(
    "arrays",
    [
        {"counts": np.array(3)}, {"counts": np.zeros((2, 3))}, {"counts": np.array(["a"])},
        {"counts": np.array([object()])}, {"figures": np.array("[1, 2]")},
        {"figures": np.array('{"BLEU-1": "high"}')}, {"figures": np.array('{"BLEU-1": NaN}')},
        {"figures": np.array("[" * 100_000)},
    ],
)  # fmt: skip
def test_a_foreign_cell(make: Make, arrays: dict[str, Any]) -> None:
    reader, folder = make("cell")
    whole: dict[str, Any] = {"counts": CELL.counts, "figures": np.array('{"BLEU-1": 0.5}')}
    np.savez(folder / reader.file, **whole | arrays)
    assert not use(reader, folder)


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "a/b.png", "..", ""])
def test_questions_name_images_of_their_own_folder(make: Make, name: str) -> None:
    reader, folder = make("clevr")
    path = folder / reader.file
    document = json.loads(path.read_text())
    document["questions"][0]["image_filename"] = name
    write_json(path, document)
    assert outcome(lambda: reader.read(folder), path) is None

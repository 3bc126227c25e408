"""Damaged, foreign and hostile checkpoints and training states; published weights that are none."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.mutations import (
    Trap,
    damaged_bytes,
    damaged_documents,
    hostile_pickle,
    outcome,
    refused_for_size,
)

from accuracy_maps.sweep.models import open_model
from data.files.documents import LARGEST_JSON
from deepsc.checkpoint import (
    Checkpoint,
    _fingerprint,
    from_pretrained,
    load_state,
    save_state,
)
from deepsc.image.config import ImageCodecConfig
from deepsc.image.model import LARGEST_WEIGHTS, pretrained_deit
from deepsc.modality import modality
from deepsc.text.config import TextCodecConfig
from deepsc.text.model import TextCodec, collate
from deepsc.text.opus_mt import load_opus_mt


def use(checkpoint: Checkpoint) -> None:
    """Whatever was accepted encodes a sentence."""
    assert isinstance(checkpoint.codec, TextCodec)
    assert checkpoint.tokenizer is not None
    row = checkpoint.tokenizer.encode(["the man sleeps"])[0]
    batch = collate([row], [row], pad_id=checkpoint.tokenizer.pad_id)
    with torch.no_grad():
        assert torch.isfinite(checkpoint.codec.encode(batch.source, batch.mask)).all()


@pytest.fixture(scope="module")
def folder(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained codec, to be damaged and put back."""
    root = tmp_path_factory.mktemp("damage") / "codec"
    shutil.copytree(folders["codec"], root)
    return root


def with_content(path: Path, content: bytes, check: Callable[[], None]) -> None:
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        check()
    finally:
        path.write_bytes(whole)


def check_open(folder: Path) -> None:
    found = outcome(lambda: open_model(str(folder), "cpu"), folder)
    if found is not None:
        use(found)


def test_config_with_hostile_values(folder: Path) -> None:
    path = folder / "config.json"
    document = json.loads(path.read_text())

    @settings(max_examples=120)
    @given(text=damaged_documents(document, skip=("provenance", "synthetic")))
    def check(text: str) -> None:
        with_content(path, text.encode(), lambda: check_open(folder))

    check()


@pytest.mark.parametrize(
    ("name", "examples"), [("config.json", 40), ("tokenizer.json", 40), ("model.safetensors", 120)]
)
def test_damaged_bytes(folder: Path, name: str, examples: int) -> None:
    path = folder / name

    @settings(max_examples=examples)
    @given(content=damaged_bytes(path.read_bytes()))
    def check(content: bytes) -> None:
        with_content(path, content, lambda: check_open(folder))

    check()


def header_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as stored:
        return stored.metadata()


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 10**9},
        {"layers": 900},
        {"d_model": 2**20, "d_ff": 2**20},
        {"vocab_size": 2**20},
        {"max_length": 2**20},
        {"k": [2**20]},
        {"d_model": 32.0},
        {"heads": 10**400},
    ],
)
def test_a_config_of_absurd_size_whose_weights_claim_to_fit(folder: Path, change: dict[str, Any]) -> None:
    """The fingerprint is no secret: no memory is taken before the file is seen to hold that much."""
    config, weights = folder / "config.json", folder / "model.safetensors"
    document = json.loads(config.read_text())
    document["codec"] |= change
    kept = weights.read_bytes()
    header = header_of(weights)
    try:
        claimed = TextCodecConfig.from_dict(document["codec"])
        header["codec"] = _fingerprint(claimed)
    except Exception:  # refused before the weights are looked at
        pass
    save_file(load_file(weights), weights, metadata=header)
    with_content(
        config, json.dumps(document).encode(),
        lambda: _refused(lambda: from_pretrained(folder), folder),
    )  # fmt: skip
    weights.write_bytes(kept)


def _refused(read: Callable[[], object], named: Path) -> None:
    assert outcome(read, named) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder: Path, value: float) -> None:
    path = folder / "model.safetensors"
    kept, tensors = path.read_bytes(), load_file(path)
    next(iter(tensors.values())).view(-1)[0] = value
    save_file(tensors, path, metadata=header_of(path))
    _refused(lambda: from_pretrained(folder), path)
    path.write_bytes(kept)


@pytest.mark.parametrize(
    "metrics", ["[1]", "3", "{}", '{"epoch": 1, "validation_loss": "low"}', "[" * 100_000]
)
def test_metrics_that_are_none(folder: Path, metrics: str) -> None:
    path = folder / "model.safetensors"
    kept = path.read_bytes()
    save_file(load_file(path), path, metadata=header_of(path) | {"metrics": metrics})
    _refused(lambda: from_pretrained(folder), path)
    path.write_bytes(kept)


def test_a_header_of_absurd_shape_or_length(folder: Path) -> None:
    path = folder / "model.safetensors"
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}, "__metadata__": {}}
    ).encode()
    for length, rest in ((len(header), header + bytes(4)), (2**63, header), (2**40, b"")):
        content = length.to_bytes(8, "little") + rest
        with_content(path, content, lambda: _refused(lambda: from_pretrained(folder), path))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_huge_part_of_a_checkpoint(folder: Path, name: str) -> None:
    path = folder / name
    check = lambda: refused_for_size(lambda: open_model(str(folder), "cpu"), path, largest=LARGEST_JSON)  # noqa: E731
    with_content(path, path.read_bytes(), check)


def test_the_tokenizer_of_a_larger_model(folder: Path) -> None:
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    for number in range(5):
        document["model"]["vocab"][f"more{number}"] = len(document["model"]["vocab"])
    with_content(path, json.dumps(document).encode(), lambda: _refused(lambda: from_pretrained(folder), path))


POSITION = {"epoch": 1, "batch": 2, "step": 9, "best_loss": 3.5, "best_epoch": 0}


@pytest.fixture(scope="module")
def state(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training state with moments of AdamW."""
    root = tmp_path_factory.mktemp("state")
    codec = copy.deepcopy(trained.codec)
    optimizer = torch.optim.AdamW(codec.parameters())
    sum(parameter.sum() for parameter in codec.parameters()).backward()
    optimizer.step()
    save_state(root, codec, optimizer, POSITION)
    return root / "state.safetensors"


def load(trained: Checkpoint, path: Path) -> dict[str, Any]:
    """Read the state, and take the step after it."""
    codec = copy.deepcopy(trained.codec)
    optimizer = torch.optim.AdamW(codec.parameters())
    position = load_state(path.parent, codec, optimizer)
    sum(parameter.sum() for parameter in codec.parameters()).backward()
    optimizer.step()
    return position


def test_a_state_with_damaged_bytes(trained: Checkpoint, state: Path) -> None:
    @settings(max_examples=120)
    @given(content=damaged_bytes(state.read_bytes()))
    def check(content: bytes) -> None:
        with_content(state, content, lambda: outcome(lambda: load(trained, state), state))

    assert load(trained, state) == POSITION
    check()


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": None},
        {"epoch": "1"},
        {"batch": -1},
        {"step": 1.5},
        {"step": 10**400},
        {"best_loss": "low"},
        {"best_loss": float("nan")},
        {"best_loss": float("inf")},
        {"best_epoch": None},
    ],
)
def test_a_state_of_a_foreign_position(trained: Checkpoint, state: Path, change: dict[str, Any]) -> None:
    kept = state.read_bytes()
    position = json.dumps(POSITION | change)
    save_file(load_file(state), state, metadata=header_of(state) | {"position": position})
    _refused(lambda: load(trained, state), state)
    state.write_bytes(kept)


@pytest.mark.parametrize("what", ["shape", "one number", "integers", "a moment less", "no weights"])
def test_a_state_of_foreign_tensors(trained: Checkpoint, state: Path, what: str) -> None:
    kept, tensors = state.read_bytes(), load_file(state)
    name = next(key for key in tensors if key.startswith("optimizer.exp_avg.") and tensors[key].ndim == 2)
    if what == "shape":
        tensors[name] = tensors[name][:1].clone()
    elif what == "one number":  # which torch would spread over all
        tensors[name.replace("optimizer.exp_avg.", "model.")] = torch.zeros(1)
    elif what == "integers":
        tensors[name] = tensors[name].long()
    elif what == "a moment less":
        del tensors[name]
    else:
        del tensors[name.replace("optimizer.exp_avg.", "model.")]
    save_file(tensors, state, metadata=header_of(state))
    _refused(lambda: load(trained, state), state)
    state.write_bytes(kept)


def test_pickles_are_never_opened(folder: Path, trained: Checkpoint, state: Path, tmp_path: Path) -> None:
    content = hostile_pickle(tmp_path / "ran")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        with_content(folder / name, content, lambda: _refused(lambda: from_pretrained(folder), folder))
    with_content(state, content, lambda: _refused(lambda: load(trained, state), state))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["deit.pth", "deit.bin", "deit.safetensors", "deit.npz", "deit.npy"])
def test_published_weights_run_nothing(tmp_path: Path, name: str) -> None:
    """timm's .pth files are pickles of tensors, read by torch's unpickler that knows tensors alone."""
    path = tmp_path / name
    path.write_bytes(hostile_pickle(tmp_path / "ran"))
    model = modality("image").codec(ImageCodecConfig.from_preset("tiny", classes=3)).vit
    _refused(lambda: pretrained_deit(str(path), model), path)
    torch.save({"weights": Trap(tmp_path / "ran")}, path)
    _refused(lambda: pretrained_deit(str(path), model), path)
    assert not (tmp_path / "ran").exists()


def test_huge_published_weights(tmp_path: Path) -> None:
    model = modality("image").codec(ImageCodecConfig.from_preset("tiny", classes=3)).vit
    path = tmp_path / "deit.pth"
    refused_for_size(lambda: pretrained_deit(str(path), model), path, largest=LARGEST_WEIGHTS)
    for name in ("config.json", "vocab.json", "target.spm"):
        refused_for_size(lambda: load_opus_mt(str(tmp_path)), tmp_path / name, largest=LARGEST_JSON)
        (tmp_path / name).unlink()


def test_marian_weights_run_nothing(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("pytorch_model.bin", "model.safetensors", "source.spm", "target.spm", "vocab.json"):
        (tmp_path / "model" / name).write_bytes(hostile_pickle(tmp_path / "ran"))
        for config in ('{"model_type": "marian"}', "[]", '{"model_type": "marian", "d_model": "x"}'):
            (tmp_path / "model" / "config.json").write_text(config)
            _refused(lambda: load_opus_mt(str(tmp_path / "model")), tmp_path / "model")
    assert not (tmp_path / "ran").exists()

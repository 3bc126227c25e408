"""Checkpoints: what loads, and what is refused in one clear line."""

import dataclasses
import json
import pickle
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.full_disk import files_limited_to
from support.micro_codec import use_micro_preset

from data.files.errors import ToolkitError
from data.files.tensors import read_metadata, read_safetensors, write_safetensors
from deepsc.checkpoint import (
    Checkpoint,
    from_pretrained,
    load_state,
    model_sha256,
    save_state,
)
from deepsc.link.channel import Channel
from deepsc.link.transmission import link_at
from deepsc.modality import modality
from deepsc.text.config import TextCodecConfig, TextRunConfig
from deepsc.text.model import collate
from deepsc.train import loop as training
from deepsc.train.run import train_codec


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A trained codec that a test may damage."""
    shutil.copytree(folders["codec"], tmp_path / "codec")
    return tmp_path / "codec"


def test_loaded_codec_is_the_saved_one(trained: Checkpoint, copy: Path) -> None:
    again = from_pretrained(copy)
    batch = collate([[5, 6, 7, 1]], [[5, 6, 1]], pad_id=0)
    with torch.no_grad():
        ours, theirs = (
            codec.transmit(
                codec.encode(batch.source, batch.mask),
                link_at(Channel(), k=2, snr_db=0.0, like=batch.mask, seed=(0, 0)),
            )
            for codec in (again.codec, trained.codec)
        )
        assert torch.equal(ours, theirs)
    assert not again.codec.training
    assert again.sha256 == trained.sha256
    assert again.codec.config == trained.codec.config
    assert again.tokenizer.encode(["the man sleeps"]) == trained.tokenizer.encode(["the man sleeps"])


def test_a_checkpoint_says_what_it_was_trained_on(trained: Checkpoint, copy: Path) -> None:
    """The blocks of config.json, each parsed once."""
    assert trained.training.to_dict() == trained.document["training"]
    assert trained.training is trained.training
    assert dataclasses.asdict(trained.corpus) == trained.document["corpus"]
    assert (trained.modality.name, trained.task) == ("text", "translate")
    for block, value in (("training", {"epochs": -1}), ("corpus", {"pair": 3}), ("task", "paint")):
        document = dict(trained.document)
        document[block] = value if isinstance(value, str) else {**document[block], **value}
        (copy / "config.json").write_text(json.dumps(document))
        with pytest.raises(ToolkitError, match=r"config\.json: "):
            from_pretrained(copy)


def test_equal_models_have_one_identity(
    folders: dict[str, Path], make_run: Callable[..., TextRunConfig], tmp_path: Path
) -> None:
    """Whatever the order of the metadata: a codec goes on from an identically retrained local model."""
    config = make_run(training={"epochs": 2}, k=(2,), init_from=str(folders["local"]))
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(config, stop_after_steps=0)
    again = tmp_path / "again"
    shutil.copytree(folders["local"], again)
    path = again / "model.safetensors"
    metadata = read_metadata(path)
    tensors = load_file(path)
    save_file(tensors, path, metadata={**dict(reversed(metadata.items())), "more": "1"})
    first, second = from_pretrained(folders["local"]), from_pretrained(again)
    assert first.file_sha256 != second.file_sha256
    assert first.sha256 == second.sha256 == model_sha256(path)
    resumed = dataclasses.replace(config, resume=True)
    train_codec(resumed)
    train_codec(dataclasses.replace(resumed, init_from=str(again)))
    document = json.loads((Path(config.output) / "config.json").read_text())
    assert document["init_from"] == first.sha256
    old = json.dumps(document | {"init_from": first.file_sha256})  # as an earlier release wrote it
    (Path(config.output) / "config.json").write_text(old)
    train_codec(resumed)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name] + 1e-3}, path, metadata=metadata)
    assert model_sha256(path) != first.sha256
    with pytest.raises(ToolkitError, match="init_from was"):
        train_codec(dataclasses.replace(resumed, init_from=str(again)))


@pytest.mark.parametrize("ids", [{"pad_id": 700}, {"eos_id": -1}, {"pad_id": 1}])
def test_special_tokens_are_of_the_vocabulary(ids: dict[str, int]) -> None:
    with pytest.raises(ToolkitError, match="token"):
        TextCodecConfig.from_preset("micro", **ids)


def test_config_says_how_it_was_made(trained: Checkpoint) -> None:
    document = trained.document
    assert document["kind"] == "deepsc-checkpoint"
    assert document["synthetic"] is True
    assert {"created", "command", "config", "seed", "packages", "git_commit", "data_sha256"} <= set(
        document["provenance"]
    )


def test_missing_files_are_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="nowhere: not found, a folder of train-deepsc"):
        from_pretrained(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ToolkitError, match="empty: not a checkpoint"):
        from_pretrained(tmp_path / "empty")
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        (copy / name).unlink()
        with pytest.raises(ToolkitError, match=str(copy)):
            from_pretrained(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_truncated_file_is_refused_by_name(copy: Path, name: str, kept: float) -> None:
    stored = (copy / name).read_bytes().rstrip()
    (copy / name).write_bytes(stored[: int(kept * len(stored))])
    with pytest.raises(ToolkitError, match=name):
        from_pretrained(copy)


def test_a_state_whose_bigrams_are_damaged_is_refused(trained: Checkpoint, tmp_path: Path) -> None:
    codec = deepcopy(trained.codec)
    optimizer = torch.optim.AdamW(codec.parameters())
    position = {"epoch": 1, "batch": 0, "step": 1, "best_loss": None, "best_epoch": -1}
    save_state(tmp_path, codec, optimizer, position)
    assert load_state(tmp_path, codec, optimizer) == position
    codec.jsc_decoder.prior.keys[0] = -1
    save_state(tmp_path, codec, optimizer, position)
    with pytest.raises(ToolkitError, match="no bigrams of"):
        load_state(tmp_path, deepcopy(trained.codec), optimizer)


def test_pickle_is_never_opened(copy: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (trace,))

    (copy / "model.safetensors").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ToolkitError, match="damaged or foreign file"):
        from_pretrained(copy)
    assert not trace.exists()


def test_weights_of_another_model_are_refused(copy: Path, folders: dict[str, Path]) -> None:
    shutil.copy(folders["local"] / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(ToolkitError, match="belongs to another model"):
        from_pretrained(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "accuracy-map"}, "kind is 'accuracy-map'"),
        ({"schema_version": 99}, "schema_version is 99"),
        ({"codec": {"k": [4]}}, "damaged or foreign"),
        ({"codec": "text"}, "damaged or foreign"),
    ],
)
def test_foreign_config_is_refused(copy: Path, change: dict[str, object], says: str) -> None:
    document = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(document | change))
    with pytest.raises(ToolkitError, match=says):
        from_pretrained(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors"])
def test_on_a_full_disk_the_old_checkpoint_survives(
    make_run: Callable[..., TextRunConfig], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one clear line, nothing half-written stays, and with room again the run goes on."""
    schedule = {"epochs": 2, "checkpoint_steps": 10**6}
    config, resumed = make_run(training=schedule), make_run(training=schedule, resume=True)
    steps = len(modality("text").material(config, None).batches()(0))
    train_codec(config, stop_after_steps=steps)
    folder = Path(config.output)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    if name == "state.safetensors":  # the weights are not the first to find no room
        monkeypatch.setattr(training, "save_best", lambda *_: None)
    with files_limited_to(20_000), pytest.raises(ToolkitError, match=rf"^cannot write .*{name}: .*") as error:
        train_codec(resumed)
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    monkeypatch.undo()
    use_micro_preset(monkeypatch)
    train_codec(resumed)
    train_codec(make_run("whole", training=schedule))
    ours, whole = (load_file(Path(folder).parent / run / name) for run in (folder.name, "whole"))
    assert all(torch.equal(tensor, whole[key]) for key, tensor in ours.items())


def test_weights_of_an_earlier_release_are_told_as_such(copy: Path) -> None:
    """They are whole, and belong to the config, but a part of the model has another name now."""
    path = copy / "model.safetensors"
    tensors, header = read_safetensors(path)
    first = next(iter(tensors))
    renamed = {("was." + name if name == first else name): tensor for name, tensor in tensors.items()}
    write_safetensors(path, renamed, header)
    said = rf"^{re.escape(str(path))}: weights of .* an earlier release's, have no place .*: was\.{first}; "
    with pytest.raises(ToolkitError, match=said):
        from_pretrained(copy)

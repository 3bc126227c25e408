"""Damaged FLOPs files and foreign model configs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mutations import damaged_bytes, damaged_documents, outcome, refused_for_size, watched

from data.files.documents import LARGEST_JSON
from data.files.errors import ToolkitError
from deepsc.checkpoint import write_config
from deepsc.text.config import TextCodecConfig
from profiling import FlopsFile
from profiling.command import codec_of
from profiling.config import ProfileConfig
from profiling.counted.library_models import hf_model

COUNTS = {"model": {"name": "toy"}, "local_flops": 2e9, "ue_flops": 1e9, "server_flops": 1.5e9}
TEXT = FlopsFile(
    modality="text", k=16, source_length=20, target_length=20, decoding="greedy, KV cache", **COUNTS
)
VQA = FlopsFile(
    modality="vqa", k_text=8, k_image=16, source_length=20, image_length=197, decoding="one pass", **COUNTS
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flops") / "flops.json"


def use(path: Path) -> None:
    """Read a FLOPs file; what was accepted must be written and read again."""
    found = outcome(lambda: FlopsFile.load(path), path)
    if found is None:
        return
    again = path.with_name("again.json")
    found.save(again)
    assert FlopsFile.load(again) == found
    for count in (found.local_flops, found.ue_flops, found.server_flops):
        assert type(count) is float
        assert 0 < count < float("inf")


def test_flops_files_with_hostile_values(path: Path) -> None:
    TEXT.save(path)
    text = json.loads(path.read_text())
    VQA.save(path)
    vqa = json.loads(path.read_text())

    @settings(max_examples=250)
    @given(content=st.sampled_from([text, vqa]).flatmap(lambda one: damaged_documents(one)))
    def check(content: str) -> None:
        path.write_text(content)
        use(path)

    check()


def test_flops_files_with_damaged_bytes(path: Path) -> None:
    TEXT.save(path)
    whole = path.read_bytes()

    @settings(max_examples=120)
    @given(content=damaged_bytes(whole))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        use(path)

    check()


@pytest.mark.parametrize(
    "changes",
    [
        {"local_flops": True},
        {"local_flops": "2e9"},
        {"k": 16.5},
        {"k": "16"},
        {"source_length": 10**400},
        {"modality": ["text"]},
        {"model": [["name", "toy"]]},
        {"unit": "MAC"},
        {"decoding": None},
    ],
)
def test_what_is_nearly_a_flops_file_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "flops.json"
    TEXT.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert outcome(lambda: FlopsFile.load(path), path) is None


def test_a_checkpoints_config_with_hostile_values(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("checkpoint")
    codec = TextCodecConfig.from_preset("tiny", k=(2, 6))
    write_config(folder, {"task": "translate", "codec": codec.to_dict()})
    path = folder / "config.json"

    @settings(max_examples=150)
    @given(content=damaged_documents(json.loads(path.read_text())))
    def check(content: str) -> None:
        path.write_text(content)
        config = ProfileConfig(modality="text", checkpoint=str(folder))
        found = outcome(lambda: codec_of(config), folder)
        if found is not None:
            assert found[0].layers <= 1000, "counting makes every layer"

    check()


BERT = {
    "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "none"},
        {"model_type": 3},
        {"architectures": [3]},
        {"architectures": ["pipeline"]},
        {"hidden_size": "16"},
        {"hidden_size": 10**12},
        {"num_attention_heads": 0},
        {"num_attention_heads": 3},
        {"hidden_act": "explode"},
        {"vocab_size": -1},
        {"vocab_size": float("nan")},
    ],
)
def test_a_foreign_config_of_transformers(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(BERT | changes))
    assert outcome(lambda: hf_model(str(path), source_length=4, target_length=4), path) is None


@pytest.mark.parametrize(
    "fields",
    [BERT | {"num_hidden_layers": 2**30}, {"model_type": "gpt2", "n_layer": 2**30},
     {"model_type": "siglip", "vision_config": {"num_hidden_layers": 2**30}},
     {"model_type": "swin", "depths": [2, 2**30 - 2]},
     {"model_type": "qwen2_vl", "vision_config": {"depth": 2**30}},
     {"model_type": "many", "parts": [{"n_layer": 2**30}]}],
)  # fmt: skip
def test_a_foreign_config_of_layers_without_end(tmp_path: Path, fields: dict[str, object]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(fields))
    says = rf"config\.json has (num_hidden_layers|n_layer|depths?) {2**30}, at most 1000 layers are allowed"
    with watched(), pytest.raises(ToolkitError, match=says):
        hf_model(str(path), source_length=4, target_length=4)


@pytest.mark.parametrize("changes", [{"image_size": "wide"}, {"image_size": [1, 2, 3]}, {"num_channels": -1}])
def test_a_foreign_config_of_impossible_inputs(tmp_path: Path, changes: dict[str, object]) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({"model_type": "timesformer", "image_size": 8, "patch_size": 4} | sizes | changes)
    )
    assert outcome(lambda: hf_model(str(path), source_length=4, target_length=4), path) is None


def test_a_list_of_which_layers_is_no_number_of_layers(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(BERT | {"moe_layers": list(range(100))}))
    assert hf_model(str(path), source_length=4, target_length=4).parameters > 0


@pytest.mark.parametrize(
    "read", [FlopsFile.load, lambda path: hf_model(str(path), source_length=4, target_length=4)]
)
def test_huge_flops_files_and_configs(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "flops.json"
    refused_for_size(lambda: read(path), path, largest=LARGEST_JSON)

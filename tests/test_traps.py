"""Files made to do harm: small ones that unpack to a great deal, sizes no memory holds, code in weights."""

import gzip
import json
import pickle
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.full_disk import files_limited_to
from support.micro_codec import use_micro_preset
from support.mutations import FOREIGN, Trap, hostile_pickle, outcome, refused_for_size, watched
from support.reader import metadata_of, write_json
from support.readers import (
    BERT,
    PLAN,
    SENTENCES,
    TEXT_FLOPS,
    TEXT_MAP,
    copy_codec,
    image_bytes,
    load_policy,
    make_policy,
    restored,
    trainer,
    write_vqa_v2,
)

from accuracy_maps.sweep import cells
from accuracy_maps.sweep.cells import Cell, CellStore
from data.files import documents
from data.files.documents import LARGEST_JSON, read_json
from data.files.errors import ToolkitError
from data.images.load import load_images, read_image
from data.questions.load import LARGEST_QUESTIONS, load_vqa
from data.text import parallel
from data.text.parallel import load_parallel
from data.text.tokenizer import JointBPE, OpusMTTokenizer, load_tokenizer
from deepsc.checkpoint import _fingerprint, from_pretrained
from deepsc.image.config import ImageCodecConfig
from deepsc.image.model import LARGEST_WEIGHTS, pretrained_deit
from deepsc.modality import modality
from deepsc.text.config import TextCodecConfig
from deepsc.text.opus_mt import load_opus_mt
from optimizer.command import main as optimize
from profiling.counted.library_models import hf_model


def refused(read: Callable[[], object], named: Path) -> None:
    assert outcome(read, named) is None


def test_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    for path in (Path("/dev/zero"), tmp_path):
        with pytest.raises(ToolkitError, match="not a file"):
            read_json(path)
        with pytest.raises(ToolkitError, match="not a file"):
            load_parallel(dataset="files", source=path, target=path)


# What a small file unpacks to.


def test_a_gzip_file_padded_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "source.gz"
    path.write_bytes(gzip.compress("\n".join(SENTENCES).encode()))
    with path.open("r+b") as stream:
        stream.truncate(parallel.LARGEST_TEXT)
    with watched(), pytest.raises(ToolkitError, match="padded with zeros"):
        parallel._read_lines(path)


def test_a_gzip_bomb_of_one_line(tmp_path: Path) -> None:
    """A small file that holds one line of many zeros."""
    path = tmp_path / "source.gz"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    path.write_bytes(b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush())
    assert path.stat().st_size < 2**17
    with pytest.raises(ToolkitError, match="line 1 has over 100000 characters"):
        load_parallel(dataset="files", source=path, target=path)


def test_a_gzip_bomb_of_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LARGEST_TEXT", 2**20)
    path = tmp_path / "source.gz"
    path.write_bytes(gzip.compress(b"\n" * 2**20))
    with pytest.raises(ToolkitError, match="GiB of text; give a part of it"):
        load_parallel(dataset="files", source=path, target=path)


def test_an_image_of_absurd_size(tmp_path: Path) -> None:
    whole = bytearray(image_bytes("PNG"))
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + whole[24:29]
    whole[12:33] = header + zlib.crc32(header).to_bytes(4, "big")
    path = tmp_path / "image.png"
    path.write_bytes(whole)
    refused(lambda: read_image(path), path)


def test_a_cell_that_unpacks_to_a_great_deal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "LARGEST_CELL", 2**16)
    store = CellStore(tmp_path, PLAN)
    store.save("local", Cell(counts=np.zeros((2**14, 3), dtype=np.int64), figures={}))
    path = tmp_path / "local.npz"
    assert path.stat().st_size < 2**12
    refused(lambda: store.load("local"), path)


def test_an_array_of_absurd_size_is_no_cell(tmp_path: Path) -> None:
    store = CellStore(tmp_path, PLAN)
    path = tmp_path / "local.npz"
    with path.open("wb") as stream:  # an array that is no archive, which numpy would read whole
        head = {"descr": "<i8", "fortran_order": False, "shape": (cells.LARGEST_CELL // 8, 1)}
        np.lib.format.write_array_header_1_0(stream, head)
    refused_for_size(lambda: store.load("local"), path, largest=cells.LARGEST_CELL)


def test_questions_may_be_larger_than_other_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST_JSON", 100)
    write_vqa_v2(tmp_path)
    assert len(load_vqa(dataset="vqa-v2", data_dir=tmp_path).test.questions) == 12
    assert LARGEST_QUESTIONS > LARGEST_JSON


def test_huge_files_of_published_models(tmp_path: Path) -> None:
    model = modality("image").codec(ImageCodecConfig.from_preset("tiny", classes=3)).vit
    path = tmp_path / "deit.pth"
    refused_for_size(lambda: pretrained_deit(str(path), model), path, largest=LARGEST_WEIGHTS)
    for name in ("config.json", "vocab.json", "target.spm"):
        refused_for_size(lambda: load_opus_mt(str(tmp_path)), tmp_path / name, largest=LARGEST_JSON)
        (tmp_path / name).unlink()
    folder = tmp_path / OpusMTTokenizer.folder
    folder.mkdir()
    for name in ("vocab.json", "source.spm"):
        refused_for_size(lambda: load_tokenizer(tmp_path), folder / name, largest=LARGEST_JSON)
        (folder / name).unlink()


# What a file says of its own size.


@pytest.fixture
def codec(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained codec, to be damaged."""
    use_micro_preset(monkeypatch)
    copy_codec(tmp_path / "codec", folders["codec"])
    return tmp_path / "codec"


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 10**9}, {"layers": 900}, {"d_model": 2**20, "d_ff": 2**20}, {"vocab_size": 2**20},
        {"max_length": 2**20}, {"k": [2**20]}, {"d_model": 32.0}, {"heads": 10**400},
    ],
)  # fmt: skip
def test_a_config_of_absurd_size_whose_weights_claim_to_fit(codec: Path, change: dict[str, Any]) -> None:
    """The fingerprint is no secret: no memory is taken before the file is seen to hold that much."""
    config, weights = codec / "config.json", codec / "model.safetensors"
    document = json.loads(config.read_text())
    document["codec"] |= change
    metadata = metadata_of(weights)
    with suppress(Exception):  # refused before the weights are looked at
        metadata["codec"] = _fingerprint(TextCodecConfig.from_dict(document["codec"]))
    save_file(load_file(weights), weights, metadata=metadata)
    write_json(config, document)
    refused(lambda: from_pretrained(codec), codec)


def test_weights_of_absurd_shape_or_length(codec: Path) -> None:
    path = codec / "model.safetensors"
    tensors = {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}, "__metadata__": {}}
    header = json.dumps(tensors).encode()
    for length, rest in ((len(header), header + bytes(4)), (2**63, header), (2**40, b"")):
        path.write_bytes(length.to_bytes(8, "little") + rest)
        refused(lambda: from_pretrained(codec), path)


def test_the_tokenizer_of_a_larger_model(codec: Path) -> None:
    path = codec / "tokenizer.json"
    document = json.loads(path.read_text())
    for number in range(5):
        document["model"]["vocab"][f"more{number}"] = len(document["model"]["vocab"])
    write_json(path, document)
    refused(lambda: from_pretrained(codec), path)


@pytest.mark.parametrize(
    "fields",
    [BERT | {"num_hidden_layers": 2**30}, {"model_type": "gpt2", "n_layer": 2**30},
     {"model_type": "siglip", "vision_config": {"num_hidden_layers": 2**30}},
     {"model_type": "swin", "depths": [2, 2**30 - 2]},
     {"model_type": "qwen2_vl", "vision_config": {"depth": 2**30}},
     {"model_type": "many", "parts": [{"n_layer": 2**30}]}],
)  # fmt: skip
def test_a_foreign_config_of_layers_without_end(tmp_path: Path, fields: dict[str, object]) -> None:
    path = write_json(tmp_path / "config.json", fields)
    says = rf"config\.json has (num_hidden_layers|n_layer|depths?) {2**30}, at most 1000 layers are allowed"
    with watched(), pytest.raises(ToolkitError, match=says):
        hf_model(str(path), source_length=4, target_length=4)


def test_a_list_of_which_layers_is_no_number_of_layers(tmp_path: Path) -> None:
    path = write_json(tmp_path / "config.json", BERT | {"moe_layers": list(range(100))})
    assert hf_model(str(path), source_length=4, target_length=4).parameters > 0


def test_ratios_of_any_size_have_an_envelope_at_once(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).uniform(0, 1e280, (2, 2)).tolist()
    changes = {"accuracy": numbers, "accuracy_low": numbers, "accuracy_high": numbers}
    found = type(TEXT_MAP).load(write_json(tmp_path / "map.json", TEXT_MAP.to_document() | changes))
    assert np.all((found.envelope >= 0) & (found.envelope <= 1))


# What else a file may do when it is opened.


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "GIF", "PDF"])
def test_other_formats_under_a_known_name(tmp_path: Path, kind: str) -> None:
    """Pillow hands EPS to Ghostscript."""
    path = tmp_path / "image.png"
    path.write_bytes(image_bytes(kind))
    refused(lambda: read_image(path), path)


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "a.png").write_bytes(image_bytes("PNG"))
    (tmp_path / "train" / "cat" / "b.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ToolkitError, match=r"folder: .*b\.png: cannot be read \(no such file\); mend"):
        load_images(dataset="folder", folder=tmp_path)


def test_pickles_of_cifar10_are_opened_only_if_they_are_the_published_ones(tmp_path: Path) -> None:
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    for name in ("batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        (batches / name).write_bytes(hostile_pickle(tmp_path / "ran"))
    with pytest.raises(ToolkitError, match="no CIFAR-10 to be had"):
        load_images(dataset="cifar10", data_dir=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_only_the_vocabulary_is_taken_from_a_tokenizers_file(tmp_path: Path) -> None:
    JointBPE.train(SENTENCES, vocab_size=262).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    expected = load_tokenizer(tmp_path).encode(["a sentence of 3 words"])
    document = json.loads(path.read_bytes()) | {
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None,
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    }  # fmt: skip
    write_json(path, document)
    assert load_tokenizer(tmp_path).encode(["a sentence of 3 words"]) == expected
    path.write_bytes(pickle.dumps({"model": 1}))
    refused(lambda: load_tokenizer(tmp_path), path)


@pytest.mark.parametrize("name", ["deit.pth", "deit.bin", "deit.safetensors", "deit.npz", "deit.npy"])
def test_published_weights_run_nothing(tmp_path: Path, name: str) -> None:
    """timm's .pth files are pickles of tensors, read by torch's unpickler that knows tensors alone."""
    path = tmp_path / name
    path.write_bytes(hostile_pickle(tmp_path / "ran"))
    model = modality("image").codec(ImageCodecConfig.from_preset("tiny", classes=3)).vit
    refused(lambda: pretrained_deit(str(path), model), path)
    torch.save({"weights": Trap(tmp_path / "ran")}, path)
    refused(lambda: pretrained_deit(str(path), model), path)
    assert not (tmp_path / "ran").exists()


def test_marian_weights_run_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("pytorch_model.bin", "model.safetensors", "source.spm", "target.spm", "vocab.json"):
        (folder / name).write_bytes(hostile_pickle(tmp_path / "ran"))
        for config in ('{"model_type": "marian"}', "[]", '{"model_type": "marian", "d_model": "x"}'):
            (folder / "config.json").write_text(config)
            refused(lambda: load_opus_mt(str(folder)), folder)
    assert not (tmp_path / "ran").exists()


# Full disks, and what a command says.


def test_on_a_full_disk_the_old_checkpoint_and_policy_survive(tmp_path: Path) -> None:
    """The error is one clear line, nothing half-written stays, and training goes on from the old one."""
    learner = trainer()
    checkpoint = tmp_path / "checkpoints" / "mappo.safetensors"
    learner.train(checkpoint=checkpoint)
    policy = make_policy(tmp_path / "policies")
    for path, write in ((checkpoint, learner.save), (policy, learner.save_policy)):
        before = path.read_bytes()
        with files_limited_to(1000), pytest.raises(ToolkitError, match=rf"^cannot write {path}: .*") as error:
            write(path)
        assert "\n" not in str(error.value)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]
    learner = restored(checkpoint)
    learner.update(learner.play()[0])
    load_policy(policy)


@pytest.mark.parametrize("flag", ["--text-map", "--flops"])
def test_foreign_inputs_are_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    paths = {"--text-map": tmp_path / "map.json", "--flops": tmp_path / "flops.json"}
    TEXT_MAP.save(paths["--text-map"])
    TEXT_FLOPS.save(paths["--flops"])
    flags = [str(part) for pair in paths.items() for part in pair]
    before = set(tmp_path.iterdir())
    for content in FOREIGN:
        paths[flag].write_bytes(content)
        assert optimize([*flags, "--ues", "text:2", "--output", str(tmp_path / "out")]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert str(paths[flag]) in line
        assert len(line) < 2500
        assert set(tmp_path.iterdir()) == before

"""Every kind of file that the toolkit reads: how a good one comes about, and how its users read it.

`tests/test_damage.py` damages them all alike. A new kind of file is one more entry of `READERS`.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from accuracy_maps import AccuracyMap, BimodalMap, load_map
from accuracy_maps.sweep.cells import LARGEST_CELL, Cell, CellStore
from accuracy_maps.sweep.models import open_model
from data.files.documents import LARGEST_JSON
from data.files.tensors import LARGEST_TENSORS
from data.images.read import LARGEST_IMAGE, read_image
from data.questions.daquar import LARGEST_LIST
from data.questions.load import LARGEST_QUESTIONS, load_vqa
from data.text.parallel import LARGEST_TEXT, load_parallel
from data.text.tokenizer import JointBPE, load_tokenizer
from deepsc.checkpoint import from_pretrained, load_state, save_state
from deepsc.codec.base import Codec
from deepsc.image.features import read_features
from deepsc.link.channel import Channel
from deepsc.link.transmission import Link, link_at
from deepsc.modality import Checkpoint
from deepsc.text.model import TextCodec, collate
from optimizer.command import main as optimize
from optimizer.policies.config import MappoConfig
from optimizer.policies.distribution import HEADS
from optimizer.policies.mappo import MappoTrainer
from optimizer.policies.networks import LearnedPolicy
from optimizer.study.results import read_results
from optimizer.world.channel.gain_table import LARGEST_GAINS, GainTable, read_gains
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig
from optimizer.world.inputs import load
from optimizer.world.view import OBSERVATION_SIZE
from profiling import DeviceFile, FlopsFile, Quantity
from profiling.command import codec_of
from profiling.config import ProfileConfig
from profiling.counted.library_models import hf_model
from support.micro_media import write_clevr, write_daquar
from support.reader import Reader, require, write, write_json

SENTENCES = [f"a sentence of {number} words" for number in range(300)]
TEXT = "\n".join(SENTENCES).encode()
SYSTEM = SystemConfig()
GAINS = b"place,gain_db,x_m,y_m\na,-80.5,10,0\na,-81,10,1\nb,-120,-70,3\nb,-119,-70,4\n"
WAYS = b"place,x_m,y_m\na,10,0\na,10,1\nb,-70,3\nb,-70,4\n"
GAINS_DB = np.linspace(-120.0, -80.0, 8).reshape(2, 4)
FEATURES = np.arange(3 * 2 * 112, dtype=np.float16).reshape(3, 2, 112, 1, 1)


# data -----------------------------------------------------------------------------------------------------


def image_bytes(kind: str) -> bytes:
    """A small image, as a file of a format."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind)
    return stream.getvalue()


def _corpus(file: str, content: bytes, examples: int) -> Reader:
    return Reader(
        file=file, make=lambda folder, _: write(folder / file, content), bytes_examples=examples,
        read=lambda folder: load_parallel(dataset="files", source=folder / file, target=folder / file),
        serves=lambda _, corpus: require(all(len(pair) == 2 for pair in corpus.train)), largest=LARGEST_TEXT,
    )  # fmt: skip


def _image(kind: str) -> Reader:
    file = f"image.{kind.lower()}"
    return Reader(
        file=file, make=lambda folder, _: write(folder / file, image_bytes(kind)), largest=LARGEST_IMAGE,
        read=lambda folder: read_image(folder / file),
        serves=lambda _, image: require(image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8),
    )  # fmt: skip


def write_vqa_v2(root: Path) -> list[Path]:
    """Twelve questions about as many images a split, in VQA v2's layout; its JSON files."""
    paths, ids = [], range(12)
    for published in ("train2014", "val2014"):
        images = root / "vqa-v2" / published
        images.mkdir(parents=True)
        for number in ids:
            write(images / f"COCO_{published}_{number:012d}.jpg", image_bytes("JPEG"))
        questions = [{"image_id": i, "question": "what?", "question_id": i + 100} for i in ids]
        answers = [{"question_id": i + 100, "multiple_choice_answer": "no" if i % 2 else "yes"} for i in ids]
        paths += [
            write_json(
                root / "vqa-v2" / f"v2_OpenEnded_mscoco_{published}_questions.json", {"questions": questions}
            ),
            write_json(root / "vqa-v2" / f"v2_mscoco_{published}_annotations.json", {"annotations": answers}),
        ]
    return paths


def _vqa(dataset: str, file: str, make: Callable[[Path], object], examples: int) -> Reader:
    return Reader(
        file=file, make=lambda folder, _: require(make(folder)), largest=LARGEST_QUESTIONS,
        read=lambda folder: load_vqa(dataset=dataset, data_dir=folder), serves=_serve_questions,
        names=dataset, bytes_examples=examples, document_examples=examples,  # an error may name an image
    )  # fmt: skip


def _serve_questions(_: Path, found: Any) -> None:
    assert all(isinstance(answer, str) for answer in found.answers)
    assert all(
        isinstance(asked.text, str) and isinstance(asked.answer, str) for asked in found.test.questions
    )
    assert found.test.images[0].ndim == 3


def _serve_tokenizer(_: Path, tokenizer: Any) -> None:
    (row,) = tokenizer.encode(["a sentence of 3 words"])
    assert row[-1] == tokenizer.eos_id
    assert max(row) < tokenizer.vocab_size
    assert isinstance(tokenizer.decode([row, list(range(tokenizer.vocab_size))])[0], str)


# deepsc ---------------------------------------------------------------------------------------------------

POSITION = {"epoch": 1, "batch": 2, "step": 9, "best_loss": 3.5, "best_epoch": 0}


def copy_codec(folder: Path, codec: Path) -> None:
    """A trained codec, to be damaged."""
    shutil.copytree(codec, folder, dirs_exist_ok=True)


def _encode(_: Path, checkpoint: Checkpoint) -> None:
    assert isinstance(checkpoint.codec, TextCodec)
    assert checkpoint.tokenizer is not None
    row = checkpoint.tokenizer.encode(["the man sleeps"])[0]
    batch = collate([row], [row], pad_id=checkpoint.tokenizer.pad_id)
    with torch.no_grad():
        features = checkpoint.codec.transmit(checkpoint.codec.encode(batch.source, batch.mask), _link())
    assert torch.isfinite(features).all()


def _link() -> Link:
    link = link_at(Channel(), k=2, snr_db=0.0, like=torch.empty(1), seed=(0, 0))
    assert link is not None
    return link


def _stepped(folder: Path) -> tuple[Codec, torch.optim.AdamW]:
    """The codec in a folder, and its optimizer with moments."""
    codec = copy.deepcopy(from_pretrained(folder).codec)
    optimizer = torch.optim.AdamW(codec.parameters())
    _step(codec, optimizer)
    return codec, optimizer


def _step(codec: Codec, optimizer: torch.optim.Optimizer) -> None:
    torch.stack([parameter.sum() for parameter in codec.parameters()]).sum().backward()
    optimizer.step()


def _make_state(folder: Path, codec: Path) -> None:
    copy_codec(folder, codec)
    save_state(folder, *_stepped(folder), POSITION)


def _read_state(folder: Path) -> Any:
    """Read the state, and take the step after it."""
    codec, optimizer = _stepped(folder)
    position = load_state(folder, codec, optimizer)
    _step(codec, optimizer)
    return position


def _checkpoint(file: str, *, largest: int, **examples: Any) -> Reader:
    return Reader(
        file=file, make=copy_codec, read=lambda folder: open_model(str(folder), "cpu"), serves=_encode,
        names="", largest=largest, **examples,
    )  # fmt: skip


# accuracy_maps --------------------------------------------------------------------------------------------


def _grids(accuracy: np.ndarray) -> dict[str, Any]:
    return {
        "accuracy": accuracy, "accuracy_low": accuracy - 1, "accuracy_high": accuracy + 1,
        "ratio_low": accuracy / 40 - 0.05, "ratio_high": accuracy / 40 + 0.05,
        "modality": "text", "task": "translate", "channel": "awgn", "metric": "sacreBLEU", "synthetic": True,
        "model": {"name": "toy"}, "local_accuracy": 40.0, "local_low": 39.0, "local_high": 41.0,
        "other_metrics": {"BLEU-1": {"local": 0.7, "cells": [[0.1, 0.2], [0.3, 0.4]]}},
        "provenance": {"seed": 3},
    }  # fmt: skip


TEXT_MAP = AccuracyMap(k=(4, 8), snr_db=(-6.0, 12.0), **_grids(np.array([[10.0, 20.0], [15.0, 38.0]])))
VQA_MAP = BimodalMap(
    k_text=(1, 4), k_image=(2, 8), snr_text_db=(0.0, 12.0), snr_image_db=(0.0, 12.0),
    **_grids(np.arange(1.0, 17.0).reshape(2, 2, 2, 2) + 10) | {"modality": "vqa"},
)  # fmt: skip
CELL = Cell(counts=np.arange(12).reshape(4, 3), figures={"BLEU-1": 0.5})
PLAN = {"seed": 0, "checkpoints": ["ab"]}


def _map(example: AccuracyMap | BimodalMap, examples: int) -> Reader:
    return Reader(
        file="map.json", make=lambda folder, _: example.save(folder / "map.json"), largest=LARGEST_JSON,
        read=lambda folder: load_map(folder / "map.json"), serves=_look_up,
        document_examples=2 * examples, bytes_examples=examples, skip=("provenance",),
    )  # fmt: skip


def _look_up(folder: Path, found: AccuracyMap | BimodalMap) -> None:
    assert np.all(np.isfinite(found.envelope))
    assert np.all((found.envelope >= 0) & (found.envelope <= 1))
    again = folder / "again.json"
    found.save(again)
    assert load_map(again).to_document() == found.to_document()
    found.save_csv(again.with_suffix(".csv"))
    ks = [axis[0] for name, axis in zip(found.axis_names, found.axes, strict=True) if name.startswith("k")]
    look_up: Callable[..., Any] = found.lookup
    assert np.all(np.isfinite(look_up(*ks, [-np.inf, 3.0, np.inf])))


def _serve_cell(_: Path, cell: Cell) -> None:
    assert cell.counts.ndim == 2
    assert cell.counts.dtype.kind == "i"


# profiling ------------------------------------------------------------------------------------------------

COUNTS: dict[str, Any] = {
    "model": {"name": "toy"},
    "local_flops": 2e9,
    "ue_flops": 1e9,
    "server_flops": 1.5e9,
}
TEXT_FLOPS = FlopsFile(
    modality="text", k=16, source_length=20, target_length=20, decoding="greedy, KV cache", **COUNTS
)
VQA_FLOPS = FlopsFile(
    modality="vqa", k_text=8, k_image=16, source_length=20, image_length=197, decoding="one pass", **COUNTS
)
BERT = {
    "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50,
}  # fmt: skip


def _flops(example: FlopsFile, examples: int) -> Reader:
    return Reader(
        file="flops.json", make=lambda folder, _: example.save(folder / "flops.json"), largest=LARGEST_JSON,
        read=lambda folder: FlopsFile.load(folder / "flops.json"), serves=_count,
        document_examples=2 * examples, bytes_examples=examples,
    )  # fmt: skip


def _assumed(value: float) -> Quantity:
    return Quantity(value=value, basis="assumed", source="a test")


DEVICE = DeviceFile(
    name="toy", role="ue", capacity="effective", flops_per_cycle=_assumed(8.0), clock_min_hz=_assumed(1e8),
    clock_max_hz=_assumed(1e9), active_power_w=_assumed(2.0), active_power_min_w=_assumed(0.1),
    static_power_w=_assumed(0.5), transmit_min_dbm=_assumed(10.0), transmit_max_dbm=_assumed(20.0),
)  # fmt: skip


def _serve_device(folder: Path, found: DeviceFile) -> None:
    found.save(folder / "again.json")
    assert DeviceFile.load(folder / "again.json") == found
    assert 0 < found.energy_coefficient < float("inf")
    assert found.number("clock_min_hz") <= found.number("clock_max_hz")


def _count(folder: Path, found: FlopsFile) -> None:
    found.save(folder / "again.json")
    assert FlopsFile.load(folder / "again.json") == found
    for count in (found.local_flops, found.ue_flops, found.server_flops):
        assert type(count) is float
        assert 0 < count < float("inf")


# optimizer ------------------------------------------------------------------------------------------------


def make_policy(folder: Path) -> Path:
    """A small policy that nobody trained."""
    path = folder / "mappo-0.safetensors"
    trainer().save_policy(path)
    return path


def load_policy(path: Path) -> LearnedPolicy:
    """A policy file, for the world of `trainer`."""
    episode = EpisodeConfig(mix=("text",) * 4)
    tasks = load(Inputs(), system=SYSTEM, episode=episode).tasks
    return LearnedPolicy.load(path, system=SYSTEM, episode=episode, tasks=tasks)


def _act(_: Path, policy: LearnedPolicy) -> None:
    heads = policy._network.actions(torch.zeros(3, 2, OBSERVATION_SIZE), torch.zeros(3, 2, HEADS))
    assert torch.isfinite(heads.mode().to_physical(SYSTEM).power_w).all()


def trainer() -> MappoTrainer:
    """Of four text UEs and the shipped map."""
    episode = EpisodeConfig(mix=("text",) * 4)
    return MappoTrainer(
        MappoConfig(episodes=1, copies=2, hidden=8, epochs=1, batch_steps=16), system=SYSTEM,
        episode=episode, tasks=load(Inputs(), system=SYSTEM, episode=episode).tasks,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def restored(path: Path) -> MappoTrainer:
    """A trainer that goes on from a checkpoint."""
    learner = trainer()
    learner.restore(path)
    return learner


def _serve_gains(_: Path, table: GainTable) -> None:
    assert table.gain is not None
    assert table.gain.shape == (table.places, table.steps)
    assert ((table.gain > 0) & (table.gain <= 1)).all()
    _serve_ways(_, table)


def _serve_ways(_: Path, table: GainTable) -> None:
    assert table.position_m.shape == (table.places, table.steps, 2)
    assert table.position_m.isfinite().all()


def _make_results(folder: Path, _: Path) -> None:
    flags = ["--ues", "text:2", "--episodes", "1", "--test-episodes", "16", "--no-bound", "--learners",
             "mappo", "--seeds", "1", "--output", str(folder)]  # fmt: skip
    assert optimize(["train", *flags]) == 0
    document = json.loads((folder / "results.json").read_text())
    for name in ("local", "greedy", "random", "remote", "central", "exhaustive"):  # one policy is enough
        document["policies"].pop(name, None)
    write_json(folder / "results.json", document)


def _serve_results(_: Path, results: Any) -> None:
    assert all(isinstance(policy["qoe"]["value"], float | int) for policy in results["policies"].values())


READERS = {
    "gzip corpus": _corpus("source.gz", gzip.compress(TEXT, mtime=0), 100),
    "text corpus": _corpus("source.txt", TEXT, 60),
    **{kind: _image(kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "PPM")},
    "clevr": _vqa(
        "clevr", "clevr/questions/CLEVR_val_questions.json",
        lambda folder: write_clevr(folder, train=12, test=4), 60,
    ),
    "daquar": replace(
        _vqa("daquar", "daquar/all_qa_pairs.txt", write_daquar, 40), document_examples=0, largest=LARGEST_LIST
    ),
    **{
        f"vqa-v2 {file}": _vqa("vqa-v2", f"vqa-v2/v2_{file}.json", write_vqa_v2, 40)
        for file in ("OpenEnded_mscoco_val2014_questions", "OpenEnded_mscoco_train2014_questions",
                     "mscoco_val2014_annotations", "mscoco_train2014_annotations")
    },
    "tokenizer": Reader(
        file="tokenizer.json", make=lambda folder, _: JointBPE.train(SENTENCES, vocab_size=262).save(folder),
        read=load_tokenizer, serves=_serve_tokenizer, largest=LARGEST_JSON, bytes_examples=70,
        document_examples=80,
    ),
    "checkpoint's config": _checkpoint(
        "config.json", largest=LARGEST_JSON, bytes_examples=40, document_examples=120,
        skip=("provenance", "synthetic"),
    ),
    "checkpoint's tokenizer": _checkpoint("tokenizer.json", largest=LARGEST_JSON, bytes_examples=40),
    "checkpoint's weights": _checkpoint("model.safetensors", largest=0, bytes_examples=120),
    "training state": Reader(
        file="state.safetensors", make=_make_state, read=_read_state, largest=0, bytes_examples=120,
    ),
    "features of a stem": Reader(
        file="features.npy", make=lambda folder, _: np.save(folder / "features.npy", FEATURES), largest=0,
        read=lambda folder: read_features(folder / "features.npy", FEATURES.shape), bytes_examples=120,
        serves=lambda _, stored: require(np.array(stored).dtype == np.float16),
    ),
    "text map": _map(TEXT_MAP, 75),
    "bimodal map": _map(VQA_MAP, 75),
    "cell": Reader(
        file="local.npz", make=lambda folder, _: CellStore(folder, PLAN).save("local", CELL),
        read=lambda folder: CellStore(folder, PLAN).load("local"), serves=_serve_cell, largest=LARGEST_CELL,
        bytes_examples=150,
    ),
    "plan of cells": Reader(
        file="plan.json", make=lambda folder, _: require(CellStore(folder, PLAN)),
        read=lambda folder: CellStore(folder, PLAN), largest=LARGEST_JSON, names="",
    ),
    "text FLOPs": _flops(TEXT_FLOPS, 60),
    "VQA FLOPs": _flops(VQA_FLOPS, 60),
    "device": Reader(
        file="device.json", make=lambda folder, _: DEVICE.save(folder / "device.json"), largest=LARGEST_JSON,
        read=lambda folder: DeviceFile.load(folder / "device.json", role="ue"), serves=_serve_device,
        document_examples=120, bytes_examples=60,
    ),
    "gains as text": Reader(
        file="gains.csv", make=lambda folder, _: write(folder / "gains.csv", GAINS), largest=LARGEST_GAINS,
        read=lambda folder: read_gains(folder / "gains.csv", steps=2), serves=_serve_gains,
    ),
    "ways as text": Reader(
        file="ways.csv", make=lambda folder, _: write(folder / "ways.csv", WAYS), largest=LARGEST_GAINS,
        read=lambda folder: read_gains(folder / "ways.csv", steps=2), serves=_serve_ways,
    ),
    "gains": Reader(
        file="gains.npy", make=lambda folder, _: np.save(folder / "gains.npy", GAINS_DB),
        read=lambda folder: read_gains(folder / "gains.npy", steps=2), serves=_serve_gains,
        largest=LARGEST_GAINS,
    ),
    "profiled checkpoint": Reader(
        file="config.json", make=copy_codec, largest=LARGEST_JSON, document_examples=150, names="",
        read=lambda folder: codec_of(ProfileConfig(modality="text", checkpoint=str(folder))),
        serves=lambda _, config: require(config[0].layers <= 1000),  # counting makes every layer
    ),
    "transformers config": Reader(
        file="config.json", make=lambda folder, _: require(write_json(folder / "config.json", BERT)),
        read=lambda folder: hf_model(str(folder / "config.json"), source_length=4, target_length=4),
        largest=LARGEST_JSON, bytes_examples=30,
    ),
    "policy": Reader(
        file="mappo-0.safetensors", make=lambda folder, _: require(make_policy(folder)), serves=_act,
        largest=LARGEST_TENSORS, head="head",
        read=lambda folder: load_policy(folder / "mappo-0.safetensors"), bytes_examples=120,
        document_examples=80,
    ),
    "MAPPO checkpoint": Reader(
        file="mappo.safetensors", head="head", largest=LARGEST_TENSORS, document_examples=60,
        make=lambda folder, _: require(trainer().train(checkpoint=folder / "mappo.safetensors")),
        read=lambda folder: restored(folder / "mappo.safetensors"),
        serves=lambda _, learner: learner.update(learner.play()[0]),
    ),
    "results": Reader(
        file="results.json", make=_make_results, read=read_results, serves=_serve_results,
        largest=LARGEST_JSON, document_examples=60, skip=("accuracy_maps", "flops"),
    ),
}  # fmt: skip

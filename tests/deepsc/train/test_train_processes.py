"""Several processes share a batch: together they do what one does."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.holder import held_elsewhere
from support.micro_media import vqa_run
from support.needed import need

from data.files.errors import ToolkitError
from data.files.lock import LOCK_NAME
from deepsc.checkpoint import Checkpoint
from deepsc.codec.base import Batch
from deepsc.command import main
from deepsc.config import TrainConfig
from deepsc.text.config import TextRunConfig
from deepsc.train.links import draw_links
from deepsc.train.loop import dropout_seed, shared_loss
from deepsc.train.processes import Processes
from deepsc.train.run import _alone, train_codec

CPU = torch.device("cpu")


def parts_of_the_loss(checkpoint: Checkpoint, batch: Batch, training: TrainConfig, count: int) -> list[float]:
    codec = checkpoint.codec.eval()
    parts = []
    for rank in range(count):
        links = draw_links(codec, training, batch.sizes, seed=3, device=CPU)
        processes = Processes(rank=rank, count=count)
        parts.append(shared_loss(codec, batch, links, processes, config=training, device=CPU).item())
    return parts


def of_vqa(folder: Path, clevr: Path, tmp_path: Path) -> tuple[Checkpoint, Batch, TrainConfig]:
    """A VQA checkpoint, the first batch of its data, and how it is trained."""
    from deepsc.checkpoint import from_pretrained
    from deepsc.modality import modality

    checkpoint = from_pretrained(folder)
    config = vqa_run(tmp_path, clevr)
    return checkpoint, modality("vqa").material(config, checkpoint).batches()(0)[0], config.training


@pytest.mark.parametrize("channel", ["awgn", "rayleigh"])
@pytest.mark.parametrize("fading", ["block", "symbol"])
def test_parts_of_a_text_batch_sum_to_its_loss(
    trained: Checkpoint, make_run: Callable[..., TextRunConfig], channel: str, fading: str
) -> None:
    """Same k, SNR, gain and noise, weighted by target tokens; and with more processes than sentences."""
    from deepsc.text.model import collate

    training = make_run(training={"channel": channel, "fading": fading}).training
    batch = collate([[5, 6, 7, 1], [8, 1], [5, 9, 1]], [[5, 6, 1], [9, 1], [5, 6, 7, 8, 9, 1]], pad_id=0)
    (whole,) = parts_of_the_loss(trained, batch, training, 1)
    for count in (2, 3, 5):
        parts = parts_of_the_loss(trained, batch, training, count)
        assert sum(parts) == pytest.approx(whole, rel=1e-5)
        assert len(set(parts)) == min(count, 4), "every part is a part"
    assert parts[3:] == [0, 0]


def test_parts_of_a_vqa_batch_sum_to_its_loss(
    vqa_folders: dict[str, Path], clevr: Path, tmp_path: Path
) -> None:
    """Images keep their questions."""
    checkpoint, batch, training = of_vqa(vqa_folders["codec"], clevr, tmp_path)
    assert batch.sizes[0] > batch.sizes[1] > 3
    (whole,) = parts_of_the_loss(checkpoint, batch, training, 1)
    assert sum(parts_of_the_loss(checkpoint, batch, training, 3)) == pytest.approx(whole, rel=1e-5)


def test_parts_of_a_loss_with_consistency_sum_to_it(
    vqa_folders: dict[str, Path], clevr: Path, tmp_path: Path
) -> None:
    """Two passes of the local model; without dropout they are alike, and the loss is that of one."""
    checkpoint, batch, training = of_vqa(vqa_folders["local"], clevr, tmp_path)
    one = dataclasses.replace(training, channel=None)
    two = dataclasses.replace(one, consistency=2.0)
    (whole,) = parts_of_the_loss(checkpoint, batch, two, 1)
    assert sum(parts_of_the_loss(checkpoint, batch, two, 3)) == pytest.approx(whole, rel=1e-5)
    assert parts_of_the_loss(checkpoint, batch, one, 1) == pytest.approx([whole], rel=1e-5)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """`accelerate launch`, gloo, without dropout: the same losses, hence the same weights."""
    need("accelerate", extra="accelerate")

    def flags(name: str) -> list[str]:
        return [
            "--modality", "text", "--dataset", "captions", "--caption-count", "200", "--preset", "tiny",
            "--batch-tokens", "512", "--epochs", "2", "--k", "2,4", "--device", "cpu",
            "--output", str(tmp_path / name),
        ]  # fmt: skip

    assert main(flags("one")) == 0
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
        "--main_process_port", "0", "-m", "deepsc.command",
    ]  # fmt: skip
    run = subprocess.run(
        [*launch, *flags("two")], capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("validation loss") == 1, "one of them reports"
    one, two = (state(tmp_path / name) for name in ("one", "two"))
    assert two["position"] == one["position"] | {
        "best_loss": pytest.approx(one["position"]["best_loss"], rel=1e-4)
    }
    for name, tensor in one["weights"].items():
        assert torch.allclose(tensor, two["weights"][name], atol=2e-3), name


def test_every_process_draws_its_own_dropout() -> None:
    seeds = [dropout_seed(7 * 1_000_003 + step, rank) for step in range(20) for rank in range(8)]
    masks = {tuple(torch.rand(16, generator=torch.Generator().manual_seed(seed)).tolist()) for seed in seeds}
    assert len(masks) == len(seeds)
    assert dropout_seed(5, 0) == 5


def state(folder: Path) -> dict[str, Any]:
    from data.files.tensors import read_metadata

    path = folder / "state.safetensors"
    return {"position": json.loads(read_metadata(path)["position"]), "weights": load_file(path)}


def test_without_a_launcher_there_is_one_process(
    make_run: Callable[..., TextRunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    train_codec(make_run(training={"epochs": 1}))
    assert not torch.distributed.is_initialized()


def test_only_the_process_that_writes_locks_and_all_end_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Processes(rank=rank, count=2) for rank in (0, 1))
    refused = torch.tensor(0)
    monkeypatch.setattr(Processes, "sum", lambda _, own: own + refused)
    with held_elsewhere(tmp_path / LOCK_NAME):
        with pytest.raises(ToolkitError, match=r"holds \.lock"), _alone(tmp_path, first, "cpu", 0.0):
            pass
        with _alone(tmp_path, second, "cpu", 0.0):
            pass
        refused = torch.tensor(1)  # what the first one says
        with pytest.raises(ToolkitError, match=r"writes there$"), _alone(tmp_path, second, "cpu", 0.0):
            pass

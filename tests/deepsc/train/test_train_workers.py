"""Batches made ahead in processes of their own are the batches that one process makes."""

from pathlib import Path

import pytest
import torch
from support.micro_media import image_run

from data.batching import LazyBatches
from data.files.errors import ToolkitError
from deepsc.image.model import ImageBatch
from deepsc.train import loop as training
from deepsc.train.run import train_codec
from deepsc.train.workers import batches_from, workers_for


def numbered(epoch: int) -> LazyBatches:
    """Batches that say which they are; epoch 1 has one more than the others."""
    count = 4 if epoch == 1 else 3

    def make(rows: object, number: int) -> ImageBatch:
        if epoch == 3:
            raise ToolkitError(f"row {rows}: damaged")
        return ImageBatch(images=torch.tensor([epoch, number]), target=torch.tensor([0]))

    return LazyBatches([[row] for row in range(count)], make)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_from_where_a_run_left_off(workers: int) -> None:
    stream = batches_from(numbered, epoch=0, batch=2, epochs=3, workers=workers)
    places = [tuple(batch.images.tolist()) for batch in stream]
    assert places == [(0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_data_end_the_stream_with_their_own_message(workers: int) -> None:
    stream = batches_from(numbered, epoch=2, batch=2, epochs=4, workers=workers)
    next(stream)
    with pytest.raises(ToolkitError, match=r"^row \[0\]: damaged$"):
        next(stream)


def test_a_run_with_workers_is_the_run_without_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Augmentation is random, in whichever process."""
    changes = {"augment": "deit", "training": {"batch_tokens": 6000, "epochs": 2}}
    alone = train_codec(image_run(tmp_path / "alone", **changes))
    monkeypatch.setattr(training, "workers_for", lambda device, *, sharing: 2)
    shared = train_codec(image_run(tmp_path / "shared", **changes))
    for name, value in alone.codec.state_dict().items():
        assert torch.equal(value, shared.codec.state_dict()[name]), name


def test_a_cpu_that_trains_has_no_workers_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert workers_for(torch.device("cpu")) == 0
    assert workers_for(torch.device("cuda")) == 15
    assert workers_for(torch.device("cuda"), sharing=8) == 1

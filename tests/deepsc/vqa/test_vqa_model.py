"""VQA codec: two transmissions, fusion, evaluation by image."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.micro_media import vqa_run

from accuracy_maps.sweep.config import MAX_SEED
from data.files.errors import ToolkitError
from data.questions.load import load_vqa
from data.questions.sets import VQASet, VQASplit
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.config import TrainConfig
from deepsc.image.config import IMAGE_PRESETS
from deepsc.image.pixels import to_tensor
from deepsc.link.channel import Channel
from deepsc.link.transmission import link_at
from deepsc.text.config import TEXT_PRESETS
from deepsc.train.links import draw_links
from deepsc.train.run import train_codec
from deepsc.vqa import material as vqa_run_module
from deepsc.vqa.config import VQACodecConfig
from deepsc.vqa.evaluate import VQAEvaluator
from deepsc.vqa.material import VQABatches, material
from deepsc.vqa.model import VQABatch, VQACodec

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def squares(clevr: Path) -> VQASet:
    return load_vqa(dataset="clevr", data_dir=clevr)


@pytest.fixture(scope="module")
def local(vqa_folders: dict[str, Path]) -> Checkpoint:
    return from_pretrained(vqa_folders["local"])


@pytest.fixture(scope="module")
def trained(vqa_folders: dict[str, Path]) -> Checkpoint:
    return from_pretrained(vqa_folders["codec"])


def parts(checkpoint: Checkpoint) -> tuple[VQACodec, Any]:
    assert isinstance(checkpoint.codec, VQACodec)
    return checkpoint.codec, checkpoint.tokenizer


def batch_of(checkpoint: Checkpoint, squares: VQASet) -> VQABatch:
    codec, tokenizer = parts(checkpoint)
    batches = VQABatches(
        squares.train, tokenizer, config=codec.config, max_tokens=600, augment="none", flip=False, seed=None
    )
    batch: VQABatch = batches(0)[0]
    return batch


@pytest.mark.parametrize(("preset", "of_text"), [("medium", "medium"), ("deit-small", "base")])
def test_the_large_presets_have_encoders_of_the_text_codecs_size_and_deit_smalls_first_half(
    preset: str, of_text: str
) -> None:
    config = VQACodecConfig.from_preset(preset, answers=("yes", "no"), k_text=(4,), k_image=(4,))
    text, image = TEXT_PRESETS[of_text], IMAGE_PRESETS["deit-small"]
    assert (config.text_layers, config.text_width, config.text_heads) == (
        text.layers,
        text.d_model,
        text.heads,
    )
    assert 2 * config.image_layers == image.depth
    assert (config.image_width, config.image_heads) == (image.width, image.heads)
    assert config.image_tokens == 197
    assert VQACodecConfig.from_dict(config.to_dict()) == config


def test_the_image_encoder_can_start_from_an_image_codec(
    image_folders: dict[str, Path], clevr: Path, tmp_path: Path
) -> None:
    weights = image_folders["local"] / "model.safetensors"
    wide = vqa_run(tmp_path / "wide", clevr, pretrained=str(weights), preset="deit-small")
    with pytest.raises(ToolkitError, match=r"^pretrained: .*does not fit the model"):
        train_codec(wide, stop_after_steps=0)
    easy = vqa_run(tmp_path / "run", clevr, pretrained=str(weights), preset="easy", image_size=32,
                   training={"channel": "none", "learning_rate": 1e-7})  # fmt: skip
    trained, image = train_codec(easy), from_pretrained(image_folders["local"])
    ours, theirs = trained.codec.state_dict(), image.codec.state_dict()
    for name in ("blocks.3.mlp.fc1.weight", "pos_embed", "norm.weight"):
        assert torch.allclose(ours[f"image_encoder.{name}"], theirs[f"vit.{name}"], atol=1e-4)
    assert trained.document["init_from"] == image.sha256
    told = trained.document["provenance"]["initial"]
    assert told == {name: image.document[name] for name in ("training", "init_from", "provenance")}


def test_question_and_image_have_links_of_their_own(trained: Checkpoint, squares: VQASet) -> None:
    codec, _ = parts(trained)
    batch = batch_of(trained, squares)
    questions, images = batch.sizes
    assert questions == 2 * images
    config = TrainConfig(epochs=1, batch_tokens=1, learning_rate=1, warmup_steps=1)
    text, image = draw_links(codec, config, batch.sizes, seed=0, device=CPU)
    assert (text.k.shape, image.k.shape) == ((questions,), (images,))
    assert set(text.k.tolist()) == {1, 3}
    assert set(image.k.tolist()) == {1, 2}
    codec.zero_grad()
    codec.loss(batch, text, image).backward()
    silent = [name for name, p in codec.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == [], "the loss reaches every part, at the UE and at the server"


def test_a_certain_question_is_the_local_models(trained: Checkpoint, squares: VQASet) -> None:
    codec, _ = parts(trained)
    batch = batch_of(trained, squares)
    certain = torch.where(torch.nn.functional.one_hot(batch.question, codec.config.vocab_size) > 0, 0.0, -1e4)
    with torch.inference_mode():
        received = codec.understand(certain, batch.mask)
        local = codec.text_encoder(codec.text_encoder.embeddings(batch.question), batch.mask)
    assert torch.allclose(received, local, atol=1e-5)


def test_the_prior_counts_the_training_questions(trained: Checkpoint, squares: VQASet) -> None:
    codec, tokenizer = parts(trained)
    assert codec.text_jsc_decoder is not None
    prior = codec.text_jsc_decoder.prior
    rows = tokenizer.encode([question.text for question in squares.train.questions])
    pairs = Counter(pair for row in rows for pair in zip([row[-1], *row], row, strict=False))
    kept = {
        divmod(key, codec.config.vocab_size): count
        for key, count in zip(prior.keys.tolist(), prior.counts.tolist(), strict=True)
        if count
    }
    assert kept == pairs


def test_a_part_of_a_batch_holds_out_the_bigrams_of_the_whole(trained: Checkpoint, squares: VQASet) -> None:
    batch = batch_of(trained, squares)
    part, _ = batch.part(0, 2)
    assert part.sizes[0] < batch.sizes[0]
    assert torch.equal(part.bigrams, batch.bigrams)
    assert batch.bigrams.shape[1] == batch.mask.sum()


def test_noise_spoils_the_question_and_its_features(trained: Checkpoint, squares: VQASet) -> None:
    codec, _ = parts(trained)
    batch = batch_of(trained, squares)

    def right(snr_db: float) -> float:
        link = link_at(Channel(), k=3, snr_db=snr_db, like=batch.question, seed=(0, 0))
        with torch.inference_mode():
            logits = codec.eval().posterior(batch.question, batch.mask, link)
        valid = batch.mask.bool()
        return (logits.argmax(-1) == batch.question)[valid].float().mean().item()

    assert right(18.0) == 1.0
    assert right(-20.0) < 1.0


def test_padding_does_not_change_an_answer(local: Checkpoint, squares: VQASet) -> None:
    codec, _ = parts(local)
    batch = batch_of(local, squares)
    with torch.inference_mode():
        question = codec.transmit_question(batch.question, batch.mask, None)
        image = codec.encode_image(batch.images)
        whole = codec.answer(question, batch.mask, image, batch.image_of)
        for item in (0, 1):
            length = int(batch.mask[item].sum())
            alone, mask = batch.question[item : item + 1, :length], batch.mask[item : item + 1, :length]
            assert length < batch.mask.shape[1] or item == 0 or bool(batch.mask[item].all())
            own = codec.answer(
                codec.transmit_question(alone, mask, None), mask, image, batch.image_of[item : item + 1]
            )
            assert torch.allclose(own[0], whole[item], atol=1e-5)


def test_batches_hold_every_image_once_with_its_questions(local: Checkpoint, squares: VQASet) -> None:
    codec, tokenizer = parts(local)
    options: dict[str, Any] = {
        "config": codec.config, "max_tokens": 300, "augment": "light", "flip": True
    }  # fmt: skip
    batches = VQABatches(squares.train, tokenizer, seed=1, **options)
    epoch, again = batches(0), VQABatches(squares.train, tokenizer, seed=1, **options)(0)
    assert sum(epoch[i].sizes[1] for i in range(len(epoch))) == 72
    assert sum(epoch[i].sizes[0] for i in range(len(epoch))) == 144
    for number in (2, 0):
        assert torch.equal(epoch[number].images, again[number].images)
        assert torch.equal(epoch[number].question, again[number].question)
        tokens = epoch[number].question.numel() + epoch[number].sizes[1] * codec.config.image_tokens
        assert tokens <= 300
    assert not torch.equal(epoch[0].images[:2], batches(1)[0].images[:2])
    pixels = torch.cat([epoch[number].images for number in range(len(epoch))])
    still = to_tensor(squares.train.images, image_size=codec.config.image_size, whole=True)
    rows, still_rows = pixels.mean(dim=(1, 3)), still.mean(dim=(1, 3))  # mirroring does not change these
    assert (torch.cdist(rows, still_rows).min(dim=1).values > 0.1).float().mean() > 0.25, "images are shifted"
    first = VQABatches(squares.train, tokenizer, seed=None, **options)(0)[0]
    asked = [question for question in squares.train.questions if question.image < first.sizes[1]]
    assert tokenizer.decode(first.question.tolist()) == [question.text for question in asked]
    assert first.image_of.tolist() == [question.image for question in asked]
    assert [codec.config.answers[i] for i in first.target] == [question.answer for question in asked]


@pytest.mark.parametrize("tells_sides", [True, False])
def test_images_are_mirrored_only_where_no_question_tells_left_from_right(
    tells_sides: bool, squares: VQASet, clevr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert squares.tells_sides, "CLEVR asks what is left of what"
    sided = np.zeros((32, 32, 3), dtype=np.uint8)
    sided[:, 20:] = 255  # bright on the right
    train = VQASplit(images=[sided] * len(squares.train.images), questions=squares.train.questions)
    found = dataclasses.replace(squares, train=train, tells_sides=tells_sides)
    monkeypatch.setattr(vqa_run_module, "load_vqa", lambda **_: found)
    epoch = material(vqa_run(Path("unused"), clevr, preset="easy"), None).batches()(0)
    pixels = torch.cat([epoch[number].images for number in range(len(epoch))])
    mirrored = pixels[..., :10].mean(dim=(1, 2, 3)) > pixels[..., -10:].mean(dim=(1, 2, 3))
    assert len({row.sum().item() for row in pixels}) > 1, "images are shifted"
    assert mirrored.float().mean().item() == (0 if tells_sides else pytest.approx(0.5, abs=0.2))


def test_accuracy_counts_questions_by_image(local: Checkpoint, squares: VQASet) -> None:
    codec, tokenizer = parts(local)
    evaluator = VQAEvaluator(codec, tokenizer, squares.test, channel=None)
    counts, _ = evaluator.measure(k=(0, 0), snr_db=(0.0, 0.0), seed=0)
    assert counts.shape == (30, 2)
    assert counts[:, 1].tolist() == [2] * 30
    batches = VQABatches(
        squares.test, tokenizer, config=codec.config, max_tokens=10**6, augment="none", flip=False, seed=None
    )
    batch = batches(0)[0]
    with torch.inference_mode():
        question = codec.transmit_question(batch.question, batch.mask, None)
        logits = codec.answer(question, batch.mask, codec.encode_image(batch.images), batch.image_of)
    right = logits.argmax(dim=1) == batch.target
    assert counts[:, 0].sum() == right.sum().item()
    assert VQAEvaluator.score(counts.sum(axis=0)) > 70, (
        "colours are learned, so that the other tests can fail"
    )


def test_an_answer_the_classifier_lacks_is_wrong(local: Checkpoint, squares: VQASet) -> None:
    codec, tokenizer = parts(local)
    test = squares.test
    strange = tuple(question._replace(answer="purple") for question in test.questions)
    evaluator = VQAEvaluator(
        codec, tokenizer, type(test)(images=test.images, questions=strange), channel=None
    )
    counts, _ = evaluator.measure(k=(0, 0), snr_db=(0.0, 0.0), seed=0)
    assert counts[:, 0].sum() == 0


def test_each_transmission_answers_to_its_own_k_and_snr_alone(trained: Checkpoint, squares: VQASet) -> None:
    codec, tokenizer = parts(trained)
    evaluator = VQAEvaluator(codec, tokenizer, squares.test, channel=Channel())
    one = evaluator._receive_questions(3, 0.0, 0)
    assert torch.equal(one[0], evaluator._receive_questions(3, 0.0, 0)[0])
    assert not torch.equal(one[0], evaluator._receive_questions(3, 6.0, 0)[0])
    assert not torch.equal(one[0], evaluator._receive_questions(1, 0.0, 0)[0])
    asked: list[tuple[str, int, float]] = []
    evaluator._received_questions = lambda k, snr, seed: asked.append(("text", k, snr)) or one  # type: ignore[func-returns-value,assignment,return-value]
    largest_seed = MAX_SEED * 10_007 + 10_006  # of the last of 10,007 draws
    assert evaluator._receive_images(2, 0.0, largest_seed)
    image = evaluator._receive_images(2, 0.0, 0)
    evaluator._received_images = lambda k, snr, seed: asked.append(("image", k, snr)) or image  # type: ignore[func-returns-value,assignment,return-value]
    evaluator.measure(k=(3, 2), snr_db=(-6.0, 12.0), seed=0)
    assert asked == [("text", 3, -6.0), ("image", 2, 12.0)]


def test_a_run_refuses_what_it_cannot_do(
    vqa_folders: dict[str, Path], image_folders: dict[str, Path], clevr: Path, tmp_path: Path
) -> None:
    with pytest.raises(ToolkitError, match=r"k_text: none given.*k_image: none given"):
        vqa_run(tmp_path, clevr, k_text=(), k_image=())
    with pytest.raises(ToolkitError, match="is of modality image, vqa is allowed"):
        train_codec(vqa_run(tmp_path / "run", clevr, init_from=str(image_folders["local"])))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ToolkitError, match="both or none"):
        VQACodecConfig.from_preset("tiny", answers=("a", "b"), k_text=(1,))

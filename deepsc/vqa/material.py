"""What the VQA codec trains on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.batching import LazyBatches
from data.files.errors import ToolkitError
from data.questions.load import load_vqa
from data.questions.sets import VQASet, VQASplit
from data.settings import named
from data.text.tokenizer import JointBPE, TextTokenizer, encode_within
from deepsc.image.features import StemFeatures
from deepsc.image.pixels import shift_and_flip, to_tensor
from deepsc.image.start import start_of
from deepsc.modality import Checkpoint, Dataset, Material
from deepsc.text.model import pad
from deepsc.vqa.config import VQA_PRESETS, VQACodecConfig, VQARunConfig
from deepsc.vqa.model import VQABatch, VQACodec


class VQABatches:
    """Images with all their questions, dealt to batches.

    Args:
        split: images and questions; questions with an answer that the codec lacks count as failed.
        tokenizer: of the checkpoint.
        config: the codec's.
        max_tokens: most question and image tokens of a batch, padding included.
        augment: "light": shifts; "flips": mirror images; "none".
        flip: whether "light" mirrors images, too.
        seed: of shuffling and augmentation; None keeps the images in order and as they are.
        features: what a frozen stem makes of the images, to be dealt in their place; not with "light".
    """

    def __init__(
        self,
        split: VQASplit,
        tokenizer: TextTokenizer,
        *,
        config: VQACodecConfig,
        max_tokens: int,
        augment: str,
        flip: bool,
        seed: int | None,
        features: StemFeatures | None = None,
    ) -> None:
        self._split, self._tokenizer, self._config, self._seed = split, tokenizer, config, seed
        self._augment, self._flip = augment if seed is not None else "none", flip
        self._features = features
        self._items = encode_questions(split, tokenizer, config)
        longest = max(len(ids) for _, ids, _ in self._items)
        self._by_image: dict[int, list[int]] = {}
        for item, (image, _, _) in enumerate(self._items):
            self._by_image.setdefault(image, []).append(item)
        self._tokens = {
            image: len(items) * longest + config.image_tokens for image, items in self._by_image.items()
        }
        self._max_tokens = max_tokens

    def __call__(self, epoch: int) -> Sequence[VQABatch]:
        """Batches of an epoch, the same whenever asked for the same epoch."""
        order = np.array(sorted(self._by_image))
        if self._seed is not None:
            np.random.default_rng((self._seed, epoch)).shuffle(order)
        rows: list[list[int]] = [[]]
        tokens = 0
        for image in order.tolist():
            if rows[-1] and tokens + self._tokens[image] > self._max_tokens:
                rows.append([])
                tokens = 0
            rows[-1].append(image)
            tokens += self._tokens[image]
        if self._features is not None and self._seed is not None:
            self._features.make()
        return LazyBatches(rows, lambda row, number: self._batch(row, epoch * len(rows) + number))

    def _batch(self, images: Sequence[int], number: int) -> VQABatch:
        pixels = self._pixels(images, seed=(self._seed or 0) * 1_000_003 + number)
        position = {image: row for row, image in enumerate(images)}
        items = [self._items[item] for image in images for item in self._by_image[image]]
        return collate(items, position, pixels, pad_id=self._config.pad_id)

    def _pixels(self, images: Sequence[int], *, seed: int) -> Tensor:
        """Images as a batch has them, (M, 3, H, W), or their features."""
        flips = None
        if self._augment == "flips":
            flips = np.random.default_rng(seed).random(len(images)) < 0.5
        if self._features is not None:
            return self._features.take(images, flips=flips)
        size = self._config.image_size
        pixels = to_tensor((self._split.images[image] for image in images), image_size=size, whole=True)
        if flips is not None:
            pixels[flips] = pixels[flips].flip(-1)
        if self._augment == "light":
            pixels = shift_and_flip(pixels, shift=size // 8, flip=self._flip, seed=seed)
        return pixels


def encode_questions(
    split: VQASplit, tokenizer: TextTokenizer, config: VQACodecConfig
) -> list[tuple[int, list[int], int]]:
    """Image, token ids and answer of each question; -1, and failed, for an answer that the classifier lacks.

    Questions longer than the codec's `max_length` are cut to it.
    """
    texts = [question.text for question in split.questions]
    cut = encode_within(tokenizer, texts, max_length=config.max_length)
    index = {answer: number for number, answer in enumerate(config.answers)}
    return [
        (question.image, row, index.get(question.answer, -1))
        for question, row in zip(split.questions, cut, strict=True)
    ]


def collate(
    items: Sequence[tuple[int, list[int], int]], position: dict[int, int], pixels: Tensor, *, pad_id: int
) -> VQABatch:
    """Pad questions to one batch.

    Args:
        items: image, token ids and answer of each question.
        position: row of each image in `pixels`.
        pixels: (M, 3, H, W).
        pad_id: fills short questions.
    """
    question, mask = pad([ids for _, ids, _ in items], pad_id=pad_id)  # (B, S) each
    return VQABatch(
        images=pixels,
        question=question,
        mask=mask,
        image_of=torch.tensor([position[image] for image, _, _ in items]),
        target=torch.tensor([answer for _, _, answer in items]),
    )


def material(config: VQARunConfig, initial: Checkpoint | None) -> Material:
    """Images, questions, tokenizer, codec config and weights of a run; see `deepsc.modality.Material`."""
    vqa = load_vqa(**dataclasses.asdict(config.corpus))
    tokenizer, codec_config = _tokenizer_and_config(config, vqa, initial)
    start = start_of(
        config,
        codec_config,
        initial,
        prefix="image_encoder.",
        deit=lambda: VQACodec(dataclasses.replace(codec_config, k_text=(), k_image=())).image_encoder,
    )
    augment = VQA_PRESETS[config.preset].augment
    if codec_config.freeze_stem:  # the stem has seen images enough, and its features can be kept
        augment = "none" if vqa.tells_sides else "flips"
    options: dict[str, Any] = {
        "tokenizer": tokenizer,
        "config": codec_config,
        "max_tokens": config.training.batch_tokens,
        "augment": augment,
        "flip": not vqa.tells_sides,
    }

    def batches(split: VQASplit, seed: int | None) -> VQABatches:
        features = None
        if codec_config.freeze_stem:
            features = StemFeatures(
                split.images,
                start.frozen_stem,
                image_size=codec_config.image_size,
                device=config.device,
                mirrored=seed is not None and augment == "flips",
                whole=True,
            )
        return VQABatches(split, seed=seed, features=features, **options)

    return Material(
        dataset=start.read(Dataset.of(vqa)),
        codec_config=codec_config,
        batches=lambda: batches(vqa.train, config.training.seed),
        validation=lambda: batches(vqa.validation, None)(0),
        tokenizer=tokenizer,
        weights=start.weights,
        weights_file=start.file,
        description=start.description,
    )


def _tokenizer_and_config(
    config: VQARunConfig, vqa: VQASet, initial: Checkpoint | None
) -> tuple[TextTokenizer, VQACodecConfig]:
    """Those of the checkpoint that a run starts from, or new ones."""
    if initial is not None:
        assert isinstance(initial.codec.config, VQACodecConfig)
        assert initial.tokenizer is not None
        codec_config = dataclasses.replace(initial.codec.config, **config.codec_fields)
        if codec_config.answers != vqa.answers:
            raise ToolkitError(
                f"{named('init_from')}: {config.init_from} was trained for {len(codec_config.answers)} "
                f"answers, not for the {len(vqa.answers)} of {vqa.name}; train a local model, without a "
                "channel, on these"
            )
        return initial.tokenizer, codec_config
    size = VQA_PRESETS[config.preset]
    questions = (question.text for question in vqa.train.questions)
    tokenizer = JointBPE.train(questions, vocab_size=size.vocab_size)
    return tokenizer, VQACodecConfig.from_preset(
        config.preset,
        answers=vqa.answers,
        vocab_size=tokenizer.vocab_size,
        **config.sizes,
        **config.codec_fields,
    )

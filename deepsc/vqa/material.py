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
from data.questions.sets import VQASplit
from data.settings import named
from data.text.tokenizer import JointBPE, TextTokenizer, encode_within
from deepsc.image.model import pretrained_deit
from deepsc.image.pixels import shift_and_flip, to_tensor
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
        augment: "light" or "none".
        flip: whether "light" mirrors images, too.
        seed: of shuffling and augmentation; None keeps the images in order and as they are.
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
    ) -> None:
        self._split, self._tokenizer, self._config, self._seed = split, tokenizer, config, seed
        self._light, self._flip = augment == "light" and seed is not None, flip
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
        return LazyBatches(rows, lambda row, number: self._batch(row, epoch * len(rows) + number))

    def _batch(self, images: Sequence[int], number: int) -> VQABatch:
        pixels = to_tensor(
            (self._split.images[image] for image in images), image_size=self._config.image_size, whole=True
        )
        if self._light:
            seed = (self._seed or 0) * 1_000_003 + number
            pixels = shift_and_flip(pixels, shift=self._config.image_size // 8, flip=self._flip, seed=seed)
        position = {image: row for row, image in enumerate(images)}
        items = [self._items[item] for image in images for item in self._by_image[image]]
        return collate(items, position, pixels, pad_id=self._config.pad_id)


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
    tokenizer: TextTokenizer
    if initial is not None:
        assert isinstance(initial.codec.config, VQACodecConfig)
        assert initial.tokenizer is not None
        codec_config = dataclasses.replace(initial.codec.config, **config.channel_fields)
        tokenizer = initial.tokenizer
        if codec_config.answers != vqa.answers:
            raise ToolkitError(
                f"{named('init_from')}: {config.init_from} was trained for {len(codec_config.answers)} "
                f"answers, not for the {len(vqa.answers)} of {vqa.name}; train a local model, without a "
                "channel, on these"
            )
    else:
        size = VQA_PRESETS[config.preset]
        questions = (question.text for question in vqa.train.questions)
        tokenizer = JointBPE.train(questions, vocab_size=size.vocab_size)
        codec_config = VQACodecConfig.from_preset(
            config.preset,
            answers=vqa.answers,
            vocab_size=tokenizer.vocab_size,
            **config.sizes,
            **config.channel_fields,
        )
    weights: dict[str, Tensor] = {}
    weights_file = None
    if config.pretrained is not None:
        reference = VQACodec(dataclasses.replace(codec_config, k_text=(), k_image=()))
        deit, weights_file = pretrained_deit(config.pretrained, reference.image_encoder)
        weights = {f"image_encoder.{name}": tensor for name, tensor in deit.items()}
    options: dict[str, Any] = {
        "tokenizer": tokenizer,
        "config": codec_config,
        "max_tokens": config.training.batch_tokens,
        "augment": VQA_PRESETS[config.preset].augment,
        "flip": not vqa.tells_sides,
    }
    return Material(
        dataset=Dataset.of(vqa),
        codec_config=codec_config,
        batches=lambda: VQABatches(vqa.train, seed=config.training.seed, **options),
        validation=lambda: VQABatches(vqa.validation, seed=None, **options)(0),
        tokenizer=tokenizer,
        weights=weights,
        weights_file=weights_file,
    )

"""How a VQA codec is measured."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.questions.sets import VQASplit
from data.text.tokenizer import TextTokenizer
from deepsc.image.pixels import to_tensor
from deepsc.link.channel import Channel
from deepsc.link.transmission import link_at
from deepsc.modality import Evaluator
from deepsc.vqa.material import collate, encode_questions
from deepsc.vqa.model import VQABatch, VQACodec

_KEPT_BYTES = 2**30


_EVALUATION_IMAGES = 100


class VQAEvaluator(Evaluator):
    """Accuracy on test questions; the images' features are computed once and serve every k and SNR.

    An image crosses the channel once and serves all its questions, as in training; test items are therefore
    images with their questions, and intervals are over images.

    Args:
        codec: the codec, or the local model.
        tokenizer: the codec's.
        split: test images and questions.
        channel: what lies between UE and server; None for the local model.
    """

    metric = "accuracy"

    def __init__(
        self, codec: VQACodec, tokenizer: TextTokenizer, split: VQASplit, *, channel: Channel | None
    ) -> None:
        self._codec, self._channel = codec.eval(), channel
        self._images = len(split.images)
        self._image_of: list[Tensor] = []
        self._batches: list[VQABatch] = []
        self._features: list[Tensor] = []
        items = encode_questions(split, tokenizer, codec.config)
        device = next(codec.parameters()).device
        for start in range(0, self._images, _EVALUATION_IMAGES):
            images = range(start, min(start + _EVALUATION_IMAGES, self._images))
            chosen = [item for item in items if item[0] in images]
            if not chosen:
                continue
            pixels = to_tensor(
                (split.images[image] for image in images), image_size=codec.config.image_size, whole=True
            )
            position = {image: row for row, image in enumerate(images)}
            batch = collate(chosen, position, pixels, pad_id=codec.config.pad_id).to(device)
            with torch.inference_mode():
                self._features.append(codec.encode_image(batch.images))
            # The pixels of a test set of photographs would fill the memory.
            self._batches.append(dataclasses.replace(batch, images=torch.empty(0)))
            self._image_of.append(torch.tensor([image for image, _, _ in chosen]))
        # A sweep asks for each question and each image many times over.
        tokens = sum(batch.question.numel() for batch in self._batches)
        question_bytes = tokens * codec.config.text_width * next(codec.parameters()).element_size()
        self._received_questions = lru_cache(_kept(question_bytes, most=16))(self._receive_questions)
        image_bytes = sum(tensor.numel() * tensor.element_size() for tensor in self._features)
        self._received_images = lru_cache(_kept(image_bytes, most=64))(self._receive_images)

    @torch.inference_mode()
    def _receive_questions(self, k: int, snr_db: float, seed: int) -> list[Tensor]:
        return [
            self._codec.transmit_question(
                batch.question,
                batch.mask,
                link_at(self._channel, k=k, snr_db=snr_db, like=batch.question, seed=(2 * seed, number)),
            )
            for number, batch in enumerate(self._batches)
        ]

    @torch.inference_mode()
    def _receive_images(self, k: int, snr_db: float, seed: int) -> list[Tensor]:
        return [
            self._codec.transmit_image(
                features,
                link_at(self._channel, k=k, snr_db=snr_db, like=features, seed=(2 * seed + 1, number)),
            )
            for number, features in enumerate(self._features)
        ]

    @torch.inference_mode()
    def measure(
        self, *, k: tuple[int, int], snr_db: tuple[float, float], seed: int
    ) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Send every question and image once; see `Evaluator.measure`.

        Args:
            k: complex symbols per token of the question and of the image.
            snr_db: nominal E_s/N_0 of the two.
            seed: of fading and noise, which are drawn apart.

        Returns:
            Counts, (images, 2): right answers, and questions.
        """
        counts = torch.zeros(self._images, 2, dtype=torch.long)
        if self._channel is None:
            k, snr_db = (0, 0), (0.0, 0.0)
        questions = self._received_questions(k[0], snr_db[0], seed)
        images = self._received_images(k[1], snr_db[1], seed)
        for number, batch in enumerate(self._batches):
            logits = self._codec.answer(questions[number], batch.mask, images[number], batch.image_of)
            right = (logits.argmax(dim=1) == batch.target).long().cpu()
            counts[:, 0].index_add_(0, self._image_of[number], right)
            counts[:, 1].index_add_(0, self._image_of[number], torch.ones_like(right))
        return counts.numpy(), {}

    @staticmethod
    def signature() -> str:
        """Definition of the metric."""
        return "% of test questions answered with the reference's words"


def _kept(size: int, *, most: int) -> int:
    """How many received copies of features of `size` bytes are kept: `most`, or fewer if large."""
    return max(1, min(most, _KEPT_BYTES // max(1, size)))

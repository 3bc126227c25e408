"""A user's own images and questions, sent one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from typing_extensions import override

from data.files.errors import ToolkitError
from data.images.read import Pixels, read_image
from data.settings import named
from data.text.tokenizer import JointBPE, encode_within
from deepsc.image.pixels import to_tensor
from deepsc.image.send import as_pixels
from deepsc.modality import Answer, Links, Sender
from deepsc.text.model import pad
from deepsc.vqa.model import VQACodec


class VQASender(Sender):
    """Sends an image and a question about it; the receiver answers."""

    @override
    @staticmethod
    def read(words: Sequence[str]) -> tuple[Pixels, str]:
        if len(words) != 2:
            raise ToolkitError(
                f"{named('items')}: {len(words)} given, a VQA codec takes an image file and a question, in "
                "quotes"
            )
        return read_image(Path(words[0])), words[1]

    @override
    @torch.inference_mode()
    def send(self, item: tuple[Pixels | Image.Image | str | Path, str], links: Links) -> Answer:
        codec, tokenizer = self.checkpoint.codec, self.checkpoint.tokenizer
        assert isinstance(codec, VQACodec)
        assert isinstance(tokenizer, JointBPE)
        image, question = item
        if not tokenizer.knows_capitals:  # learnt from questions in lower case, as easy-VQA's
            question = question.lower()
        device = next(codec.parameters()).device
        ids = encode_within(tokenizer, [question], max_length=codec.config.max_length)
        tokens, mask = (tensor.to(device) for tensor in pad(ids, pad_id=codec.config.pad_id))
        pixels = to_tensor([as_pixels(image)], image_size=codec.config.image_size, whole=True)
        seen = codec.encode_image(pixels.to(device))
        logits = codec.answer(
            codec.transmit_question(tokens, mask, links(0, tokens)),
            mask,
            codec.transmit_image(seen, links(1, seen)),
            torch.zeros(1, dtype=torch.long, device=device),
        )
        probabilities = logits.softmax(dim=1)[0]
        best = int(probabilities.argmax())
        return Answer(codec.config.answers[best], float(probabilities[best]))


SENDER = VQASender

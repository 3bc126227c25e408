"""A user's own images, sent one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from typing_extensions import override

from data.files.errors import ToolkitError
from data.images.read import Pixels, read_image
from data.images.sets import ImageSplit
from data.settings import named
from deepsc.digital import Digital, channel_code, image_versions
from deepsc.image.model import ImageCodec
from deepsc.image.pixels import shrunk, to_tensor
from deepsc.link.channel import Channel
from deepsc.modality import Answer, Links, Sender, Separate


class ImageSender(Sender):
    """Sends images, (H, W, 3) bytes or files; the receiver names their class."""

    @property
    def _codec(self) -> ImageCodec:
        assert isinstance(self.checkpoint.codec, ImageCodec)
        return self.checkpoint.codec

    @override
    @staticmethod
    def read(words: Sequence[str]) -> Pixels:
        if len(words) != 1:
            raise ToolkitError(f"{named('items')}: {len(words)} given, an image codec takes one image file")
        return read_image(Path(words[0]))

    @override
    @torch.inference_mode()
    def send(self, item: Pixels | Image.Image | str | Path, links: Links) -> Answer:
        codec = self._codec
        images = to_tensor([as_pixels(item)], image_size=codec.config.image_size)
        features = codec.encode(images.to(next(codec.parameters()).device))
        embedding = codec.embed(codec.transmit(features, links(0, features)))  # (1, width)
        probabilities = codec.classify(embedding).softmax(dim=1)[0]
        best = int(probabilities.argmax())
        names = self.checkpoint.document.get("class_names")  # which earlier releases did not write
        text = str(names[best]) if names else f"class {best}"
        return Answer(text, float(probabilities[best]), embedding[0].cpu().numpy())

    @override
    def separate(
        self, item: Pixels | Image.Image | str | Path, *, channel: Channel, code: str, data_dir: str | None
    ) -> Separate:
        pixels = shrunk(as_pixels(item), image_size=self._codec.config.image_size)
        one = ImageSplit(images=[pixels], labels=np.zeros(1, dtype=np.int64))
        versions = image_versions(one)
        digital = Digital(
            bits=versions.bits,
            distortion=versions.distortion,
            outcome=lambda _, version: version[:, None] + 1,
            nothing=np.zeros((1, 1), dtype=np.int64),
            tokens=np.array([self._codec.config.image_tokens]),
            channel=channel,
            code=channel_code(code),
        )
        received = tuple(versions.image(0, version) for version in range(versions.bits.shape[1]))
        return Separate(digital, tuple(versions.bits[0].tolist()), received, np.full_like(pixels, 128))


def as_pixels(image: Pixels | Image.Image | str | Path) -> Pixels:
    """An image as pixels, read if it is a file."""
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    return image if isinstance(image, np.ndarray) else read_image(Path(image))


SENDER = ImageSender

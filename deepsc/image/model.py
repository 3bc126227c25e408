"""Image codec: timm's DeiT, its first blocks at the UE and its last at the server.

Architecture: DeiT (Touvron et al., 2021) as timm's `deit_small_patch16_224` has it, its patches perhaps
embedded by a stem (`deepsc.image.stem`); JSC codec between the halves. The same class without a JSC codec is
the local model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor
from typing_extensions import override

from data.files.errors import ToolkitError
from data.files.paths import is_file, require_file
from data.settings import named
from deepsc.codec.base import Codec, TensorBatch, answer_loss
from deepsc.codec.pretrained import weights_file
from deepsc.image.config import HybridConfig, ImageCodecConfig
from deepsc.image.stem import HybridPatches, Stem
from deepsc.link.jsc import JSCDecoder, JSCEncoder
from deepsc.link.principal import start_as_principal_code
from deepsc.link.transmission import Link, transmit

LARGEST_WEIGHTS = 4 * 2**30
"""Bytes of a file of published weights; deit3_huge, the largest DeiT, has 2.5 GB."""


@dataclass(frozen=True, kw_only=True)
class ImageBatch(TensorBatch):
    """Images and what they show. B items."""

    images: Tensor
    """(B, 3, H, W), normalised with ImageNet's mean and deviation; or what a frozen stem makes of them,
    (B, 112, H / 16, W / 16)."""
    target: Tensor
    """(B,), class indices, or (B, classes), probabilities, where mixup has mixed images."""

    @property
    def sizes(self) -> tuple[int]:
        """Items in each transmission: (B,)."""
        return (self.images.shape[0],)


class ImageCodec(Codec):
    """Semantic encoder, JSC codec and semantic decoder for images.

    Args:
        config: architecture; without k it is the local model, which has no JSC codec.
    """

    config: ImageCodecConfig

    def __init__(self, config: ImageCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.vit = build_deit(
            config,
            classes=config.classes,
            width=config.width,
            heads=config.heads,
            depth=config.depth,
            drop_path=config.drop_path,
        )
        self.jsc_encoder: JSCEncoder | None = None
        self.jsc_decoder: JSCDecoder | None = None
        if config.k:
            size: dict[str, Any] = {
                "d_model": config.width, "k_max": config.k[-1], "snr_range_db": config.snr_range_db,
            }  # fmt: skip
            self.jsc_encoder = JSCEncoder(**size)
            self.jsc_decoder = JSCDecoder(**size)

    @override
    def start(self, batches: Iterable[ImageBatch], *, from_local: bool) -> None:
        """Start the JSC codec as the principal-component code of the local model's features."""
        if from_local and self.jsc_encoder is not None and self.jsc_decoder is not None:
            features = self.features_of(batches, lambda batch: self.encode(batch.images))
            start_as_principal_code(self.jsc_encoder, self.jsc_decoder, features)

    def encode(self, images: Tensor) -> Tensor:
        """Semantic encoder, at the UE: images (B, 3, H, W) to features of S tokens (B, S, width).

        A hybrid takes what its stem makes of them, too; see `ImageBatch`.
        """
        x = self.vit.patch_embed(images)  # (B, S - 1, width)
        x = self.vit.norm_pre(self.vit._pos_embed(x))  # (B, S, width), the class token first
        for block in self.vit.blocks[: self.config.split]:
            x = block(x)
        return x

    def transmit(self, features: Tensor, link: Link | None) -> Tensor:
        """Features at the server, (B, S, width); see `deepsc.link.transmission.transmit`."""
        mask = torch.ones(features.shape[:2], dtype=torch.long, device=features.device)
        return transmit(self.jsc_encoder, self.jsc_decoder, features, mask, link)

    def embed(self, received: Tensor) -> Tensor:
        """Semantic decoder, at the server: received features (B, S, width) to an embedding (B, width)."""
        for block in self.vit.blocks[self.config.split :]:
            received = block(received)
        return self.vit.forward_head(self.vit.norm(received), pre_logits=True)

    def classify(self, embedding: Tensor) -> Tensor:
        """Embedding (B, width) to logits (B, classes)."""
        return self.vit.head(embedding)

    def loss(
        self,
        batch: ImageBatch,
        link: Link | None = None,
        *,
        label_smoothing: float = 0.0,
        consistency: float | None = None,
    ) -> Tensor:
        """Cross-entropy per image, in nats.

        Args:
            batch: images and classes.
            link: how the features cross the channel, None for the local model.
            label_smoothing: share of the probability spread over the classes.
            consistency: of two passes, as in `answer_loss`.

        Returns:
            Scalar.
        """
        return answer_loss(
            lambda: self.classify(self.embed(self.transmit(self.encode(batch.images), link))),
            batch.target, label_smoothing=label_smoothing, consistency=consistency,
        )  # fmt: skip


def build_deit(
    config: HybridConfig, *, classes: int, width: int, heads: int, depth: int, drop_path: float
) -> VisionTransformer:
    """timm's `deit_small_patch16_224` with these sizes, weights drawn from torch's global generator.

    With a stem it is the hybrid whose patches this stem embeds, its weights drawn anew like the others.

    Drawn as ViT's authors do (Xavier). With timm's default deviation of 0.02 a narrow model is almost linear
    at first, and does not find shapes: a width of 48 stayed at chance on easy-VQA's for 6 epochs.
    """
    stem = {}
    if config.stem:
        stem["embed_layer"] = partial(HybridPatches, stem=Stem(config.stem, frozen=config.freeze_stem))
    return timm.create_model(
        "deit_small_patch16_224",
        num_classes=classes,
        embed_dim=width,
        num_heads=heads,
        depth=depth,
        img_size=config.image_size,
        patch_size=config.patch_size,
        drop_path_rate=drop_path,
        weight_init="jax",
        **stem,
    )


def pretrained_deit(name: str, model: VisionTransformer) -> tuple[dict[str, Tensor], Path | None]:
    """Published DeiT weights, made to fit a model: position embedding and patches resampled, a slice taken.

    Args:
        name: a file (.safetensors, .pth) of timm's layout or of an image codec's checkpoint, or timm's name
            on the Hugging Face hub, such as "deit_small_patch16_224.fb_in1k".
        model: where they will go; a classifier of other classes keeps its own weights.

    Returns:
        Weights by the name of the model's parameters, and the file they were read from, where it is known.

    Raises:
        ToolkitError: if they cannot be had, are too large or do not fit.
    """
    is_local = is_file(name)
    if is_local:
        require_file(name, largest=LARGEST_WEIGHTS)
    try:
        if is_local:
            state, source = timm.models.load_state_dict(name, use_ema=False, weights_only=True), name
        else:
            published = timm.create_model(name, pretrained=True)
            state, model_card = published.state_dict(), published.pretrained_cfg
            source = model_card.get("file") or model_card.get("hf_hub_id") or name
        state = {key.removeprefix("vit."): value for key, value in state.items()}
        fitted = checkpoint_filter_fn(state, model)
    except Exception as error:  # the hub's, timm's and torch's many kinds
        raise ToolkitError(
            f"{named('pretrained')}: no DeiT weights to be had from {name!r}; give a file of timm's layout, "
            f"or timm's name on the hub with a network ({error})"
        ) from error
    wanted = model.state_dict()
    taken = {key: value for key, value in fitted.items() if key in wanted and not key.startswith("head")}
    head = fitted.get("head.weight")
    if head is not None and "head.weight" in wanted and head.shape == wanted["head.weight"].shape:
        taken |= {key: fitted[key] for key in ("head.weight", "head.bias")}
    missing = [key for key in wanted if key not in taken and not key.startswith("head")]
    wrong = [key for key, value in taken.items() if value.shape != wanted[key].shape]
    if missing or wrong:
        raise ToolkitError(
            f"{named('pretrained')}: {name!r} does not fit the model: {', '.join((missing + wrong)[:3])} "
            "missing or of another shape; give the preset that it is of"
        )
    return taken, weights_file(source)

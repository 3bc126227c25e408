"""Hybrid patch embedding: a convolutional network up to stride 16, and a projection of what it makes.

Dosovitskiy et al. (2021), section 3.1, as timm's `HybridEmbed` has it: each place of the network's feature
map is a token. The network is pretrained, which lets a DeiT be trained on few images.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import HybridEmbed
from torch import Tensor, nn

from data.files.errors import ToolkitError, first_line
from data.files.paths import require_file
from data.settings import named
from deepsc.codec.pretrained import weights_file
from deepsc.image.config import STEM_STRIDE

logger = logging.getLogger(__name__)

_STAGES = 5
"""Of EfficientNet's seven: after them a token is of 16 pixels a side."""
_CHANNELS = 112
"""Of what they make."""
_LARGEST_WEIGHTS = 2**28
"""Bytes of a file of a stem's weights; tf_efficientnet_lite0 has 19 MB."""
_COUNTERS = "num_batches_tracked"
"""Buffers of batch norm that nothing reads, and some files lack."""


class Stem(nn.Module):
    """The first stages of a network of timm's, on images as DeiT takes them.

    Args:
        name: one of `deepsc.image.config.STEMS`.
        frozen: whether its weights and the statistics of its batch norm stay as they are.
    """

    num_features = _CHANNELS
    _scale: Tensor
    _shift: Tensor

    def __init__(self, name: str, *, frozen: bool) -> None:
        super().__init__()
        network = timm.create_model(name)
        self.conv_stem, self.bn1, self.blocks = network.conv_stem, network.bn1, network.blocks[:_STAGES]
        self._frozen = frozen
        mean, deviation = torch.tensor(IMAGENET_DEFAULT_MEAN), torch.tensor(IMAGENET_DEFAULT_STD)
        theirs = {name: torch.tensor(network.default_cfg[name]) for name in ("mean", "std")}
        # From pixels in one normalisation to the other: (x deviation + mean - their mean) / their deviation.
        scale, shift = deviation / theirs["std"], (mean - theirs["mean"]) / theirs["std"]
        self.register_buffer("_scale", scale.view(3, 1, 1), persistent=False)
        self.register_buffer("_shift", shift.view(3, 1, 1), persistent=False)
        if frozen:
            self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Stem:
        """Set the mode, in which a frozen stem stays: batch norm would go on gathering statistics."""
        return super().train(mode and not self._frozen)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), normalised as DeiT's, to features (B, 112, H / 16, W / 16)."""
        x = images * self._scale + self._shift
        return self.blocks(self.bn1(self.conv_stem(x)))

    def digest(self) -> str:
        """SHA-256 of its weights and statistics."""
        sha256 = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            if _COUNTERS not in name:
                sha256.update(f"{name} {tuple(tensor.shape)}\n".encode())
                sha256.update(tensor.cpu().contiguous().numpy().tobytes())
        return sha256.hexdigest()


class HybridPatches(HybridEmbed):
    """timm's hybrid patch embedding, that also takes what its stem has made already.

    Args:
        stem: embeds the patches.
        img_size: pixels a side, a multiple of 16.
        embed_dim: width of a token.
        in_chans: channels of an image.
        bias: of the projection.
        others: timm's for other embeddings, such as the pixels of a patch.
    """

    def __init__(
        self,
        *,
        stem: Stem,
        img_size: int,
        embed_dim: int,
        in_chans: int = 3,
        bias: bool = True,
        **others: object,
    ) -> None:
        super().__init__(
            stem, img_size=img_size, feature_size=img_size // STEM_STRIDE, feature_ratio=STEM_STRIDE,
            in_chans=in_chans, embed_dim=embed_dim, bias=bias,
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), or the stem's features (B, 112, H / 16, W / 16), to tokens (B, S, width)."""
        features = self.backbone(images) if images.shape[1] == self.in_chans else images
        return self.proj(features).flatten(2).transpose(1, 2)


def pretrained_stem(name: str, file: str | None) -> tuple[dict[str, Tensor], Path | None]:
    """Published weights of a stem.

    Args:
        name: one of `deepsc.image.config.STEMS`.
        file: of the whole network, in timm's layout, or of the same tensors in its order under other names;
            None: timm's own, from the Hugging Face hub.

    Returns:
        Weights by the name of `Stem`'s parameters, and the file they were read from, where it is known.

    Raises:
        ToolkitError: if they cannot be had, are too large or do not fit.
    """
    network = timm.create_model(name).state_dict()
    if file is not None:
        require_file(file, largest=_LARGEST_WEIGHTS)
        try:
            state = timm.models.load_state_dict(file, use_ema=False, weights_only=True)
        except Exception as error:  # torch's and safetensors' many kinds
            raise ToolkitError(
                f"{named('stem_weights')}: {file}: no weights to be read ({first_line(error)})"
            ) from error
        return _stages(_by_name(state, network, file=file, name=name)), Path(file)
    try:
        published = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's and timm's many kinds
        raise ToolkitError(
            f"{named('stem')}: no weights of {name} to be had from the hub ({first_line(error)}); with no "
            f"network, give a file of them with {named('stem_weights')}"
        ) from error
    return _stages(published.state_dict()), weights_file(published.pretrained_cfg.get("hf_hub_id") or name)


def _by_name(
    state: Mapping[str, Tensor], network: Mapping[str, Tensor], *, file: str, name: str
) -> Mapping[str, Tensor]:
    """A network's tensors under timm's names; those of other names are told by their order."""
    wanted = [key for key in network if _COUNTERS not in key]
    if wanted[0] in state:
        fitted = {key: state[key] for key in wanted if key in state}
    else:
        tensors = [tensor for key, tensor in state.items() if _COUNTERS not in key]
        fitted = dict(zip(wanted, tensors, strict=False)) if len(tensors) == len(wanted) else {}
    wrong = [key for key in wanted if key not in fitted or fitted[key].shape != network[key].shape]
    if wrong:
        raise ToolkitError(
            f"{named('stem_weights')}: {file} does not fit {name}: {', '.join(wrong[:3])} missing or of "
            "another shape; give weights of this very network"
        )
    return fitted


def _stages(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a whole network's tensors that `Stem` has."""
    kept = ("conv_stem.", "bn1.", *(f"blocks.{stage}." for stage in range(_STAGES)))
    return {key: tensor for key, tensor in state.items() if key.startswith(kept) and _COUNTERS not in key}

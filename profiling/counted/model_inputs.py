"""What a model of transformers' takes in one forward pass, from its class and its config."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.files.errors import ToolkitError
from data.settings import named

_TOWERS = {
    "input_ids": "text_config",
    "pixel_values": "vision_config",
    "input_features": "audio_config",
    "input_values": "audio_config",
}
"""Inputs beside a model's main one, and what a config has that needs them."""
_PLACEHOLDERS = ("image_token_id", "image_token_index", "audio_token_id", "audio_token_index")
"""Where a config has one, text stands without image and sound: tokens ask for them."""
_PARTS = ("vision_config", "audio_config", "encoder_config", "backbone_config", "text_config")
_RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True)
class InputSizes:
    """Sizes of the inputs."""

    source_length: int
    """Tokens of the input, or frames of a spectrogram where the config does not fix them."""
    target_length: int
    """Tokens of the decoder's input, of encoder-decoder models."""
    image_size: int | None = None
    """Pixels a side; None: the config's."""
    batch: int = 1


def inputs_of(model: nn.Module, sizes: InputSizes) -> dict[str, Tensor]:
    """Zeros for a model's main input, what its forward pass cannot do without, and each of its towers.

    Raises:
        ToolkitError: if the model reads something else.
    """
    config: Any = model.config
    parameters = inspect.signature(model.forward).parameters
    names = [str(model.main_input_name)]
    names += [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if not any(getattr(config, name, None) is not None for name in _PLACEHOLDERS):
        names += [name for name, tower in _TOWERS.items() if name in parameters and hasattr(config, tower)]
    if unknown := [name for name in dict.fromkeys(names) if name not in _ZEROS]:
        raise ToolkitError(
            f"{named('hf_config')}: {type(model).__name__} reads {', '.join(unknown)}; models that read "
            f"{', '.join(_ZEROS)} are allowed, others from Python with profiling.profile_model"
        )
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in parameters:
        names.append("decoder_input_ids")
    return {name: _ZEROS[name](config, sizes) for name in dict.fromkeys(names)}


def _setting(config: Any, *names: str, default: Any = None) -> Any:
    """The first of the names that the config has, or a part of it."""
    for part in (config, *(getattr(config, name, None) for name in _PARTS)):
        for name in names:
            if (value := getattr(part, name, None)) is not None:
                return value
    return default


def _tokens(config: Any, sizes: InputSizes) -> Tensor:
    return torch.zeros(sizes.batch, sizes.source_length, dtype=torch.long)


def _decoder_tokens(config: Any, sizes: InputSizes) -> Tensor:
    return torch.zeros(sizes.batch, sizes.target_length, dtype=torch.long)


def _boxes(config: Any, sizes: InputSizes) -> Tensor:
    return torch.zeros(sizes.batch, sizes.source_length, 4, dtype=torch.long)


def _pixels(config: Any, sizes: InputSizes) -> Tensor:
    size = sizes.image_size or _setting(config, "image_size", "crop_size", default=224)
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    frames = _setting(config, "num_frames", "frames_per_clip")
    channels = _setting(config, "num_channels", "in_channels", "in_chans", default=3)
    return torch.zeros(sizes.batch, *([] if frames is None else [frames]), channels, height, width)


def _spectrogram(config: Any, sizes: InputSizes) -> Tensor:
    bands = _setting(
        config, "num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", default=80
    )
    positions = _setting(config, "max_source_positions")
    if positions is not None and _setting(config, "num_mel_bins") is not None:  # Whisper's, of one length
        return torch.zeros(sizes.batch, bands, 2 * positions)
    return torch.zeros(sizes.batch, sizes.source_length, bands)


def _sound(config: Any, sizes: InputSizes) -> Tensor:
    """A spectrogram where the config fixes its length, else one second of a wave."""
    bands, frames = getattr(config, "num_mel_bins", None), getattr(config, "max_length", None)
    if bands is not None and frames is not None:
        return torch.zeros(sizes.batch, frames, bands)
    rate = _setting(config, "sampling_rate", "sample_rate")
    channels = _setting(config, "audio_channels", default=None if rate is None else 1)
    return torch.zeros(sizes.batch, *([] if channels is None else [channels]), rate or _RATE_HZ)


_ZEROS: dict[str, Callable[[Any, InputSizes], Tensor]] = {
    "input_ids": _tokens,
    "pixel_values": _pixels,
    "pixel_values_videos": _pixels,
    "input_features": _spectrogram,
    "input_values": _sound,
    "bbox": _boxes,
    "decoder_input_ids": _decoder_tokens,
}

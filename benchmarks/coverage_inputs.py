"""Inputs of transformers models that `profile-flops --hf-config` does not make, for flops_coverage.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from profiling.counted.copies import Workload, for_counting

_ROWS = 16
"""Tokens, frames, or whatever else a model takes a row of."""
_SIDE = 8
"""Patches a side of an image that is given as patches."""


def _floats(*shape: int) -> Tensor:
    return torch.zeros(shape)


def _integers(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.long)


def _ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.long)


def _true(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def _size(config: Any, *names: str) -> int:
    """The first of the names that the config has."""
    return next(value for name in names if type(value := getattr(config, name, None)) is int)


def _width(config: Any) -> int:
    return _size(config, "hidden_size", "d_model", "embed_dim")


def _tokens(config: Any) -> Tensor:
    return _integers(1, _ROWS)


def _rows(config: Any) -> Tensor:
    return _floats(1, _ROWS, _width(config))


def _channels(config: Any) -> int:
    return getattr(config, "in_channels", None) or getattr(config, "num_channels", None) or 3


def _patches(config: Any) -> Tensor:
    """The patches of one image, (patches, numbers in a patch)."""
    times = next(
        (
            value
            for name in ("temporal_patch_size", "patch_temporal")
            if type(value := getattr(config, name, None)) is int
        ),
        1,
    )
    return _floats(_SIDE**2, _channels(config) * times * config.patch_size**2)


def _patch_images(config: Any) -> Tensor:
    """The patches of one image, (patches, channels, height, width)."""
    return _floats(_SIDE**2, _channels(config), config.patch_size, config.patch_size)


def _grid(config: Any) -> Tensor:
    return torch.tensor([[1, _SIDE, _SIDE]])


def _image(config: Any, *, side: int | None = None) -> Tensor:
    side = side or _size(config, "image_size")
    return _floats(1, _channels(config), side, side)


_INPUTS: dict[str, Callable[[Any], Any]] = {
    "input_ids": _tokens,
    "decoder_input_ids": _tokens,
    "attention_mask": lambda c: _ones(1, _ROWS),
    "inputs_embeds": _rows,
    "hidden_states": _rows,
    "encoder_hidden_states": _rows,
    "grid_thw": _grid,
    "image_grid_thw": _grid,
    "pixel_values": _image,
    "image": _image,
    "spectrogram": lambda c: _floats(1, _ROWS, c.model_in_dim),
    "mel_spectrogram": lambda c: _floats(1, c.mel_dim, _ROWS),
    "flattened_patches": lambda c: _floats(1, _ROWS, 2 + _size(c, "patch_embed_hidden_size", "hidden_size")),
    "past_values": lambda c: _floats(1, c.context_length, c.num_input_channels),
    "context": _rows,
}
"""What a parameter of a forward pass takes, by its name."""
_OF_HF_CONFIG = {"input_ids", "decoder_input_ids", "pixel_values", "input_features", "input_values"}


def _siglip2(config: Any) -> dict[str, Any]:
    return {
        "pixel_values": _floats(1, _SIDE**2, 3 * config.patch_size**2),
        "pixel_attention_mask": _ones(1, _SIDE**2),
        "spatial_shapes": torch.tensor([[_SIDE, _SIDE]]),
    }


def _series(config: Any) -> dict[str, Any]:
    past, ahead, features = config.context_length + max(config.lags_sequence), config.prediction_length, 0
    features = config.num_time_features
    return {
        "past_values": _floats(1, past), "past_time_features": _floats(1, past, features),
        "past_observed_mask": _floats(1, past) + 1, "future_values": _floats(1, ahead),
        "future_time_features": _floats(1, ahead, features),
    }  # fmt: skip


def _prompted(config: Any) -> dict[str, Any]:
    """Text whose tokens ask for the image."""
    queries = config.num_query_tokens
    return {
        "pixel_values": _image(config.vision_config),
        "input_ids": torch.full((1, queries + _ROWS), config.image_token_index or config.image_token_id),
    }


OWN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "audioflamingo3_encoder": lambda c: {
        "input_features": _floats(1, c.num_mel_bins, 2 * c.max_source_positions),
        "input_features_mask": _ones(1, 2 * c.max_source_positions),
    },
    **dict.fromkeys(("autoformer", "informer", "time_series_transformer"), _series),
    "blip-2": _prompted,
    "blip_2_qformer": lambda c: {
        "query_embeds": _rows(c), "encoder_hidden_states": _floats(1, _ROWS, c.encoder_hidden_size),
    },
    "bros": lambda c: {"input_ids": _tokens(c), "bbox": _floats(1, _ROWS, c.dim_bbox)},
    "clap": lambda c: {
        "input_ids": _tokens(c), "input_features": _floats(1, 1, 1001, 64), "is_longer": _true(1, 1),
    },
    "clap_audio_model": lambda c: {
        "input_features": _floats(1, 1, 1001, c.num_mel_bins), "is_longer": _true(1, 1),
    },
    "clvp": lambda c: {"input_ids": _tokens(c), "input_features": _floats(1, 80, _ROWS)},
    "decision_transformer": lambda c: {
        "states": _floats(1, _ROWS, c.state_dim), "actions": _floats(1, _ROWS, c.act_dim),
        "rewards": _floats(1, _ROWS, 1), "returns_to_go": _floats(1, _ROWS, 1),
        "timesteps": _integers(1, _ROWS), "attention_mask": _ones(1, _ROWS),
    },
    "deepseek_ocr2_encoder": lambda c: {"inputs_embeds": _floats(1, 144, _width(c)), "num_patches": 144},
    "deepseek_ocr2_vision": lambda c: {"pixel_values": _floats(1, 3, 1024, 1024)},
    "dia": lambda c: {"input_ids": _tokens(c), "decoder_input_ids": _integers(1, _ROWS, 9)},
    "dia_decoder": lambda c: {"input_ids": _integers(1, _ROWS, c.num_channels)},
    **dict.fromkeys(
        ("efficientloftr", "lightglue", "superglue"), lambda c: {"pixel_values": _floats(1, 2, 3, 96, 96)}
    ),
    "florence_vision": lambda c: {"hidden_states": _floats(1, 3, 224, 224)},
    "fun_asr_nano_encoder": lambda c: {
        "input_features": _floats(1, _ROWS, c.num_mel_bins * c.num_stacked_frames),
        "input_features_mask": _ones(1, _ROWS),
    },
    "gemma3n_audio": lambda c: {
        "audio_mel": _floats(1, 64, c.input_feat_size), "audio_mel_mask": ~_true(1, 64),
    },
    "gemma4_audio": lambda c: {"input_features": _floats(1, 64, 128), "attention_mask": _true(1, 64)},
    "gemma4_vision": lambda c: {
        "pixel_values": _floats(1, 144, 3 * c.patch_size**2),
        "pixel_position_ids": torch.cartesian_prod(torch.arange(12), torch.arange(12))[None],
    },
    "glmasr_encoder": lambda c: {"input_features": _floats(1, c.num_mel_bins, 64)},
    "got_ocr2_vision": lambda c: {"pixel_values": _image(c)},
    **dict.fromkeys(
        ("granite_speech_encoder", "granite_speech_plus_encoder"),
        lambda c: {"hidden_states": _floats(1, 2 * c.context_size, c.input_dim)},
    ),
    **dict.fromkeys(
        ("granite_speech5_ctc", "granite_speech5_encoder"), lambda c: {"input_features": _floats(1, 128, 320)}
    ),
    "idefics2_perceiver": lambda c: {"context": _rows(c), "attention_mask": _ones(1, _ROWS)},
    "inkling_audio": lambda c: {"audio_input_ids": _integers(1, _ROWS, c.n_mel_bins)},
    "inkling_vision": lambda c: {
        "pixel_values": _floats(4, c.num_channels, c.temporal_patch_size, c.patch_size, c.patch_size)
    },
    **dict.fromkeys(
        ("instructblip", "instructblipvideo"), lambda c: _prompted(c) | {"qformer_input_ids": _tokens(c)}
    ),
    "janus_vqgan": lambda c: {"pixel_values": _floats(1, 3, 512, 512)},
    "kosmos_2_5_vision_model": lambda c: {
        "flattened_patches": _floats(1, _ROWS, 2 + c.patch_embed_hidden_size),
    },
    "kyutai_speech_to_text": lambda c: {"input_ids": _integers(1, _ROWS, c.num_codebooks + 1)},
    "lilt": lambda c: {"input_ids": _tokens(c), "bbox": _integers(1, _ROWS, 4)},
    "lxmert": lambda c: {
        "input_ids": _tokens(c), "visual_feats": _floats(1, 4, c.visual_feat_dim),
        "visual_pos": _floats(1, 4, 4),
    },
    **dict.fromkeys(
        ("minicpm_ocr_vision", "minicpmv4_6_vision", "minicpmv4_7_vision"),
        lambda c: {
            "pixel_values": _floats(1, 3, c.patch_size, c.patch_size * _SIDE**2),
            "target_sizes": torch.tensor([[_SIDE, _SIDE]]),
        },
    ),
    "mllama_vision_model": lambda c: {
        "pixel_values": _floats(1, 1, 4, 3, c.image_size, c.image_size),
        "aspect_ratio_ids": _ones(1, 1), "aspect_ratio_mask": _ones(1, 1, 4),
    },
    "molmo2_vision": lambda c: {"pixel_values": _floats(1, 729, 3 * c.patch_size**2)},
    "moshi_depth": lambda c: {"input_ids": _integers(1, 8), "last_hidden_state": _floats(1, 1, c.input_size)},
    "muse_glimmer_assistant": lambda c: {"noise_embeds": _rows(c), "context_hidden_states": _rows(c)},
    **dict.fromkeys(
        ("musicgen_decoder", "musicgen_melody_decoder"),
        lambda c: {"input_ids": _integers(c.num_codebooks, _ROWS)},
    ),
    "nemotron3_5_transcribe_audio": lambda c: {"input_features": _floats(1, 128, 80)},
    **dict.fromkeys(
        ("neucodec", "xcodec2"),
        lambda c: {"input_values": _floats(1, 1, 16000), "input_features": _floats(1, 50, 160)},
    ),
    **dict.fromkeys(("omniasr_audio", "omniasr_ctc"), lambda c: {"input_values": _floats(1, 16000, 1)}),
    "paddleocr_vl_vision": lambda c: {"pixel_values": _patch_images(c)[None], "image_grid_thw": _grid(c)},
    **dict.fromkeys(("pe_audio_encoder",), lambda c: {"input_values": _floats(1, 1, 16000)}),
    "pe_audio": lambda c: {"input_ids": _tokens(c), "input_values": _floats(1, 1, 16000)},
    "pe_video": lambda c: {"input_ids": _tokens(c), "pixel_values_videos": _floats(1, 2, 3, 224, 224)},
    "pe_video_encoder": lambda c: {"pixel_values_videos": _floats(1, 2, 3, 224, 224)},
    "perceiver": lambda c: {"inputs": _rows(c)},
    "phi4_multimodal_audio": lambda c: {"hidden_states": _floats(1, 64, c.input_size), "mask": _true(1, 64)},
    "pix2struct": lambda c: {"flattened_patches": _floats(1, _ROWS, 770), "decoder_input_ids": _tokens(c)},
    "pp_formulanet_text": lambda c: {"input_ids": _tokens(c), "encoder_hidden_states": _rows(c)},
    "qwen2_5_omni_audio_encoder": lambda c: {
        "input_features": _floats(c.num_mel_bins, 200), "feature_lens": torch.tensor([200]),
        "aftercnn_lens": torch.tensor([100]),
    },
    "qwen3_omni_moe_audio_encoder": lambda c: {
        "input_features": _floats(c.num_mel_bins, 200), "feature_lens": torch.tensor([200]),
    },
    "qwen3_asr_encoder": lambda c: {
        "input_features": _floats(1, c.num_mel_bins, 200), "input_features_mask": _ones(1, 200),
    },
    "qwen3_omni_moe_talker_code_predictor": lambda c: {"inputs_embeds": _rows(c)},
    **dict.fromkeys(
        ("sam3_mask_decoder", "sam3_lite_text_mask_decoder"),
        lambda c: {
            "decoder_queries": _rows(c),
            "backbone_features": [_floats(1, _width(c), side, side) for side in (32, 16, 8)],
            "encoder_hidden_states": _floats(1, 64, _width(c)),
        },
    ),
    **dict.fromkeys(
        ("sam3_detr_encoder", "sam3_lite_text_detr_encoder"),
        lambda c: {
            "vision_features": [_floats(1, _width(c), _SIDE, _SIDE)], "text_features": _rows(c),
            "vision_pos_embeds": [_floats(1, _width(c), _SIDE, _SIDE)],
        },
    ),
    **dict.fromkeys(
        ("sam3_detr_decoder", "sam3_lite_text_detr_decoder"),
        lambda c: {
            "vision_features": _floats(1, _SIDE**2, _width(c)), "text_features": _rows(c),
            "vision_pos_encoding": _floats(1, _SIDE**2, _width(c)),
            "spatial_shapes": torch.tensor([[_SIDE, _SIDE]]),
        },
    ),
    "sam3_lite_text_text_model": lambda c: {"input_ids": _tokens(c)},
    "seggpt": lambda c: {
        name: _floats(1, 3, 448, 448) for name in ("pixel_values", "prompt_pixel_values", "prompt_masks")
    },
    "siglip2": lambda c: {"input_ids": _tokens(c)} | _siglip2(c.vision_config),
    "siglip2_vision_model": _siglip2,
    "slanet": lambda c: {"hidden_states": [_floats(1, c.post_conv_out_channels, _SIDE, _SIDE)]},
    "slanext": lambda c: {"hidden_states": _image(c.vision_config)},
    "pp_ocrv5_mobile_det": lambda c: {"hidden_states": _floats(1, 3, 96, 96)},
    "speech-encoder-decoder": lambda c: {"inputs": _floats(1, 16000), "decoder_input_ids": _tokens(c)},
    "speecht5": lambda c: {"input_values": _rows(c), "decoder_input_values": _rows(c)},
    "timesfm": lambda c: {
        "past_values": _floats(1, c.context_length), "past_values_padding": _integers(1, c.context_length),
        "freq": _integers(1, 1),
    },
    "timesfm2_5": lambda c: {"past_values": _floats(1, 16 * c.patch_length)},
    "tvp": lambda c: {
        "input_ids": _tokens(c), "pixel_values": _floats(1, c.num_frames, 3, 448, 448),
        "attention_mask": _ones(1, _ROWS),
    },
    "udop": lambda c: {
        "input_ids": _tokens(c), "bbox": _floats(1, _ROWS, 4), "pixel_values": _image(c),
        "decoder_input_ids": _tokens(c),
    },
    "unlimited_ocr_vision_encoder": lambda c: {"patch_embeds": _floats(1, _width(c), 16, 16)},
    "uvdoc": lambda c: {"pixel_values": _floats(1, 3, 712, 488)},
    **dict.fromkeys(
        ("vibevoice_acoustic_tokenizer",), lambda c: {"input_values": _floats(1, c.channels, 24000)}
    ),
    "vibevoice_acoustic_tokenizer_encoder": lambda c: {"hidden_states": _floats(1, c.channels, 24000)},
    "vibevoice_acoustic_tokenizer_decoder": lambda c: {"hidden_states": _floats(1, _ROWS, c.hidden_size)},
    "video_llama_3_vision": lambda c: {
        "pixel_values": _patches(c), "grid_thw": _grid(c), "merge_sizes": torch.tensor([1]),
    },
    "videomt": lambda c: {"pixel_values_videos": _floats(1, 2, 3, c.image_size, c.image_size)},
    "vilt": lambda c: {"input_ids": _tokens(c), "pixel_values": _image(c)},
    "voxtral_realtime_encoder": lambda c: {"input_features": _floats(1, c.num_mel_bins, 64)},
    "xclip_vision_model": lambda c: {"pixel_values": _floats(c.num_frames, 3, c.image_size, c.image_size)},
    "flava_image_codebook": lambda c: {"pixel_values": _floats(1, 3, 112, 112)},
    "llama4_vision_model": lambda c: {"pixel_values": _image(c)},
    "ernie4_5_vl_moe_vision": lambda c: {
        "hidden_states": _floats(_SIDE**2, c.in_channels * c.patch_size**2), "grid_thw": _grid(c),
    },
    **dict.fromkeys(
        ("kimi_k25_vision", "glm_image_vision"),
        lambda c: {"pixel_values": _patch_images(c), "grid_thw": _grid(c)},
    ),
    "inkling2_vision": lambda c: {"pixel_values": _patch_images(c), "image_grid_thw": _grid(c)},
}  # fmt: skip
"""Inputs of models that need more than their forward pass says, or in a shape of their own, by model type."""


class Called(nn.Module):
    """A model with inputs in order, and tensors alone as outputs."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *values: Any) -> tuple[Tensor, ...]:
        cached = getattr(self.model.config, "use_cache", None) is not None
        inputs = dict(zip(self.names, values, strict=True)) | ({"use_cache": False} if cached else {})
        output = self.model(**inputs)
        outputs = list(output.values()) if isinstance(output, Mapping) else output
        return tuple(leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor))


class NothingMoreError(Exception):
    """--hf-config makes the same inputs."""


def workload_with_inputs(model: nn.Module) -> Workload:
    """A forward pass of a transformers model with the inputs of this module.

    Raises:
        NothingMoreError: if this module has no more for it than --hf-config.
        ValueError: naming what the model reads, if nothing here makes it.
    """
    if type(model).forward is nn.Module.forward:
        raise ValueError("its class has no forward pass of its own")
    inputs = _inputs_of(model)
    for_counting(model)
    return Workload(module=Called(model, tuple(inputs)), inputs=tuple(inputs.values()))


def _inputs_of(model: nn.Module) -> dict[str, Any]:
    config: Any = model.config
    if own := OWN.get(config.model_type):
        return own(config)
    required = [
        parameter.name
        for parameter in inspect.signature(model.forward).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if unknown := [name for name in required if name not in _INPUTS]:
        raise ValueError(f"reads {', '.join(unknown)}")
    names = required or [str(model.main_input_name)]
    if set(names) <= _OF_HF_CONFIG:
        raise NothingMoreError
    makers = dict(_INPUTS)
    if any(name.endswith("grid_thw") for name in names):
        makers["hidden_states" if "hidden_states" in names else "pixel_values"] = _patches
    return {name: makers[name](config) for name in names}

"""Small configs of transformers' config classes, for flops_coverage.py."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_LAYERS = (
    "num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers",
    "num_decoder_layers", "depth", "n_input_layers", "n_recurrent_layers", "n_output_layers",
)  # fmt: skip
_COUNTED_LAYERS = _LAYERS[:7]
_WIDTHS = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "embed_dim": 64, "n_embed": 64,
    "intermediate_size": 96, "d_ff": 96, "ffn_dim": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96,
    "moe_intermediate_size": 32, "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16,
    "d_kv": 16,
}  # fmt: skip
_NUMBERS = {
    "vocab_size": 99, "max_position_embeddings": 64, "n_positions": 64, "num_experts": 8,
    "num_local_experts": 8, "n_routed_experts": 8, "num_experts_per_tok": 2,
}  # fmt: skip
_MORE = {
    "n_group": 2, "topk_group": 1, "rotary_dim": 8, "ngram_vocab_size_base": 99, "index_topk": 8,
    "first_k_dense_replace": 1, "num_expert_group": 2,
}  # fmt: skip
"""Sizes that follow from the small ones."""
_FEW_LAYERS, _MOST_LAYERS = 2, 8

_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_MROPE = {"rope_parameters.partial_rotary_factor": 1.0, "rope_parameters.mrope_section": [2, 3, 3]}
_CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("autoformer informer time_series_transformer", {"prediction_length": 24}),
    ("bamba granitemoehybrid", {"mamba_n_heads": 4, "mamba_d_head": 32}),
    ("blip-2 instructblip instructblipvideo", {"image_token_index": 5}),
    ("chameleon emu3", {"vocabulary_map": {"<image>": 5}}),
    ("cohere_compass", {"text_config.rope_parameters": {"full_attention": _ROPE}}),
    ("cohere_compass_text", {"rope_parameters": {"full_attention": _ROPE}}),
    ("deepseek_v2", {"num_experts_per_tok": 2}),
    ("dots1", {"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2}),
    ("esm", {"vocab_size": 33, "pad_token_id": 1}),
    ("falcon_h1", {"mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_ssm": 128}),
    ("glm4v_text glm4v_moe_text glm_image_text", _MROPE),
    ("glm46v glm4v glm4v_moe glm_image glmga", {f"text_config.{name}": _MROPE[name] for name in _MROPE}),
    ("hunyuan_v1_dense hunyuan_v1_moe hunyuan_vl_text ministral nemotron", {"head_dim": 16}),
    ("hunyuan_vl", {"text_config.head_dim": 16}),
    ("lilt", {"hidden_size": 96}),
    ("mamba2", {"num_heads": 8, "head_dim": 16}),
    ("nemotron_h", {"mamba_num_heads": 8, "mamba_head_dim": 16}),
    ("xlstm", {"embedding_dim": 64, "num_heads": 4}),
    ("xmod", {"default_language": "en_XX"}),
)
OWN = {model_type: changes for types, changes in _CHANGES for model_type in types.split()}
"""What a class leaves open, or has in a size that fits no other of its own: field, or part.field."""


def small_configs(model_type: str) -> Iterator[dict[str, Any]]:
    """Configs of a transformers model, the smallest first, the class's own but for its layers last.

    The first has small widths and two layers. The second has every kind of layer of the class, the third the
    width of its heads as well.
    """
    from transformers import AutoConfig

    fields = _finite(AutoConfig.for_model(model_type).to_dict())
    layers = dict.fromkeys(_COUNTED_LAYERS, _FEW_LAYERS)
    yield _shrunk(fields, _WIDTHS | _NUMBERS | layers)
    heads = {name: size for name, size in _WIDTHS.items() if name != "head_dim"}
    own = OWN.get(model_type, {})
    for sizes in (_WIDTHS | _NUMBERS | _MORE, heads | _NUMBERS | _MORE):
        yield _with_own(every_kind(fields, sizes), own)
    yield _shrunk(fields, dict.fromkeys(_COUNTED_LAYERS[:-1], _FEW_LAYERS) | {"vocab_size": 99})


def _finite(fields: Any) -> Any:
    """As transformers writes a config."""
    if isinstance(fields, dict):
        return {str(name): _finite(value) for name, value in fields.items()}
    if isinstance(fields, (list, tuple)):
        return [_finite(value) for value in fields]
    if isinstance(fields, float) and math.isinf(fields):
        return {"__float__": "Infinity" if fields > 0 else "-Infinity"}
    return fields if isinstance(fields, (int, float, str, type(None))) else str(fields)


def _shrunk(fields: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """With no number above its size, and the lists of layers left to the class."""
    return {
        name: _shrunk(value, sizes) if isinstance(value, dict) else _least(name, value, sizes)
        for name, value in fields.items()
        if not (name == "layer_types" and isinstance(value, list))
    }


def _least(name: str, value: Any, sizes: Mapping[str, int]) -> Any:
    if type(value) is int and name in sizes:
        return min(value, sizes[name])
    if type(value) is int and name.endswith("token_id"):
        return min(value, 3)
    return value


def every_kind(fields: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """With as many layers as hold every kind of layer, and the lists of one entry a layer as long."""
    depths = {name: fields[name] for name in _LAYERS if type(fields.get(name)) is int}
    stages, features = fields.get("stage_names"), fields.get("out_features")
    each = [
        value for value in fields.values()
        if isinstance(value, list) and value and len(value) in depths.values()
    ]  # fmt: skip
    layers = max([_FEW_LAYERS, *(1 + max(map(value.index, value)) for value in each)])
    layers = min(layers, _MOST_LAYERS)
    staged = stages and features and len(stages) - 1 in depths.values()
    if staged:
        layers = max(layers, len(features))
    small: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("stage_names", "out_indices") and features:
            continue  # the class has them from out_features
        if name == "out_features" and staged:
            small[name] = [f"stage{layers - at}" for at in reversed(range(len(value)))]
        elif name in depths:
            small[name] = min(value, layers)
        elif name == "per_layer_config" and isinstance(value, dict):
            small[name] = {layer: changes for layer, changes in value.items() if int(layer) < layers}
        elif isinstance(value, dict):
            small[name] = every_kind(value, sizes)
        elif any(value is one for one in each):
            small[name] = value[:layers]
        else:
            small[name] = _least(name, value, sizes)
    return small


def _with_own(fields: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    for path, value in own.items():
        part, *names = fields, *path.split(".")
        for name in names[:-1]:
            part = part[name]
        if value is None:
            part.pop(names[-1], None)
        else:
            part[names[-1]] = value
    return fields

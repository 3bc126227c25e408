"""Transformers' config classes at small sizes, for flops_coverage.py: configs and models."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_LAYERS = (
    "num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers",
    "num_decoder_layers", "depth",
)  # fmt: skip
_WIDTHS = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "embed_dim": 64, "n_embed": 64,
    "intermediate_size": 96, "d_ff": 96, "ffn_dim": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96,
    "moe_intermediate_size": 32, "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16,
    "d_kv": 16,
}  # fmt: skip
_COUNTS = {
    "vocab_size": 99, "max_position_embeddings": 64, "n_positions": 64, "num_experts": 8,
    "num_local_experts": 8, "n_routed_experts": 8, "num_experts_per_tok": 2,
}  # fmt: skip
_FEW_LAYERS = 2
_MOST_LAYERS = 8


def small_configs(model_type: str) -> Iterator[dict[str, Any]]:
    """Configs of a transformers model, the smallest first, the class's own but for its layers last."""
    from transformers import AutoConfig

    fields = json.loads(json.dumps(AutoConfig.for_model(model_type).to_dict(), default=str))
    layers = dict.fromkeys(_LAYERS[:-1], _FEW_LAYERS)
    yield _shrunk(fields, _WIDTHS | _COUNTS | layers)
    without = {n: v for n, v in _WIDTHS.items() if n not in ("head_dim",)}
    yield _cut(fields, _WIDTHS | _COUNTS)
    yield _cut(fields, without | _COUNTS)
    yield _cut(fields, _COUNTS)
    yield _shrunk(fields, dict.fromkeys(_LAYERS[:-2], _FEW_LAYERS) | {"vocab_size": 99})


def _shrunk(fields: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    small = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            small[name] = _shrunk(value, sizes)
        elif type(value) is int and name in sizes:
            small[name] = min(value, sizes[name])
        elif name == "layer_types" and isinstance(value, list):
            continue  # one a layer, which the class fills in
        elif name.endswith("token_id") and type(value) is int:
            small[name] = min(value, 3)
        else:
            small[name] = value
    return small


def _cut(fields: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """With lists of one entry a layer cut to the layers that are left, which hold every kind of layer."""
    depths = {name: fields[name] for name in _LAYERS if type(fields.get(name)) is int}
    lists = [v for v in fields.values() if isinstance(v, list) and v and len(v) in depths.values()]
    layers = max([_FEW_LAYERS, *(max(v.index(kind) for kind in v) + 1 for v in lists)])
    layers = min(layers, _MOST_LAYERS)
    out = fields.get("out_features")
    if isinstance(out, list):
        layers = max(layers, len(out))
    small: dict[str, Any] = {}
    for name, value in fields.items():
        if name in depths:
            small[name] = min(value, layers)
        elif name == "stage_names":
            continue
        elif name in ("out_indices",):
            continue
        elif name == "out_features" and isinstance(value, list):
            if fields.get("stage_names") and len(fields["stage_names"]) - 1 in depths.values():
                small[name] = [f"stage{layers - len(value) + 1 + at}" for at in range(len(value))]
            else:
                small[name] = value
        elif name == "per_layer_config" and isinstance(value, dict):
            small[name] = {k: v for k, v in value.items() if int(k) < layers}
        elif isinstance(value, dict):
            small[name] = _cut(value, sizes)
        elif isinstance(value, list) and value and len(value) in depths.values() and len(value) > layers:
            small[name] = value[:layers]
        elif type(value) is int and name in sizes:
            small[name] = min(value, sizes[name])
        elif name.endswith("token_id") and type(value) is int:
            small[name] = min(value, 3)
        elif isinstance(value, float) and not math.isfinite(value):
            continue
        else:
            small[name] = value
    return small


def explain(model_type: str) -> str:
    from profiling.counted.copies import copied, CPU
    from profiling.counted.library_models import hf_model
    import torch
    told = []
    for at, config in enumerate(small_configs(model_type)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps(config))
            try:
                model = hf_model(str(path), source_length=16, target_length=16)
                try:
                    model.workload.run()
                except Exception as error:
                    copied(model.workload, CPU).run()
                return f"OK {at}"
            except Exception as error:
                text = (str(error).strip() or type(error).__name__).splitlines()
                import traceback
                frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
                told.append(f"\n    {at}: {' '.join(text).replace(str(path),'')[:220]} @ {Path(frames[-1].filename).name}:{frames[-1].lineno} < {Path(frames[-2].filename).name}:{frames[-2].lineno}")
    return "".join(told)

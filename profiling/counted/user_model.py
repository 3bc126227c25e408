"""Models that are none of our codecs: by timm's name, or from a transformers config file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from data.files.documents import read_json
from data.files.errors import ToolkitError
from deepsc.codec.config import MOST_LAYERS
from profiling.counted.copies import Workload
from profiling.counted.workloads import for_counting


@dataclass(frozen=True, kw_only=True)
class UserModel:
    """A model and what one forward pass of it takes."""

    name: str
    parameters: int
    workload: Workload


def timm_model(
    name: str, *, image_size: int | None = None, device: str = "meta", batch: int = 1
) -> UserModel:
    """A model of timm's, weights drawn at random.

    Args:
        name: as in `timm.list_models()`.
        image_size: pixels a side, by default the model's own.
        device: "meta" for shapes alone.
        batch: images.

    Raises:
        ToolkitError: if timm has no such model, or not of this size.
    """
    import timm

    if name not in timm.list_models():
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise ToolkitError(
            f"--timm: {name!r} given, timm has no such model"
            + (f"; close: {', '.join(near)}" if near else "")
        )
    try:
        size = {} if image_size is None else {"img_size": image_size}
        model = timm.create_model(name, **size)
    except TypeError:  # a convolutional model takes images of any size
        model = timm.create_model(name)
    except (AssertionError, ValueError) as error:
        raise ToolkitError(f"--image-size: {image_size} given, {name} refuses it: {error}") from error
    channels, height, width = model.pretrained_cfg["input_size"]
    shape = (batch, channels, image_size or height, image_size or width)
    for_counting(model)
    model.to(device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    workload = Workload(module=model, inputs=(torch.zeros(shape, device=device),))
    return UserModel(name=f"{name}, {shape[2]} x {shape[3]} pixels", parameters=parameters, workload=workload)


def hf_model(
    path: str,
    *,
    source_length: int,
    target_length: int,
    image_size: int | None = None,
    device: str = "meta",
    batch: int = 1,
) -> UserModel:
    """A model of transformers' from a config file, weights drawn at random.

    Args:
        path: a config.json; its `architectures` names the class, else it is the bare model.
        source_length: tokens of the input, of models that read text.
        target_length: tokens of the decoder's input, of encoder-decoder models.
        image_size: pixels a side, by default the config's.
        device: "meta" for shapes alone.
        batch: items.

    Raises:
        ToolkitError: if the file is no config of transformers', of too many layers, or of a model with other
            inputs.
    """
    fields = read_json(path)
    if many := [f"{name} {count}" for name, count in _layers(fields) if count > MOST_LAYERS]:
        raise ToolkitError(
            f"--hf-config: {path} has {', '.join(many)}, at most {MOST_LAYERS} layers are allowed"
        )
    import transformers

    try:
        config = transformers.AutoConfig.for_model(**fields)
        architecture = next(iter(config.architectures or []), None)
        if architecture and hasattr(transformers, architecture):
            # Eager attention: the masks of the others look at values, and shapes have none.
            model = getattr(transformers, architecture)._from_config(config, attn_implementation="eager")
        else:
            model = transformers.AutoModel.from_config(config, attn_implementation="eager")
    except Exception as error:  # whatever a model class stumbles over in a foreign config
        raise ToolkitError(f"--hf-config: {path} gives no model: {error}") from error
    inputs = _hf_inputs(model, source_length, target_length, image_size, batch)
    for_counting(model)
    model.to(device)
    shapes = ", ".join(f"{name} {list(value.shape[1:])}" for name, value in inputs.items())
    return UserModel(
        name=f"{Path(path).name} ({type(model).__name__}), {shapes}",
        parameters=model.num_parameters(),
        workload=Workload(
            module=_ByName(model, tuple(inputs)), inputs=tuple(value.to(device) for value in inputs.values())
        ),
    )


class _ByName(nn.Module):
    """A transformers model with inputs in order and tensors alone as outputs, as jit needs them."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        for name, module in model.named_children():
            self.add_module(name, module)  # under the model's own paths
        self._model = (model,)  # no submodule: its children are
        self._names = names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Run the model."""
        (model,) = self._model
        config: Any = model.config
        options = {"use_cache": False} if getattr(config, "use_cache", None) is not None else {}
        output = model(**dict(zip(self._names, values, strict=True)), **options)
        return tuple(leaf for leaf in tree_leaves(list(output.values())) if isinstance(leaf, Tensor))


def _layers(fields: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Numbers of layers in a config of transformers' and the configs inside it: every layer is made.

    A list of depths, one a stage, counts as their sum; other lists say which layers, not how many.
    """
    waiting = [fields]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, dict):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [inner for inner in value if isinstance(inner, dict)]
                if name.endswith(("depth", "depths")):
                    yield name, sum(depth for depth in value if type(depth) is int)
            elif type(value) is int and name.endswith(("layers", "n_layer", "depth")):
                yield name, value


def _hf_inputs(
    model: nn.Module, source_length: int, target_length: int, image_size: int | None, batch: int
) -> dict[str, Tensor]:
    config: Any = model.config
    name = str(model.main_input_name)
    if name == "input_ids":
        inputs = {"input_ids": torch.zeros(batch, source_length, dtype=torch.long)}
    elif name == "pixel_values":
        size: Any = image_size or getattr(config, "image_size", 224)
        height, width = (size, size) if isinstance(size, int) else tuple(size)
        inputs = {"pixel_values": torch.zeros(batch, getattr(config, "num_channels", 3), height, width)}
    else:
        raise ToolkitError(
            f"--hf-config: {type(model).__name__} reads {name}; models that read input_ids or pixel_values "
            "are allowed, others from Python with profiling.profile.profile_model"
        )
    if getattr(config, "is_encoder_decoder", False):
        inputs["decoder_input_ids"] = torch.zeros(batch, target_length, dtype=torch.long)
    return inputs

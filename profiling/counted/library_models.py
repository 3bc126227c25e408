"""Models of timm's by name, and of transformers' from a config file: none of our codecs."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from data.files.documents import read_json
from data.files.errors import ToolkitError
from data.settings import named
from deepsc.codec.config import MOST_LAYERS
from profiling.counted.copies import Workload, for_counting
from profiling.counted.model_inputs import InputSizes, inputs_of


@dataclass(frozen=True, kw_only=True)
class LibraryModel:
    """A model and what one forward pass of it takes."""

    name: str
    parameters: int
    workload: Workload


def timm_model(
    name: str, *, image_size: int | None = None, device: str = "meta", batch: int = 1
) -> LibraryModel:
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
            f"{named('timm')}: {name!r} given, timm has no such model"
            + (f"; close: {', '.join(near)}" if near else "")
        )
    try:
        size = {} if image_size is None else {"img_size": image_size}
        model = timm.create_model(name, **size)
    except TypeError:  # a convolutional model takes images of any size
        model = timm.create_model(name)
    except (AssertionError, ValueError) as error:
        flag = named("image_size")
        raise ToolkitError(f"{flag}: {image_size} given, {name} refuses it: {error}") from error
    channels, height, width = model.pretrained_cfg["input_size"]
    shape = (batch, channels, image_size or height, image_size or width)
    for_counting(model)
    model.to(device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    workload = Workload(module=model, inputs=(torch.zeros(shape, device=device),))
    return LibraryModel(
        name=f"{name}, {shape[2]} x {shape[3]} pixels", parameters=parameters, workload=workload
    )


def hf_model(
    path: str, *, source_length: int, target_length: int, image_size: int | None = None,
    device: str = "meta", batch: int = 1,
) -> LibraryModel:  # fmt: skip
    """A model of transformers' from a config file, weights drawn at random.

    Args:
        path: a config.json; its `architectures` names the class, else it is the bare model.
        source_length: tokens of the input, or frames of sound where the config does not fix them.
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
            f"{named('hf_config')}: {path} has {', '.join(many)}, at most {MOST_LAYERS} layers are allowed"
        )
    sizes = InputSizes(
        source_length=source_length, target_length=target_length, image_size=image_size, batch=batch
    )
    try:
        model = model_of(fields)
        with torch.device(device):
            inputs = inputs_of(model, sizes)
    except ToolkitError:
        raise
    except Exception as error:  # whatever a model class stumbles over in a foreign config
        raise ToolkitError(f"{named('hf_config')}: {path} gives no model: {error}") from error
    for_counting(model)
    _move(model, device)
    shapes = ", ".join(f"{name} {list(value.shape[1:])}" for name, value in inputs.items())
    return LibraryModel(
        name=f"{Path(path).name} ({type(model).__name__}), {shapes}",
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        workload=Workload(module=_ByName(model, tuple(inputs)), inputs=tuple(inputs.values())),
    )


def model_of(fields: Mapping[str, Any]) -> nn.Module:
    """The model of a transformers config on the CPU, with weights drawn at random."""
    import transformers

    config = transformers.AutoConfig.for_model(**_with_floats(fields))
    # Eager attention: the masks of the others look at values, and shapes have none.
    model: nn.Module = _class(config)._from_config(config, attn_implementation="eager")
    return model


def _class(config: Any) -> Any:
    """The class that the config names, else the bare model of its type, else that of a part of a model."""
    import transformers

    architecture = next(iter(config.architectures or []), None)
    if architecture and hasattr(transformers, architecture):
        return getattr(transformers, architecture)
    if type(config) in transformers.MODEL_MAPPING:
        chosen = transformers.MODEL_MAPPING[type(config)]
        return chosen[0] if isinstance(chosen, tuple) else chosen
    room = importlib.import_module(type(config).__module__.replace("configuration_", "modeling_"))
    models = [
        model
        for model in vars(room).values()
        if getattr(model, "config_class", None) is type(config) and model.forward is not nn.Module.forward
    ]
    if not models:
        raise ValueError(f"transformers has no model of a {type(config).__name__}")
    bare = type(config).__name__.removesuffix("Config") + "Model"
    return min(models, key=lambda model: (model.__name__ != bare, not model.__name__.endswith("Model")))


class _ByName(nn.Module):
    """A transformers model with inputs in order and tensors alone as outputs, as jit needs them."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        for name, module in model.named_children():
            self.add_module(name, module)  # under the model's own paths
        for name, parameter in model.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self._model = (model,)  # no submodule: its children are
        self._names = names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Run the model."""
        (model,) = self._model
        config: Any = model.config
        options = {"use_cache": False} if getattr(config, "use_cache", None) is not None else {}
        output = model(**dict(zip(self._names, values, strict=True)), **options)
        outputs = list(output.values()) if isinstance(output, Mapping) else output
        return tuple(leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor))


def _move(model: nn.Module, device: str) -> None:
    """Move a model; to the meta device without its buffers, whose values some models look at: paddings."""
    kept = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if device == "meta"
    ]
    model.to(device)
    for module, name, buffer in kept:
        setattr(module, name, buffer)


def _with_floats(value: Any) -> Any:
    """A config with the numbers that JSON has none for: transformers writes {"__float__": "Infinity"}."""
    if isinstance(value, dict):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {name: _with_floats(inner) for name, inner in value.items()}
    return [_with_floats(inner) for inner in value] if isinstance(value, list) else value


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

"""What FLOPs tools print for the same models, and what separates it from the closed form.

    pip install 'deepsc-toolkit[benchmark]'
    python benchmarks/flops_tools.py --output docs/flops-tools.md

Each tool runs as its documentation shows it, on the CPU, one item a batch. What it misses or adds is found by
arithmetic: products left out, and other work at the tool's own price for it (`TOOLS`, read in its source),
whose sum is the difference to the last FLOP.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import itertools
import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.files.atomic import write_text
from profiling.counted.copies import Workload
from profiling.counted.operators import count_products
from profiling.units import Flops, Macs


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model on the CPU and its input."""

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]


def models() -> Iterator[Model]:
    """The models of the table."""
    import timm

    layer = nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 6).eval()
    yield Model(name="torch.nn.TransformerEncoder, 6 x 512/2048, 128 tokens", module=encoder,
                inputs=(torch.randn(1, 128, 512),))  # fmt: skip
    image = (torch.randn(1, 3, 224, 224),)
    for name in ("deit_small_patch16_224", "resnet50"):
        yield Model(name=f"timm {name}, 224 px", module=timm.create_model(name).eval(), inputs=image)
    ids = torch.zeros(1, 20, dtype=torch.long)
    yield Model(name="text codec base, encoder and one decoder pass, 20 tokens", module=TextOnePass().eval(),
                inputs=(ids, ids))  # fmt: skip
    yield Model(name="torch.nn.LSTM, 2 x 256, 50 steps", module=nn.LSTM(256, 256, 2, batch_first=True).eval(),
                inputs=(torch.randn(1, 50, 256),))  # fmt: skip


class TextOnePass(nn.Module):
    """The text codec's Transformer, teacher-forced: what a tool sees that runs one forward pass."""

    def __init__(self) -> None:
        super().__init__()
        from deepsc.text.config import TextCodecConfig
        from deepsc.text.model import TextCodec

        self.transformer = TextCodec(TextCodecConfig.from_preset("base", k=(16,))).transformer

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.transformer(input_ids=source, decoder_input_ids=target, use_cache=False).logits


def fvcore(model: Model) -> int:
    from fvcore.nn import FlopCountAnalysis

    return int(FlopCountAnalysis(model.module, model.inputs).total())


def flop_counter_mode(model: Model) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.module(*model.inputs)
    return counter.get_total_flops()


def ptflops(model: Model, backend: str = "pytorch") -> int:
    from ptflops import get_model_complexity_info

    def constructor(_: object) -> Tensor | dict[str, Tensor]:
        if len(model.inputs) == 1:
            return model.inputs[0]
        names = list(inspect.signature(model.module.forward).parameters)
        return dict(zip(names, model.inputs, strict=False))

    macs, _ = get_model_complexity_info(
        model.module, (1,), as_strings=False, print_per_layer_stat=False, verbose=False, backend=backend,
        input_constructor=constructor,
    )  # fmt: skip
    return int(macs)


def calflops(model: Model) -> int:
    from calflops import calculate_flops

    flops, _, _ = calculate_flops(
        model=model.module, args=list(model.inputs), print_results=False, output_as_string=False
    )
    return int(flops)


def thop(model: Model) -> int:
    from thop import profile

    macs, _ = profile(model.module, inputs=model.inputs, verbose=False)
    return int(macs)


def torchinfo(model: Model) -> int:
    from torchinfo import summary

    return int(summary(model.module, input_data=list(model.inputs), verbose=0).total_mult_adds)


def deepspeed(model: Model) -> int:
    from deepspeed.profiling.flops_profiler import get_model_profile

    flops, _, _ = get_model_profile(
        model.module, args=list(model.inputs), print_profile=False, detailed=False, as_string=False, warm_up=0
    )
    return int(flops)


def torch_flops(model: Model) -> int:
    from torch_flops import TorchFLOPsByFX

    counter = TorchFLOPsByFX(model.module)
    counter.propagate(*model.inputs)
    return int(counter.print_total_flops(show=False))


@dataclass(frozen=True, kw_only=True)
class Tool:
    """How to run a tool and what it counts."""

    run: Callable[[Model], int]
    unit: str
    """What it calls what it prints."""
    flops_a_unit: int
    distribution: str
    prices: Mapping[str, int]
    """FLOPs it counts for an element of work that is no product, by its source."""


TOOLS = {
    "fvcore": Tool(
        run=fvcore, unit="MAC, named flops", flops_a_unit=2, distribution="fvcore",
        prices={"LayerNorm": 10, "BatchNorm": 4, "average pooling (input)": 2},
    ),
    "FlopCounterMode": Tool(
        run=flop_counter_mode, unit="FLOP", flops_a_unit=1, distribution="torch", prices={},
    ),
    "ptflops, pytorch": Tool(
        run=ptflops, unit="MAC", flops_a_unit=2, distribution="ptflops",
        # an activation or pooling module is counted, and the function it calls once more
        prices={
            "LayerNorm": 2, "BatchNorm": 4, "ReLU and GELU": 4, "SiLU": 2, "max pooling (input)": 4,
            "average pooling (input)": 4, "attention's bias": 2, "Linear bias": 2, "convolution bias": 2,
            "query scaling": 2, "softmax": 2, "LSTM gates and bias": 36,
        },
    ),
    "ptflops, aten": Tool(
        run=lambda model: ptflops(model, "aten"), unit="MAC", flops_a_unit=2, distribution="ptflops",
        prices={"attention's bias": 2, "Linear bias": 2, "convolution bias": 2},
    ),
    "calflops": Tool(
        run=calflops, unit="FLOP", flops_a_unit=1, distribution="calflops",
        prices={
            "LayerNorm": 5, "BatchNorm": 2, "ReLU and GELU": 1, "SiLU": 1, "max pooling (input)": 1,
            "average pooling (input)": 1, "convolution bias": 1, "LSTM gates and bias": 10,
        },
    ),
    "DeepSpeed": Tool(
        run=deepspeed, unit="FLOP", flops_a_unit=1, distribution="deepspeed",
        prices={
            "LayerNorm": 5, "BatchNorm": 2, "ReLU and GELU": 1, "SiLU": 1, "max pooling (input)": 1,
            "average pooling (input)": 1, "convolution bias": 1, "softmax": 1, "LSTM gates and bias": 10,
        },
    ),
    "torch_flops": Tool(
        run=torch_flops, unit="FLOP", flops_a_unit=1, distribution="torch_flops",
        prices={"LayerNorm": 4, "BatchNorm": 4, "ReLU and GELU": 1, "query scaling": 1, "softmax": 3},
    ),
    "thop": Tool(
        run=thop, unit="MAC", flops_a_unit=2, distribution="thop",
        prices={
            "LayerNorm": 8, "BatchNorm": 8, "average pooling (input)": 2, "average pooling (output)": 2,
            "LSTM gates and bias": 32,
        },
    ),
    "torchinfo": Tool(
        run=torchinfo, unit="MAC", flops_a_unit=2, distribution="torchinfo",
        prices={
            "parameters of bias and normalisation": 2, "convolution bias": 2, "embedding tables": 2,
            "LSTM gates and bias": 16,
        },
    ),
}  # fmt: skip


class Work:
    """What a forward pass does: FLOPs of its products, and elements of everything else that tools count."""

    def __init__(self, model: Model) -> None:
        self.products: Counter[str] = Counter()
        self.elements: Counter[str] = Counter()
        self._linear = self._linear_once = 0
        self._names = {module: name for name, module in model.module.named_modules()}
        workload = Workload(module=model.module, inputs=model.inputs)
        hooks = [module.register_forward_hook(self._see, with_kwargs=True) for module in self._names]
        count = count_products(workload)
        self.closed_form = count.total.flops
        self.elements["softmax"] = sum(count.elements.get(name, 0) for name in ("softmax", "safe_softmax"))
        for hook in hooks:
            hook.remove()
        rest = self.closed_form.count - self.products.total()  # what no module here holds
        self.products["attention's score products"] += rest
        if self._linear:  # a part of those above, so no part of the sum above
            self.products["all tokens but one in Linear layers"] = self._linear - self._linear_once
        self.products = Counter({name: count for name, count in self.products.items() if count})

    def _see(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """A module has run."""
        kind, elements = type(module).__name__, self.elements
        parameters = sum(p.numel() for p in module.parameters(recurse=False))
        x = args[0] if args else None
        in_attention = "attn" in self._names[module]
        if isinstance(module, nn.Linear):
            name = "attention's projections" if in_attention else "Linear layers"
            flops = Macs(output.numel() * module.in_features).flops.count
            self.products[name] += flops
            self._linear += flops
            self._linear_once += Macs(module.weight.numel()).flops.count
            if module.bias is not None:
                elements["attention's bias" if in_attention else "Linear bias"] += output.numel()
                elements["parameters of bias and normalisation"] += module.bias.numel()
        elif isinstance(module, nn.Conv2d):
            self.products["convolutions"] += Macs(output.numel() * module.weight[0].numel()).flops.count
            if module.bias is not None:
                elements["convolution bias"] += output.numel()
        elif isinstance(module, nn.MultiheadAttention):
            width, tokens = module.embed_dim, x.shape[0] * x.shape[1]
            self.products["attention's projections"] += Macs(4 * tokens * width**2).flops.count
            elements["attention's bias"] += 4 * tokens * width
            elements["query scaling"] += tokens * width
        elif kind == "Attention":  # timm's
            elements["query scaling"] += output.numel()
        elif isinstance(module, nn.LSTM):
            steps = x.shape[0] * x.shape[1]
            weights = sum(p.numel() for p in module.parameters() if p.ndim == 2)
            self.products["the LSTM"] += Macs(steps * weights).flops.count
            elements["LSTM gates and bias"] += steps * module.num_layers * module.hidden_size
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
            elements["LayerNorm" if isinstance(module, nn.LayerNorm) else "BatchNorm"] += output.numel()
            elements["parameters of bias and normalisation"] += parameters
        elif isinstance(module, (nn.ReLU, nn.GELU)):
            elements["ReLU and GELU"] += output.numel()
        elif isinstance(module, nn.SiLU):
            elements["SiLU"] += output.numel()
        elif isinstance(module, nn.MaxPool2d):
            elements["max pooling (input)"] += x.numel()
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            elements["average pooling (input)"] += x.numel()
            elements["average pooling (output)"] += output.numel()
        elif isinstance(module, nn.Embedding):
            elements["embedding tables"] += output.shape[0] * parameters


def explain(difference: int, work: Work, prices: Mapping[str, int]) -> str:
    """The fewest names of work left out or added whose sum is `difference`."""
    terms = [(name, 0, -count) for name, count in work.products.items()]
    terms += [
        (name, price, price * work.elements[name]) for name, price in prices.items() if work.elements[name]
    ]
    for size in range(len(terms) + 1):
        for chosen in itertools.combinations(terms, size):
            if sum(flops for _, _, flops in chosen) == difference:
                missed = ", ".join(name for name, price, _ in chosen if not price)
                added = ", ".join(f"{name} at {price}" for name, price, _ in chosen if price)
                parts = (f"without {missed}" if missed else "", f"with {added}" if added else "")
                return "; ".join(filter(None, parts)) or "nothing"
    return "not explained"


def table(model: Model) -> tuple[list[str], dict[str, float]]:
    """Markdown of one model, and by tool what it prints over the closed form."""
    work = Work(model)
    closed = work.closed_form.count
    lines = [
        f"## {model.name}", "", f"Closed form, which `profile-flops` prints: {closed / 1e6:.3f} MFLOP.", "",
        "| tool | prints | unit | in MFLOP | of the closed form | misses or adds |",
        "|---|---:|---|---:|---:|---|",
    ]  # fmt: skip
    shares = {}
    for name, tool in TOOLS.items():
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                printed = tool.run(model)
        except Exception as error:  # the table says which tool cannot run the model
            lines.append(
                f"| {name} | fails | | | | {type(error).__name__}: {str(error).splitlines()[0][:80]} |"
            )
            shares[name] = math.nan
            continue
        flops = Flops(tool.flops_a_unit * printed).count
        shares[name] = flops / closed
        lines.append(
            f"| {name} | {printed / 1e6:.3f} M | {tool.unit} | {flops / 1e6:.3f} "
            f"| {flops / closed:.2%} | {explain(flops - closed, work, tool.prices)} |"
        )
    return [*lines, ""], shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="docs/flops-tools.md", help="Markdown file")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    distributions = dict.fromkeys(tool.distribution for tool in TOOLS.values())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in distributions)
    details, shares = list[str](), dict[str, dict[str, float]]()
    for model in models():
        lines, shares[model.name] = table(model)
        details += lines
        print("\n".join(lines), flush=True)
    summary = [
        "# What FLOPs tools print", "",
        "Made by `python benchmarks/flops_tools.py`, each tool as its documentation shows it, on the CPU,",
        "one item. What each prints as FLOPs (2 a multiply-add), in per cent of the products of matrices and",
        "convolutions, which `profile-flops` prints for each model:", "",
        "| model | " + " | ".join(TOOLS) + " |", "|---|" + "---:|" * len(TOOLS),
    ]  # fmt: skip
    for name, by_tool in shares.items():
        cells = ("fails" if math.isnan(share) else f"{share:.2%}" for share in by_tool.values())
        summary.append(f"| {name} | {' | '.join(cells)} |")
    summary += [
        "", "The last column below names the difference, exact to the last FLOP where it is named: products",
        "left out, and other work at the FLOPs an element that the tool's source has for it.", "",
        f"Versions: {versions}.", "",
    ]  # fmt: skip
    write_text(Path(args.output), "\n".join(summary + details).rstrip() + "\n")


if __name__ == "__main__":
    main()

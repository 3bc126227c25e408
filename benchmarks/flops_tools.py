"""What FLOPs tools print for the same models, and what separates it from the closed form.

    pip install 'deepsc-toolkit[benchmark]'
    python benchmarks/flops_tools.py --output docs/flops-tools.md

Each tool runs as its documentation shows it, on the CPU, one item a batch. What it misses is found by
arithmetic: the choice of named work (attention's products, LayerNorm, ...) whose sum is the difference.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from data.artifacts import write_text
from profiling.functions import count_calls
from profiling.measured import Workload, collapse, count_with_torch
from profiling.units import Flops, Macs

LAYERS = 6
KINDS = {
    "MultiheadAttention": "attention's score products", "Attention": "attention's score products",
    "MarianAttention": "attention's score products", "NonDynamicallyQuantizableLinear": "Linear layers",
    "Linear": "Linear layers", "Conv2d": "convolutions", "LSTM": "the LSTM",
}  # fmt: skip
"""Names for the products of modules, by class."""
TIMES = {
    "normalisation": (10, 8, 5, 4, 2, 1), "bias": (2, 1), "softmax": (10, 5, 2, 1), "activation": (1, 2),
    "pooling": (1, 2, 8),
}  # fmt: skip
"""FLOPs that tools count an element; a multiply-add counts twice."""
ROUGH = 0.05
"""An explanation that leaves more than this share of a difference is none."""


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
    encoder = nn.TransformerEncoder(layer, LAYERS).eval()
    yield Model(name="torch.nn.TransformerEncoder, 6 x 512/2048, 128 tokens", module=encoder,
                inputs=(torch.randn(1, 128, 512),))  # fmt: skip
    image = (torch.randn(1, 3, 224, 224),)
    for name in ("deit_small_patch16_224", "resnet50"):
        yield Model(name=f"timm {name}, 224 px", module=timm.create_model(name).eval(), inputs=image)
    ids = torch.zeros(1, 20, dtype=torch.long)
    yield Model(name="text codec base, encoder and one decoder pass, 20 tokens", module=TextOnePass().eval(),
                inputs=(ids, ids))  # fmt: skip
    yield Model(name="torch.nn.LSTM, 2 x 256, 50 steps", module=nn.LSTM(256, 256, 2).eval(),
                inputs=(torch.randn(50, 1, 256),))  # fmt: skip


class TextOnePass(nn.Module):
    """The text codec's Transformer, teacher-forced: what a tool sees that runs one forward pass."""

    def __init__(self) -> None:
        super().__init__()
        from deepsc.config import TextCodecConfig
        from deepsc.text import TextCodec

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

    def constructor(_: object) -> dict[str, Tensor]:
        import inspect

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


TOOLS: dict[str, tuple[Callable[[Model], int], str, int, str]] = {
    # name: (run, unit it prints, FLOPs a unit, distribution)
    "fvcore": (fvcore, "MAC, named flops", 2, "fvcore"),
    "FlopCounterMode": (flop_counter_mode, "FLOP", 1, "torch"),
    "ptflops, pytorch": (ptflops, "MAC", 2, "ptflops"),
    "ptflops, aten": (lambda model: ptflops(model, "aten"), "MAC", 2, "ptflops"),
    "calflops": (calflops, "FLOP", 1, "calflops"),
    "thop": (thop, "MAC", 2, "thop"),
    "torchinfo": (torchinfo, "MAC", 2, "torchinfo"),
}


def work(model: Model) -> tuple[Flops, dict[str, int], dict[str, int]]:
    """Closed form; its products in FLOPs by name; elements that other operators write, by cause."""
    closed, _ = count_calls(Workload(module=model.module, inputs=model.inputs))
    elements = dict(count_with_torch(Workload(module=model.module, inputs=model.inputs)).elements)
    products: Counter[str] = Counter()
    modules = {collapse(path): module for path, module in model.module.named_modules()}
    for path, macs in closed.items():
        module, count = modules[path], macs.flops.count
        if isinstance(module, nn.MultiheadAttention):  # 4 S d^2 of projections, the rest are scores
            share = LAYERS * Macs(4 * model.inputs[0].shape[1] * module.embed_dim**2).flops.count
            products["attention's projections"] += share
            count -= share
        products[KINDS.get(type(module).__name__, type(module).__name__)] += count
    weights = sum(
        module.weight.numel()
        for module in model.module.modules()
        if type(module) is nn.Linear  # not those that nn.MultiheadAttention reads without calling
    )
    products["all tokens but one in Linear layers"] = products["Linear layers"] - Macs(weights).flops.count
    return (
        Macs.total(closed.values()).flops,
        {name: count for name, count in products.items() if count},
        elements,
    )


def explain(difference: int, products: dict[str, int], elements: dict[str, int]) -> str:
    """The fewest kinds of work, at most three, whose sum is `difference`: products left out, and up to two
    other kinds added at so many FLOPs an element. Else the closest products left out, and the rest."""
    if difference == 0:
        return "nothing"
    added = [
        (f"with {cause} at {times} an element", times * elements[cause], cause)
        for cause, choices in TIMES.items()
        if elements.get(cause)
        for times in choices
    ]
    best, words = abs(difference), list[str]()
    for size in range(1, 4):
        for extras in range(min(2, size) + 1):
            for missed in itertools.combinations(products, size - extras):
                for chosen in itertools.combinations(added, extras):
                    if len({cause for _, _, cause in chosen}) < extras:
                        continue
                    total = sum(flops for _, flops, _ in chosen) - sum(products[name] for name in missed)
                    found = [f"without {name}" for name in missed] + [name for name, _, _ in chosen]
                    if total == difference:
                        return "; ".join(found)
                    if not extras and abs(difference - total) < best:
                        best, words = (
                            abs(difference - total),
                            [*found, f"rest {(difference - total) / 1e6:+.3f}"],
                        )
    return "; ".join(words) if best < ROUGH * abs(difference) else "not explained"


def table(model: Model) -> list[str]:
    """Markdown of one model."""
    corrected, products, elements = work(model)
    lines = [
        f"## {model.name}", "", f"Closed form: {corrected.count / 1e6:.3f} MFLOP.", "",
        "| tool | prints | unit | in MFLOP | of the closed form | misses or adds |",
        "|---|---:|---|---:|---:|---|",
    ]  # fmt: skip
    for name, (run, unit, flops_a_unit, _) in TOOLS.items():
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                printed = run(model)
        except Exception as error:  # the table says which tool cannot run the model
            lines.append(
                f"| {name} | fails | | | | {type(error).__name__}: {str(error).splitlines()[0][:80]} |"
            )
            continue
        flops = flops_a_unit * printed
        cause = explain(flops - corrected.count, products, elements)
        lines.append(
            f"| {name} | {printed / 1e6:.3f} M | {unit} | {flops / 1e6:.3f} "
            f"| {flops / corrected.count:.2%} | {cause} |"
        )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="docs/flops-tools.md", help="Markdown file")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in dict.fromkeys(tool[3] for tool in TOOLS.values())
    )
    lines = [
        "# What FLOPs tools print", "",
        "Made by `python benchmarks/flops_tools.py`, each tool as its documentation shows it, on the CPU,",
        "one item. The last column is the choice of at most three kinds of work whose sum is the difference",
        "exactly (LayerNorm and the like per element written), or else the products left out that come",
        "closest, and the rest in MFLOP.", "",
        f"Versions: {versions}.", "",
    ]  # fmt: skip
    for model in models():
        lines += table(model)
        print("\n".join(lines[-12:]), flush=True)
    write_text(Path(args.output), "\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()

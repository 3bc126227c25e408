"""Which models of timm's and transformers' `profile-flops` counts, and why it refuses the others.

    python benchmarks/flops_coverage.py --output docs/flops-coverage.md

One model of each timm module, and each transformers config class at a small size. Each runs in a process of
its own, with a limit of CPU time and address space. What is known is kept in `--results`, and a second run
goes on there.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import re
import resource
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from data.files.atomic import write_text
from data.files.errors import ToolkitError

TIME_S, MEMORY_BYTES = 40, 24 * 2**30
_SMALL_NAMES = (
    "test_", "atto", "femto", "pico", "nano", "xxs", "xxt", "tiny", "_xs", "mini", "small", "_s", "_b0", "18",
)  # fmt: skip
"""What timm calls its small models, the smallest first."""
_SMALL_SIZES = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "embed_dim": 64, "n_embed": 64,
    "intermediate_size": 96, "d_ff": 96, "ffn_dim": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96,
    "moe_intermediate_size": 32, "num_hidden_layers": 2, "num_layers": 2, "n_layer": 2, "n_layers": 2,
    "encoder_layers": 2, "decoder_layers": 2, "num_decoder_layers": 2, "num_attention_heads": 4, "n_head": 4,
    "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "num_key_value_heads": 4, "head_dim": 16, "d_kv": 16, "vocab_size": 99, "max_position_embeddings": 64,
    "n_positions": 64, "num_experts": 8, "num_local_experts": 8, "n_routed_experts": 8,
    "num_experts_per_tok": 2,
}  # fmt: skip
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers")


def subjects() -> Iterator[str]:
    """Every model of the table, as `library:name`."""
    import timm
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    for module in timm.list_modules():
        if names := timm.list_models(module=module):
            yield f"timm:{min(names, key=_size)}"
    for model_type in CONFIG_MAPPING_NAMES:
        yield f"transformers:{model_type}"


def _size(name: str) -> tuple[int, int, str]:
    ranks = [rank for rank, part in enumerate(_SMALL_NAMES) if part in name]
    return min(ranks, default=len(_SMALL_NAMES)), len(name), name


def small_configs(model_type: str) -> Iterator[dict[str, Any]]:
    """Configs of a transformers model, the smallest first, the class's own but for its layers last."""
    from transformers import AutoConfig

    fields = json.loads(json.dumps(AutoConfig.for_model(model_type).to_dict(), default=str))
    yield _shrunk(fields, _SMALL_SIZES)
    yield _shrunk(fields, dict.fromkeys(_LAYERS, 2) | {"vocab_size": 99})


def _shrunk(fields: dict[str, Any], sizes: dict[str, int]) -> dict[str, Any]:
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


def count(subject: str) -> dict[str, Any]:
    """What becomes of one model: "counted", "refused" or "not built", and why."""
    from profiling.counted.copies import copied
    from profiling.counted.library_models import hf_model, timm_model
    from profiling.counted.other_tools import count_with_torch
    from profiling.counted.residuals import Counted, check
    from profiling.profile import count_on_a_copy

    library, _, name = subject.partition(":")
    try:
        model = timm_model(name) if library == "timm" else _small_model(name, hf_model)
    except Exception as error:
        return {"subject": subject, "outcome": "not built", "why": _line(error)}
    try:
        products, device = count_on_a_copy(model.workload)
        in_torch = count_with_torch(copied(model.workload, device))
        counted = Counted(name=name, closed=products.modules, products=products, torch=in_torch, fvcore=None)
        check([counted], allow_uncounted=False)
    except ToolkitError as error:
        return {"subject": subject, "outcome": "refused", "why": _line(error)}
    except Exception as error:
        return {"subject": subject, "outcome": "other inputs", "why": _line(error)}
    return {
        "subject": subject,
        "outcome": "counted",
        "flops": counted.corrected.count,
        "device": device.type,
        "residuals": [residual.cause for residual in counted.residuals()],
    }


def _small_model(model_type: str, build: Any) -> Any:
    """The smallest that runs, else the last that could be built, whose error is then the table's."""
    model, error = None, None
    for config in small_configs(model_type):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps(config))
            try:
                model = build(str(path), source_length=16, target_length=16)
                model.workload.run()
            except Exception as first:
                error = error or first
                if model is not None and "meta" in str(first):
                    return model  # it looks at values, which it will be given
            else:
                return model
    if model is None:
        assert error is not None
        raise error
    return model


def _line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    text = re.sub(r"hf_config: \S+ ", "", text)
    return text.partition(". --allow-uncounted")[0][:160]


def run(waiting: list[str], results: Path) -> None:
    """Count what is waiting, each model in a fork of this process, and add it to the results as it comes."""
    # Before the forks, which then need not import the libraries.
    import timm  # noqa: F401
    import torch._decomp  # noqa: F401
    from transformers import AutoModel, PreTrainedModel  # noqa: F401

    import profiling.profile  # noqa: F401

    for subject in waiting:
        worker = multiprocessing.get_context("fork").Process(target=work, args=(subject, results))
        worker.start()
        worker.join()
        if worker.exitcode:
            why = f"over {TIME_S} s of CPU time" if worker.exitcode == -signal.SIGXCPU else "out of memory"
            write_line(results, {"subject": subject, "outcome": "not built", "why": why})


def work(subject: str, results: Path) -> None:
    """Count one model within the limits."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_S, TIME_S + 5))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    import torch

    for name in ("normal_", "uniform_", "erfinv_"):  # no weight is looked at, and drawing them takes long
        setattr(torch.Tensor, name, lambda tensor, *_, **__: tensor)
    write_line(results, count(subject))


def write_line(path: Path, row: dict[str, Any]) -> None:
    """Add a row to a file of JSON lines."""
    with path.open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def table(rows: list[dict[str, Any]], total: int) -> str:
    """The page, of so many models in all."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "timm", "transformers"))
    lines = [
        "# Which models profile-flops counts", "",
        "Made by `python benchmarks/flops_coverage.py`: one model of every timm module at its own image",
        "size, and every transformers config class at a small size, as `--timm` and `--hf-config` count",
        "them. A model is counted if its products equal FlopCounterMode's but for differences with a name.",
        "", f"{len(rows)} of {total} models were run. Versions: {versions}.", "",
        "| library | counted | refused | needs other inputs | not built small |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    outcomes = ("counted", "refused", "other inputs", "not built")
    for library in ("timm", "transformers"):
        outcomes_of = Counter(row["outcome"] for row in rows if row["subject"].startswith(f"{library}:"))
        lines.append(f"| {library} | " + " | ".join(str(outcomes_of[outcome]) for outcome in outcomes) + " |")
    lines += [
        "", "Refused: an operator that may hold products and has no formula. Needs other inputs: the",
        "command makes token ids, images and sound, `profiling.profile_model` takes any. Not built small:",
        "the class itself refuses the sizes, needs a package that is not installed, or takes too long.", "",
    ]  # fmt: skip
    for outcome in outcomes[1:]:
        lines += [f"## {outcome.capitalize()}", "", "| model | why |", "|---|---|"]
        lines += [
            f"| {row['subject'].replace(':', ' ')} | {row['why'].replace('|', ' ').replace('<', '&lt;')} |"
            for row in rows
            if row["outcome"] == outcome
        ]
        lines.append("")
    lines += [
        "## Counted", "",
        "On `meta`: shapes alone; on `cpu`: the model looks at values. Residuals: what FlopCounterMode",
        "leaves out.", "", "| model | MFLOP | on | residuals |", "|---|---:|---|---|",
    ]  # fmt: skip
    for row in rows:
        if row["outcome"] == "counted":
            name, mflop = row["subject"].replace(":", " "), row["flops"] / 1e6
            lines.append(f"| {name} | {mflop:.3f} | {row['device']} | {'; '.join(row['residuals'])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="docs/flops-coverage.md", help="Markdown file")
    parser.add_argument(
        "--results", default="benchmarks/results/flops-coverage.jsonl", help="what is known already"
    )
    parser.add_argument("--only", help="subjects that begin so, such as timm:")
    args = parser.parse_args()
    results = Path(args.results)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.touch()
    names = sorted(set(subjects()))
    known = {row["subject"]: row for row in map(json.loads, results.read_text().splitlines())}
    run([name for name in names if name not in known and name.startswith(args.only or "")], results)
    known = {row["subject"]: row for row in map(json.loads, results.read_text().splitlines())}
    write_text(Path(args.output), table([known[name] for name in names if name in known], len(names)))


if __name__ == "__main__":
    main()

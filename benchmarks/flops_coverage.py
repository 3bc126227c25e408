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
from multiprocessing import connection
from pathlib import Path
from typing import Any

from data.files.atomic import write_text
from data.files.errors import ToolkitError

TIME_S, MEMORY_BYTES = 40, 24 * 2**30
_SMALL_NAMES = (
    "test_", "atto", "femto", "pico", "nano", "xxs", "xxt", "tiny", "_xs", "mini", "small", "_s", "_b0", "18",
)  # fmt: skip
"""What timm calls its small models, the smallest first."""
_AROUND = (
    (r"hf_config: \S+ ", ""),
    (r"^gives no model: ", ""),
    (r"^Class validation error for validator '\w+': (\w+Error: )?", ""),
    (r"^(reads [^;]*);.*", r"\1"),
    (r"\. (--)?allow.uncounted.*", ""),
    (r" from '/\S*", ""),  # where a module lies on the machine
)
_OWN_WORDS = ("over ", "reads ", "its class has no", "transformers has no", "not run: ")
_PACKAGE = re.compile(r"requires the \w+ library|No module named")
_MOST_WEIGHTS = 10**9
"""Of a model that runs on the CPU, where it takes their memory twice."""
_RUNS_ON_CPU = "over {} million weights, and looks at values"


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


def count(subject: str) -> dict[str, Any]:
    """What becomes of one model: "counted", "refused", "other inputs" or "not built", and why."""
    from profiling.counted.copies import copied
    from profiling.counted.library_models import timm_model
    from profiling.counted.other_tools import count_with_torch
    from profiling.counted.residuals import Counted, check
    from profiling.profile import count_on_a_copy

    library, _, name = subject.partition(":")
    own: dict[str, Any] = {}
    try:
        if library == "timm":
            workload = timm_model(name).workload
        else:
            workload, own = _small_model(name)
    except _UnfitError as unfit:
        return {"subject": subject, "outcome": unfit.outcome, "why": unfit.why}
    try:
        products, device = count_on_a_copy(workload)
        in_torch = count_with_torch(copied(workload, device))
        counted = Counted(name=name, closed=products.modules, products=products, torch=in_torch, fvcore=None)
        check([counted], allow_uncounted=False)
    except ToolkitError as error:
        return {"subject": subject, "outcome": "refused", "why": _line(error)}
    return {
        "subject": subject,
        "outcome": "counted",
        "flops": counted.corrected.count,
        "device": device.type,
        "residuals": [residual.cause for residual in counted.residuals()],
    } | own


class _UnfitError(Exception):
    """No config of a class gives a model that runs."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(why)
        self.outcome, self.why = outcome, why


def _small_model(model_type: str) -> tuple[Any, dict[str, Any]]:
    """The smallest workload of a config class that runs, and its inputs if they are of this folder."""
    from coverage_configs import small_configs
    from coverage_inputs import NothingMoreError

    errors: list[Exception] = []
    built = False
    *configs, whole = small_configs(model_type)
    for config in (*configs, whole):
        if config is whole and built:
            break  # the class takes small sizes, so that they are no reason
        for make in (_with_hf_inputs, _with_own_inputs):
            if make is _with_hf_inputs and "reads" in str(errors[:1]):
                continue  # the same inputs, whatever the sizes
            try:
                workload, names = make(config)
                built = True
                _run(workload)
            except NothingMoreError:
                continue
            except Exception as error:
                if config is not whole or built:
                    errors.append(error)
            else:
                return workload, {"inputs": names} if names else {}
    outcome = "other inputs" if built or "reads" in str(errors[0]) else "not built"
    raise _UnfitError(outcome, _line(errors[-1]))


def _with_hf_inputs(config: dict[str, Any]) -> tuple[Any, list[str]]:
    from profiling.counted.library_models import hf_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config))
        return hf_model(str(path), source_length=16, target_length=16).workload, []


def _with_own_inputs(config: dict[str, Any]) -> tuple[Any, list[str]]:
    from coverage_inputs import workload_with_inputs

    from profiling.counted.library_models import model_of

    workload = workload_with_inputs(model_of(config))
    return workload, list(workload.module.names)


def _run(workload: Any) -> None:
    """Run a copy on shapes alone, or else on the CPU."""
    from profiling.counted.copies import CPU, META, copied

    try:
        copied(workload, META).run()
    except Exception:
        weights = sum(parameter.numel() for parameter in workload.module.parameters())
        if weights > _MOST_WEIGHTS:
            raise ValueError(_RUNS_ON_CPU.format(_MOST_WEIGHTS // 10**6)) from None
        copied(workload, CPU).run()


def _line(error: Exception) -> str:
    text = " ".join((str(error).strip() or type(error).__name__).split())
    return plain(text)[:160]


def plain(why: str) -> str:
    """A reason without the flags and the frames that errors put around it."""
    for pattern, rest in _AROUND:
        why = re.sub(pattern, rest, why)
    return why


def run(waiting: list[str], results: Path, jobs: int) -> None:
    """Count what is waiting, each model in a fork of this process, and add it to the results as it comes."""
    # Before the forks, which then need not import the libraries.
    import timm  # noqa: F401
    import torch._decomp  # noqa: F401
    from transformers import AutoModel, PreTrainedModel  # noqa: F401

    import profiling.profile  # noqa: F401

    running: dict[int, tuple[str, Any]] = {}
    subjects_or_ends: list[str | None] = [*waiting, *[None] * jobs]
    for subject in subjects_or_ends:
        if len(running) == jobs or (subject is None and running):
            for sentinel in connection.wait(list(running)):
                done, worker = running.pop(int(sentinel))  # type: ignore[call-overload]
                worker.join()
                if worker.exitcode:
                    why = f"over {TIME_S} s of CPU time"
                    if worker.exitcode != -signal.SIGXCPU:
                        why = f"over {MEMORY_BYTES >> 30} GiB of memory"
                    write_line(results, {"subject": done, "outcome": "not built", "why": why})
        if subject is not None:
            worker = multiprocessing.get_context("fork").Process(target=work, args=(subject, results))
            worker.start()
            running[worker.sentinel] = subject, worker


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
        "size, and every transformers config class at a small size. `--timm` and `--hf-config` count them",
        "so; where a row names inputs, `profiling.profile_model` does with those of",
        "`benchmarks/coverage_inputs.py`. A model is counted if its products equal FlopCounterMode's but",
        "for differences with a name.",
        "", f"{len(rows)} of {total} models were run. Versions: {versions}.", "",
        "| library | counted | refused | needs other inputs | not built small |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    outcomes = ("counted", "refused", "other inputs", "not built")
    for library in ("timm", "transformers"):
        outcomes_of = Counter(row["outcome"] for row in rows if row["subject"].startswith(f"{library}:"))
        lines.append(f"| {library} | " + " | ".join(str(outcomes_of[outcome]) for outcome in outcomes) + " |")
    lines += [
        "", "Refused: an operator that may hold products and has no formula. Needs other inputs: neither the",
        "command nor the script makes what the model reads. Not built small: the class refuses the script's",
        "sizes, has no model, needs a package that is not installed, or takes too long.", "",
    ]  # fmt: skip
    for outcome in outcomes[1:]:
        lines += [f"## {outcome.capitalize()}", "", "| model | why |", "|---|---|"]
        lines += [
            f"| {row['subject'].replace(':', ' ')} | {reason(row).replace('|', ' ').replace('<', '&lt;')} |"
            for row in rows
            if row["outcome"] == outcome
        ]
        lines.append("")
    lines += [
        "## Counted", "",
        "On `meta`: shapes alone; on `cpu`: the model looks at values. Residuals: what FlopCounterMode",
        "leaves out.", "", "| model | MFLOP | on | inputs of its own | residuals |", "|---|---:|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        if row["outcome"] == "counted":
            name, mflop = row["subject"].replace(":", " "), row["flops"] / 1e6
            inputs, residuals = ", ".join(row.get("inputs", [])), "; ".join(row["residuals"])
            lines.append(f"| {name} | {mflop:.3f} | {row['device']} | {inputs} | {residuals} |")
    return "\n".join(lines) + "\n"


def reason(row: dict[str, Any]) -> str:
    """Why a model is not counted; what a class itself raises is named as what does not fit it."""
    why = plain(str(row["why"]))
    if row["outcome"] == "refused" or why.startswith(_OWN_WORDS) or _PACKAGE.search(why):
        return why
    return f"the script's {'inputs' if row['outcome'] == 'other inputs' else 'sizes'} do not fit: {why}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="docs/flops-coverage.md", help="Markdown file")
    parser.add_argument(
        "--results", default="benchmarks/results/flops-coverage.jsonl", help="what is known already"
    )
    parser.add_argument("--only", nargs="*", default=[""], help="subjects that begin so, such as timm:")
    parser.add_argument("--again", nargs="*", default=(), help="outcomes to try again, such as 'not built'")
    parser.add_argument("--jobs", type=int, default=1, help="models at a time")
    args = parser.parse_args()
    results = Path(args.results)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.touch()
    names = sorted(set(subjects()))
    known = {row["subject"]: row for row in map(json.loads, results.read_text().splitlines())}
    waiting = [
        name
        for name in names
        if name.startswith(tuple(args.only)) and (name not in known or known[name]["outcome"] in args.again)
    ]
    run(waiting, results, args.jobs)
    known = {row["subject"]: row for row in map(json.loads, results.read_text().splitlines())}
    write_text(Path(args.output), table([known[name] for name in names if name in known], len(names)))


if __name__ == "__main__":
    main()

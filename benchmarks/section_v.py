"""All that docs/ says of policies: runs it, two commands at a time if asked, and writes the tables.

    python benchmarks/section_v.py --output runs/section-v --processes 2
    python benchmarks/section_v.py --output runs/section-v --write

What is done is not done again, so a run that was interrupted goes on. --write puts each table whose runs are
done below its mark in docs/, a comment <!-- table: NAME -->, and plots into docs/figures. What the text says
of them has to be read again. All runs take an hour and three quarters of one core.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from flag_types import positive_int
from section_v_runs import AFTER, CONFIGS, FIGURES, RUNS
from section_v_tables import TABLES, markdown

from data.files.atomic import write_text
from data.files.errors import ToolkitError
from data.files.paths import is_file
from data.settings import Parser, run_command

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MARK = r"<!-- table: ([\w-]+) -->\n"
"""Above a table of the docs."""


def run_all(out: Path, names: Sequence[str], processes: int) -> None:
    """Run what is not done, in the order of `RUNS`.

    Raises:
        ToolkitError: naming those that failed, after all others.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, setting in CONFIGS.items():
        write_text(out / f"{name}.yaml", setting.replace("ways.csv", str(out / "ways.csv")) + "\n")
    write_text(out / "ways.csv", ways())
    futures: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(processes) as pool:
        for name in (name for name in RUNS if name in names):
            futures[name] = pool.submit(run_one, out, name, futures.get(AFTER.get(name, "")))
    failed = dict.fromkeys(str(future.exception()) for future in futures.values() if future.exception())
    if failed:
        raise ToolkitError("; ".join(failed))


def run_one(out: Path, name: str, before: Future[None] | None) -> None:
    """Run one command, unless it is done; what it prints is kept when it has ended well."""
    if before is not None:
        before.result()
    done, asked = out / f"{name}.txt", f"$ {RUNS[name]} {CONFIGS.get(name, '')}\n"
    if is_file(done) and done.read_text(encoding="utf-8").startswith(asked):
        return
    program, *words = shlex.split(RUNS[name])
    command = [sys.executable, *(["-m", "optimizer.command"] if program == "optimize" else [])]
    for word in words:
        filled = word.replace("{out}", str(out))
        found = [filled]
        if "?" in word:  # policies of another run
            found = sorted(map(str, Path(filled).parent.glob(Path(filled).name)))
        if not found:
            raise ToolkitError(f"{name}: no {filled}")
        command += found
    started = time.monotonic()
    with (out / f"{name}.log").open("w") as log:
        ended = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    if ended.returncode:
        raise ToolkitError(f"{name}: ended with status {ended.returncode}, see {out / name}.log")
    write_text(done, asked + ended.stdout)
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def ways() -> str:
    """100 straight walks of 25 steps of 1.5 m near the station."""
    rng = np.random.default_rng(0)
    start, heading = rng.uniform(-50, 50, (100, 1, 2)), rng.uniform(0, 2 * np.pi, (100, 1))
    step = 1.5 * np.arange(25)
    places = start + np.stack((np.cos(heading) * step, np.sin(heading) * step), axis=-1)
    rows = [f"{way},{x:.2f},{y:.2f}" for way, points in enumerate(places) for x, y in points]
    return "\n".join(["place,x_m,y_m", *rows]) + "\n"


def write_docs(out: Path) -> None:
    """Put tables whose runs are done into the pages, and plots beside them; print those without a mark."""
    marked = set()
    for page in sorted(DOCS.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = re.sub(
            rf"{MARK}((?:\|.*\n)*)",
            lambda found: f"<!-- table: {found[1]} -->\n{table_text(out, found[1], instead=found[2])}",
            before,
        )
        marked |= set(re.findall(MARK, before))
        if after != before:
            write_text(page, after)
            print(f"wrote {page}")
    for name in TABLES:
        if name not in marked:
            print(f"{name}\n{table_text(out, name, instead='')}")
    for plot, name in FIGURES.items():
        if is_file(out / f"{plot}.png"):
            shutil.copyfile(out / f"{plot}.png", DOCS / "figures" / f"{name}.png")


def table_text(out: Path, name: str, *, instead: str) -> str:
    """A table, or what stood there where its runs are not done."""
    if name not in TABLES:
        raise ToolkitError(f"docs: no table {name!r}, there are: {', '.join(TABLES)}")
    try:
        return "".join(f"{line}\n" for line in markdown(TABLES[name](out)))
    except (FileNotFoundError, KeyError, ToolkitError) as error:
        print(f"{name}: not done ({error})", file=sys.stderr)
        return instead


def main(argv: Sequence[str] | None = None) -> int:
    flags = Parser(prog="section_v.py", description=__doc__)
    flags.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the runs")
    flags.add_argument("--processes", type=positive_int, default=1, help="commands at once")
    flags.add_argument("--only", metavar="LIST", help=f"some of {', '.join(RUNS)}")
    flags.add_argument("--write", action="store_true", help="run nothing, put what is done into docs/")
    options = flags.parse_args(argv)

    def body() -> None:
        names = options.only.split(",") if options.only else list(RUNS)
        if unknown := [name for name in names if name not in RUNS]:
            raise ToolkitError(f"--only: {unknown[0]!r} given, allowed: {', '.join(RUNS)}")
        if options.write and options.only:
            raise ToolkitError("--only: given beside --write, which puts all that is done into docs/")
        if options.write:
            write_docs(options.output.resolve())
        else:
            run_all(options.output.resolve(), names, options.processes)

    return run_command("section_v.py", body)


if __name__ == "__main__":
    sys.exit(main())

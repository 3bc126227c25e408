"""The tables that docs/ has of the runs of `section_v.py`, each from the files of its runs."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from section_v_runs import DEVICES, PARETO_SEEDS, WORLDS

from data.files.errors import ToolkitError
from data.files.printable import markdown_lines
from optimizer.study.results import read_results

SHOWN = {
    "exhaustive": "exhaustive (levels: a lower bound)", "announced": "announced (learns nothing)",
    "bids": "bids (learns nothing)", "ddqn": "DDQN", "dqn": "DQN", "ippo": "IPPO (`--learners ippo`)",
    "matd3": "MATD3 (`--learners matd3`)",
}  # fmt: skip
SEES = {
    "central": "all", "exhaustive": "all", "random": "nothing",
    "mappo": "own, its grant, how many offload, and what the station announces",
    **dict.fromkeys(("announced", "dqn", "ddqn"), "own, and what the station announces"),
    "bids": "own, its grant, and how many offload",
}  # fmt: skip
"""What a policy knows; of the others it is `own`."""

Rows = Iterator[Sequence[str]]
"""Cells of a table, its head first."""


def interval(found: Mapping[str, float], places: int = 3) -> str:
    return f"{found['value']:.{places}f}, {found['low']:.{places}f} to {found['high']:.{places}f}"


def over_trainings(tested: Mapping[str, Any]) -> str:
    """Empty where nothing is trained."""
    found = tested["qoe_over_seeds"]
    return "" if found is None else f"{found['low']:.2f} to {found['high']:.2f}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def policies(out: Path, run: str) -> dict[str, Any]:
    """Of a run, the best first."""
    found: dict[str, Any] = read_results(out / run)["policies"]
    return dict(sorted(found.items(), key=lambda item: -item[1]["qoe"]["value"]))


def of_central(tested: Mapping[str, Any], name: str) -> str:
    return percent(tested[name]["qoe"]["value"] / tested["central"]["qoe"]["value"])


def preferences(run: str) -> Callable[[Path], Rows]:
    """Both preferences of a run beside each other."""

    def rows(out: Path) -> Rows:
        fixed, dynamic = (policies(out, f"{run}/preference-{kind}") for kind in ("fixed", "dynamic"))
        each = ("over trainings", "of the bound")
        yield "", "fixed preference", *each, "dynamic", *each, "sees"
        for name in fixed:
            cells = [
                cell
                for tested in (fixed[name], dynamic[name])
                for cell in (
                    interval(tested["qoe"]), over_trainings(tested), percent(tested["of_bound"]["value"])
                )
            ]  # fmt: skip
            yield SHOWN.get(name, name), *cells, SEES.get(name, "own")

    return rows


def figure_points(out: Path, number: int) -> Rows:
    """QoE at each point of Figs. 5 to 7; the bound has no interval."""
    with (out / "figures" / f"fig{number}.csv").open() as file:
        found = list(csv.DictReader(file))
    yield "", *dict.fromkeys(row["value"] for row in found)
    for name in dict.fromkeys(row["policy"] for row in found):
        cells = []
        for row in found:
            if row["policy"] == name:
                numbers = [float(row[key]) for key in ("qoe", "qoe_low", "qoe_high") if row[key]]
                cells.append(("{:.1f} ({:.1f} to {:.1f})" if numbers[1:] else "{:.1f}").format(*numbers))
        yield SHOWN.get(name, name), *cells


def plan(out: Path) -> Rows:
    """The rows of k of `optimize plan`, both modalities' beside each other."""
    pattern = r"^k-(text|image) +(\d+) symbols +(\S+) +(\S+) to (\S+) +(\S+)"
    found = re.findall(pattern, printed(out, "plan"), re.MULTILINE)
    text, image = (
        [
            (k, "{:.2f} ({:.2f} to {:.2f})".format(*map(float, numbers[:3])), f"{float(numbers[3]):.2f}")
            for name, k, *numbers in found
            if name == one
        ]
        for one in ("text", "image")
    )
    yield "k^T", "reached", "bound", "k^I", "reached", "bound"
    for left, right in zip(text, image, strict=True):
        yield *left, *right


def joint_k(out: Path) -> Rows:
    chosen, fixed = policies(out, "joint-k"), policies(out, "figures/preference-fixed")
    yield "", "k chosen", "of central", "k^T = 16, k^I = 32", "of central"
    for name in chosen:
        yield (
            SHOWN.get(name, name),
            *(
                cell
                for run in (chosen, fixed)
                for cell in (interval(run[name]["qoe"]), of_central(run, name))
            ),
        )


def text(out: Path) -> Rows:
    known, mean = policies(out, "text"), policies(out, "statistical")
    yield (
        "", "instantaneous CSI", "of central", "statistical", "of central", "the missing knowledge costs",
    )  # fmt: skip
    for name, tested in known.items():
        cells = ["", "", ""]
        if name in mean:
            lost = 1 - mean[name]["qoe"]["value"] / tested["qoe"]["value"]
            cells = [interval(mean[name]["qoe"]), of_central(mean, name), percent(lost)]
        yield SHOWN.get(name, name), interval(tested["qoe"]), of_central(known, name), *cells


def ladder(out: Path) -> Rows:
    fixed, dynamic = (list(cells_of(printed(out, run))) for run in ("ladder", "ladder-dynamic"))
    yield "a UE knows", "fixed preference", "dynamic", "CPU s of a training"
    for one, other in zip(fixed[1:], dynamic[1:], strict=True):
        yield one[0], one[1], other[1], one[2]


def arrivals(out: Path) -> Rows:
    yield "", "QoE", "a UE's mean queue", "tasks lost"
    for name, tested in policies(out, "arrivals/preference-fixed").items():
        yield name, interval(tested["qoe"], 1), f"{tested['waiting']:.2f}", f"{tested['lost']:.2f}"


def worlds(out: Path) -> Rows:
    yield "world", "central", "mappo", "over trainings", "of central", "announced", "bids"
    for name, (title, setting) in WORLDS.items():
        run = policies(out, f"world-{name}")
        shares = [of_central(run, one) for one in ("mappo", "announced", "bids")]
        mappo = run["mappo"]
        yield (
            f"{title}, `{setting}`" if setting else title, f"{run['central']['qoe']['value']:.2f}",
            interval(mappo["qoe"], 2), over_trainings(mappo), *shares,
        )  # fmt: skip


def pareto(out: Path) -> Rows:
    """From the least to the most of the trainings."""
    found: dict[float, list[list[float]]] = {}
    for seed in PARETO_SEEDS:
        with (out / f"pareto-{seed}" / "front.csv").open() as file:
            for row in csv.DictReader(file):
                if row["policy"] == "mappo":
                    values = [float(row[key]) for key in ("t/t_0", "E/E_0", "QoE")]
                    found.setdefault(float(row["beta"]), []).append(values)
    yield "beta", "t / t_0", "E / E_0", "QoE"
    for beta in (0.0, 0.5, 1.0):
        columns = zip(*found[beta], (3, 3, 2), strict=True)
        yield f"{beta:g}", *(f"{min(v):.{places}f} to {max(v):.{places}f}" for *v, places in columns)


def on_devices(out: Path) -> Rows:
    yield "device", "mappo, QoE", "over trainings", "of central", "announced", "bids"
    runs = {"paper": "figures/preference-fixed", **{name: f"on-{name}" for name in DEVICES}}
    for device, run in runs.items():
        found = policies(out, run)
        places = max(0, 4 - len(str(int(found["mappo"]["qoe"]["value"]))))
        seeds = found["mappo"]["qoe_over_seeds"]
        yield (
            f"`{device}`", interval(found["mappo"]["qoe"], places),
            f"{seeds['low']:.{places}f} to {seeds['high']:.{places}f}",
            *(of_central(found, name) for name in ("mappo", "announced", "bids")),
        )  # fmt: skip


def gap(out: Path) -> Rows:
    for number, run in enumerate(("gap", "gap-dynamic")):
        yield from (row[:-1] for row in list(cells_of(printed(out, run)))[number and 1 :])


def by_number(run: str) -> Callable[[Path], Rows]:
    """QoE and share of each policy, a column a number of UEs."""

    def rows(out: Path) -> Rows:
        head, *found = list(cells_of(printed(out, run))) or [()]
        yield "UEs", *dict.fromkeys(row[0] for row in found)
        for policy in dict.fromkeys(row[1] for row in found):
            name = "mappo" if policy == "trained" else policy
            mine = [row for row in found if row[1] == policy]
            yield f"{name}, QoE", *(row[2] for row in mine)
            if head[3] != f"of {policy}":
                yield f"{name}, {head[3]}", *(row[3] for row in mine)

    return rows


def as_printed(run: str) -> Callable[[Path], Rows]:
    """The table that a benchmark prints."""
    return lambda out: cells_of(printed(out, run))


TABLES: Mapping[str, Callable[[Path], Rows]] = {
    "main": preferences("figures"),
    "mix": preferences("mix"),
    **{f"fig{number}": lambda out, number=number: figure_points(out, number) for number in (5, 6, 7)},
    "who": as_printed("who"),
    "plan": plan,
    "joint-k": joint_k,
    "text": text,
    "departures": as_printed("departures"),
    "unaware-image": as_printed("unaware-image"),
    "unaware-text": as_printed("unaware-text"),
    "arrivals": arrivals,
    "worlds": worlds,
    "ladder": ladder,
    "any-number": by_number("any-number"),
    "pareto": pareto,
    "ppo": as_printed("ppo"),
    "devices": as_printed("devices"),
    "on-devices": on_devices,
    "gap": gap,
    "any-32": by_number("any-32"),
    "any-4": by_number("any-4"),
}
"""By the name of their mark in docs/."""


def printed(out: Path, run: str) -> str:
    """What a run printed."""
    return (out / f"{run}.txt").read_text(encoding="utf-8")


def cells_of(lines: str) -> Rows:
    """A Markdown table's cells, without the rule below its head."""
    for line in lines.splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            yield [cell.strip() for cell in line.strip()[1:-1].split("|")]


def markdown(rows: Rows) -> list[str]:
    """Lines of a table.

    Raises:
        ToolkitError: if it has no rows.
    """
    head, *others = list(rows) or [()]
    if not others:
        raise ToolkitError("no rows")
    return markdown_lines(head, others)

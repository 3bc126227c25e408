"""The house: what may import what, how large a room may be, and what a package shows.

Data flows one way, data -> deepsc -> accuracy_maps, profiling -> optimizer (docs/architecture.md), and so do
the imports inside a package. `--help`, and reading a result file, load no torch.
"""

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter

import pytest
from support.house import (
    PACKAGES,
    ROOT,
    circles,
    folders,
    import_statements,
    module_imports,
    modules,
    room,
    room_imports,
    tree,
)
from support.house_picture import PICTURE, svg

# What a package may import of the others: `data.*` is every room, `accuracy_maps` its face alone.
ALLOWED = {
    "data": set(),
    "deepsc": {"data.*"},
    "accuracy_maps": {"data.*", "deepsc.*", "profiling.flops_file"},
    "profiling": {"data.*", "deepsc.*"},
    "optimizer": {
        "data.files", "data.settings", "data.terminal", "data.page", "data.intervals", "data.device",
        "data.version",
        "accuracy_maps", "accuracy_maps.map", "accuracy_maps.bimodal", "deepsc.zoo",
        "profiling.flops_file", "profiling.device_file",
    },
}  # fmt: skip
# The floors of a package: a room imports from the rooms before a "<" alone, never from its neighbours.
FLOORS = {
    "data": "version, moved, neighbours, files, intervals, batching, splits, terms, memory < terminal"
    " < settings, page, download, reading < device, text, images < questions",
    "deepsc": "version, link, codec, zoo < config < modality < checkpoint, digital"
    " < train, text, image, transceiver < vqa, command",
    "accuracy_maps": "version, envelope, start < grid < map < bimodal < show"
    " < sweep, release < transmit < command",
    "profiling": "version, units, flops_file, device_file, tables < closed < counted, modalities, plot"
    " < timed < config, profile < report, outputs < command",
    "optimizer": "version, devices, symbols < world < bound, offloading_v0 < policies < study < unread"
    " < command",
}
HEAVY_FOR_THE_OPTIMIZER = {"timm", "transformers", "torchvision", "fvcore"}
HEAVY_FOR_HELP = {"torch", "transformers", "timm", "matplotlib", "tensorboard", "yaml", "scipy", "sklearn"}
MOST_MODULES, MOST_LINES, MOST_LINES_OF_A_FUNCTION = 12, 400, 60


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_lies_before_it(package: str) -> None:
    inside = {name for name in modules() if name.split(".")[0] == package}
    foreign = {(name, target) for name in inside for target in module_imports()[name] - inside}
    refused = [
        (name, target)
        for name, target in sorted(foreign)
        if not {room(target), f"{target.split('.')[0]}.*"} & ALLOWED[package]
    ]
    assert not refused, refused
    if package == "optimizer":
        libraries = {module.split(".")[0] for name in inside for module, _ in import_statements(name)}
        assert not libraries & HEAVY_FOR_THE_OPTIMIZER


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_imports_from_lower_floors_alone(package: str) -> None:
    floors = [names.split(", ") for names in FLOORS[package].split(" < ")]
    floor = {f"{package}.{name}": at for at, names in enumerate(floors) for name in names}
    imports = room_imports(package)
    assert set(floor) == set(imports), "FLOORS holds every room once"
    upward = [(name, other) for name in imports for other in imports[name] if floor[other] >= floor[name]]
    assert not upward, upward


def test_no_module_imports_itself_through_others() -> None:
    assert not circles(module_imports()), circles(module_imports())


def test_a_folder_is_taken_in_at_a_glance() -> None:
    sizes = Counter(path.parent for path in modules().values() if path.name != "__init__.py")
    assert {path: size for path, size in sizes.items() if size > MOST_MODULES} == {}


def test_the_picture_of_the_house_is_of_these_imports() -> None:
    assert PICTURE.read_text(encoding="utf-8") == svg(), "cd tests && python -m support.house_picture"


def test_files_and_functions_are_short() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    long = [(name, count) for name, count in lines.items() if count > MOST_LINES]
    for name, path in modules().items():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or 0) - node.lineno + 1
                if count > MOST_LINES_OF_A_FUNCTION:
                    long.append((f"{name}.{node.name}", count))
    assert not long, long


@pytest.mark.parametrize("folder", folders())
def test_a_package_says_what_lives_there_and_shows_it(folder: str) -> None:
    package = importlib.import_module(folder)
    assert package.__doc__
    assert package.__all__
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert missing == []
    assert set(package.__all__) <= set(dir(package))
    rooms = {path.stem for path in (ROOT / folder.replace(".", "/")).iterdir()}
    assert not set(package.__all__) & rooms, "once the module is imported, its name is the module's"


PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("walk", re.findall(r"^## (.*)$", PAGE, re.MULTILINE))
def test_a_walk_leads_from_file_to_file(walk: str) -> None:
    """An earlier file of the walk imports each file, or the step says that it is found by name."""
    section = PAGE.partition(f"## {walk}\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d+\. `([\w/]+)\.py`: (.*)$", section, re.MULTILINE)
    assert 10 <= len(steps) < 15
    names = [path.replace("/", ".") for path, _ in steps]
    assert [name for name in names if name not in modules()] == []
    astray = [
        name
        for at, (name, (_, text)) in enumerate(zip(names, steps, strict=True))
        if at
        and "found by name" not in text
        and not any(name in {before, *module_imports()[before]} for before in names[:at])
    ]
    assert astray == []


def test_no_other_code_folder() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert {name.split("/")[0] for name in listed} <= {*PACKAGES, "tests", "benchmarks", "docs"}


def loaded_after(statement: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in run.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("flags", ["--help", "--version"])
@pytest.mark.parametrize("package", [package for package in PACKAGES if package != "data"])
def test_help_is_quick_because_it_loads_nothing_heavy(package: str, flags: str) -> None:
    statement = f"from {package}.command import main\ntry:\n    main([{flags!r}])\nexcept SystemExit: pass"
    assert not loaded_after(statement) & HEAVY_FOR_HELP


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert not loaded_after(f"import {package}\ndir({package})") & HEAVY_FOR_HELP


def test_reading_a_map_or_flops_file_loads_no_torch() -> None:
    loaded = loaded_after("from accuracy_maps import AccuracyMap\nfrom profiling import FlopsFile")
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers", "timm"}

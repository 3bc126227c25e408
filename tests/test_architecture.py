"""Data flows one way: data -> deepsc -> accuracy_maps, profiling -> optimizer (docs/decisions.md).

And `--help`, and reading a result file, load no torch.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"data", "deepsc", "accuracy_maps", "profiling", "optimizer"}
# What a package's modules may import of the others, at the top or inside functions.
ALLOWED = {
    "data": set(),
    "deepsc": {"data"},
    "accuracy_maps": {"data", "deepsc"},
    "profiling": {"data", "deepsc"},
    "optimizer": {
        "data.files",
        "data.settings",
        "data.terminal",
        "data.page",
        "data.intervals",
        "data.version",
        "accuracy_maps",
        "profiling.flops_file",
    },
}
HEAVY_FOR_THE_OPTIMIZER = {"timm", "transformers", "torchvision", "fvcore"}


def imports(package: str) -> Iterator[tuple[Path, str]]:
    """Every module that a package's files import, with the file."""
    for path in sorted((ROOT / package).glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute here"
                assert node.module is not None
                yield path, node.module


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_only_what_lies_before_it(package: str) -> None:
    found = list(imports(package))
    assert found
    for path, module in found:
        top = module.split(".")[0]
        if top in PACKAGES - {package}:
            # "data", "deepsc" and subpackages stand for all their modules, the others for themselves.
            known = {module, module.rpartition(".")[0], top} & ALLOWED[package]
            assert known, f"{path} imports {module}"
        if package == "optimizer":
            assert top not in HEAVY_FOR_THE_OPTIMIZER, f"{path} imports {module}"


def test_no_other_code_folder() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    folders = {Path(name).parts[0] for name in listed}
    assert folders <= PACKAGES | {"tests", "benchmarks"}


def loaded_after(statement: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in run.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("package", sorted(PACKAGES - {"data"}))
def test_help_is_quick_because_it_loads_nothing_heavy(package: str) -> None:
    statement = f"from {package}.command import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass"
    assert not loaded_after(statement) & {"torch", "transformers", "timm", "matplotlib", "tensorboard"}


def test_reading_a_map_or_flops_file_loads_no_torch() -> None:
    loaded = loaded_after("from accuracy_maps import AccuracyMap\nfrom profiling import FlopsFile")
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers", "timm"}

"""A file of somebody else's that hides one of the five packages is named in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "deepsc", "accuracy_maps", "profiling", "optimizer")
COMMANDS = ("train-deepsc", "build-accuracy-map", "profile-flops", "optimize", "transmit")


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code where a folder comes before ours on the path, as a script's own does."""
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd="/"
    )


@pytest.mark.parametrize("hidden", ["data", "profiling", "optimizer"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
def test_importing_any_package_names_the_file_in_the_way(hidden: str, form: str, tmp_path: Path) -> None:
    file = tmp_path / form.format(hidden)
    file.parent.mkdir(exist_ok=True)
    file.write_text("rows = [1, 2]\n")
    for package in PACKAGES:
        if package != hidden:
            done = python(f"import {package}", tmp_path)
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1] == (
                f"ImportError: {file}: hides the package {hidden} of deepsc-toolkit; rename or move it"
            )


@pytest.mark.parametrize("hidden", ["data", "profiling", "optimizer"])
def test_a_command_says_it_without_a_traceback(hidden: str, tmp_path: Path) -> None:
    file = tmp_path / f"{hidden}.py"
    file.write_text("import deepsc\n")
    for command in COMMANDS:
        function = command.replace("-", "_")
        code = f"import sys; sys.argv = ['/bin/{command}']; from accuracy_maps.start import {function}"
        done = python(code, tmp_path)
        line = f"{file}: hides the package {hidden} of deepsc-toolkit; rename or move it"
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"{command}: error: {line}\n"


def test_a_file_that_imports_us_and_hides_us_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text("import deepsc\n")
    last = python("import data", tmp_path).stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {tmp_path / 'data.py'}: hides the package data")


def test_a_folder_without_code_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert python("import deepsc, data; print(data.__version__)", tmp_path).returncode == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_the_version(package: str) -> None:
    code = f"import {package}; print({package}.__version__, '__version__' in dir({package}))"
    from data.version import __version__

    assert python(code, ROOT).stdout == f"{__version__} True\n"

"""How the five commands end: a reader that goes away, closed streams, Ctrl-C at any time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.terminal import start

ROOT = Path(__file__).parents[3]
COMMANDS = ("train_deepsc", "build_accuracy_map", "profile_flops", "optimize", "transmit")
ENDED_BY_SIGPIPE = 128 + signal.SIGPIPE


def call(command: str) -> str:
    """What a console script does, for a shell; arguments follow."""
    return f"'{sys.executable}' -c 'from data.terminal.start import {command}; {command}()'"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )


def test_each_command_is_an_entry_point() -> None:
    scripts = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2].partition("\n\n")[0]
    assert [line.partition(" = ")[2] for line in scripts.split("\n")[1:]] == [
        f'"accuracy_maps.start:{name}"' for name in COMMANDS
    ]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", ["{} --help | true", "{} --help 2>&1 | head -1", "{} --no-such 2>&1 | true"])
def test_a_reader_that_goes_away_ends_a_command_quietly(command: str, form: str) -> None:
    """As of `yes | true`: nothing on stderr, and the shell sees SIGPIPE, or the status of what was read."""
    done = shell(f"{form.format(call(command))}; exit ${{PIPESTATUS[0]}}")
    assert done.returncode in (ENDED_BY_SIGPIPE, 0 if "--help" in form else 2)
    assert done.stderr == ""
    if form.endswith("true"):
        line = f"from data.terminal import start; import time; time.sleep(0.5); start.{command}()"
        late = shell(f"'{sys.executable}' -c '{line}' --help | true; exit ${{PIPESTATUS[0]}}")
        assert (late.returncode, late.stderr) == (ENDED_BY_SIGPIPE, "")


RUN = """
import logging, sys, types
from data.terminal.command import run_command
from data.terminal.start import run
module = types.ModuleType("some_command")
def body():
    {body}
module.main = lambda: run_command("some-command", body)
sys.modules["some_command"] = module
run("some-command", "some_command")
"""


def run_body(body: str, redirection: str) -> subprocess.CompletedProcess[str]:
    code = RUN.format(body=body).replace("'", '"')
    return shell(f"'{sys.executable}' -c '{code}' {redirection}; echo $? ${{PIPESTATUS[0]}} >&2")


def test_a_log_that_nobody_reads_ends_the_work() -> None:
    """As of any program that writes to stderr; a Python handler would pass over the error and work on."""
    body = "[logging.getLogger().info(str(i)) for i in range(10**5)]"
    assert f" {ENDED_BY_SIGPIPE}" in run_body(body, "2>&1 | true").stderr
    bar = "from data.terminal.progress import Progress; "
    bar += "bar = Progress('x', total=9, done=0, unit='y').__enter__()"
    many = f"{bar}; [logging.getLogger().info(str(i)) for i in range(10**5)]"
    done = run_body(many, "2>&1 | true")
    assert f" {ENDED_BY_SIGPIPE}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_one_line() -> None:
    for command in ("optimize", "profile_flops"):
        done = shell(f"{call(command)} --help > /dev/full")
        name = command.replace("_", "-")
        assert (done.returncode, done.stderr) == (
            2,
            f"{name}: error: cannot write: No space left on device\n",
        )


def test_a_broken_connection_is_no_closed_pipe() -> None:
    done = run_body("raise BrokenPipeError(32, 'of a socket')", "")
    assert "of a socket" in done.stderr
    assert "\n1 1\n" in done.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_good_as_dev_null(closed: str, tmp_path: Path) -> None:
    """No file gets the number of stdout or stderr, which libraries in C write to."""
    file = tmp_path / "file"
    body = (
        f"logging.getLogger().warning('told'); print('result'); file = open('{file}', 'w'); "
        "import os; os.write(1, b'from C'); os.write(2, b'from C'); file.write(str(file.fileno())); "
        "from tqdm import tqdm; list(tqdm(range(3)))"
    )
    code = RUN.format(body=body).replace("'", '"')
    done = shell(f"'{sys.executable}' -c '{code}' {closed}")
    assert done.returncode == 0
    assert int(file.read_text()) > 2
    assert "Traceback" not in done.stderr
    assert shell(f"{call('optimize')} --no-such {closed}").returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("module", ["argparse", "tqdm", "torch"])
def test_ctrl_c_while_a_module_is_imported_prints_no_traceback(
    command: str, module: str, tmp_path: Path
) -> None:
    """Also where the importing module would turn the exception into another, as transformers does."""
    arguments = {
        "train_deepsc": ["--modality", "text", "--output", str(tmp_path / "run")],
        "build_accuracy_map": ["--modality", "text", "--local", str(tmp_path), "--codec", str(tmp_path)],
        "profile_flops": ["--modality", "text", "--output", str(tmp_path / "flops.json")],
        "optimize": ["--ues", "text:1", "--output", str(tmp_path / "run")],
        "transmit": ["Two dogs run."],
    }[command]
    if (command, module) == ("build_accuracy_map", "torch"):
        pytest.skip("ends before it needs torch")
    code = f"""
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                import json.tool
            except KeyboardInterrupt:
                raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Interrupt())
from data.terminal.start import {command}
{command}()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == start.INTERRUPTED, done.stderr
    assert done.stderr.splitlines()[-1] == f"{command.replace('_', '-')}: interrupted"
    assert "Traceback" not in done.stderr
    first = "sent      Two dogs run.\n" if (command, module) == ("transmit", "torch") else ""
    assert done.stdout == first, "what is shown before torch is loaded, and no more"


@pytest.mark.parametrize("body", ["time.sleep(60)", "atexit.register(time.sleep, 60)"])
def test_ctrl_c_while_it_works_and_at_the_interpreters_exit(body: str) -> None:
    code = RUN.format(body=f"import atexit, time; print('works', flush=True); {body}")
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) in ((130, "some-command: interrupted\n"), (-signal.SIGINT, ""))


def test_a_command_in_the_background_goes_on_ignoring_ctrl_c() -> None:
    line = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print(7)"
    done = shell(f"trap '' INT; '{sys.executable}' -c '{RUN.format(body=line).replace(chr(39), chr(34))}'")
    assert (done.returncode, done.stdout) == (0, "7\n")

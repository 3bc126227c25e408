"""What the four commands share: flag types, one-line errors, exit status."""

import argparse
import ctypes
import errno
import logging
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from data.files.errors import ToolkitError, raise_config_errors
from data.memory import keep_freed_memory
from data.settings.flags import MAX_GRID_POINTS, float_grid
from data.terminal.command import Parser, run_command
from data.terminal.table import align


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("-6:18:3", (-6, -3, 0, 3, 6, 9, 12, 15, 18)),
        ("0:1:0.1", (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        ("0:0.3:0.1", (0, 0.1, 0.2, 0.3)),
        ("0:5:2", (0, 2, 4)),
        ("4:4:1", (4,)),
        ("7", (7,)),
        ("-6,0,6.5", (-6, 0, 6.5)),
    ],
)
def test_float_grid_reads_ranges_with_both_ends_and_lists(text: str, values: tuple[float, ...]) -> None:
    assert float_grid(text) == pytest.approx(values)


@pytest.mark.parametrize(
    "text",
    [
        "", "nan", "0,nan", "inf", "0:inf:1", "nan:1:1", "3:1:1", "0:1:0", "0:1:-1", "0:1", "0:1:1:1", "1,1",
        "2,1", "a", "1,,2", "0:1:1e-9", "0:1e308:1e-308", "-1e308:1e308:1", "1e17:100000000000000050:1",
    ],
)  # fmt: skip
def test_float_grid_refuses_the_rest(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="given"):
        float_grid(text)


def test_float_grid_is_bounded() -> None:
    assert len(float_grid(f"1:{MAX_GRID_POINTS}:1")) == MAX_GRID_POINTS
    with pytest.raises(argparse.ArgumentTypeError, match="at most"):
        float_grid(f"0:{MAX_GRID_POINTS}:1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--k", "0", "--snr-db", "0"],
        ["--k", "4", "--snr-db", "nan"],
        ["--k", "4", "--snr", "0"],
        ["--k", "4"],
        ["--k", "4", "--snr-db", "0", "stray\nargument"],
    ],
)
def test_a_parser_refuses_in_one_line_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser(prog="some-command")
    parser.add_argument("--k", type=int, choices=(4, 8))
    parser.add_argument("--snr-db", type=float_grid, required=True)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(arguments)
    assert stop.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("some-command: error: ")
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("value", ["-6:18:3", "-6,0,6", "-6", "-.5,1", "-1e1:2:3"])
def test_a_value_may_begin_with_a_minus(value: str) -> None:
    parser = Parser(prog="some-command")
    parser.add_argument("--snr-db", type=float_grid)
    assert parser.parse_args(["--snr-db", value]) == parser.parse_args([f"--snr-db={value}"])


@pytest.mark.parametrize("value", ["-inf", "-nan", "-6x", "-1e999:0:1"])
def test_a_wrong_value_with_a_minus_is_no_flag(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="some-command")
    parser.add_argument("--snr-db", type=float_grid)
    with pytest.raises(SystemExit):
        parser.parse_args(["--snr-db", value])
    assert "a finite number is allowed" in capsys.readouterr().err


def test_help_shows_defaults_and_keeps_lines(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="some-command", description="one\n  two")
    parser.add_argument("--k", default=(4, 8), help="symbols")
    parser.add_argument("--other", help="something")
    parser.add_argument("--switch", action="store_true", help="something")
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "one\n  two" in text
    assert "symbols (default: 4,8)" in text
    assert text.count("default") == 1, "none where there is none"


def test_run_command_turns_a_mistake_into_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise ToolkitError("first line\n  second\tline")

    assert run_command("some-command", body) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "some-command: error: first line second line\n"


def test_run_command_is_interrupted_with_130_and_done_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    assert run_command("some-command", interrupt) == 130
    assert capsys.readouterr().err == "some-command: interrupted\n"
    assert run_command("some-command", lambda: print("result")) == 0
    output = capsys.readouterr()
    assert (output.out, output.err) == ("result\n", "")


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/events")

    assert run_command("some-command", body) == 2
    assert capsys.readouterr().err == (
        "some-command: error: cannot write: No space left on device (runs/events)\n"
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG, errno.EROFS, errno.ELOOP])
def test_a_path_that_cannot_be_reached_is_one_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise OSError(number, os.strerror(number), "private/map.json")

    assert run_command("some-command", body) == 2
    assert capsys.readouterr().err == (f"some-command: error: {os.strerror(number)} (private/map.json)\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", ""], "--output '' given, a value is allowed"),
        (["--output="], "--output '' given, a value is allowed"),
        (["", "--output", "x"], "an argument '' given, a value is allowed"),
        (["--output", "\udcff.json"], r"'\udcff.json' given, UTF-8 is allowed"),
        (["--output=\udcff.json"], r"'--output=\udcff.json' given, UTF-8 is allowed"),
    ],
)
def test_values_that_mean_nothing_or_no_file_can_hold_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser(prog="some-command")
    parser.add_argument("--output")
    parser.add_argument("name", nargs="?")
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(arguments)
    assert capsys.readouterr().err == f"some-command: error: {message} (see some-command --help)\n"
    parser.may_be_empty = ("--output",)
    assert parser.parse_args(["--output", ""]).output == ""


def test_the_log_of_others_is_left_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers, root.level
    own = logging.StreamHandler(sys.stderr)
    root.addHandler(own)
    try:
        assert run_command("some-command", lambda: root.warning("told %s", "once")) == 0
        assert capsys.readouterr().err == "told once\n"
        assert root.handlers[-1] is own
    finally:
        root.removeHandler(own)
    assert (root.handlers, root.level) == before


def test_the_log_commands_no_terminal() -> None:
    code = (
        "import logging; from data.terminal.command import run_command\n"
        r"def body(): logging.getLogger('x').warning('model %s', 'a\x1b[2Jb\nc')"
        "\n"
        "raise SystemExit(run_command('c', body))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "model a\\x1b[2Jb\nc\n"


def test_a_bug_keeps_its_traceback() -> None:
    def body() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command("some-command", body)


def test_log_goes_to_stderr_and_results_to_stdout() -> None:
    code = (
        "import logging; from data.terminal.command import run_command\n"
        "def body(): logging.getLogger('x').info('progress'); print('result')\n"
        "raise SystemExit(run_command('c', body))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("result\n", "progress\n")
    assert logging.getLogger().level >= logging.INFO


def test_config_errors_come_together() -> None:
    raise_config_errors([])
    with pytest.raises(ToolkitError, match=r"^--a: wrong; --b: wrong too$"):
        raise_config_errors(["--a: wrong", "--b: wrong too"])


def test_columns_are_aligned() -> None:
    rows = [("a", "b", "c"), ("long", "10", "see"), ("x", "2", "s")]
    assert align(rows) == "a      b    c\nlong  10  see\nx      2    s"
    assert align(rows, left=(0, -1)) == "a      b  c\nlong  10  see\nx      2  s"
    assert align([("a\x1b[2J", "b\nc")]) == "a\\x1b[2J  b c", "a cell is a cell whatever a file says"


def test_errors_and_warnings_stand_out_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        logging.getLogger("some.module").info("fine")
        logging.getLogger("some.module").warning("look")
        raise ToolkitError("wrong")

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    assert run_command("some-command", body) == 2
    assert capsys.readouterr().err == "fine\nlook\nsome-command: error: wrong\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run_command("some-command", body) == 2
    assert capsys.readouterr().err == (
        "fine\n\033[33mlook\033[0m\n\033[31msome-command: error:\033[0m wrong\n"
    )


def test_an_unknown_flags_error_names_one_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="it")
    parser.add_argument("--ue-device")
    for word, like in (("--ue-devise", ", --ue-device is allowed"), ("--xyz", "")):
        with pytest.raises(SystemExit):
            parser.parse_args([word, "1"])
        assert (
            capsys.readouterr().err == f"it: error: unrecognized arguments: {word} 1{like} (see it --help)\n"
        )


_GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
_FAULTS_OF_LARGE_TENSORS = """
import resource
import torch
from data.terminal.command import run_command

def body():
    def step():
        return [torch.ones(2**20) for _ in range(4)]  # 4 MB each
    step(), step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(80):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

run_command("x", body)
"""


@_GLIBC
def test_a_command_keeps_what_tensors_free() -> None:
    """With a variable of glibc's that says otherwise, the kernel clears 320 tensors of 1,024 pages."""
    clean = {name: value for name, value in os.environ.items() if "MALLOC" not in name.upper()}
    clean["THP_MEM_ALLOC_ENABLE"] = "0"  # 4 MB would take two faults

    def faults(**variables: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _FAULTS_OF_LARGE_TENSORS],
            check=True, capture_output=True, text=True, env=clean | variables,
        )  # fmt: skip
        return int(done.stdout)

    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 300_000
    assert faults() < 30_000


@_GLIBC
@pytest.mark.parametrize("variable", [None, "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"])
def test_glibc_is_told_unless_a_variable_tells_it(
    variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    libc = SimpleNamespace(mallopt=lambda name, value: told.append((name, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    if variable is not None:
        monkeypatch.setenv(variable, "glibc.malloc.trim_threshold=1")
    run_command("x", lambda: None)
    assert dict(told) == ({} if variable else {-1: 2**28, -3: 2**25})
    told.clear()
    keep_freed_memory(bounded=False)  # as a training does
    assert dict(told) == ({} if variable else {-1: 2**31 - 1, -4: 0})


@_GLIBC
def test_a_tunable_that_says_something_else_leaves_room(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *one: told.append(one)))
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    keep_freed_memory()
    assert told


_ALIGNMENT_OF_TENSORS = """
import mmap
import torch
from data.terminal.command import run_command

def body():
    tensors = [torch.empty(2**20) for _ in range(6)]  # 4 MB each
    print(all(tensor.data_ptr() % mmap.PAGESIZE == 0 for tensor in tensors))

run_command("x", body)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has them on request")
def test_a_commands_tensors_may_have_large_pages_unless_torchs_variable_says_no() -> None:
    """Where torch asks for them, it begins a tensor with a page."""
    clean = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}

    def begin_with_pages(**variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", _ALIGNMENT_OF_TENSORS],
            check=True, capture_output=True, text=True, env=clean | variables,
        )  # fmt: skip
        return done.stdout

    assert begin_with_pages() == "True\n"
    assert begin_with_pages(THP_MEM_ALLOC_ENABLE="0") == "False\n"

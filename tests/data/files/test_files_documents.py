"""Result files: written whole or not at all, and read with one line for whatever is wrong with them."""

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.mutations import refused_for_size

from data.files import documents as artifacts
from data.files.atomic import atomic_path, remove_unfinished, write_text
from data.files.documents import read_document, read_json, write_json
from data.files.errors import ToolkitError, parsing
from data.files.paths import (
    exists,
    is_file,
    is_folder,
    require_file,
)
from data.files.provenance import git_commit, provenance, sha256_of

ROOT = Path(__file__).parents[3]
DOCUMENT = {"kind": "thing", "schema_version": 1, "text": "für ☂", "numbers": [1, 2.5, None, True]}


def one_line(error: pytest.ExceptionInfo[ToolkitError], path: Path) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert path.name in text
    return text


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "thing.json"
    write_json(path, DOCUMENT)
    assert read_json(path) == DOCUMENT
    assert read_document(path, kind="thing", schema_version=1) == DOCUMENT
    assert "für ☂" in path.read_text(encoding="utf-8"), "readable, not escaped"


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), OSError("disk full")])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, failure: BaseException
) -> None:
    path = tmp_path / "thing.txt"
    write_text(path, "old")
    expected = ToolkitError if isinstance(failure, OSError) else type(failure)

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise failure

    with pytest.raises(expected):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "thing.txt"
    write_text(path, "old")
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent, "a rename across file systems would not be atomic"
        temporary.write_text("half")
        assert path.read_text() == "old"
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "thing.txt", "text")
        assert os.umask(mask) == mask, "left as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "thing.txt").stat().st_mode) == mode


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused_and_the_old_file_stays(tmp_path: Path, value: float) -> None:
    path = tmp_path / "thing.json"
    write_json(path, DOCUMENT)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"deep": [{"value": value}]})
    assert read_json(path) == DOCUMENT
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "thing.json"
    with pytest.raises(ToolkitError, match="cannot write") as error:
        write_json(path, DOCUMENT)
    one_line(error, path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ToolkitError, match="cannot write"):
        write_json(tmp_path / "folder", DOCUMENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe{}", id="not UTF-8"),
        pytest.param(b"\0" * 50, id="zeros"),
        pytest.param(b"kind: thing", id="not JSON"),
        pytest.param(b'{"a": ' * 100_000, id="deep objects"),
        pytest.param(b"[" * 200_000, id="deep lists"),
        pytest.param(b'{"a": ' + b"9" * 10_000 + b"}", id="giant integer"),
        pytest.param(b"[1, 2]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"NaN", id="NaN"),
    ],
)
def test_what_is_no_json_object_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thing.json"
    path.write_bytes(content)
    with pytest.raises(ToolkitError) as error:
        read_document(path, kind="thing", schema_version=1)
    one_line(error, path)


def test_truncation_anywhere_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "thing.json"
    write_json(path, DOCUMENT)
    whole = path.read_bytes()
    for length in range(len(whole.rstrip())):
        path.write_bytes(whole[:length])
        with pytest.raises(ToolkitError) as error:
            read_json(path)
        one_line(error, path)


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "thing.json"
    write_json(path, DOCUMENT)
    size = path.stat().st_size
    monkeypatch.setattr(artifacts, "LARGEST_JSON", size)
    assert read_json(path) == DOCUMENT
    refused_for_size(lambda: read_json(path), path, largest=size)
    monkeypatch.undo()
    read = Path.read_text

    def spied(self: Path, **options: Any) -> str:
        assert self != path, "read"
        return read(self, **options)

    monkeypatch.setattr(Path, "read_text", spied)
    refused_for_size(lambda: read_json(path), path, largest=artifacts.LARGEST_JSON)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="no such file") as error:
        read_json(tmp_path / "thing.json")
    one_line(error, tmp_path / "thing.json")
    with pytest.raises(ToolkitError) as error:
        read_json(tmp_path)
    one_line(error, tmp_path)


@pytest.mark.parametrize("kind", ["other", "thing\n", None, 1, ["thing"], {"thing": 1}, "x\n" * 9])
def test_another_kind_is_refused_by_name(tmp_path: Path, kind: object) -> None:
    path = tmp_path / "thing.json"
    path.write_text(json.dumps(DOCUMENT | {"kind": kind}))
    with pytest.raises(ToolkitError, match="expected 'thing'") as error:
        read_document(path, kind="thing", schema_version=1)
    assert repr(kind) in one_line(error, path)


@pytest.mark.parametrize("value", ["\ud800", ["a", {"\udfff": 1}], "half \ud83d of a pair", ["\udc00\ud800"]])
def test_half_a_surrogate_pair_is_refused_on_reading(tmp_path: Path, value: object) -> None:
    """No page, table or file could hold it."""
    path = tmp_path / "thing.json"
    path.write_text(json.dumps(DOCUMENT | {"more": value}))
    with pytest.raises(ToolkitError, match="half a character") as error:
        read_json(path)
    one_line(error, path).encode()
    path.write_text(json.dumps(DOCUMENT | {"more": "\U0001f600 and \\ud800 in words"}))
    assert read_json(path)["more"] == "\U0001f600 and \\ud800 in words"


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.json")
    path.write_text("{}")
    with pytest.raises(ToolkitError, match=r"caf\\udce9\.json: its name is not UTF-8"):
        read_json(path)
    with pytest.raises(ToolkitError, match="not UTF-8"):
        write_text(tmp_path / "page.html", f"made from {path}")
    assert not (tmp_path / "page.html").exists()


def test_a_message_commands_no_terminal() -> None:
    assert str(ToolkitError("model \x1b[2J\u202e x\u2028y \x9b1m")) == r"model \x1b[2J\u202e x y \x9b1m"


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.0, True, 1.5, [1], 10**40])
def test_another_schema_version_is_refused_by_number(tmp_path: Path, version: object) -> None:
    path = tmp_path / "thing.json"
    path.write_text(json.dumps(DOCUMENT | {"schema_version": version}))
    with pytest.raises(ToolkitError, match="reads 1") as error:
        read_document(path, kind="thing", schema_version=1)
    assert repr(version) in one_line(error, path)


@pytest.mark.parametrize(
    "take_apart",
    [
        lambda: {}["absent"],
        lambda: int("seven"),
        lambda: None.absent,  # type: ignore[attr-defined]
        lambda: [][3],
        lambda: float(10**400),
        lambda: 1 + "a",  # type: ignore[operator]
    ],
)
def test_what_a_malformed_document_raises_names_the_file(tmp_path: Path, take_apart) -> None:
    with pytest.raises(ToolkitError, match="damaged or foreign") as error, parsing(tmp_path / "thing.json"):
        take_apart()
    one_line(error, tmp_path / "thing.json")


def test_provenance_says_how_to_make_a_file_again() -> None:
    origin = provenance(config={"k": 4}, seed=7, data_sha256={"a.gz": "00"}, seconds=1.5)
    assert origin["config"] == {"k": 4}
    assert (origin["seed"], origin["data_sha256"], origin["seconds"]) == (7, {"a.gz": "00"}, 1.5)
    assert {"torch", "numpy", "sacrebleu"} <= set(origin["packages"])
    assert origin["git_commit"] == git_commit()
    json.dumps(origin, allow_nan=False)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=clean,
    ).stdout.strip()


def commit_all(folder: Path) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "all")
    return git(folder, "rev-parse", "HEAD")


def copy_code(folder: Path, *, checkout: bool) -> Path:
    """Our code in a folder, as a checkout has it or as pip installs it."""
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("__pycache__"))
    if checkout:
        shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def commit_told_by(folder: Path, **environment: str) -> str:
    """What the code of a folder says of itself, called from elsewhere."""
    code = "from data.files.provenance import git_commit; print(git_commit())"
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/",
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
    ).stdout.strip()  # fmt: skip


def test_the_commit_is_of_our_own_checkout(tmp_path: Path) -> None:
    folder = copy_code(tmp_path, checkout=True)
    commit = commit_all(folder)
    assert commit_told_by(folder) == commit
    other = tmp_path.parent / f"{tmp_path.name}-other"
    other.mkdir()
    (other / "theirs").touch()
    commit_all(other)
    assert commit_told_by(folder, GIT_DIR=str(other / ".git")) == commit, "as in a hook of theirs"
    (folder / "data" / "__init__.py").write_text("changed = 1\n")
    assert commit_told_by(folder) == f"{commit}-dirty"
    assert commit_told_by(folder, PATH="/nowhere") == "None", "no git"


@pytest.mark.parametrize("place", [".venv/lib/site-packages", ".", "vendor"])
@pytest.mark.parametrize("committed", [True, False])
def test_code_in_somebody_elses_repository_has_no_commit(tmp_path: Path, place: str, committed: bool) -> None:
    """Installed, or copied with or without our pyproject.toml: HEAD is of their source."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "theirs"\n')
    if not committed:
        commit_all(tmp_path)
    folder = tmp_path / place
    copy_code(folder, checkout=place == "vendor")
    if committed:
        commit_all(tmp_path)
    assert commit_told_by(folder) == "None"


def test_code_outside_any_repository_has_no_commit(tmp_path: Path) -> None:
    assert commit_told_by(copy_code(tmp_path, checkout=True)) == "None"


READERS: list[Callable[[Path], object]] = [exists, is_file, is_folder, require_file, read_json, sha256_of]


@pytest.mark.parametrize("read", READERS)
def test_a_name_too_long_is_one_line(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ToolkitError, match="File name too long") as error:
        read(tmp_path / ("x" * 300))
    assert "\n" not in str(error.value)
    assert "make it again" not in str(error.value)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("call", ["stat", "open"])
def test_where_nobody_may_look_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], call: str
) -> None:
    """As of a folder of mode 000, which root, who runs the tests in a container, may enter."""
    path = tmp_path / "thing.json"
    path.write_text("{}")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    if call == "open":
        monkeypatch.setattr(Path, "open", denied)
        if read in (exists, is_file, is_folder):
            assert read(path) == (read is not is_folder)
            return
    else:
        monkeypatch.setattr(os, "stat", denied)
        if read is sha256_of:
            return
    with pytest.raises(ToolkitError, match="Permission denied") as error:
        read(path)
    assert "make it again" not in one_line(error, path)


def test_what_is_there_is_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert [look(file) for look in (exists, is_file, is_folder)] == [True, True, False]
    assert [look(tmp_path) for look in (exists, is_file, is_folder)] == [True, False, True]
    for path in (tmp_path / "absent", file / "below"):
        assert not any(look(path) for look in (exists, is_file, is_folder))
    with pytest.raises(ToolkitError, match="no name of a file"):
        exists("a\0b")


def test_a_file_that_cannot_be_reached_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "thing.json"
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    with pytest.raises(ToolkitError, match=re.escape(f"{path}: Permission denied")) as caught, parsing(path):
        raise error
    assert "damaged" not in str(caught.value)
    with pytest.raises(BrokenPipeError), parsing(path):
        raise BrokenPipeError


KILLED = """
import os, signal, sys
from data.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half of the n")
    print("writes", flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    input()
"""


def test_a_later_write_removes_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    dead = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "a.json"), "die"], env=environment, check=False
    )
    assert dead.returncode == -9
    (left,) = tmp_path.glob(".a.json.*")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "b.json"), "live"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as live:
        assert live.stdout is not None
        assert live.stdout.readline() == "writes\n"
        assert not left.exists(), "the first write to the folder removes it, whatever it writes"
        (theirs,) = tmp_path.glob(".b.json.*")
        (tmp_path / ".movie.part").write_text("of another program")
        write_text(tmp_path / "c.txt", "text")
        remove_unfinished(tmp_path)
        assert theirs.exists(), "its writer lives"
        live.communicate("\n")
        assert live.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"b.json", "c.txt", ".movie.part"}

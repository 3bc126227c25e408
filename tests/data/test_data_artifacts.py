"""Result files: written whole or not at all, and read with one line for whatever is wrong with them."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from mutations import refused_for_size

from data import artifacts
from data.artifacts import (
    ToolkitError,
    atomic_path,
    parsing,
    provenance,
    read_document,
    read_json,
    write_json,
    write_text,
)

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


@pytest.mark.parametrize("value", ["\ud800", ["a", {"\udfff": 1}], "half \ud83d of a pair"])
def test_half_a_surrogate_pair_is_refused_on_reading(tmp_path: Path, value: object) -> None:
    """No page, table or file could hold it."""
    path = tmp_path / "thing.json"
    path.write_text(json.dumps(DOCUMENT | {"more": value}))
    with pytest.raises(ToolkitError, match="surrogate") as error:
        read_json(path)
    one_line(error, path)
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
    assert len(origin["git_commit"].removesuffix("-dirty")) == 40 if origin["git_commit"] else True
    json.dumps(origin, allow_nan=False)

"""Finding and downloading: a file is the published one, whole, or there is an error that says what to do."""

import hashlib
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from data.download import cache_dir, fetch, sha256_of
from data.files.errors import ToolkitError

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "corpus/file.gz"


class Server(socketserver.ThreadingTCPServer):
    """Serves CONTENT at /whole, less or other things elsewhere; keeps a list of what was asked for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked.append(self.path)
        if self.path == "/absent":
            self.send_error(404)
            return
        body = {"/half": CONTENT[: len(CONTENT) // 2], "/other": b"<html>log in</html>"}.get(
            self.path, CONTENT
        )
        self.send_response(200)
        if self.path == "/half":  # the connection breaks: fewer bytes than announced
            self.send_header("Content-Length", str(len(CONTENT)))
        elif self.path != "/unannounced":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000] if self.path == "/unannounced" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DEEPSC_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("DEEPSC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_downloads_once_into_the_cache(server: Server, cache: Path) -> None:
    path = fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=None)
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert files_below(cache) == [NAME]
    assert fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=None) == path
    assert server.asked == ["/whole"]


@pytest.mark.parametrize("kind", ["half", "unannounced", "other", "absent"])
def test_a_broken_download_is_never_taken_for_a_whole_one(server: Server, cache: Path, kind: str) -> None:
    for _ in range(2):
        with pytest.raises(ToolkitError, match="cannot download") as error:
            fetch(NAME, url=server.url(kind), sha256=SHA256, data_dir=None)
        message = str(error.value)
        assert "\n" not in message
        for part in (server.url(kind), str(cache / NAME), "data_dir", "$DEEPSC_DATA"):
            assert part in message
        assert files_below(cache) == []
    assert server.asked == [f"/{kind}"] * 2, "tried again, for nothing was kept"
    fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=None)
    assert files_below(cache) == [NAME]


def test_a_part_left_in_the_cache_by_a_kill_is_downloaded_again(server: Server, cache: Path) -> None:
    (cache / NAME).parent.mkdir(parents=True)
    (cache / NAME).write_bytes(CONTENT[:1000])
    with pytest.raises(ToolkitError, match="cannot download"):
        fetch(NAME, url=server.url("half"), sha256=SHA256, data_dir=None)
    path = fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=None)
    assert path.read_bytes() == CONTENT


def test_file_urls_work(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "home").write_bytes(CONTENT)
    url = (tmp_path / "home").as_uri()
    assert fetch(NAME, url=url, sha256=SHA256, data_dir=None).read_bytes() == CONTENT
    (tmp_path / "home").unlink()
    assert fetch(NAME, url=url, sha256=SHA256, data_dir=None).is_file(), "from the cache"


def test_no_network_says_what_to_do(server: Server, cache: Path) -> None:
    url = server.url("whole")
    server.shutdown()
    server.server_close()
    with pytest.raises(ToolkitError, match=r"put the file at .*file\.gz yourself"):
        fetch(NAME, url=url, sha256=SHA256, data_dir=None)
    assert files_below(cache) == []


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_data_folder_is_used_and_never_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    if by_variable:
        monkeypatch.setenv("DEEPSC_DATA", str(folder))
    data_dir = None if by_variable else folder
    with pytest.raises(ToolkitError, match=r"no such file .*data_dir or \$DEEPSC_DATA must hold") as error:
        fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=data_dir)
    assert str(folder / NAME) in str(error.value)
    (folder / "corpus").mkdir()
    (folder / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(ToolkitError, match="SHA-256 differs") as error:
        fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=data_dir)
    assert server.url("whole") in str(error.value)
    assert (folder / NAME).read_bytes() == CONTENT[:-1], "the user's file is left alone"
    (folder / NAME).write_bytes(CONTENT)
    assert fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=data_dir) == folder / NAME
    assert server.asked == []


def test_the_flag_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSC_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "corpus").mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    assert fetch(NAME, url="file:///nowhere", sha256=SHA256, data_dir=tmp_path) == tmp_path / NAME


def test_a_cache_that_cannot_be_written_is_named(server: Server, cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(ToolkitError, match="cannot write"):
        fetch(NAME, url=server.url("whole"), sha256=SHA256, data_dir=None)


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("DEEPSC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "deepsc-toolkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "deepsc-toolkit"


def test_checksum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")  # FIPS 180-2, B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "file") == expected
    with pytest.raises(ToolkitError, match="cannot be read"):
        sha256_of(tmp_path / "absent")

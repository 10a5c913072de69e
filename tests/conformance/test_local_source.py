"""Files and a real web server as sources under the suite, and the ways in which each of them fails."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.adapters.http.source import HttpSource
from shared.adapters.local.source import FilesSource, UriSource
from shared.domain.errors import ForeignFailure
from shared.ports.source import Source
from tests.conformance.source_suite import SourceSuite


class TestFilesSource(SourceSuite):
    """No known differences."""

    system = "files"

    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        return UriSource(FilesSource(tmp_path), HttpSource())

    @pytest.fixture
    def deliver(self, tmp_path: Path) -> Callable[[str, bytes], str]:
        def put(name: str, content: bytes) -> str:
            (tmp_path / "landing").mkdir(exist_ok=True)
            (tmp_path / "landing" / name).write_bytes(content)
            return f"landing/{name}"

        return put

    def test_reading_can_go_back(self, source: Source, deliver: Callable[[str, bytes], str]) -> None:
        with source.open(deliver("a.csv", b"0123456789")) as stream:
            assert stream.read(4) == b"0123"
            assert stream.seek(0) == 0
            assert stream.read() == b"0123456789"


class Server:
    """A web server that answers as it is told."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.status = 0
        self.validators = True
        self.head = True
        self.cut_at = -1
        self.moved: dict[str, str] = {}
        self.asked: list[str] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def deliver(self, name: str, content: bytes) -> str:
        self.content[f"/landing/{name}"] = content
        return f"{self.url}/landing/{name}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                if server.head:
                    self.answer(b"")
                else:
                    self.send_error(405)

            def do_GET(self) -> None:
                self.answer(server.content.get(self.path, b""))

            def answer(self, body: bytes) -> None:
                server.asked.append(f"{self.command} {self.path}")
                content = server.content.get(self.path)
                if self.path in server.moved:
                    self.send_response(302)
                    self.send_header("Location", server.moved[self.path])
                    self.end_headers()
                    return
                self.send_response(server.status or (404 if content is None else 200))
                if content is not None:
                    self.send_header("Content-Length", str(len(content)))
                    if server.validators:
                        self.send_header("ETag", f'"{hash(content)}"')
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body if server.cut_at < 0 else body[: server.cut_at])

            def log_message(self, *_: object) -> None:
                return

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.http.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.http.shutdown()
    thread.join()
    running.http.server_close()


class TestHttpSource(SourceSuite):
    """No known differences."""

    system = "http"

    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        return UriSource(FilesSource(tmp_path), HttpSource(timeout_seconds=5))

    @pytest.fixture
    def deliver(self, server: Server) -> Callable[[str, bytes], str]:
        return server.deliver


class TestHttpSourceWithoutValidators(TestHttpSource):
    """The server knows no HEAD and gives no ETag: the generation is a digest of the content."""

    @pytest.fixture
    def deliver(self, server: Server) -> Callable[[str, bytes], str]:
        server.validators = False
        server.head = False
        return server.deliver


# ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("in/*.csv", ["in/a.csv", "in/b.csv"]),
        ("in", ["in/a.csv", "in/b.csv", "in/c.json"]),
        ("in/", ["in/a.csv", "in/b.csv", "in/c.json"]),
        ("in/a.csv", ["in/a.csv"]),
        ("in/[ac].*", ["in/a.csv", "in/c.json"]),
        ("in/?.json", ["in/c.json"]),
        ("**/*.csv", ["in/a.csv", "in/deep/a.csv", "in/b.csv", "in/deep/er/d.csv", "top.csv"]),
        ("in/**", ["in/a.csv", "in/deep/a.csv", "in/b.csv", "in/c.json", "in/deep/er/d.csv"]),
        ("in/**/er/*", ["in/deep/er/d.csv"]),
        ("*/deep/*.csv", ["in/deep/a.csv"]),
        ("*", ["top.csv"]),
        ("in/*.parquet", []),
        ("in/x*/a.csv", []),
        ("absent/*/a.csv", None),
        ("absent/*.csv", None),
        ("absent.csv", None),
    ],
)
def test_patterns(tmp_path: Path, uri: str, names: list[str] | None) -> None:
    touch(tmp_path, "top.csv", "in/b.csv", "in/a.csv", "in/c.json", "in/deep/a.csv", "in/deep/er/d.csv")
    touch(tmp_path, "in/.hidden.csv", "in/d.csv.tmp", "in/e.csv.part", "in/.git/x.csv")
    (tmp_path / "in/link").symlink_to(tmp_path / "in")
    source = FilesSource(tmp_path)
    for written, prefix in (
        (uri, ""),
        (f"{tmp_path}/{uri}", f"{tmp_path}/"),
        (f"file://{tmp_path}/{uri}", f"{tmp_path}/"),
    ):
        if names is None:
            with pytest.raises(ForeignFailure) as caught:
                list(source.discover(written))
            assert (caught.value.exception_type, caught.value.reason) == ("FileNotFoundError", "ENOENT")
        else:
            assert [found.uri for found in source.discover(written)] == [prefix + name for name in names]


def test_arrival_and_generation(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv")
    os.utime(tmp_path / "a.csv", ns=(1, 1_234_567_890_123_456_789))
    (found,) = FilesSource(tmp_path).discover("a.csv")
    assert (found.arrived, found.generation) == (1_234_567_890_123_456_789, "1234567890123456789-1")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_is_forbidden(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.csv")
    (tmp_path / "in/a.csv").chmod(0)
    with pytest.raises(ForeignFailure) as caught:
        FilesSource(tmp_path).open("in/a.csv")
    assert (caught.value.exception_type, caught.value.reason) == ("PermissionError", "EACCES")


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (errno.EACCES, "PermissionError"),
        (errno.EIO, "OSError"),
        (errno.ESTALE, "OSError"),
        (errno.ENOENT, "FileNotFoundError"),
    ],
)
def test_trouble_while_reading(tmp_path: Path, refused: int, expected: str) -> None:
    """The operating system refuses the file, or the rest of it."""
    (tmp_path / "a.csv").write_bytes(b"x" * (3 << 20))
    stream = FilesSource(tmp_path).open("a.csv")
    stream.read(1)

    def refuse(*_: object) -> None:
        raise OSError(refused, os.strerror(refused), "a.csv")

    stream.raw._file = _Refusing(refuse)  # type: ignore[attr-defined]
    with pytest.raises(ForeignFailure) as caught:
        stream.read()
    assert (caught.value.exception_type, caught.value.reason) == (expected, errno.errorcode[refused])
    assert caught.value.system == "files"


class _Refusing:
    def __init__(self, refuse: Callable[..., None]) -> None:
        self.readinto = refuse
        self.readall = refuse

    def close(self) -> None:
        return


@pytest.mark.parametrize("uri", ["", "file://", "a\x00b", "in", "pipe"])
def test_what_is_no_file(tmp_path: Path, uri: str) -> None:
    touch(tmp_path, "in/a.csv")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ForeignFailure):
        FilesSource(tmp_path).open(uri)


# ── the web ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "wait", "reason"), [(429, "30", "retry_after=30"), (503, "", ""), (401, "", ""), (500, "x" * 500, None)]
)
def test_status_is_evidence(server: Server, status: int, wait: str, reason: str | None) -> None:
    server.content["/a.csv"] = b"x"
    server.status = status
    server.headers = {"Retry-After": wait} if wait else {}
    source = HttpSource(timeout_seconds=5)
    for use in (lambda: list(source.discover(f"{server.url}/a.csv")), lambda: source.open(f"{server.url}/a.csv")):
        with pytest.raises(ForeignFailure) as caught:
            use()
        assert (caught.value.http_status, caught.value.system) == (status, "http")
        assert len(caught.value.reason) <= 80
        assert reason is None or caught.value.reason == reason


def test_no_answer(server: Server) -> None:
    source = HttpSource(timeout_seconds=0.2)
    for uri in ("http://127.0.0.1:1/a.csv", "http://", "http://[", "http://host.invalid/a"):
        for use in (lambda uri=uri: list(source.discover(uri)), lambda uri=uri: source.open(uri)):
            with pytest.raises(ForeignFailure) as caught:
                use()
            assert caught.value.exception_type


def test_a_body_that_breaks_off(server: Server) -> None:
    server.content["/a.csv"] = b"x" * 100_000
    server.cut_at = 60_000
    with HttpSource(timeout_seconds=5).open(f"{server.url}/a.csv") as stream, pytest.raises(ForeignFailure) as caught:
        stream.read()
    assert caught.value.exception_type == "RemoteProtocolError"


def test_a_body_without_end_is_bounded(server: Server) -> None:
    server.content["/a.csv"] = b"x" * 100_000
    server.validators = False
    source = HttpSource(timeout_seconds=5, bytes_max=99_999)
    with source.open(f"{server.url}/a.csv") as stream, pytest.raises(ForeignFailure, match="more than 99999 bytes"):
        stream.read()
    with pytest.raises(ForeignFailure, match="more than 99999 bytes"):
        list(source.discover(f"{server.url}/a.csv"))


def test_redirects(server: Server) -> None:
    server.content["/b.csv"] = b"moved"
    server.moved = {"/a.csv": "/b.csv", "/round": "/round"}
    source = HttpSource(timeout_seconds=5)
    (found,) = source.discover(f"{server.url}/a.csv")
    assert (found.uri, found.name, found.bytes) == (f"{server.url}/a.csv", "a.csv", 5)
    with source.open(f"{server.url}/a.csv") as stream:
        assert stream.read() == b"moved"
    with pytest.raises(ForeignFailure) as caught:
        source.open(f"{server.url}/round")
    assert caught.value.exception_type == "TooManyRedirects"
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x"):
        server.moved = {"/a.csv": target}
        with pytest.raises(ForeignFailure) as caught:
            list(source.discover(f"{server.url}/a.csv"))
        assert caught.value.exception_type in ("RedirectRefused", "InvalidURL")


def test_last_modified_is_a_generation(server: Server) -> None:
    server.validators = False
    server.headers = {"Last-Modified": "Tue, 01 Jan 2013 05:15:00 GMT"}
    server.content["/a.csv?token=1"] = b"123"
    (found,) = HttpSource(timeout_seconds=5).discover(f"{server.url}/a.csv?token=1")
    assert found.name == "a.csv"
    assert (found.generation, found.arrived) == ("1357017300000000000-3", 1_357_017_300_000_000_000)
    server.headers = {"Last-Modified": "yesterday"}
    (found,) = HttpSource(timeout_seconds=5).discover(f"{server.url}/a.csv?token=1")
    assert found.generation.startswith("sha256-")

"""Goal: the pinned file is found through whatever index is configured, and nothing else is ever accepted.

Method: indexes on the loopback interface and in folders; no test here leaves the machine.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mend.demo import package_index
from mend.demo.package_index import NotFetched, PinnedFile, fetch, index_urls, without_credentials

CONTENT = b"the release's bytes"
PINNED = PinnedFile(
    distribution="thing", version="1.0", file_name="thing-1.0.tar.gz", sha256=hashlib.sha256(CONTENT).hexdigest()
)
NOWHERE = "http://127.0.0.1:9/simple"


class _Index(ThreadingHTTPServer):
    daemon_threads = True
    pages: dict[str, tuple[str, bytes]]
    needs: str = ""
    seen: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Index

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        kind, content = self.server.pages.get(self.path, ("", b""))
        denied = self.server.needs and self.headers.get("Authorization") != self.server.needs
        self.send_response(401 if denied else 200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not denied:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        pass


@pytest.fixture
def index() -> Iterator[_Index]:
    server = _Index(("127.0.0.1", 0), _Handler)
    server.pages = {"/files/thing-1.0.tar.gz": ("application/gzip", CONTENT)}
    server.seen = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "_pips", list)


def _environment(tmp_path: Path, url: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PIP_INDEX_URL": url}


def _html(server: _Index, href: str = "../../files/thing-1.0.tar.gz#sha256=0") -> None:
    page = f'<a href="../../files/thing-0.9.tar.gz">old</a><a href="{href}">thing</a>'
    server.pages["/simple/thing/"] = ("text/html", page.encode())


def test_an_html_index(index: _Index, tmp_path: Path) -> None:
    _html(index)
    steps: list[tuple[int, int]] = []
    environment = _environment(tmp_path, f"http://127.0.0.1:{index.server_port}/simple")
    assert fetch(PINNED, environment, lambda done, total: steps.append((done, total))) == CONTENT
    assert steps == [(len(CONTENT), len(CONTENT))]


def test_a_json_index(index: _Index, tmp_path: Path) -> None:
    page = {"files": [{"url": "/files/thing-1.0.tar.gz"}]}
    index.pages["/simple/thing/"] = ("application/vnd.pypi.simple.v1+json", json.dumps(page).encode())
    environment = _environment(tmp_path, f"http://127.0.0.1:{index.server_port}/simple/")
    assert fetch(PINNED, environment) == CONTENT


def test_an_index_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "simple/thing"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text('<a href="thing-1.0.tar.gz">x</a>')
    (folder / "thing-1.0.tar.gz").write_bytes(CONTENT)
    assert fetch(PINNED, _environment(tmp_path, (tmp_path / "simple").as_uri())) == CONTENT


def test_a_password_goes_to_its_index_only(index: _Index, tmp_path: Path) -> None:
    index.needs = "Basic " + base64.b64encode(b"me:p@ss").decode()
    _html(index)
    environment = _environment(tmp_path, f"http://me:p%40ss@127.0.0.1:{index.server_port}/simple")
    assert fetch(PINNED, environment) == CONTENT
    with pytest.raises(NotFetched) as refused:
        fetch(PINNED, {**environment, "PIP_INDEX_URL": environment["PIP_INDEX_URL"].replace("p%40ss", "wrong")})
    assert refused.value.reasons == [f"http://127.0.0.1:{index.server_port}/simple/: HTTP 401"]


def test_the_next_index_is_asked(index: _Index, tmp_path: Path) -> None:
    _html(index)
    more = {"PIP_EXTRA_INDEX_URL": f"{NOWHERE} http://127.0.0.1:{index.server_port}/simple"}
    assert fetch(PINNED, {**_environment(tmp_path, NOWHERE), **more}) == CONTENT


def test_other_bytes_are_refused(index: _Index, tmp_path: Path) -> None:
    _html(index)
    index.pages["/files/thing-1.0.tar.gz"] = ("application/gzip", b"something else")
    with pytest.raises(NotFetched) as refused:
        fetch(PINNED, _environment(tmp_path, f"http://127.0.0.1:{index.server_port}/simple"))
    assert "another sha256" in refused.value.reasons[0]


@pytest.mark.parametrize("page", [b"", b"\xff\xfe<a href>", b"<a href='ftp://x/thing-1.0.tar.gz'>", b"<a href=''>"])
def test_useless_pages_are_reasons(index: _Index, tmp_path: Path, page: bytes) -> None:
    index.pages["/simple/thing/"] = ("text/html", page)
    with pytest.raises(NotFetched) as refused:
        fetch(PINNED, _environment(tmp_path, f"http://127.0.0.1:{index.server_port}/simple"))
    assert len(refused.value.reasons) == 1


def test_indexes_in_the_order_of_their_tools(tmp_path: Path) -> None:
    ini, toml = tmp_path / "pip.conf", tmp_path / "uv.toml"
    ini.write_text("[global]\nindex-url = https://a.example/simple\nextra-index-url = https://b.example/simple\n")
    toml.write_text('[[index]]\nname = "c"\nurl = "https://c.example/simple"\n')
    (broken := tmp_path / "broken.toml").write_text("= nothing")
    files = [ini, toml, broken, tmp_path / "absent.conf"]
    found = ["https://a.example/simple/", "https://b.example/simple/", "https://c.example/simple/"]
    assert index_urls({}, files) == found
    assert index_urls({}, []) == ["https://pypi.org/simple/"]
    named = {"UV_DEFAULT_INDEX": "https://d.example/simple", "UV_INDEX": "e=https://e.example/simple"}
    assert index_urls(named, [])[:2] == ["https://d.example/simple/", "https://e.example/simple/"]


def test_messages_carry_no_password() -> None:
    assert without_credentials("https://me:secret@a.example/simple/") == "https://a.example/simple/"

"""A source on the loopback interface that fails a few times before it answers."""

from __future__ import annotations

import hashlib
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from mend.demo.plan import SOURCE_FAILURES

# Batch ids are derived from addresses: with this port free, two runs have the same ids.
PREFERRED_PORT = 47013
RETRY_AFTER_SECONDS = 1


class Answer(NamedTuple):
    """One request as it was answered."""

    method: str
    path: str
    status: int


class SourceServer:
    """Serves the files of one folder; the first ``failures`` requests for each get 503 and Retry-After.

    Use it as a context manager. ``answers`` tells what was asked, in order.
    """

    def __init__(
        self,
        folder: Path,
        *,
        failures: int = SOURCE_FAILURES,
        retry_after_seconds: int = RETRY_AFTER_SECONDS,
        port: int = PREFERRED_PORT,
    ) -> None:
        self.folder = folder
        self.failures = failures
        self.retry_after_seconds = retry_after_seconds
        self.answers: list[Answer] = []
        self._lock = threading.Lock()
        self._asked: dict[str, int] = {}
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError:
            self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.source = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port listened on: the preferred one, or any when that is taken."""
        return int(self._server.server_address[1])

    def url(self, name: str) -> str:
        """The address of a file of the folder."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def refuses(self, method: str, path: str) -> bool:
        """Count the request; whether it is one of those that fail."""
        with self._lock:
            self._asked[path] = self._asked.get(path, 0) + 1
            return self._asked[path] <= self.failures

    def answered(self, answer: Answer) -> None:
        """Remember an answer."""
        with self._lock:
            self.answers.append(answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    source: SourceServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._respond(with_content=True)

    def do_HEAD(self) -> None:
        self._respond(with_content=False)

    def _respond(self, *, with_content: bool) -> None:
        source = self.server.source
        name = unquote(urlsplit(self.path).path).lstrip("/")
        # The folder's own listing decides what exists, so that no path leads out of it.
        path = next((path for path in sorted(source.folder.iterdir()) if path.name == name and path.is_file()), None)
        if path is None:
            self._send(404, b"there is no such file\n", {}, with_content=with_content)
        elif source.refuses(self.command, self.path):
            headers = {"Retry-After": str(source.retry_after_seconds)}
            self._send(503, b"busy, please come again\n", headers, with_content=with_content)
        else:
            content = path.read_bytes()
            headers = {
                "Content-Type": "text/csv; charset=utf-8",
                "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
                "Last-Modified": formatdate(path.stat().st_mtime, usegmt=True),
            }
            self._send(200, content, headers, with_content=with_content)

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, with_content: bool) -> None:
        # Remembered before it is sent: whoever has the answer finds it remembered.
        self.server.source.answered(Answer(self.command, self.path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            try:
                self.wfile.write(content)
            except ConnectionError:
                self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Say nothing: the demonstration shows what happens."""

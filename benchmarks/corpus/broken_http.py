"""An HTTP server that fails as it is asked to: `python -m benchmarks.corpus.broken_http PORT [CERTIFICATE]`.

Paths: `/status/403`, `/slow`, `/reset`, `/short`, `/badgzip`, `/notjson`, `/html`, `/redirect`, `/empty`,
`/api/<status>/<reason>`.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SLOW_SECONDS = 30


class Broken(BaseHTTPRequestHandler):
    """One way to fail per path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Fail as the path says."""
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        parts = self.path.partition("?")[0].strip("/").split("/")
        kind = parts[0]
        if kind == "status":
            self._status(int(parts[1]))
        elif kind == "api":
            self._api(int(parts[1]), parts[2] if len(parts) > 2 else "backendError")
        elif kind == "slow":
            time.sleep(_SLOW_SECONDS)
        elif kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif kind == "redirect":
            self._answer(302, b"", "text/html", {"Location": "/redirect"})
        else:
            self._body(kind)

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET

    def _body(self, kind: str) -> None:
        if kind == "short":
            self._answer(200, b"only this", "text/csv", {"Content-Length": "1000"})
        elif kind == "badgzip":
            self._answer(200, b"this is no gzip", "application/json", {"Content-Encoding": "gzip"})
        elif kind == "notjson":
            self._answer(200, b'{"rows": [1, 2,', "application/json", {})
        elif kind == "html":
            self._answer(200, b"<html><body>Sign in</body></html>", "text/html", {})
        elif kind == "empty":
            self.close_connection = True
        else:
            self._answer(200, b'{"rows": [{"id": 1, "name": "a"}]}', "application/json", {})

    def _status(self, status: int) -> None:
        extra = {"Retry-After": "30"} if status in (429, 503) else {}
        extra |= {"WWW-Authenticate": "Basic"} if status == 401 else {}
        name = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
        self._answer(status, name.encode(), "text/plain", extra)

    def _api(self, status: int, reason: str) -> None:
        name = HTTPStatus(status).phrase
        error = {"code": status, "message": name, "errors": [{"message": name, "domain": "global", "reason": reason}]}
        self._answer(status, json.dumps({"error": error}).encode(), "application/json", {})

    def _answer(self, status: int, body: bytes, kind: str, extra: dict[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **extra}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if int(headers["Content-Length"]) > len(body):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


def main() -> None:
    """Serve until stopped."""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Broken)
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

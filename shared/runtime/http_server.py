"""A small HTTP server on this machine alone, for what other systems send to a process that runs everything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from shared.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Request

HOST = "127.0.0.1"

Answer = Callable[["Request"], tuple[str, int]]


class LocalServer:
    """Answers on ``127.0.0.1`` in threads of its own until closed. Routes are by the first segment of the path."""

    def __init__(self, port: int, routes: Mapping[str, Answer]) -> None:
        from werkzeug.serving import make_server

        self._routes = dict(routes)
        self._socket = _bound(port)
        self.port = int(self._socket.getsockname()[1])
        self._server = make_server(
            HOST, self.port, self._application, threaded=True, request_handler=_quiet(), fd=self._socket.fileno()
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nothing more."""
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()
        self._socket.close()

    def _application(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        from flask import Request
        from werkzeug.wrappers import Response

        request = Request(environ)
        text, status = self._answer(request)
        response = Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")
        return response(environ, start_response)

    def _answer(self, request: Request) -> tuple[str, int]:
        if request.headers.get("Origin"):
            return "web pages may not send here", 403  # whoever browses on this machine did not mean to
        route = self._routes.get(request.path.strip("/").partition("/")[0])
        return route(request) if route is not None else ("there is nothing here", 404)


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen(64)
    except OSError as error:
        bound.close()
        what = f"port {port} cannot be listened on ({error.strerror}); choose another with --port"
        raise StoreUnavailable(what) from error
    return bound


def _quiet() -> type:
    from werkzeug.serving import WSGIRequestHandler

    class Quiet(WSGIRequestHandler):
        """The event log says what was taken in."""

        def log(self, *said: object) -> None:
            """Nothing."""

    return Quiet

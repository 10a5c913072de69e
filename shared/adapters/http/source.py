"""Deliveries on the web, by GET."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import unquote, urljoin, urlsplit

from shared.domain.errors import ForeignFailure
from shared.domain.masking import clean
from shared.ports.source import Found

if TYPE_CHECKING:
    import httpx
    from _typeshed import WriteableBuffer

_REDIRECTS_MAX: Final = 5
_BYTES_MAX: Final = 20 << 30
_BUFFER_BYTES: Final = 1 << 20
# A server that does not know HEAD may still know GET.
_NO_HEAD: Final = frozenset({400, 403, 404, 405, 406, 501})
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity"}


class HttpSource:
    """The Source port for one web address at a time: it names itself and nothing else."""

    def __init__(self, timeout_seconds: float = 60.0, bytes_max: int = _BYTES_MAX) -> None:
        self._timeout_seconds = timeout_seconds
        self._bytes_max = bytes_max

    def discover(self, uri: str) -> Iterator[Found]:
        """The object at ``uri``; its generation is the server's validator, else a digest of the content."""
        with self._client() as client, _failing():
            generation, size, arrived = "", 0, 0
            with self._answer(client, "HEAD", uri) as answer:
                if answer.is_success:
                    generation, size, arrived = _version(answer)
                elif answer.status_code not in _NO_HEAD:
                    raise _refused(answer)
            if not generation:
                with self._answer(client, "GET", uri) as answer:
                    if not answer.is_success:
                        raise _refused(answer)
                    generation, size, arrived = _version(answer)
                    if not generation:
                        generation, size = self._digest(answer)
        return iter([Found(uri, _name(uri), generation, size, arrived)])

    def open(self, uri: str) -> BinaryIO:
        """The object's bytes as they come; too many, or fewer than announced, are a failure of the source."""
        with ExitStack() as stack, _failing():
            client = stack.enter_context(self._client())
            answer = stack.enter_context(self._answer(client, "GET", uri))
            if not answer.is_success:
                raise _refused(answer)
            body = _Body(answer.iter_bytes(_BUFFER_BYTES), self._bytes_max, stack.pop_all())
            return cast("BinaryIO", io.BufferedReader(body, _BUFFER_BYTES))

    def _client(self) -> httpx.Client:
        import httpx

        return httpx.Client(timeout=self._timeout_seconds, headers=_HEADERS, follow_redirects=False)

    @contextmanager
    def _answer(self, client: httpx.Client, method: str, uri: str) -> Iterator[httpx.Response]:
        """The answer after redirects; those that lead to another scheme (but from http to https) are refused."""
        target = uri
        for _ in range(_REDIRECTS_MAX + 1):
            with client.stream(method, target) as answer:
                if not answer.has_redirect_location:
                    yield answer
                    return
                following = urljoin(target, answer.headers["location"])
            schemes = (urlsplit(target).scheme.lower(), urlsplit(following).scheme.lower())
            if schemes not in (("http", "http"), ("http", "https"), ("https", "https")):
                raise ForeignFailure(
                    "the source redirects to another scheme",
                    system="http",
                    exception_type="RedirectRefused",
                    http_status=answer.status_code,
                )
            target = following
        raise ForeignFailure("the source redirects in circles", system="http", exception_type="TooManyRedirects")

    def _digest(self, answer: httpx.Response) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        for chunk in answer.iter_bytes(_BUFFER_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if size > self._bytes_max:
                raise _too_large(self._bytes_max)
        return f"sha256-{digest.hexdigest()[:32]}", size


class _Body(io.RawIOBase):
    """An answer's body as a file."""

    def __init__(self, chunks: Iterator[bytes], bytes_max: int, stack: ExitStack) -> None:
        self._chunks = chunks
        self._bytes_left = bytes_max
        self._bytes_max = bytes_max
        self._stack = stack
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with _failing():
            while not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return 0
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise _too_large(self._bytes_max)
                self._rest = memoryview(chunk)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._stack.close()
        super().close()


@contextmanager
def _failing() -> Iterator[None]:
    """What httpx raises leaves this context as the source's failure, under the name of its class."""
    import httpx

    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        message = clean(f"{_address(error)}{str(error) or type(error).__name__}")
        raise ForeignFailure(message, system="http", exception_type=type(error).__name__) from error


def _address(error: Exception) -> str:
    """What was asked when it failed, without the question's parameters; "" when nothing was."""
    try:
        url = error.request.url  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):
        return ""
    return f"{url.copy_with(query=None, fragment=None)}: "


def _refused(answer: httpx.Response) -> ForeignFailure:
    wait = answer.headers.get("retry-after", "")
    asked = answer.url.copy_with(query=None, fragment=None)
    return ForeignFailure(
        clean(f"{asked}: the source answered {answer.status_code} {answer.reason_phrase}"),
        system="http",
        exception_type="HTTPStatusError",
        http_status=answer.status_code,
        reason=clean(f"retry_after={wait}", 80) if wait else "",
    )


def _too_large(bytes_max: int) -> ForeignFailure:
    message = f"the object has more than {bytes_max} bytes"
    return ForeignFailure(message, system="http", exception_type="ObjectTooLarge", reason="too_large")


def _version(answer: httpx.Response) -> tuple[str, int, int]:
    """Generation ("" when the server gives no validator), bytes and time of arrival in nanoseconds (0 = unknown)."""
    length = answer.headers.get("content-length", "")
    size = int(length) if length.isdecimal() else 0
    modified = answer.headers.get("last-modified", "")
    arrived = 0
    try:
        arrived = int(parsedate_to_datetime(modified).timestamp()) * 1_000_000_000 if modified else 0
    except (ValueError, OverflowError):
        modified = ""
    etag = answer.headers.get("etag", "")
    if etag:
        return f"etag-{etag[:300]}", size, arrived
    return (f"{arrived}-{size}" if modified and length else ""), size, arrived


def _name(uri: str) -> str:
    parts = urlsplit(uri)
    return unquote(parts.path.rstrip("/").rsplit("/", 1)[-1]) or parts.hostname or "unnamed"

"""Deliveries that lie as objects in Cloud Storage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, cast

from shared.adapters.gcp.errors import web_errors
from shared.adapters.gcp.object_store import CHUNK_BYTES
from shared.domain.errors import ForeignFailure
from shared.domain.masking import clean
from shared.ports.source import Found

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

SYSTEM: Final = "gcs"
_MAGIC: Final = re.compile(r"[*?\[]")
_TIMEOUT_SECONDS: Final = 60.0
_NANOSECONDS: Final = 1_000_000_000


class GcsSource:
    """The Source port for ``gs://bucket/name``; ``*``, ``?``, ``[…]`` and ``**`` as in a shell.

    A path without scheme lies in the project's own folder of a bucket (``home``). What is found always has its whole
    URI, so that an object is the same however it was asked for.
    """

    def __init__(self, bucket: Callable[[str], Bucket], home: str) -> None:
        self._bucket = cache(bucket)
        self._home = home.rstrip("/")

    def discover(self, uri: str) -> Iterator[Found]:
        """Every object that ``uri`` (an object, a folder, a pattern) names now, by name."""
        bucket, pattern = self._parted(uri)
        plain = _MAGIC.split(pattern, maxsplit=1)[0]
        with _failing(uri):
            if plain == pattern and not pattern.endswith("/"):
                blob = self._bucket(bucket).get_blob(pattern, timeout=_TIMEOUT_SECONDS)
                if blob is None:
                    raise _failure(uri, "NotFound", 404, "there is no such object")
                return iter([_found(bucket, blob)])
            matches = re.compile(_expression(pattern + "*" * pattern.endswith("/")))
            listed = self._bucket(bucket).list_blobs(prefix=plain or None, timeout=_TIMEOUT_SECONDS)
            found = [_found(bucket, blob) for blob in listed if matches.fullmatch(blob.name)]
        return iter(sorted(found, key=lambda each: (each.name, each.uri)))

    def open(self, uri: str) -> BinaryIO:
        """The object's bytes as they are now, whole or not at all."""
        bucket, name = self._parted(uri)
        with _failing(uri):
            blob = self._bucket(bucket).get_blob(name, timeout=_TIMEOUT_SECONDS)
            if blob is None:
                raise _failure(uri, "NotFound", 404, "there is no such object")
            stream = blob.open(
                "rb", chunk_size=CHUNK_BYTES, timeout=_TIMEOUT_SECONDS, if_generation_match=blob.generation
            )
        return cast("BinaryIO", _Stream(stream, uri))

    def _parted(self, uri: str) -> tuple[str, str]:
        whole = uri if uri.startswith("gs://") else f"{self._home}/{uri.removeprefix('./')}"
        bucket, _, name = whole.removeprefix("gs://").partition("/")
        if not bucket or not name or not whole.startswith("gs://"):
            raise ForeignFailure("an object is named gs://bucket/name", system=SYSTEM, reason="invalid")
        return bucket, name


class _Stream:
    """A reader whose troubles are the source's, not ours."""

    def __init__(self, stream: Any, uri: str) -> None:
        self._stream = stream
        self._uri = uri

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, all that are left by default."""
        with _failing(self._uri):
            return cast("bytes", self._stream.read(size))

    def close(self) -> None:
        """Give back what it holds."""
        self._stream.close()


def _expression(pattern: str) -> str:
    """The pattern as a regular expression; ``*`` stays inside a folder, ``**/`` is any folders or none."""
    parts = re.split(r"(\*\*/?|\*|\?|\[[^\]/]+\])", pattern)
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        signs.get(part) or (f"[{part[1:-1].replace('!', '^', 1)}]" if part.startswith("[") else re.escape(part))
        for part in parts
        if part
    )


def _found(bucket: str, blob: Blob) -> Found:
    arrived = int(blob.updated.timestamp() * _NANOSECONDS) if blob.updated else 0
    name = blob.name.rsplit("/", 1)[-1]
    return Found(f"gs://{bucket}/{blob.name}", name, str(blob.generation), int(blob.size or 0), arrived)


@contextmanager
def _failing(uri: str) -> Iterator[None]:
    try:
        yield
    except web_errors() as error:
        status = int(getattr(error, "code", 0) or 0)
        raise _failure(uri, type(error).__name__, status, str(getattr(error, "message", error))) from error


def _failure(uri: str, kind: str, status: int, message: str) -> ForeignFailure:
    return ForeignFailure(clean(f"{uri}: {message}"), system=SYSTEM, exception_type=kind, http_status=status)

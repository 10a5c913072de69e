"""Objects of one Cloud Storage bucket."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from shared.adapters.gcp import channels
from shared.adapters.gcp.errors import translated, web_errors
from shared.domain.checks import check
from shared.domain.errors import DefinitionError, ObjectsUnavailable
from shared.ports.object_store import ObjectInfo

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

CHUNK_BYTES: Final = 8 * 1024 * 1024  # of an upload or download; as much of an object is in memory
_TIMEOUT_SECONDS: Final = 60.0
_NAME_BYTES_MAX: Final = 1_024


def bucket_of(project: str, name: str, emulator: str = "") -> Bucket:
    """A bucket, which nothing has asked for yet; ``DefinitionError`` where Google's libraries have no credentials.

    It is the first client that a command makes: what it lacks all the others lack.
    """
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage

    if emulator:
        options = {"api_endpoint": emulator}
        return storage.Client(project, credentials=channels.anonymous(), client_options=options).bucket(name)
    try:
        return storage.Client(project).bucket(name)
    except DefaultCredentialsError as error:
        hint = "gcloud auth application-default login"
        raise DefinitionError("environment", 0, 0, "there are no credentials for Google's libraries", hint) from error


class GcsObjectStore:
    """An ``ObjectStore`` in one bucket.

    Writing is a resumable upload in chunks: the object appears when its last byte has arrived, and an upload that is
    given up leaves nothing. What is written under a name is always the same (the name is made of what it holds), so
    an upload may be repeated and needs no precondition. A reader is tied to the generation that it opened: it never
    gets half of one and half of another, but ``ObjectsUnavailable`` when what it had not read yet was replaced.
    """

    def __init__(self, bucket: Bucket, *, retry_seconds: float = 20.0) -> None:
        from google.cloud.storage.retry import DEFAULT_RETRY

        self._bucket = bucket
        # Two minutes are the library's default; the event comes again anyway.
        self._how: dict[str, Any] = {"timeout": _TIMEOUT_SECONDS, "retry": DEFAULT_RETRY.with_timeout(retry_seconds)}

    @contextmanager
    def write(self, path: str) -> Iterator[BinaryIO]:
        """A stream whose content appears under ``path`` when the context ends well."""
        blob = self._bucket.blob(_checked(path), chunk_size=CHUNK_BYTES)
        stream = blob.open("wb", ignore_flush=True, **self._how)
        ours = _Stream(stream, path)
        whole = False
        try:
            yield cast("BinaryIO", ours)
            whole = True
        finally:
            if not whole:
                stream.terminate()
        ours.finish()

    def read(self, path: str) -> BinaryIO:
        """The object's bytes as they are now, fetched in chunks as they are asked for."""
        blob = self._blob(path)
        if blob is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", path)
        raw = blob.open("rb", chunk_size=CHUNK_BYTES, **self._how, if_generation_match=blob.generation)
        return cast("BinaryIO", _Stream(raw, path))

    def stat(self, path: str) -> ObjectInfo | None:
        """What is stored under ``path``, or None."""
        blob = self._blob(path)
        return None if blob is None else _info(blob)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose path starts with ``prefix``, by path."""
        with _translating(prefix):
            found = self._bucket.list_blobs(prefix=prefix or None, **self._how)
        pages = iter(found.pages)
        while True:
            with _translating(prefix):
                page = next(pages, None)
            if page is None:
                return
            yield from (_info(blob) for blob in page)

    def delete(self, path: str) -> None:
        """Remove the object; harmless when it is not there."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(_checked(path))
        with _translating(path):
            try:
                blob.delete(**self._how)
            except NotFound:
                return

    def uri(self, path: str) -> str:
        """gs://bucket/path."""
        return f"gs://{self._bucket.name}/{_checked(path)}"

    def _blob(self, path: str) -> Blob | None:
        name = _checked(path)
        with _translating(path):
            return self._bucket.get_blob(name, **self._how)


class _Stream(io.BufferedIOBase):
    """Google's reader or writer, whose errors leave as ours."""

    def __init__(self, stream: Any, path: str) -> None:
        self._stream = stream
        self._path = path

    def read(self, size: int | None = -1, /) -> bytes:
        with _translating(self._path):
            return cast("bytes", self._stream.read(-1 if size is None else size))

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(size)

    def readinto(self, buffer: Any, /) -> int:
        with _translating(self._path):
            view = memoryview(buffer).cast("B")
            found = self._stream.read(len(view))
            view[: len(found)] = found
            return len(found)

    def write(self, data: Any, /) -> int:
        with _translating(self._path):
            return cast("int", self._stream.write(data))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        with _translating(self._path):
            return cast("int", self._stream.seek(offset, whence))

    def tell(self) -> int:
        return cast("int", self._stream.tell())

    def readable(self) -> bool:
        return bool(self._stream.readable())

    def writable(self) -> bool:
        return bool(self._stream.writable())

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def flush(self) -> None:
        """A part that is sent cannot be taken back, so nothing is sent before its chunk is full."""

    def finish(self) -> None:
        """Send what is left; then the object is there."""
        with _translating(self._path):
            self._stream.close()

    def close(self) -> None:
        if not self.closed and self._stream.readable():
            self._stream.close()
        super().close()


@contextmanager
def _translating(path: str) -> Iterator[None]:
    try:
        yield
    except web_errors() as error:
        raise translated(error, f"object {path}", ObjectsUnavailable) from error


def _info(blob: Blob) -> ObjectInfo:
    return ObjectInfo(blob.name, int(blob.size or 0), str(blob.generation))


def _checked(path: str) -> str:
    """The path, if it is made of plain names: what means something to a file system means nothing here."""
    check(
        all(part not in ("", ".", "..") for part in path.split("/"))
        and not any(character in path for character in "\\\0\r\n")
        and len(path.encode()) <= _NAME_BYTES_MAX,
        "an object's path is relative and made of plain names",
    )
    return path

"""Deliveries that lie as files on this machine, and the choice between files and the web by a URI's scheme."""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import quote, unquote_to_bytes

from shared.domain.errors import ForeignFailure
from shared.domain.masking import clean
from shared.ports.source import Found, Source

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAGIC: Final = re.compile(r"[*?\[]")
_BYTES: Final = "file-bytes:"
_UNFINISHED: Final = (".tmp", ".part")
_BUFFER_BYTES: Final = 1 << 20


class UriSource:
    """The Source port for URIs of any scheme: ``http(s)://`` goes to the web, everything else is a file."""

    def __init__(self, files: Source, http: Source) -> None:
        self._files = files
        self._http = http

    def discover(self, uri: str) -> Iterator[Found]:
        """Every object that ``uri`` names now, by name."""
        return self._of(uri).discover(uri)

    def open(self, uri: str) -> BinaryIO:
        """The object's bytes as a stream, read once."""
        return self._of(uri).open(uri)

    def _of(self, uri: str) -> Source:
        return self._http if uri.lower().startswith(("http://", "https://")) else self._files


class FilesSource:
    """Files below a project's folder, or anywhere by absolute path; ``*``, ``?``, ``[…]`` and ``**`` as in a shell.

    Hidden files and those still being written (``.tmp``, ``.part``) are not there yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def discover(self, uri: str) -> Iterator[Found]:
        """Every file that ``uri`` (a file, a folder, a pattern) names now, by name.

        A URI keeps the form in which it was asked for, so that a project's folder can move.
        """
        pattern = _path_of(uri)
        found: dict[str, Found] = {}
        with _failing(uri):
            if _MAGIC.search(pattern):
                base, segments = _split(pattern)
                for path in _matches(self._root, base, segments):
                    self._add(found, path, must_be_there=False)
            elif (self._root / pattern).is_dir():
                for path in _matches(self._root, pattern.rstrip("/"), ["*"]):
                    self._add(found, path, must_be_there=False)
            else:
                self._add(found, pattern, must_be_there=True)
        return iter(sorted(found.values(), key=lambda item: (item.name, item.uri)))

    def open(self, uri: str) -> BinaryIO:
        """The file's bytes."""
        path = self._root / _path_of(uri)
        with _failing(uri):
            # A pipe would wait for a writer for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise _failure(uri, OSError(errno.EINVAL, "not a regular file"))
            return cast("BinaryIO", io.BufferedReader(_File(os.fdopen(descriptor, "rb", 0), uri), _BUFFER_BYTES))

    def at_rest(self, uri: str) -> bool:
        """True when the system says that nobody has the file open for writing; False also when it cannot tell."""
        lease = getattr(fcntl, "F_SETLEASE", None)  # Linux grants it on a file of one's own that nobody writes
        if lease is None or uri.lower().startswith(("http://", "https://")):
            return False
        try:
            descriptor = os.open(self._root / _path_of(uri), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ForeignFailure):
            return False
        try:
            fcntl.fcntl(descriptor, lease, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, lease, fcntl.F_UNLCK)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _add(self, found: dict[str, Found], path: str, must_be_there: bool) -> None:
        try:
            status = (self._root / path).stat()
        except FileNotFoundError:
            if must_be_there:
                raise
            return
        if stat.S_ISREG(status.st_mode):
            name = path.rsplit("/", 1)[-1]
            generation = f"{status.st_mtime_ns}-{status.st_size}"
            name = name.encode("utf-8", "backslashreplace").decode()
            found[path] = Found(_uri_of(path), name, generation, status.st_size, status.st_mtime_ns)


class _File(io.RawIOBase):
    """A file whose troubles while being read are the source's, not ours."""

    def __init__(self, file: io.FileIO, uri: str) -> None:
        self._file = file
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        with _failing(self._uri):
            return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _failing(self._uri):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def _failing(uri: str) -> Iterator[None]:
    """What the operating system refuses leaves this context as the source's failure."""
    try:
        yield
    except OSError as error:
        raise _failure(uri, error) from error


def _failure(uri: str, error: OSError) -> ForeignFailure:
    reason = errno.errorcode.get(error.errno or 0, "")
    message = clean(f"{uri}: {error.strerror or type(error).__name__}")
    return ForeignFailure(message, system="files", exception_type=type(error).__name__, reason=reason)


def _uri_of(path: str) -> str:
    """The path; where a name is no UTF-8 and could not be written down, its bytes percent-encoded."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return _BYTES + quote(os.fsencode(path))
    return path


def _path_of(uri: str) -> str:
    path = os.fsdecode(unquote_to_bytes(uri.removeprefix(_BYTES))) if uri.startswith(_BYTES) else uri
    path = path.removeprefix("file://")
    if not path or "\x00" in path:
        raise ForeignFailure("a file's name is empty or contains NUL", system="files", reason="EINVAL")
    return path


def _split(pattern: str) -> tuple[str, list[str]]:
    """The part of a pattern without wildcards ("" = the root, ends without "/"), and the segments after it."""
    segments = pattern.split("/")
    plain = next(index for index, segment in enumerate(segments) if _MAGIC.search(segment))
    base = "/".join(segments[:plain])
    return ("/" if pattern.startswith("/") and not base else base), [part for part in segments[plain:] if part]


def _matches(root: Path, folder: str, segments: list[str]) -> Iterator[str]:
    """Paths of files that match, each with ``folder`` before it; a folder that cannot be listed is an error."""
    segment, rest = segments[0], segments[1:]
    prefix = folder if folder in ("", "/") else f"{folder}/"
    if segment == "**":
        yield from _matches(root, folder, rest or ["*"])
    elif rest and not _MAGIC.search(segment):
        if (root / f"{prefix}{segment}").is_dir():
            yield from _matches(root, f"{prefix}{segment}", rest)
        return
    with os.scandir(root / (folder or ".")) as entries:
        listed = sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in entries)
    for name, is_folder, is_link in listed:
        if name.startswith("."):
            continue
        if segment == "**":
            if is_folder and not is_link:  # a link may lead back up
                yield from _matches(root, f"{prefix}{name}", segments)
        elif fnmatch.fnmatchcase(name, segment):
            if rest and is_folder:
                yield from _matches(root, f"{prefix}{name}", rest)
            elif not rest and not is_folder and not name.endswith(_UNFINISHED):
                yield f"{prefix}{name}"

"""Objects as files of a folder: they appear whole, durable and under their name, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from shared.domain.checks import check
from shared.domain.errors import ObjectsUnavailable
from shared.ports.object_store import ObjectInfo

UNFINISHED_FOLDER = ".unfinished"
UNFINISHED_HOURS_MAX = 24

_FULL = "the disk is full; free some space, then try again"
_DENIED = "this user may not; make the folder readable and writable for it, then try again"
_BUSY = "too many files are open; close something, or raise the limit (ulimit -n)"
# What the system says, and what a person can do about it; anything else is shown by the system's own name for it.
ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "the file system takes no file that large; use another one",
    errno.EROFS: "the disk is read-only; make it writable or move the project, then try again",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EMFILE: _BUSY,
    errno.ENFILE: _BUSY,
    errno.EIO: "the disk failed; check it",
    errno.ESTALE: "the network disk has gone away; mount it again",
    errno.ENAMETOOLONG: "the name is too long for this file system; move the project to a shorter path",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away",
    errno.EISDIR: "a folder stands where a file is needed; move it away",
    errno.ENOTEMPTY: "a folder stands where a file is needed; move it away",
    errno.EEXIST: "a file stands where a folder is needed; move it away",
}
# In somebody else's writing these can only mean our disk; other errors there (a network's) are not ours to explain.
_OF_OUR_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class FolderObjectStore:
    """An ``ObjectStore`` in ``root``; ``durable=False`` leaves the moment of reaching the disk to the system."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self._root = Path(os.path.realpath(root))
        self._unfinished = self._root / UNFINISHED_FOLDER
        self._durable = durable
        self._clean()

    @contextmanager
    def write(self, path: str) -> Iterator[BinaryIO]:
        """A file that takes its place under ``path`` when the context ends well."""
        target = self.local_path(path)
        unfinished = self._unfinished / f"{os.getpid()}-{secrets.token_hex(8)}"
        with self._translated(path):
            self._make_folder(self._unfinished)
            stream = unfinished.open("xb")
        try:
            try:
                yield stream
            except OSError as error:
                if error.errno in _OF_OUR_DISK:
                    raise _unavailable(path, error) from error
                raise
            with self._translated(path):
                stream.flush()
                if self._durable:
                    os.fsync(stream.fileno())
                stream.close()
                self._make_folder(target.parent)
                unfinished.replace(target)
                self._sync(target.parent)
        finally:
            with suppress(OSError):  # after a failure, what is still to be written fails again
                stream.close()
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def read(self, path: str) -> BinaryIO:
        """The file, opened for reading."""
        place = self.local_path(path)
        with self._translated(path):
            try:
                return place.open("rb")
            except (NotADirectoryError, IsADirectoryError) as error:
                raise FileNotFoundError(errno.ENOENT, "no such object", path) from error

    def stat(self, path: str) -> ObjectInfo | None:
        """What is stored under ``path``, or None."""
        place = self.local_path(path)
        with self._translated(path):
            try:
                found = place.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return None if place.is_dir() else _info(path, found)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose path starts with ``prefix``, by path; folders are read one after the other."""
        folder = prefix.rpartition("/")[0]
        if folder:
            self.local_path(folder)
        yield from self._list(f"{folder}/" if folder else "", prefix)

    def delete(self, path: str) -> None:
        """Remove the object; harmless when it is not there."""
        place = self.local_path(path)
        if place.is_dir():
            return
        with self._translated(path), suppress(FileNotFoundError, NotADirectoryError):
            place.unlink()

    def uri(self, path: str) -> str:
        """The absolute path of the file."""
        return str(self.local_path(path))

    def local_path(self, path: str) -> Path:
        """Where the object lies; a path that leads out of the store is refused."""
        segments = path.split("/")
        check(
            all(part not in ("", ".", "..") for part in segments) and "\\" not in path and "\0" not in path,
            "an object's path is relative and made of plain names",
        )
        check(segments[0] != UNFINISHED_FOLDER, f"{UNFINISHED_FOLDER} holds what is not an object yet")
        place = self._root
        for part in segments:
            place /= part
            if place.is_symlink():
                real = os.path.realpath(place)
                check(real.startswith(f"{self._root}{os.sep}"), "a link leads out of the store")
        return place

    def _list(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        with self._translated(prefix):
            try:
                with os.scandir(self._root / folder) as found:
                    # A folder sorts by its name with the slash, so that paths come in the order of their characters.
                    entries = sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in found)
            except (FileNotFoundError, NotADirectoryError):
                return
        for name, entry in entries:
            path = folder + name
            if name == f"{UNFINISHED_FOLDER}/" and not folder:
                continue
            if path.endswith("/"):
                if path.startswith(prefix) or prefix.startswith(path):
                    yield from self._list(path, prefix)
            elif path.startswith(prefix) and entry.is_file():
                with suppress(FileNotFoundError), self._translated(path):
                    yield _info(path, entry.stat())

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """The system's errors as ours; that there is no such file is an answer, not an error."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unavailable(path, error) from error

    def _make_folder(self, folder: Path) -> None:
        """The folder and those above it, each known to the one that holds it, even after a power failure."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            self._sync(each.parent)

    def _sync(self, folder: Path) -> None:
        if not self._durable:
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _clean(self) -> None:
        """Remove what died unfinished; age is measured by the clock that dates files, which is the system's."""
        oldest = time.time() - UNFINISHED_HOURS_MAX * 3_600
        with suppress(OSError):  # a store that cannot be cleaned says so when it is written
            for left_over in self._unfinished.iterdir():
                with suppress(FileNotFoundError):
                    if left_over.stat().st_mtime < oldest:
                        left_over.unlink()


def _info(path: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(path, found.st_size, f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}")


def _unavailable(path: str, error: OSError) -> ObjectsUnavailable:
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    advice = ADVICE.get(error.errno or 0, "the system did not do what was asked")
    return ObjectsUnavailable(f"object {path}: {advice} ({name})")

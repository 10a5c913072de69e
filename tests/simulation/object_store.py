"""Objects in memory: whole under their name, or not at all."""

from __future__ import annotations

import errno
import io
from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from typing import BinaryIO

from shared.domain.checks import check
from shared.ports.object_store import ObjectInfo


class SimulatedObjectStore:
    """``contents`` holds everything, by path; to look at, not to change."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self._names: list[str] = []  # in order
        self._generations: dict[str, int] = {}
        self._written = 0

    @contextmanager
    def write(self, path: str) -> Iterator[BinaryIO]:
        """A stream that takes its place when the context ends well."""
        _refuse(path)
        stream = io.BytesIO()
        yield stream
        self._written += 1
        if path not in self.contents:
            insort(self._names, path)
        self.contents[path] = stream.getvalue()
        self._generations[path] = self._written

    def read(self, path: str) -> BinaryIO:
        """The bytes."""
        _refuse(path)
        if path not in self.contents:
            raise FileNotFoundError(errno.ENOENT, "no such object", path)
        return io.BytesIO(self.contents[path])

    def stat(self, path: str) -> ObjectInfo | None:
        """What is there, or None."""
        _refuse(path)
        if path not in self.contents:
            return None
        return ObjectInfo(path, len(self.contents[path]), str(self._generations[path]))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """By path."""
        start = bisect_left(self._names, prefix)
        found = list(takewhile(lambda path: path.startswith(prefix), islice(self._names, start, None)))
        return iter([ObjectInfo(path, len(self.contents[path]), str(self._generations[path])) for path in found])

    def delete(self, path: str) -> None:
        """Harmless when it is not there."""
        _refuse(path)
        if self.contents.pop(path, None) is not None:
            self._names.remove(path)
        self._generations.pop(path, None)

    def uri(self, path: str) -> str:
        """A name that nobody can open."""
        _refuse(path)
        return f"memory:///{path}"


def _refuse(path: str) -> None:
    plain = all(part not in ("", ".", "..") for part in path.split("/")) and "\\" not in path and "\0" not in path
    check(plain, "an object's path is relative and made of plain names")

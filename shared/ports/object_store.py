"""Files under names: deliveries, staged rows, quarantine, repairs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple, Protocol


class ObjectInfo(NamedTuple):
    """One stored object."""

    path: str
    bytes: int
    generation: str  # changes whenever the content is replaced


class ObjectStore(Protocol):
    """Paths are relative, ``/``-separated and made by ``shared.domain.paths``.

    All methods raise ``ObjectsUnavailable`` when the store says no for now (no space included).
    """

    def write(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A stream whose content appears under ``path`` when the context ends well, whole and durable, replacing
        what was there; and not at all when it ends with an exception."""

    def read(self, path: str) -> BinaryIO:
        """A seekable stream of the object's bytes (close it). ``FileNotFoundError`` when there is none."""

    def stat(self, path: str) -> ObjectInfo | None:
        """What is stored under ``path``, or None."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose path starts with ``prefix``, by path."""

    def delete(self, path: str) -> None:
        """Remove the object; harmless when it is not there."""

    def uri(self, path: str) -> str:
        """How the warehouse and people name the object: a local path or gs://…"""

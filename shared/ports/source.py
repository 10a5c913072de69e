"""Where deliveries come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol


class Found(NamedTuple):
    """An object seen at a source. ``generation`` changes when its content does; ``arrived`` is in nanoseconds."""

    uri: str
    name: str
    generation: str
    bytes: int
    arrived: int


class Source(Protocol):
    """All methods raise ``ForeignFailure`` when the source fails (gone, refused, timed out)."""

    def discover(self, uri: str) -> Iterator[Found]:
        """Every object that ``uri`` (a file, a glob, a web address) names now, by name."""

    def open(self, uri: str) -> BinaryIO:
        """The object's bytes as a stream, read once; a read may raise ``ForeignFailure`` too."""

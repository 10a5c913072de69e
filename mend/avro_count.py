"""A second count of the objects in an Avro file: what its whole blocks claim, without a look at what is in them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    _Stream = io.BufferedReader["_Chunks"]

_MAGIC: Final = b"Obj\x01"
_MARK_BYTES: Final = 16
_HEADER_BYTES_MAX: Final = 1 << 24
_BLOCK_MAX: Final = 1 << 28  # bytes or objects of a block that is believed
_CODECS: Final = (b"null", b"deflate", b"snappy", b"zstandard", b"bzip2", b"xz")


class _Unbelievable(Exception):
    """A size or a mark that is not true."""


def count_objects(chunks: Iterable[bytes]) -> tuple[int, str]:
    """How many records there are up to the first block that is not whole, and "" or what is wrong in one word."""
    stream = io.BufferedReader(_Chunks(chunks), 1 << 16)
    magic = stream.read(len(_MAGIC))
    if magic != _MAGIC:
        return 0, "unreadable" if magic else ""
    try:
        codec = _codec(stream)
        mark = _take(stream, _MARK_BYTES)
    except EOFError:
        return 0, "truncated"
    except _Unbelievable:
        return 0, "unreadable"
    if codec not in _CODECS:
        return 0, "unreadable"
    records = 0
    try:
        while stream.peek(1):
            objects, size = _number(stream), _number(stream)
            if max(objects, size) > _BLOCK_MAX or min(objects, size) < 0:
                return records, "corrupt"
            _pass_over(stream, size)
            if _take(stream, _MARK_BYTES) != mark:
                return records, "corrupt"
            records += objects
    except EOFError:
        return records, "truncated"
    return records, ""


def _codec(stream: _Stream) -> bytes:
    """What the header says that blocks are packed by."""
    codec = b"null"
    left = _HEADER_BYTES_MAX
    while entries := _number(stream):
        if entries < 0:
            _number(stream)
        for _ in range(abs(entries)):
            key, value = _text(stream, left), _text(stream, left)
            left -= len(key) + len(value) + 2
            codec = value if key == b"avro.codec" else codec
    return codec


def _text(stream: _Stream, most: int) -> bytes:
    size = _number(stream)
    if not 0 <= size <= most:
        raise _Unbelievable
    return _take(stream, size)


def _number(stream: _Stream) -> int:
    """Seven bits a byte, the lowest first, and the sign in the lowest of all."""
    bits = ""
    while True:
        byte = _take(stream, 1)[0]
        bits = f"{byte & 0x7F:07b}{bits}"
        if byte < 0x80:
            value = int(bits, 2)
            return -(value // 2) - 1 if value % 2 else value // 2
        if len(bits) >= 70:
            return _BLOCK_MAX + 1


def _take(stream: _Stream, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _pass_over(stream: _Stream, size: int) -> None:
    while size > 0:
        size -= len(_take(stream, min(size, 1 << 20)))


class _Chunks(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._held:
            found = next(self._chunks, None)
            if found is None:
                return 0
            self._held = found
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

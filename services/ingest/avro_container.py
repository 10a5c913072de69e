"""Takes an Avro object container apart into its blocks, in bounded memory and believing none of the sizes that it says.

Only the frame is ours: the library that decodes the objects reads as many bytes as a block claims to have, and
decompresses them whatever they become. A block is whole when all its bytes and the file's mark after them are there;
the first that is not ends the reading. So the objects that whole blocks claim are the delivery's records.
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.domain.reading import Problem

MAGIC: Final = b"Obj\x01"
MARK_BYTES: Final = 16
BLOCK_BYTES_MAX: Final = 1 << 28  # packed or not
HEADER_BYTES_MAX: Final = 1 << 24
CODECS: Final = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")
_NUMBER_BYTES_MAX: Final = 10


class Frame(NamedTuple):
    """A whole block: how many objects it claims, and their bytes as they are packed."""

    number: int
    objects: int
    packed: bytes


class AvroDamaged(Exception):
    """The file is not what it should be; its arguments are the problem in one word, and a sentence."""

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem: Problem = problem
        self.reason = reason


class AvroContainer:
    """One file, read from its beginning to its end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._at = 0
        self.codec = ""
        self._schema = b""
        self._mark = b""

    def open(self) -> bool:
        """Reads the header; False when the delivery has no byte. ``AvroDamaged`` when it cannot be read."""
        magic = self._read(len(MAGIC))
        if not magic:
            return False
        if magic != MAGIC:
            raise AvroDamaged("unreadable", "not an Avro file: its first bytes are not those of one")
        try:
            meta = self._meta()
            self._mark = self._exactly(MARK_BYTES)
        except EOFError:
            raise AvroDamaged("truncated", "the delivery ends within the header of the Avro file") from None
        self.codec = meta.get("avro.codec", b"null").decode("ascii", "replace")
        if self.codec not in CODECS:
            known = ", ".join(CODECS)
            raise AvroDamaged("unreadable", f"Avro packed by a codec that is not read: write it with one of {known}")
        self._schema = meta.get("avro.schema", b"")
        return True

    def schema(self) -> Any:
        """What the header says of the objects; ``AvroDamaged`` when that is no JSON."""
        try:
            return json.loads(self._schema)
        except (ValueError, RecursionError):
            raise AvroDamaged("unreadable", "an Avro file without a schema that can be read") from None

    def frames(self) -> Iterator[Frame]:
        """The whole blocks in order; ``AvroDamaged`` at the first that is not."""
        number = 0
        while self._more():
            number += 1
            where = f"block {number} of the Avro file"
            try:
                objects, size = self._number(), self._number()
                if not (0 <= objects <= BLOCK_BYTES_MAX and 0 <= size <= BLOCK_BYTES_MAX):
                    raise AvroDamaged("corrupt", f"{where} claims a size that no block has")
                packed = self._exactly(size)
                mark = self._exactly(MARK_BYTES)
            except EOFError:
                raise AvroDamaged("truncated", f"the delivery ends within {where}") from None
            if mark != self._mark:
                raise AvroDamaged("corrupt", f"{where} does not end with the file's mark; those before it were read")
            yield Frame(number, objects, packed)

    def _meta(self) -> dict[str, bytes]:
        """The header's entries."""
        found: dict[str, bytes] = {}
        left = HEADER_BYTES_MAX
        while entries := self._number():
            if entries < 0:  # the size of the entries in bytes follows
                entries = -entries
                self._number()
            for _ in range(entries):
                key, value = self._bytes(left), self._bytes(left)
                left -= len(key) + len(value) + 2
                found[key.decode("utf-8", "replace")] = value
        return found

    def _bytes(self, most: int) -> bytes:
        size = self._number()
        if not 0 <= size <= most:
            raise AvroDamaged("unreadable", "the header of the Avro file claims a size that no header has")
        return self._exactly(size)

    def _number(self) -> int:
        """A whole number as Avro writes it: seven bits a byte, the sign in the lowest one. ``EOFError`` at the end."""
        value = 0
        for place in range(_NUMBER_BYTES_MAX):
            byte = self._exactly(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
        return 1 << 70

    def _exactly(self, size: int) -> bytes:
        content = self._read(size)
        if len(content) < size:
            raise EOFError
        return content

    def _more(self) -> bool:
        return bool(self._filled(1))

    def _read(self, size: int) -> bytes:
        held = self._filled(size)
        end = self._at + min(size, held)
        content = self._buffer[self._at : end]
        self._at = end
        return content

    def _filled(self, wanted: int) -> int:
        """How many bytes are in the buffer from here on, ``wanted`` ones if there are so many."""
        held = len(self._buffer) - self._at
        if held >= wanted:
            return held
        pieces = [self._buffer[self._at :]]
        while held < wanted and (chunk := next(self._chunks, b"")):
            pieces.append(chunk)
            held += len(chunk)
        self._buffer, self._at = b"".join(pieces), 0
        return held


def unpacked(packed: bytes, codec: str) -> bytes | None:
    """A block's objects; None when they are damaged, or more than ``BLOCK_BYTES_MAX`` bytes."""
    try:
        content = _unpack(packed, codec)
    except (zlib.error, OSError, ValueError, EOFError, lzma.LZMAError):
        return None
    return content if content is not None and len(content) <= BLOCK_BYTES_MAX else None


def _unpack(packed: bytes, codec: str) -> bytes | None:
    most = BLOCK_BYTES_MAX + 1
    if codec == "null":
        return packed
    if codec == "deflate":
        return zlib.decompressobj(-15).decompress(packed, most)
    if codec == "bzip2":
        return bz2.BZ2Decompressor().decompress(packed, most)
    if codec == "xz":
        return lzma.LZMADecompressor().decompress(packed, most)
    import pyarrow as pa

    if codec == "zstandard":
        content: bytes = pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read(most)
        return content
    return _unsnapped(packed)


def _unsnapped(packed: bytes) -> bytes | None:
    """Snappy says at its beginning how long its content is; Avro puts a checksum behind it."""
    import pyarrow as pa

    size = place = 0
    for place, byte in enumerate(packed[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    if size > BLOCK_BYTES_MAX or len(packed) <= 4:
        return None
    content: bytes = pa.Codec("snappy").decompress(packed[:-4], size, asbytes=True)
    return content if zlib.crc32(content).to_bytes(4, "big") == packed[-4:] else None

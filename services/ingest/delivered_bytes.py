"""A delivery as a stream of bytes in UTF-8: decompressed, transcoded, without byte order mark, in bounded memory.

Bytes that the encoding does not know become lone surrogates (U+DC00 + byte), which are no valid UTF-8; so whoever looks
for bad UTF-8 finds them, and ``raw_text`` can still say what they were.
"""

from __future__ import annotations

import codecs
import errno
import re
import zlib
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from shared.domain.errors import ForeignFailure
from shared.domain.masking import mask
from shared.domain.reading import Problem, ReadingOptions, escaped_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES: Final = 2 << 20  # larger blocks are parsed in memory that is always new, which takes longer
_ON_ERROR: Final = "mendline-surrogates"
_BOM: Final = codecs.BOM_UTF8
_WESTERN: Final = re.compile(r"iso8859-1|iso8859-15|cp1252")
_BEYOND_ASCII: Final = re.compile("[^\x00-\x7f]+")
_PROOFS_MIN: Final = 5  # runs of characters; in other scripts single pairs of bytes are UTF-8 by chance
_SURROGATE = re.compile("[\udc00-\udcff]")
# One byte is one character and the lower half is ASCII, so a chunk of ASCII needs no transcoding.
_ASCII_SUPERSETS: Final = re.compile(r"ascii|iso8859-\d+|cp(125[0-8]|437|85[025]|866)|koi8-[rtu]|mac-roman")


def _surrogates(err: UnicodeError) -> tuple[str, int]:
    if not isinstance(err, UnicodeDecodeError):
        raise err
    return "".join(chr(0xDC00 + byte) for byte in err.object[err.start : err.end]), err.end


class DeliveredStream:
    """A delivery being read. That it fails (vanishes, is refused) is told apart from what its content does wrong."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def close(self) -> None:
        self._stream.close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as err:
            raise _foreign(err) from err

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._stream.seek(offset, whence)
        except OSError as err:
            raise _foreign(err) from err


class DeliveredBytes:
    """Opens the delivery as often as asked; ``problem`` and ``reason`` tell what its last complete pass met."""

    def __init__(
        self, open_stream: Callable[[], BinaryIO], options: ReadingOptions, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self._open_stream = open_stream
        self._gzip = options.compression == "gzip"
        self._encoding = options.encoding
        self._chunk_bytes = chunk_bytes
        self.transcoded: bool = options.encoding != "utf-8"
        self.problem: Problem = ""
        self.reason = ""

    def open(self) -> DeliveredStream:
        """The stream itself, its failures translated."""
        try:
            return DeliveredStream(self._open_stream())
        except OSError as err:
            raise _foreign(err) from err

    def content(self) -> Iterator[bytes]:
        """The bytes of a format that is no text, decompressed, in pieces that are never empty."""
        return self._decompressed()

    def chunks(self) -> Iterator[bytes]:
        """The content as text from its beginning, in pieces that are never empty."""
        chunks = self._decompressed()
        if self.transcoded:
            return self._transcoded(chunks)
        return _without_mark(chunks)

    def _plain(self) -> Iterator[bytes]:
        with self.open() as stream:
            while piece := stream.read(self._chunk_bytes):
                yield piece

    def _decompressed(self) -> Iterator[bytes]:
        if not self._gzip:
            yield from self._plain()
            return
        gunzip = zlib.decompressobj(31)
        started = False  # this member has given or taken something
        whole_members = 0
        beginning = b""
        for piece in self._plain():
            beginning = beginning if len(beginning) > 1 else beginning + piece
            left = piece
            while left:
                if not started and whole_members:
                    left = left.lstrip(b"\0")  # tape padding between and after members
                    if not left:
                        break
                started = True
                before = gunzip.copy()
                try:
                    content = gunzip.decompress(left, self._chunk_bytes)
                except zlib.error:
                    yield from _salvaged(before, left)
                    self._blame_gzip(beginning)
                    return
                if content:
                    yield content
                left = gunzip.unconsumed_tail
                if gunzip.eof:
                    left = gunzip.unused_data
                    gunzip = zlib.decompressobj(31)
                    started = False
                    whole_members += 1
        if started:
            rest = gunzip.flush()
            if rest:
                yield rest
            if not gunzip.eof:
                self.problem, self.reason = "truncated", "the gzip stream ends before its end mark"

    def _blame_gzip(self, beginning: bytes) -> None:
        if beginning.startswith(b"\x1f\x8b"):
            self.problem, self.reason = "corrupt", "the gzip stream is damaged; what precedes the damage was read"
        else:
            self.problem, self.reason = "unreadable", "read as gzip, but its first bytes are not gzip's"

    def _transcoded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        codecs.register_error(_ON_ERROR, _surrogates)
        begun, encoding = _with_byte_order(chunks, self._encoding)
        decoder = codecs.getincrementaldecoder(encoding)(errors=_ON_ERROR)
        ascii_passes = _ASCII_SUPERSETS.fullmatch(self._encoding) is not None
        unicode = _Utf8Trial()
        first = True
        for chunk in begun:
            if ascii_passes and chunk.isascii():
                unicode.add(chunk)
                yield chunk
                continue
            if ascii_passes:
                unicode.add(chunk)
            text = decoder.decode(chunk)
            if first and text:
                text = text.removeprefix("\ufeff")
                first = False
            if text:
                yield text.encode("utf-8", "surrogatepass")
        rest = decoder.decode(b"", True)
        if rest:
            yield rest.encode("utf-8", "surrogatepass")
        if not self.problem and unicode.proven(_WESTERN.fullmatch(self._encoding) is not None):
            self.problem = "encoding"
            self.reason = f"read as {self._encoding}, but every character beyond ASCII is written as UTF-8 writes it"

    def raw_text(self, record: bytes) -> str:
        """``escaped_text`` of a record's bytes as delivered, also when they went through transcoding."""
        if not self.transcoded:
            return escaped_text(record)
        text = record.decode("utf-8", "surrogatepass").replace("\\", "\\\\").replace("\0", "\\x00")
        return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)


class _Utf8Trial:
    """Whether bytes that an encoding of single bytes reads without complaint are UTF-8 in truth."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._valid = True
        self._characters = 0

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes; after the first that are no UTF-8 this costs nothing."""
        if not self._valid:
            return
        try:
            text = self._decoder.decode(chunk)
        except UnicodeDecodeError:
            self._valid = False
            return
        if not text.isascii():
            self._characters += sum(1 for _ in _BEYOND_ASCII.finditer(text))

    def proven(self, western: bool) -> bool:
        """True when everything is UTF-8 and enough of it is beyond ASCII: no western text has Ã before © by chance."""
        if not self._valid or self._characters < (1 if western else _PROOFS_MIN):
            return False
        try:
            self._decoder.decode(b"", True)
        except UnicodeDecodeError:
            return False
        return True


def _with_byte_order(chunks: Iterator[bytes], encoding: str) -> tuple[Iterator[bytes], str]:
    """UTF-16 and UTF-32 without a byte order mark are little-endian, as most are (Python's codec would refuse them)."""
    if encoding not in {"utf-16", "utf-32"}:
        return chunks, encoding
    beginning = b""
    for chunk in chunks:
        beginning += chunk
        if len(beginning) >= 4:
            break
    big = codecs.BOM_UTF16_BE if encoding == "utf-16" else codecs.BOM_UTF32_BE
    order = "be" if beginning.startswith(big) else "le"
    return chain([beginning] if beginning else [], chunks), f"{encoding}-{order}"


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    beginning = b""
    for chunk in chunks:
        beginning += chunk
        if len(beginning) >= len(_BOM):
            break
    beginning = beginning.removeprefix(_BOM)
    if beginning:
        yield beginning
    yield from chunks


def _salvaged(gunzip: zlib._Decompress, damaged: bytes) -> Iterator[bytes]:
    """Everything before the damage, which one big call would have thrown away with its error."""
    for size in (1024, 1):
        for start in range(0, len(damaged), size):
            before = gunzip.copy()
            try:
                content = gunzip.decompress(damaged[start : start + size])
            except zlib.error:
                gunzip, damaged = before, damaged[start : start + size]
                break
            if content:
                yield content


def _foreign(err: OSError) -> ForeignFailure:
    return ForeignFailure(
        mask(err.strerror or type(err).__name__),
        system="source",
        exception_type=type(err).__name__,
        reason=errno.errorcode.get(err.errno or 0, ""),
    )

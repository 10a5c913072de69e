"""A second, independent count of the records in a delivery's bytes: what `mend audit` compares everything with.

It shares no code with the reading that staged the rows and uses no CSV library. The rules are the same:

- CSV: a record ends at LF, CR or CRLF outside quotes; a quote opens only at the start of a field; a quoted field that
  spans lines and is followed by something else than a delimiter or line end, or never closes, was not meant to open:
  its lines count one by one. A record that is not decided after ``record_bytes_max`` bytes likewise. Empty lines are no
  records, except in a file of one column after its first line. The header and what precedes it are no records.
- JSON Lines: every line with a byte in it. JSON: see ``json_count``. Avro: see ``avro_count``.
- Parquet: what the file's footer says.
- gzip: what can be decompressed before the damage or the missing end.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from mend.avro_count import count_objects
from mend.json_count import count_elements
from mend.record_scan import UNDECIDED, Content, Scanner
from shared.domain.reading import RECORD_BYTES_MAX, ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK_BYTES: Final = 1 << 20
_AT_ONCE_BYTES_MAX: Final = 8 << 20
_LINE_END = re.compile(rb"\r\n?|\n")


class RecordCount(NamedTuple):
    """``problem`` is "" or one word: truncated, corrupt, unreadable."""

    records: int
    problem: str


def count_records(
    open_stream: Callable[[], BinaryIO],
    options: ReadingOptions,
    *,
    chunk_bytes: int = _CHUNK_BYTES,
    record_bytes_max: int = RECORD_BYTES_MAX,
) -> RecordCount:
    """Counts a delivery's records in one pass; at most about ``record_bytes_max`` bytes are held at a time."""
    with open_stream() as stream:
        if options.format == "parquet":
            return _parquet_records(stream, options)
        content = _Content(stream, options, chunk_bytes)
        if options.format == "avro":
            objects, problem = count_objects(content.plain())
            return RecordCount(objects, content.problem or problem)
        if options.format == "json":
            elements, problem = count_elements(_after_lines(content.chunks(), options.skip_lines))
            return RecordCount(elements, content.problem or problem)
        records = _Counter(content, options, record_bytes_max).count()
        return RecordCount(records, content.problem)


def _parquet_records(stream: BinaryIO, options: ReadingOptions) -> RecordCount:
    import pyarrow as pa
    from pyarrow import parquet

    source = gzip.GzipFile(fileobj=stream) if options.compression == "gzip" else stream
    try:
        if not source.read(1):
            return RecordCount(0, "")
        source.seek(0)
        return RecordCount(parquet.read_metadata(source).num_rows, "")
    except (pa.ArrowException, OSError, EOFError, zlib.error):
        return RecordCount(0, "unreadable")


class _Content:
    """A delivery's text as UTF-8, chunk by chunk."""

    def __init__(self, stream: BinaryIO, options: ReadingOptions, chunk_bytes: int) -> None:
        self._stream = stream
        self._options = options
        self._chunk_bytes = chunk_bytes
        self.problem = ""

    def plain(self) -> Iterator[bytes]:
        """Decompressed, and no more."""
        raw = iter(lambda: self._stream.read(self._chunk_bytes), b"")
        return self._gunzipped(raw) if self._options.compression == "gzip" else raw

    def chunks(self) -> Iterator[bytes]:
        raw = self.plain()
        encoding = self._options.encoding
        decoder = None
        if encoding in {"utf-16", "utf-32"}:
            head = b""
            while len(head) < 4 and (piece := next(raw, b"")):
                head += piece
            raw = chain([head], raw)
            big = head.startswith((b"\xfe\xff", b"\0\0\xfe\xff")) and not head.startswith(b"\xfe\xff\0\0")
            encoding += "-be" if big else "-le"
        if encoding != "utf-8":
            decoder = codecs.getincrementaldecoder(encoding)("replace")
        beginning = b""
        begun = False
        for chunk in raw:
            text = decoder.decode(chunk).encode("utf-8", "replace") if decoder else chunk
            if begun:
                yield text
                continue
            beginning += text
            if len(beginning) >= len(codecs.BOM_UTF8):
                begun = True
                yield beginning.removeprefix(codecs.BOM_UTF8)
        rest = decoder.decode(b"", True).encode("utf-8", "replace") if decoder else b""
        yield rest if begun else (beginning + rest).removeprefix(codecs.BOM_UTF8)

    def _gunzipped(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        member = zlib.decompressobj(31)
        inside = False
        members = 0
        magic = b""
        for chunk in raw:
            magic = (magic + chunk)[:2] if len(magic) < 2 else magic
            rest = chunk
            while rest:
                if members and not inside:
                    rest = rest.lstrip(b"\0")
                if not rest:
                    break
                inside = True
                safe = member.copy()
                try:
                    yield member.decompress(rest, self._chunk_bytes)
                except zlib.error:
                    yield _before_damage(safe, rest)
                    self.problem = "corrupt" if magic == b"\x1f\x8b" else "unreadable"
                    return
                rest = member.unconsumed_tail
                if member.eof:
                    rest, member, inside = member.unused_data, zlib.decompressobj(31), False
                    members += 1
        if inside:
            yield member.flush()
            self.problem = "" if member.eof else "truncated"


def _before_damage(member: zlib._Decompress, damaged: bytes) -> bytes:
    """What the bytes hold before the one at which decompression fails: halving finds it."""
    good = b""
    while len(damaged) > 1:
        half, rest = damaged[: len(damaged) // 2], damaged[len(damaged) // 2 :]
        safe = member.copy()
        try:
            good += member.decompress(half)
            damaged = rest
        except zlib.error:
            member, damaged = safe, half
    return good


class _Counter:
    """Walks over the content with a buffer that grows only where a record does."""

    def __init__(self, content: _Content, options: ReadingOptions, record_bytes_max: int) -> None:
        self._chunks = content.chunks()
        self._options = options
        json_lines = options.format == "jsonl"
        self._scanner = Scanner(ReadingOptions(quote="") if json_lines else options)
        self._limit = record_bytes_max
        self._buffer = bytearray()
        self._ended = False
        self._records = 0
        # Blank lines count only in a file of one column; None = the first record has not been seen.
        self._wide: bool | None = True if json_lines else None
        if options.column_names and not json_lines:
            self._wide = len(options.column_names) > 1

    def count(self) -> int:
        """All records of the content."""
        for _ in range(self._options.skip_lines):
            self._skip_line()
        lines_left = 0  # bytes from here on to be taken line by line
        wanted = 1
        while True:
            self._fill(wanted)
            if not self._buffer:
                return self._records
            used = self._take_plainly(lines_left) if self._wide is not None else 0
            moved = used > 0
            if moved:
                lines_left = max(lines_left - used, 0)
            else:
                before = lines_left
                used, lines_left = self._walk(lines_left)
                moved = used > 0 or lines_left != before
            if moved:
                del self._buffer[:used]
                wanted = 1
            else:
                wanted = min(2 * len(self._buffer), self._limit) + 1

    def _fill(self, wanted: int) -> None:
        while len(self._buffer) < wanted and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            self._buffer += chunk or b""

    def _take_plainly(self, lines_left: int) -> int:
        """Counts many records at once where that is safe; the bytes they take, or 0."""
        length = min(len(self._buffer), self._limit, _AT_ONCE_BYTES_MAX)
        final = self._ended and length == len(self._buffer)
        if 0 < lines_left <= length:
            length, final = lines_left, True
        window = bytes(self._buffer[:length])
        if self._scanner.plain(window):
            end = length if final else _last_line_end(window, 0, length)
            self._records += self._lines(window[:end])
            return end
        if lines_left:
            return 0
        end, outside = self._scanner.tidy_prefix(window, final)
        self._records += self._lines(outside)
        return end

    def _lines(self, content: Content) -> int:
        """Lines of a text whose last line end is whole, blank ones left out unless they count."""
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ends = content.count(b"\n")
        last = int(bool(content) and not content.endswith(b"\n"))
        if self._wide is False:
            return ends + last
        if b"\n\n" in content or content.startswith(b"\n"):
            return sum(1 for line in content.split(b"\n") if line)
        return ends + last

    def _walk(self, lines_left: int) -> tuple[int, int]:
        """Takes records one by one through the buffer: the bytes used, and how many of the next go line by line."""
        buffer = self._buffer
        unnamed = self._wide is None
        at = 0
        until = lines_left
        while at < min(len(buffer), _AT_ONCE_BYTES_MAX) and not (unnamed and self._wide is not None):
            if at < until:
                found = _LINE_END.search(buffer, at, len(buffer) - (not self._ended and buffer.endswith(b"\r")))
                if found is None and not self._ended:
                    break
                end, following = found.span() if found else (len(buffer), len(buffer))
                self._found(buffer[at:end], line_by_line=True)
                at = following
                continue
            stop = min(len(buffer), at + self._limit)
            step = self._scanner.step(buffer, at, stop, final=self._ended and stop == len(buffer))
            if step.lines_until >= 0:
                until = step.lines_until
                break
            if step != UNDECIDED:
                self._found(buffer[at : step.end])
                at = step.next
            elif len(buffer) - at <= self._limit:
                break
            elif line := _last_line_end(buffer, at, stop):
                until = line
                break
            else:
                self._found(buffer[at:stop], cut_short=True)
                del buffer[:at]
                self._skip_line()
                return 0, 0
        return at, max(until - at, 0)

    def _found(self, record: Content, *, line_by_line: bool = False, cut_short: bool = False) -> None:
        """Counts a record, or learns from the first one how wide the file is."""
        if self._wide is None:
            if not record:
                return
            self._wide = not cut_short and self._scanner.is_wide(record, line_by_line)
            self._records += not self._options.header
        elif record or not self._wide:
            self._records += 1

    def _skip_line(self) -> None:
        while True:
            self._fill(1)
            found = _LINE_END.search(self._buffer)
            if found and (found.end() < len(self._buffer) or self._ended):
                del self._buffer[: found.end()]
                return
            del self._buffer[: found.start() if found else len(self._buffer)]
            if self._ended:
                return
            self._fill(len(self._buffer) + 1)


def _after_lines(chunks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """The content without its first lines."""
    held = b""
    for chunk in chunks:
        held += chunk
        while lines and (found := _LINE_END.search(held)) and found.end() < len(held):
            held = held[found.end() :]
            lines -= 1
        if not lines:
            yield held
            held = b""


def _last_line_end(content: Content, start: int, stop: int) -> int:
    """The position in ``content`` after the last line end that is certainly whole, or 0."""
    known = stop - content.endswith(b"\r", start, stop)
    return max(content.rfind(b"\n", start, known), content.rfind(b"\r", start, known)) + 1

"""Avro object containers to staged tables: columns keep their types. What a block does not give becomes raw rows."""

from __future__ import annotations

import io
import itertools
import json
import struct
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from services.ingest.avro_container import MAGIC, MARK_BYTES, AvroContainer, AvroDamaged, Frame, unpacked
from services.ingest.avro_types import AvroColumn, columns_of, plain_schema
from services.ingest.staged_rows import RawRecord, StagedRows, interleaved
from shared.domain.reading import UNREADABLE, Problem, staged_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from services.ingest.delivered_bytes import DeliveredBytes

BATCH_ROWS: Final = 32_768
BATCH_BYTES: Final = 4 << 20  # of blocks; as Python's objects they are ten times as large
_MARK: Final = bytes(MARK_BYTES)
# What the library raises on bytes that are no objects of the schema.
_NO_OBJECTS: Final = (EOFError, ValueError, LookupError, TypeError, ArithmeticError, struct.error, MemoryError)

Row = dict[str, Any]


class AvroReading:
    """Reads one delivery."""

    def __init__(self, delivery: DeliveredBytes) -> None:
        self._delivery = delivery
        self._fields: list[AvroColumn] = []
        self._records = 0
        self._rows: list[Row] = []
        self._bytes = 0
        self._block = 0
        self.columns: list[str] = []
        self.schema: pa.Schema = None  # known with the columns
        self.problem: Problem = ""
        self.reason = ""

    def tables(self) -> Iterator[StagedRows]:
        """Staged rows in record order."""
        container = AvroContainer(self._delivery.content())
        try:
            if container.open():
                objects = self._understood(container)
                for frame in container.frames():
                    yield from self._frame(frame, objects, container.codec)
        except AvroDamaged as damage:
            self._note(damage)
        yield from self._flushed()

    def _understood(self, container: AvroContainer) -> _Objects | None:
        """Learns the columns; None when the schema has none, so that no object can become a row."""
        import pyarrow as pa

        objects = None
        try:
            plain = plain_schema(container.schema())
            self._fields, objects = columns_of(plain), _Objects(plain)
        except AvroDamaged as damage:
            self._note(damage)
        self.columns = staged_names([each.name for each in self._fields])
        self.schema = pa.schema(list(zip(self.columns, (each.kind for each in self._fields), strict=True)))
        return objects

    def _note(self, damage: AvroDamaged) -> None:
        """Keeps what is found first."""
        if not self.problem:
            self.problem, self.reason = damage.problem, damage.reason

    def _frame(self, frame: Frame, objects: _Objects | None, codec: str) -> Iterator[StagedRows]:
        """The objects of a block, and a raw row for each that it claims and does not give."""
        content = unpacked(frame.packed, codec) if objects else None
        left = frame.objects
        self._block = frame.number
        found = iter(()) if content is None or objects is None else objects.of(content, left)
        while left > 0:
            before = len(self._rows)
            with suppress(*_NO_OBJECTS):
                self._rows.extend(itertools.islice(found, BATCH_ROWS - before))
            left -= len(self._rows) - before
            if len(self._rows) < BATCH_ROWS:
                break
            yield from self._flushed()
        self._bytes += len(content or b"")
        if left:
            self._note(AvroDamaged("corrupt", f"block {frame.number} of the Avro file cannot be read to its end"))
            yield from self._flushed()
            yield from self._lost(left)
        elif self._bytes >= BATCH_BYTES:
            yield from self._flushed()

    def _lost(self, left: int) -> Iterator[StagedRows]:
        """Objects that the block claims and does not give."""
        while left > 0:
            count = min(left, BATCH_ROWS)
            first = self._records + 1
            self._records += count
            yield interleaved([], self.schema, 0, [self._raw(first + offset) for offset in range(count)], first)
            left -= count

    def _raw(self, number: int) -> RawRecord:
        return RawRecord(number, UNREADABLE, f"an object of block {self._block} of the Avro file cannot be read", 0)

    def _flushed(self) -> Iterator[StagedRows]:
        """The rows that are waiting, as a table."""
        rows, self._rows, self._bytes = self._rows, [], 0
        if not rows:
            return
        first = self._records + 1
        self._records += len(rows)
        raw: list[RawRecord] = []
        try:
            cells = self._cells(rows)
        except _NO_OBJECTS:
            bad = [offset for offset, row in enumerate(rows) if not self._fits(row)]
            raw = [self._raw(first + offset) for offset in bad]
            kept = set(bad)
            rows = [row for offset, row in enumerate(rows) if offset not in kept]
            cells = self._cells(rows)
        yield interleaved(cells, self.schema, len(rows), raw, first)

    def _fits(self, row: Row) -> bool:
        try:
            self._cells([row])
        except _NO_OBJECTS:
            return False
        return True

    def _cells(self, rows: list[Row]) -> list[pa.Array]:
        import pyarrow as pa

        made = []
        for field in self._fields:
            values = list(map(itemgetter(field.name), rows))
            if turn := field.turn:
                values = [None if value is None else turn(value) for value in values]
            made.append(pa.array(values, field.kind))
        return made


class _Objects:
    """Decodes the objects of block after block by fastavro, which is given each as the next one of a file."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self._stream = io.BytesIO()
        self._blocks: Iterator[Any] = iter(())

    def of(self, content: bytes, count: int) -> Iterator[Row]:
        """The objects of a block, one after the other."""
        import fastavro

        header = b""
        if not self._stream.getbuffer():
            meta = {b"avro.schema": json.dumps(self._plain).encode(), b"avro.codec": b"null"}
            entries = b"".join(_sized(key) + _sized(value) for key, value in meta.items())
            header = MAGIC + _number(len(meta)) + entries + _number(0) + _MARK
        self._stream.seek(0)
        self._stream.truncate()
        self._stream.write(header + _number(count) + _sized(content) + _MARK)
        self._stream.seek(0)
        if header:
            self._blocks = iter(fastavro.block_reader(self._stream))
        return iter(next(self._blocks))


def _sized(content: bytes) -> bytes:
    return _number(len(content)) + content


def _number(value: int) -> bytes:
    """A count as Avro writes it."""
    left = value << 1
    made = bytearray()
    while left >= 0x80:
        made.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*made, left])

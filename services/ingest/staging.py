"""Turns a delivery's bytes into staged Parquet parts: every record a row, in order, in bounded memory."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from services.ingest.avro_reading import AvroReading
from services.ingest.csv_reading import CsvReading
from services.ingest.delivered_bytes import DeliveredBytes
from services.ingest.json_reading import JsonReading
from services.ingest.parquet_reading import ParquetReading
from services.ingest.staged_rows import StagedRows, interleaved, text_schema
from shared.domain.checks import check
from shared.domain.reading import ROW, Problem, ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

ROW_GROUP_ROWS_MAX: Final = 131_072
ROW_GROUP_BYTES_MAX: Final = 64 << 20
PART_ROW_GROUPS_MAX: Final = 8
ROWS_MAX: Final = 2**31
_DICTIONARY_BYTES_MAX: Final = 64 << 10  # beyond this a column has too many values to gain from it


class TooManyRows(Exception):
    """A delivery has more records than a batch may have; ``rows`` were counted when staging stopped."""

    def __init__(self, rows: int, parts: int) -> None:
        super().__init__(f"more than {rows:,} rows")
        self.rows = rows
        self.parts = parts  # that may have been written


class Misfit(NamedTuple):
    """Records that are no rows, of one kind. ``first_line`` is 0 where lines mean nothing."""

    name: str
    rows: int
    first_row: int
    first_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What a reading gave. There is always a part, so that the columns of a delivery without rows are known too."""

    parts: int
    rows: int  # records, raw ones included
    raw_rows: int
    columns: tuple[str, ...]
    misfits: tuple[Misfit, ...]
    problem: Problem  # of the delivery as a whole
    reason: str  # one sentence about it


def stage(
    open_stream: Callable[[], BinaryIO],
    options: ReadingOptions,
    open_part: Callable[[int], AbstractContextManager[BinaryIO]],
    rows_max: int = ROWS_MAX,
) -> Staged:
    """Reads the delivery and writes its parts, ``open_part(0)``, ``open_part(1)`` …, one after the other.

    The stream is opened again when a quote stays open for long. ``ForeignFailure`` when it fails, ``TooManyRows`` when
    it has more than ``rows_max`` records; nothing else that it contains raises.
    """
    delivery = DeliveredBytes(open_stream, options)
    reading = _reading(delivery, options)
    tally = _Tally()
    with ThreadPoolExecutor(1, "staging") as background, ExitStack() as sinks:
        parts = _PartWriter(open_part, sinks, background)
        for rows in reading.tables():
            tally.add(rows)
            if tally.rows > rows_max:
                parts.abandon()
                raise TooManyRows(tally.rows, parts.count)
            parts.add(rows.table)
        if tally.rows == 0 or parts.columns < len(reading.columns):
            parts.add(interleaved([], _schema(reading), 0, [], 1).table)
        parts.finish()
    problem, reason = delivery.problem, delivery.reason
    if not problem and not isinstance(reading, CsvReading):
        problem, reason = reading.problem, reading.reason
    if not problem and not reading.columns and tally.rows == 0:
        problem, reason = "empty", "the delivery has no record and no header"
    return Staged(
        parts=parts.count,
        rows=tally.rows,
        raw_rows=tally.raw_rows,
        columns=tuple(reading.columns),
        misfits=tuple(tally.misfits.values()),
        problem=problem,
        reason=reason,
    )


def _reading(
    delivery: DeliveredBytes, options: ReadingOptions
) -> CsvReading | JsonReading | AvroReading | ParquetReading:
    if options.format == "csv":
        return CsvReading(delivery, options)
    if options.format in ("jsonl", "json"):
        return JsonReading(delivery, options)
    if options.format == "avro":
        return AvroReading(delivery)
    return ParquetReading(delivery, options)


def _schema(reading: CsvReading | JsonReading | AvroReading | ParquetReading) -> pa.Schema:
    if isinstance(reading, (AvroReading, ParquetReading)) and reading.schema is not None:
        return reading.schema
    return text_schema(reading.columns)


@dataclass
class _Tally:
    """Counts rows and checks that none is missing or out of order."""

    rows: int = 0
    raw_rows: int = 0
    misfits: dict[str, Misfit] = field(default_factory=dict)

    def add(self, staged: StagedRows) -> None:
        numbers = staged.table[ROW]
        count = len(numbers)
        if count:
            check(numbers[0].as_py() == self.rows + 1, "staged rows follow each other")
            check(numbers[-1].as_py() == self.rows + count, "staged rows have no gap")
        self.rows += count
        self.raw_rows += len(staged.raw)
        for record in staged.raw:
            known = self.misfits.get(record.misfit)
            self.misfits[record.misfit] = (
                known._replace(rows=known.rows + 1) if known else Misfit(record.misfit, 1, record.number, record.line)
            )


class _PartWriter:
    """Collects tables into row groups and row groups into parts; a new part begins when columns are added.

    One row group is written in the background while the next is read; a failure there is raised with the next one.
    """

    def __init__(
        self,
        open_part: Callable[[int], AbstractContextManager[BinaryIO]],
        sinks: ExitStack,
        background: ThreadPoolExecutor,
    ) -> None:
        self._open_part = open_part
        self._sinks = sinks  # ended by the caller when something fails, so that no half part appears
        self._background = background
        self._writing: Future[None] | None = None
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._writer: Any = None
        self._row_groups = 0
        self.count = 0
        self.columns = 0

    def add(self, table: pa.Table) -> None:
        """Takes the next rows."""
        start = 0
        while True:
            piece = table.slice(start, ROW_GROUP_ROWS_MAX)
            bytes_ = piece.nbytes
            full = self._pending_rows + piece.num_rows > ROW_GROUP_ROWS_MAX
            if self._pending and (full or self._pending_bytes + bytes_ > ROW_GROUP_BYTES_MAX):
                self._flush()
            self._pending.append(piece)
            self._pending_rows += piece.num_rows
            self._pending_bytes += bytes_
            start += ROW_GROUP_ROWS_MAX
            if start >= table.num_rows:
                break
        self.columns = table.num_columns - 3

    def finish(self) -> None:
        """Writes what is left."""
        self._flush()
        self._close()

    def abandon(self) -> None:
        """Ends the part in hand, which its sink then throws away."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._pending:
            return
        table = (
            self._pending[0] if len(self._pending) == 1 else pa.concat_tables(self._pending, promote_options="default")
        )
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        self._written()
        if self._writer is not None and (
            self._row_groups == PART_ROW_GROUPS_MAX or self._writer.schema != table.schema
        ):
            self._close()
        if self._writer is None:
            self._open(table.schema)
        self._writing = self._background.submit(self._writer.write_table, table, ROW_GROUP_ROWS_MAX)
        self._row_groups += 1

    def _written(self) -> None:
        """Waits for the row group that is being written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _abandoned(self) -> None:
        """Nothing may still be written to a part that is given up; why it is given up is known already."""
        if self._writing is not None:
            self._writing.exception()

    def _open(self, schema: pa.Schema) -> None:
        from pyarrow import parquet

        sink = self._sinks.enter_context(self._open_part(self.count))
        self._sinks.callback(self._abandoned)  # before the part ends
        self.count += 1
        self._row_groups = 0
        self._writer = parquet.ParquetWriter(
            sink,
            schema,
            compression="snappy",
            write_statistics=[ROW],
            dictionary_pagesize_limit=_DICTIONARY_BYTES_MAX,
        )

    def _close(self) -> None:
        self._written()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._sinks.close()

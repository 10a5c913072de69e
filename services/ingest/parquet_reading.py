"""Parquet to staged tables: columns keep their types. A row group that cannot be read becomes raw rows."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from services.ingest.dialect import foreign_format
from services.ingest.staged_rows import RawRecord, StagedRows, interleaved
from shared.domain.reading import UNREADABLE, Problem, ReadingOptions, staged_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from services.ingest.delivered_bytes import DeliveredBytes

BATCH_ROWS: Final = 32_768
READ_FORMATS: Final = "CSV, JSON, Avro or Parquet"
_HEAD_BYTES: Final = 4_096


def _head_of(delivered: Any, *, gzipped: bool) -> bytes:
    """The first bytes of the content."""
    head: bytes = delivered.read(_HEAD_BYTES)
    if not gzipped:
        return head
    try:
        return zlib.decompressobj(31).decompress(head, _HEAD_BYTES)
    except zlib.error:
        return b""


class ParquetReading:
    """Reads one delivery."""

    def __init__(self, delivery: DeliveredBytes, options: ReadingOptions) -> None:
        self._delivery = delivery
        self._gzip = options.compression == "gzip"
        self._records = 0
        self.columns: list[str] = []
        self.schema: pa.Schema = None  # known with the columns
        self.problem: Problem = ""
        self.reason = ""

    def tables(self) -> Iterator[StagedRows]:
        """Staged rows in record order."""
        import pyarrow as pa
        from pyarrow import parquet

        with self._delivery.open() as delivered:
            if not delivered.read(1):
                return
            delivered.seek(0)
            if foreign := foreign_format(_head_of(delivered, gzipped=self._gzip)):
                self.problem, self.reason = "unreadable", f"{foreign}, which is not read: deliver {READ_FORMATS}"
                return
            delivered.seek(0)
            source = gzip.GzipFile(fileobj=cast("BinaryIO", delivered)) if self._gzip else delivered
            try:
                file = parquet.ParquetFile(source, pre_buffer=False)
                schema = file.schema_arrow
            except (pa.ArrowException, OSError, EOFError, zlib.error) as err:
                self.problem = "unreadable"
                self.reason = f"not a whole Parquet file ({type(err).__name__})"
                return
            self.columns = staged_names(schema.names)
            self.schema = pa.schema([field.with_name(name) for field, name in zip(schema, self.columns, strict=True)])
            for number in range(file.metadata.num_row_groups):
                yield from self._row_group(file, number, self.schema)

    def _row_group(self, file: Any, number: int, schema: pa.Schema) -> Iterator[StagedRows]:
        import pyarrow as pa

        left = file.metadata.row_group(number).num_rows
        batches = file.iter_batches(batch_size=BATCH_ROWS, row_groups=[number], use_threads=False)
        while left > 0:
            try:
                batch = next(batches)
            except (pa.ArrowException, OSError, EOFError, zlib.error, StopIteration):
                break
            batch = batch.slice(0, left)
            yield interleaved(batch.columns, schema, batch.num_rows, [], self._records + 1)
            self._records += batch.num_rows
            left -= batch.num_rows
        if left:
            self.problem = "corrupt"
            self.reason = f"row group {number + 1} of {file.metadata.num_row_groups} cannot be read to its end"
        while left > 0:
            count = min(left, BATCH_ROWS)
            yield self._lost(schema, number, count)
            left -= count

    def _lost(self, schema: pa.Schema, number: int, count: int) -> StagedRows:
        """Records that the file counts but does not give."""
        first = self._records + 1
        self._records += count
        text = f"row group {number + 1} of the Parquet file cannot be read"
        raw = [RawRecord(first + offset, UNREADABLE, text, 0) for offset in range(count)]
        return interleaved([], schema, 0, raw, first)

"""Reads an attempt's staged rows in pieces whose rows and cells are bounded."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import polars as pl

    from shared.ports.object_store import ObjectStore

CELLS_MAX = 6_000_000  # of one chunk, so that wide deliveries come in shorter pieces
OWN_COLUMNS = ("_mend_row", "_mend_raw", "_mend_misfit")


class Chunk(NamedTuple):
    """Some consecutive staged rows; ``number`` counts from 0 and names the chunk's output parts."""

    number: int
    rows: pl.DataFrame

    @property
    def raw(self) -> pl.Series:
        """True for records that did not fit; their cells are all null."""
        return self.rows["_mend_misfit"].is_not_null() | self.rows["_mend_raw"].is_not_null()


class DeliveredRows(Protocol):
    """All rows of an attempt in order, with Mendline's own columns before those that were delivered."""

    @property
    def columns(self) -> list[str]:
        """Names of the delivered columns; [] when nothing was delivered."""
        ...

    def chunks(self, only: Collection[int] | None = None) -> Iterator[Chunk]:
        """The same chunks however often they are read; with ``only``, those of these numbers."""
        ...


class StagedRows:
    """All rows of some parts in order; the same parts always give the same chunks, however often they are read."""

    def __init__(self, objects: ObjectStore, parts: Sequence[str], rows_max: int) -> None:
        self._objects = objects
        self._parts = parts
        self._rows_max = rows_max
        self._numbers: dict[str, range] = {}

    @property
    def columns(self) -> list[str]:
        """Names of the delivered columns; [] without parts."""
        import polars as pl

        if not self._parts:
            return []
        with self._objects.read(self._parts[0]) as stream:
            return [name for name in pl.read_parquet_schema(stream) if name not in OWN_COLUMNS]

    def chunks(self, only: Collection[int] | None = None) -> Iterator[Chunk]:
        """The chunks; of parts read before, only those with a number in ``only`` are opened again."""
        first = 0
        for path in self._parts:
            known = self._numbers.get(path)
            if only is not None and known is not None and not any(number in only for number in known):
                first = known.stop
                continue
            number = first
            for rows in _read_part(self._objects, path, self._rows_max, None):
                if only is None or number in only:
                    yield Chunk(number, rows)
                number += 1
            self._numbers[path] = range(first, number)
            first = number


def row_numbers(objects: ObjectStore, parts: Sequence[str]) -> pl.Series:
    """The ``_mend_row`` of all rows in some files."""
    import polars as pl

    found = [pl.Series("_mend_row", [], dtype=pl.Int64)]
    for path in parts:
        with objects.read(path) as stream:
            found.append(pl.read_parquet(stream, columns=["_mend_row"]).to_series())
    return pl.concat(found)


def _read_part(objects: ObjectStore, path: str, rows_max: int, columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
    import polars as pl

    with objects.read(path) as stream:
        width = max(1, len(pl.read_parquet_schema(stream)))
        stream.seek(0)
        rows_at_once = max(1, min(rows_max, CELLS_MAX // width))
        wanted = list(columns) if columns is not None else None
        if rows_at_once == rows_max:
            content = BytesIO(stream.read())
            rows = pl.scan_parquet(content).select(pl.len()).collect().item()
            for start in range(0, max(rows, 1), rows_max):
                # Only the row groups of the slice are decoded: a part's cells take twenty times its bytes.
                part = pl.scan_parquet(content).slice(start, rows_max)
                yield (part if wanted is None else part.select(wanted)).collect()
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(stream)
        held: list[pa.RecordBatch] = []
        # Batches end at row groups, so pieces of the wanted size are put together here.
        for batch in file.iter_batches(batch_size=rows_at_once, columns=wanted):
            held.append(batch)
            while sum(piece.num_rows for piece in held) >= rows_at_once:
                table = pa.Table.from_batches(held)
                yield _frame(table.slice(0, rows_at_once))
                held = table.slice(rows_at_once).to_batches()
        if held or file.metadata.num_rows == 0:
            yield _frame(pa.Table.from_batches(held, schema=None if held else file.schema_arrow))


def _frame(table: object) -> pl.DataFrame:
    import polars as pl

    from shared.domain.checks import check

    frame = pl.from_arrow(table)
    check(isinstance(frame, pl.DataFrame), "a table becomes a frame")
    return frame  # type: ignore[return-value]

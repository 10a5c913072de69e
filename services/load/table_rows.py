"""From passed rows to rows of the table: the transform applied, what it drops discarded with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.domain import paths
from shared.domain.checks import check
from shared.domain.errors import TerminalError
from shared.events.types import BatchValidated
from shared.ports.ports import Ports
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN, LogicalType, TableColumn

if TYPE_CHECKING:
    import pyarrow as pa

PROVENANCE = (BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN)
DROPPED = "the transform's WHERE dropped it"


class TableRows(NamedTuple):
    """The files that go to the warehouse, and what they hold."""

    files: tuple[str, ...]
    columns: tuple[TableColumn, ...]  # without the provenance columns
    rows: int
    rows_discarded: int


def table_rows(event: BatchValidated, sql: str, ports: Ports) -> TableRows:
    """Files of table rows for the passed parts: the parts themselves when there is no transform."""
    if not sql:
        return _as_passed(event, ports)
    return _transformed(event, sql, ports)


def _as_passed(event: BatchValidated, ports: Ports) -> TableRows:
    import pyarrow.parquet as pq

    rows = 0
    columns: tuple[TableColumn, ...] = ()
    for path in event.passed_parts:
        with ports.objects.read(path) as stream:
            file = pq.ParquetFile(stream)
            rows += file.metadata.num_rows
            columns = columns_of(file.schema_arrow)
    return TableRows(tuple(event.passed_parts), columns, rows, 0)


def _transformed(event: BatchValidated, sql: str, ports: Ports) -> TableRows:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder = paths.loaded(event.batch_id, event.attempt)
    files: list[str] = []
    dropped: list[pa.Array] = []
    columns: tuple[TableColumn, ...] = ()
    rows = 0
    for number, path in enumerate(event.passed_parts):
        with ports.objects.read(path) as stream:
            batch = pq.read_table(stream)
        given = ports.sql.select(sql, batch.drop_columns([BATCH_COLUMN, SEQ_COLUMN]))
        made = _provenance(given, event).sort_by(ROW_COLUMN)
        kept = made.column(ROW_COLUMN)
        unique = pc.count_distinct(kept).as_py() == made.num_rows
        known = pc.all(pc.is_in(kept, value_set=batch.column(ROW_COLUMN))).as_py() is not False
        check(unique and known, "a transform gave rows that it was not given")
        missing = pc.invert(pc.is_in(batch.column(ROW_COLUMN), value_set=kept))
        dropped.append(batch.column(ROW_COLUMN).filter(missing).combine_chunks())
        target = paths.part(folder, number)
        with ports.objects.write(target) as stream:
            pq.write_table(made, stream, compression="zstd")
        files.append(target)
        columns = columns_of(made.schema)
        rows += made.num_rows
        ports.progress("transforming", number + 1, len(event.passed_parts))
    discarded = pa.concat_arrays(dropped) if dropped else pa.array([], pa.int64())
    if len(discarded):
        _write_discarded(event, discarded, ports)
    return TableRows(tuple(files), columns, rows, len(discarded))


def _provenance(given: pa.Table, event: BatchValidated) -> pa.Table:
    import pyarrow as pa

    reserved = [name for name in given.column_names if name.startswith("_mend_") and name != ROW_COLUMN]
    if reserved:
        raise TerminalError("the transform makes a column whose name starts with _mend_; choose another name")
    batch = pa.repeat(pa.scalar(event.batch_id), given.num_rows)
    seq = pa.repeat(pa.scalar(event.seq), given.num_rows)
    return given.append_column(BATCH_COLUMN, batch).append_column(SEQ_COLUMN, seq)


def _write_discarded(event: BatchValidated, rows: pa.Array, ports: Ports) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({ROW_COLUMN: rows, "reason": pa.repeat(pa.scalar(DROPPED), len(rows))})
    with ports.objects.write(paths.discarded(event.batch_id, event.attempt, "load")) as stream:
        pq.write_table(table, stream)


def columns_of(schema: pa.Schema) -> tuple[TableColumn, ...]:
    """The table columns of an Arrow schema, provenance left out."""
    return tuple(TableColumn(field.name, logical_type(field.type)) for field in schema if field.name not in PROVENANCE)


def logical_type(arrow: pa.DataType) -> LogicalType:
    """The logical type that holds an Arrow type's values; nested values are kept as JSON text."""
    import pyarrow as pa

    tests = pa.types
    if tests.is_boolean(arrow):
        return "boolean"
    if tests.is_integer(arrow):
        return "integer"
    if tests.is_floating(arrow) or tests.is_decimal(arrow):
        return "number"
    if tests.is_date(arrow):
        return "date"
    if tests.is_timestamp(arrow):
        return "timestamp"
    if tests.is_time(arrow):
        return "time"
    return "string"

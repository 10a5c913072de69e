"""From passed rows to rows of the table: the transform applied, what it drops discarded with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.domain import paths
from shared.domain.checks import check
from shared.domain.errors import DefinitionError
from shared.domain.masking import clean
from shared.events.types import BatchValidated
from shared.ports.object_store import ObjectStore
from shared.ports.ports import Ports
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN, LogicalType, TableColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

PROVENANCE = (BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN)
DROPPED = "the transform's WHERE dropped it"


class Transform(NamedTuple):
    """A pipeline's SQL, prepared, and the file it stands in; no SQL when there is none."""

    sql: str
    path: str


class TableRows(NamedTuple):
    """The files that go to the warehouse, and what they hold."""

    files: tuple[str, ...]
    columns: tuple[TableColumn, ...]  # without the provenance columns
    rows: int
    rows_discarded: int


def table_rows(event: BatchValidated, transform: Transform, keys: Sequence[str], ports: Ports) -> TableRows:
    """Files of table rows for the passed parts: the parts themselves when there is no transform.

    ``DefinitionError`` when what comes out lacks one of ``keys``, or has a row without.
    """
    if not transform.sql:
        return _as_passed(event, transform, keys, ports)
    return _transformed(event, transform, keys, ports)


def _as_passed(event: BatchValidated, transform: Transform, keys: Sequence[str], ports: Ports) -> TableRows:
    import pyarrow.parquet as pq

    rows = 0
    columns: tuple[TableColumn, ...] = ()
    for path in event.passed_parts:
        with ports.objects.read(path) as stream:
            file = pq.ParquetFile(stream)
            rows += file.metadata.num_rows
            columns = columns_of(file.schema_arrow)
            _check_key_names(file.schema_arrow, keys, transform.path)
            if keys:
                _check_key_cells(file.read(columns=list(keys)), keys, transform.path)
    return TableRows(tuple(event.passed_parts), columns, rows, 0)


def _transformed(event: BatchValidated, transform: Transform, keys: Sequence[str], ports: Ports) -> TableRows:
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
        given = ports.sql.select(transform.sql, batch.drop_columns([BATCH_COLUMN, SEQ_COLUMN]))
        _check_columns(given.schema, transform.path)
        _check_key_names(given.schema, keys, transform.path)
        _check_key_cells(given, keys, transform.path)
        made = _with_provenance(given, event).sort_by(ROW_COLUMN)
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


def _with_provenance(given: pa.Table, event: BatchValidated) -> pa.Table:
    import pyarrow as pa

    batch = pa.repeat(pa.scalar(event.batch_id), given.num_rows)
    seq = pa.repeat(pa.scalar(event.seq), given.num_rows)
    return given.append_column(BATCH_COLUMN, batch).append_column(SEQ_COLUMN, seq)


def _check_columns(schema: pa.Schema, path: str) -> None:
    """Every column of a transform's result has a name of its own and holds plain values."""
    import pyarrow as pa

    seen: set[str] = set()
    for field in schema:
        name = clean(field.name, 100)
        if field.name.casefold() in seen:
            raise DefinitionError(path, 0, 0, f"the transform makes column {name} twice", "give each its own name")
        seen.add(field.name.casefold())
        if pa.types.is_nested(field.type):
            what, hint = "a list or a struct", "take one element, such as SPLIT(x, ';')[SAFE_OFFSET(0)]"
        elif pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            what, hint = "bytes", "write TO_HEX(…) or TO_BASE64(…)"
        elif pa.types.is_interval(field.type) or pa.types.is_duration(field.type):
            what, hint = "an interval", "write DATE_DIFF(…) or TIMESTAMP_DIFF(…)"
        else:
            continue
        raise DefinitionError(path, 0, 0, f"the transform's column {name} is {what}", hint)


def _check_key_names(schema: pa.Schema, keys: Sequence[str], path: str) -> None:
    known = {name.casefold() for name in schema.names}
    missing = [key for key in keys if key.casefold() not in known]
    if missing:
        names = clean(", ".join(missing), 300)
        what = f"the rows to upsert have no column {names}, which is their key"
        raise DefinitionError(path, 0, 0, what, "have the transform give it under that name, or change the key")


def _check_key_cells(rows: pa.Table, keys: Sequence[str], path: str) -> None:
    for name in rows.column_names:
        if name.casefold() in {key.casefold() for key in keys} and rows.column(name).null_count:
            what = (
                f"{rows.column(name).null_count:,} of the rows to upsert have no {clean(name, 100)}, which is their key"
            )
            raise DefinitionError(path, 0, 0, what, "have the transform leave out such rows: WHERE … IS NOT NULL")


def _write_discarded(event: BatchValidated, rows: pa.Array, ports: Ports) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({ROW_COLUMN: rows, "reason": pa.repeat(pa.scalar(DROPPED), len(rows))})
    with ports.objects.write(paths.discarded(event.batch_id, event.attempt, "load")) as stream:
        pq.write_table(table, stream)


def columns_of(schema: pa.Schema) -> tuple[TableColumn, ...]:
    """The table columns of an Arrow schema, provenance left out."""
    return tuple(TableColumn(field.name, logical_type(field.type)) for field in schema if field.name not in PROVENANCE)


def columns_of_file(path: str, objects: ObjectStore) -> tuple[TableColumn, ...]:
    """The table columns of a file of rows."""
    import pyarrow.parquet as pq

    with objects.read(path) as stream:
        return columns_of(pq.read_schema(stream))


def logical_type(arrow: pa.DataType) -> LogicalType:
    """The logical type that holds an Arrow type's values."""
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

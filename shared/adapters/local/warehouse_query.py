"""GoogleSQL that people write, as DuckDB's SQL: one SELECT over tables, and nothing that reaches elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.adapters.local.duckdb_sql import duckdb_sql
from shared.adapters.local.warehouse_errors import refused
from shared.adapters.read_only_sql import read_only, tables_of
from shared.domain.errors import LimitExceeded

if TYPE_CHECKING:
    import pyarrow as pa


class Query(NamedTuple):
    """A query for DuckDB, and the names of the parameters that it takes."""

    sql: str
    parameters: frozenset[str]


def to_duckdb(sql: str, catalog: str, dataset: str = "") -> Query:
    """The query transpiled, names without a dataset taken to be in ``dataset``.

    ``ForeignFailure`` (invalidQuery, accessDenied, notFound) unless it is one harmless SELECT.
    """
    from sqlglot import exp

    statement = read_only(sql, refused)
    for table in tables_of(statement, refused, dataset):
        if not table.db and dataset:
            table.set("db", exp.to_identifier(dataset, quoted=True))
        table.set("catalog", exp.to_identifier(catalog, quoted=True))
    parameters = frozenset(found.name for found in statement.find_all(exp.Parameter))
    return Query(duckdb_sql(statement), parameters)


def limited(batches: pa.RecordBatchReader, rows_max: int) -> pa.Table:
    """The rows, if they are not more than allowed."""
    import pyarrow as pa

    taken: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        if rows > rows_max:
            raise LimitExceeded(f"the query has more than {rows_max} rows; add a LIMIT")
        taken.append(batch)
    table = pa.Table.from_batches(taken, schema=batches.schema)
    for index, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.precision == 38 and field.type.scale == 0:
            # DuckDB's SUM of integers; GoogleSQL's is an INT64.
            table = table.set_column(index, field.name, table.column(index).cast(pa.int64()))
    return table

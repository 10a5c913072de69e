"""GoogleSQL that people write, as DuckDB's SQL: one SELECT over tables, and nothing that reaches elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.adapters.local.warehouse_errors import refused
from shared.domain.errors import LimitExceeded

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

# Functions that sqlglot passes on unread, and that touch nothing but their arguments.
_PLAIN_FUNCTIONS: Final = frozenset(
    """
    abs acos asin atan atan2 ceiling char_length contains ends_with exp greatest ieee_divide isfinite isinf is_inf isnan
    is_nan json_value ltrim median mod octet_length pi power quantile_cont radians range_bucket repeat reverse rtrim
    safe_divide sign sin cos tan soundex strpos to_hex translate trunc typeof
    """.split()  # noqa: SIM905 -- one word a line is a page of words
)


_NAME: Final = re.compile(r"\w+")


class Query(NamedTuple):
    """A query for DuckDB, and the names of the parameters that it takes."""

    sql: str
    parameters: frozenset[str]


def to_duckdb(sql: str, catalog: str, dataset: str = "") -> Query:
    """The query transpiled, names without a dataset taken to be in ``dataset``.

    ``ForeignFailure`` (invalidQuery, accessDenied, notFound) unless it is one harmless SELECT.
    """
    import sqlglot
    from sqlglot import errors, exp

    try:
        statements = [statement for statement in sqlglot.parse(sql, read="bigquery") if statement is not None]
    except errors.SqlglotError as error:
        raise refused("invalidQuery", str(error), type(error).__name__) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise refused("invalidQuery", "a query is one SELECT statement")
    statement = statements[0]
    _harmless(statement)
    _qualify(statement, catalog, dataset)
    parameters = frozenset(found.name for found in statement.find_all(exp.Parameter))
    return Query(statement.sql(dialect="duckdb"), parameters)


def _harmless(statement: exp.Expr) -> None:
    """Refuse statements inside statements, and functions that are not known to be plain."""
    from sqlglot import exp

    for node in statement.walk():
        if isinstance(node, exp.DML | exp.DDL | exp.Command | exp.Into | exp.Pragma | exp.Attach) and not isinstance(
            node, exp.Query
        ):
            raise refused("accessDenied", "a query only reads")
        if isinstance(node, exp.ReadCSV | exp.ReadParquet):
            raise refused("accessDenied", "a query reads tables, not files")
        if isinstance(node, exp.Anonymous) and node.name.lower() not in _PLAIN_FUNCTIONS:
            raise refused("accessDenied", f"function {node.name.lower()} is not allowed in a query")


def _qualify(statement: exp.Expr, catalog: str, dataset: str) -> None:
    """Let every table be a table of ours: DuckDB takes an unknown name in FROM for a file."""
    from sqlglot import exp

    local = {cte.alias.casefold() for cte in statement.find_all(exp.CTE)}
    if not all(_NAME.fullmatch(name) for name in local):
        raise refused("invalidQuery", "a name in WITH has letters, digits and _ only")
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise refused("accessDenied", "a query reads tables, not functions")
        if table.catalog or table.db.casefold() == "_mend":
            raise refused("accessDenied", "a query names tables as dataset.table")
        if not table.db and dataset and table.name.casefold() not in local:
            table.set("db", exp.to_identifier(dataset, quoted=True))
        if table.db:
            table.set("catalog", exp.to_identifier(catalog, quoted=True))
        elif table.name.casefold() not in local:
            raise refused("notFound", f"a query names tables as dataset.table, not {table.name}")


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

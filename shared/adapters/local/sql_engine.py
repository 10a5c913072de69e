"""SQL in a DuckDB that knows nothing but the rows it is given."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.local.duckdb_sql import duckdb_sql
from shared.domain.checks import check
from shared.domain.errors import TerminalError
from shared.domain.masking import clean, mask

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from sqlglot import exp

_SHUT_IN: Final = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",  # nothing of a cell is written to a disk by the way
    "threads": "1",
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_UNKNOWN_COLUMN: Final = re.compile(r'Referenced column "([^"\n]{1,300})" not found')
# Functions that sqlglot passes on unread, and that look at nothing but their arguments.
_PLAIN_FUNCTIONS: Final = frozenset(
    "abs ceiling char_length exp greatest ifnull is_inf is_nan json_value ltrim mod repeat reverse rtrim sign".split()  # noqa: SIM905
) | frozenset("safe_divide strpos to_hex translate trunc".split())  # noqa: SIM905


class DuckDbSqlEngine:
    """The SqlEngine port: one fresh in-memory database per call, no files, no network, no extensions, one thread."""

    def __init__(self, memory_mb: int = 512) -> None:
        self._memory_mb = memory_mb

    def select(self, sql: str, batch: pa.Table) -> pa.Table:
        """The rows of a GoogleSQL ``SELECT … FROM batch``; the time zone is UTC."""
        local = _local(sql)
        with self._shut_in("the transform") as connection:
            connection.register("batch", batch)
            return connection.sql(local).to_arrow_table()

    def values(
        self, queries: Sequence[str], rows: Iterable[pa.Table], others: Mapping[str, pa.Table] | None = None
    ) -> list[Any]:
        """The single value of each query over all rows and the other tables."""
        beside = others or {}
        check(all(_NAME.fullmatch(name) and name != "batch" for name in beside), "another table has a plain name")
        local = [_local_query(sql, beside) for sql in queries]
        with self._shut_in("the query") as connection:
            for name, table in beside.items():
                connection.register("part", table)
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM part")
                connection.unregister("part")
            for number, part in enumerate(rows):
                connection.register("part", part)
                made = "INSERT INTO batch" if number else "CREATE TABLE batch AS"
                connection.execute(f"{made} SELECT * FROM part")
                connection.unregister("part")
            return [_single(connection.execute(sql).fetchmany(2)) for sql in local]

    @contextmanager
    def _shut_in(self, what: str) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        connection = duckdb.connect(":memory:", config={**_SHUT_IN, "memory_limit": f"{self._memory_mb}MB"})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET lock_configuration = true")
            yield connection
        except duckdb.Error as error:
            unknown = _UNKNOWN_COLUMN.search(str(error)) if isinstance(error, duckdb.BinderException) else None
            if unknown:  # names are looked up before any cell is read
                raise TerminalError(f"{what} failed: there is no column {clean(unknown[1], 60)}") from None
            raise TerminalError(f"{what} failed: {mask(str(error).splitlines()[0])}") from None
        finally:
            connection.close()


def _single(found: list[tuple[Any, ...]]) -> Any:
    if len(found) != 1 or len(found[0]) != 1:
        raise TerminalError("the query must give one value: one row with one column")
    return found[0][0]


def _local_query(sql: str, others: Collection[str]) -> str:
    """The query in DuckDB's SQL; ``TerminalError`` unless it only reads from ``batch`` and the other tables."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(sql, read="bigquery")
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise TerminalError("the query is not one SELECT")
        _check_reach(statements[0], "the query", {each.alias for each in statements[0].find_all(exp.CTE)} | set(others))
        return duckdb_sql(statements[0])
    except SqlglotError as error:
        raise TerminalError(f"the query cannot be translated: {mask(str(error))}") from None
    except RecursionError:
        raise TerminalError("the query cannot be translated: it is nested too deeply") from None


def _local(sql: str) -> str:
    """The query in DuckDB's SQL; ``TerminalError`` unless it is one SELECT from ``batch``."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(sql, read="bigquery")
        if len(statements) != 1 or not isinstance(statements[0], exp.Select):
            raise TerminalError("the transform is not one SELECT")
        _check_reach(statements[0])
        return duckdb_sql(statements[0])
    except SqlglotError as error:
        raise TerminalError(f"the transform cannot be translated: {mask(str(error))}") from None
    except RecursionError:
        raise TerminalError("the transform cannot be translated: it is nested too deeply") from None


def _check_reach(query: exp.Query, what: str = "the transform", local: Collection[str] = ()) -> None:
    """Tables that are not the batch, table functions, statements inside, and functions that nobody knows."""
    from sqlglot import exp

    for node in query.walk():
        known = isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and node.name in {"batch", *local}
        if isinstance(node, exp.Table) and (not known or node.db or node.catalog):
            raise TerminalError(f"{what} reads something else than batch")
        if isinstance(node, exp.DML | exp.DDL | exp.Command | exp.Into) and not isinstance(node, exp.Query):
            raise TerminalError(f"{what} does something else than read")
        if isinstance(node, exp.Anonymous) and node.name.lower() not in _PLAIN_FUNCTIONS:
            raise TerminalError(f"{what} calls {mask(node.name.lower(), 60)}, which is not known here")

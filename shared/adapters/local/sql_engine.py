"""Row-wise SQL in a DuckDB that knows nothing but the rows it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.domain.errors import TerminalError
from shared.domain.masking import mask

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

_SHUT_IN: Final = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
}
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
        import duckdb

        local = _local(sql)
        connection = duckdb.connect(":memory:", config={**_SHUT_IN, "memory_limit": f"{self._memory_mb}MB"})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET lock_configuration = true")
            connection.register("batch", batch)
            return connection.sql(local).to_arrow_table()
        except duckdb.Error as error:
            raise TerminalError(f"the transform failed: {mask(str(error).splitlines()[0])}") from None
        finally:
            connection.close()


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
        return statements[0].sql(dialect="duckdb")
    except SqlglotError as error:
        raise TerminalError(f"the transform cannot be translated: {mask(str(error))}") from None
    except RecursionError:
        raise TerminalError("the transform cannot be translated: it is nested too deeply") from None


def _check_reach(query: exp.Select) -> None:
    """Tables that are not the batch, table functions, statements inside, and functions that nobody knows."""
    from sqlglot import exp

    for node in query.walk():
        if isinstance(node, exp.Table) and (node.name != "batch" or node.db or node.catalog):
            raise TerminalError("the transform reads something else than batch")
        if isinstance(node, exp.DML | exp.DDL | exp.Command | exp.Into) and not isinstance(node, exp.Query):
            raise TerminalError("the transform does something else than read")
        if isinstance(node, exp.Anonymous) and node.name.lower() not in _PLAIN_FUNCTIONS:
            raise TerminalError(f"the transform calls {mask(node.name.lower(), 60)}, which is not known here")

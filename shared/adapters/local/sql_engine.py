"""Row-wise SQL in a DuckDB that knows nothing but the rows it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.domain.errors import TerminalError
from shared.domain.masking import mask

if TYPE_CHECKING:
    import pyarrow as pa

_SHUT_IN = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": "1",
}


class DuckDbSqlEngine:
    """The SqlEngine port: one fresh in-memory database per call, no files, no network, no extensions, one thread."""

    def __init__(self, memory_mb: int = 512) -> None:
        self._memory_mb = memory_mb

    def select(self, sql: str, batch: pa.Table) -> pa.Table:
        """The rows of a GoogleSQL ``SELECT … FROM batch``; the time zone is UTC."""
        import duckdb
        import sqlglot
        from sqlglot.errors import SqlglotError

        try:
            local = sqlglot.transpile(sql, read="bigquery", write="duckdb")[0]
        except SqlglotError as error:
            raise TerminalError(f"the transform cannot be translated: {mask(str(error))}") from None
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

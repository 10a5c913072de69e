"""Names and types of warehouse tables: what may be named how, and what can become what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from shared.adapters import table_shape
from shared.adapters.local.warehouse_errors import refused
from shared.adapters.table_shape import StoredColumn
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN, LogicalType, SchemaChange, TableColumn

if TYPE_CHECKING:
    import duckdb

_NAME: Final = re.compile(r"[^\W\d][\w-]{0,127}")
_OWN_SCHEMA: Final = {"_mend", "information_schema", "pg_catalog"}

SQL_TYPES: Final[dict[LogicalType, str]] = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "time": "TIME",
    "object": "VARCHAR",
    "array": "VARCHAR",
}
PROVENANCE: Final[dict[str, str]] = {BATCH_COLUMN: "VARCHAR", ROW_COLUMN: "BIGINT", SEQ_COLUMN: "VARCHAR"}


class TableName(NamedTuple):
    """``dataset.table``, taken apart and found harmless."""

    catalog: str
    dataset: str
    table: str

    @property
    def sql(self) -> str:
        """The name as SQL; with the catalogue, since a dataset may be named as the database file is."""
        return f"{quoted(self.catalog)}.{quoted(self.dataset)}.{quoted(self.table)}"

    @property
    def folded(self) -> str:
        """The name under which the books know the table: DuckDB does not tell cases apart."""
        return f"{self.dataset}.{self.table}".casefold()


def quoted(name: str) -> str:
    """An identifier as SQL, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'


def table_name(catalog: str, table: str) -> TableName:
    """``dataset.table`` parsed; ``ForeignFailure`` (invalid) for a name that a warehouse would not take."""
    dataset, _, name = table.partition(".")
    if not _NAME.fullmatch(dataset) or not _NAME.fullmatch(name) or dataset.lower() in _OWN_SCHEMA:
        raise refused("invalid", "a table is named dataset.table, with letters, digits, _ and - only")
    return TableName(catalog, dataset, name)


def stored_columns(cursor: duckdb.DuckDBPyConnection, name: TableName) -> dict[str, StoredColumn]:
    """All columns of a table by case-folded name, provenance included; empty when the table does not exist."""
    rows = cursor.execute(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE lower(schema_name) = lower(?) "
        "AND lower(table_name) = lower(?) AND database_name = current_database() ORDER BY column_index",
        [name.dataset, name.table],
    ).fetchall()
    return {row[0].casefold(): StoredColumn(row[0], row[1], _logical_type(row[1], row[2])) for row in rows}


def _logical_type(sql_type: str, comment: str | None) -> LogicalType:
    if sql_type == "VARCHAR":
        return cast("LogicalType", comment) if comment in ("object", "array") else "string"
    for logical_type, known in SQL_TYPES.items():
        if known == sql_type:
            return logical_type
    if sql_type.endswith("INT") or sql_type.startswith(("UINT", "INTEGER")):
        return "integer"
    if sql_type.startswith(("DECIMAL", "FLOAT")):
        return "number"
    return "timestamp" if sql_type.startswith("TIMESTAMP") else "string"


def planned(stored: dict[str, StoredColumn], columns: Sequence[TableColumn]) -> list[SchemaChange]:
    """The changes after which a table holds ``columns``; the same whichever of two loads comes first."""
    return table_shape.planned(stored, columns, refused)


def make(
    cursor: duckdb.DuckDBPyConnection,
    name: TableName,
    columns: Sequence[TableColumn],
    stored: dict[str, StoredColumn],
    changes: Sequence[SchemaChange],
) -> None:
    """Make the planned changes, and add the provenance columns where they are missing."""
    typed = {column.name: column.logical_type for column in columns}
    if not stored:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name.catalog)}.{quoted(name.dataset)}")
        body = [f"{quoted(column)} {SQL_TYPES[logical]}" for column, logical in typed.items()]
        body += [f"{quoted(column)} {sql_type}" for column, sql_type in PROVENANCE.items()]
        cursor.execute(f"CREATE TABLE {name.sql} ({', '.join(body)})")
        for column, logical in typed.items():
            _remember_type(cursor, name, column, logical)
        return
    for change in changes:
        logical = cast("LogicalType", change.new_type)
        column = quoted(change.column)
        if change.action == "add":
            cursor.execute(f"ALTER TABLE {name.sql} ADD COLUMN {column} {SQL_TYPES[logical]}")
        elif SQL_TYPES[logical] != stored[change.column.casefold()].sql_type:
            cursor.execute(f"ALTER TABLE {name.sql} ALTER COLUMN {column} SET DATA TYPE {SQL_TYPES[logical]}")
        _remember_type(cursor, name, change.column, logical, forget=change.old_type in ("object", "array"))
    for own, sql_type in PROVENANCE.items():
        if own not in stored:
            cursor.execute(f"ALTER TABLE {name.sql} ADD COLUMN {quoted(own)} {sql_type}")


def _remember_type(
    cursor: duckdb.DuckDBPyConnection, name: TableName, column: str, logical: LogicalType, forget: bool = False
) -> None:
    """Objects and arrays are stored as JSON text; the column's comment says which."""
    if logical in ("object", "array"):
        cursor.execute(f"COMMENT ON COLUMN {name.sql}.{quoted(column)} IS '{logical}'")
    elif forget:
        cursor.execute(f"COMMENT ON COLUMN {name.sql}.{quoted(column)} IS NULL")

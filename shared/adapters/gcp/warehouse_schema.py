"""Names and types of BigQuery tables, and the changes of a table's columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from shared.adapters import table_shape
from shared.adapters.gcp.errors import SYSTEM
from shared.adapters.table_shape import StoredColumn
from shared.domain.errors import ForeignFailure
from shared.domain.masking import mask
from shared.ports.warehouse import (
    BATCH_COLUMN,
    ROW_COLUMN,
    SEQ_COLUMN,
    Layout,
    LogicalType,
    SchemaChange,
    TableColumn,
)

if TYPE_CHECKING:
    from google.cloud import bigquery

SQL_TYPES: Final[dict[LogicalType, str]] = {
    "string": "STRING",
    "integer": "INT64",
    "number": "FLOAT64",
    "boolean": "BOOL",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "time": "TIME",
    "object": "STRING",
    "array": "STRING",
}
PROVENANCE: Final[dict[str, str]] = {BATCH_COLUMN: "STRING", ROW_COLUMN: "INT64", SEQ_COLUMN: "STRING"}
# As the API has them.
_OF_THE_API: Final = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
_LOGICAL: Final[dict[str, LogicalType]] = {
    "STRING": "string",
    "INT64": "integer",
    "FLOAT64": "number",
    "NUMERIC": "number",
    "BIGNUMERIC": "number",
    "BOOL": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "DATETIME": "timestamp",
    "TIME": "time",
    "JSON": "object",
}
_DATASET: Final = re.compile(r"[A-Za-z0-9_]{1,128}")
_TABLE: Final = re.compile(r"[^\W\d][\w-]{0,127}")
# What a column's name may not contain, and how it may not begin.
COLUMN_FORBIDDEN: Final = "!\"$()*,./;?@[\\]^`{}~'"
_BEGINNINGS: Final = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", "_change_")
_CLUSTERS_MAX: Final = 4


class TableName(NamedTuple):
    """``dataset.table``, taken apart and found harmless."""

    project: str
    dataset: str
    table: str

    @property
    def sql(self) -> str:
        """The name as SQL."""
        return f"`{self.project}.{self.dataset}.{self.table}`"

    @property
    def full(self) -> str:
        """The name as the client takes it."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def short(self) -> str:
        """The name under which the books know the table."""
        return f"{self.dataset}.{self.table}"


def refused(reason: str, message: str) -> ForeignFailure:
    """The failure of a warehouse that says no for good; ``message`` may hold names, never cells."""
    return ForeignFailure(mask(message), system=SYSTEM, reason=reason)


def table_name(project: str, table: str, own: Sequence[str]) -> TableName:
    """``dataset.table`` parsed; ``ForeignFailure`` (invalid) for a name that BigQuery would not take, or is ours."""
    dataset, _, name = table.partition(".")
    ours = dataset.lower() in ("_mend", "information_schema", *own)
    if not _DATASET.fullmatch(dataset) or not _TABLE.fullmatch(name) or ours:
        raise refused("invalid", "a table is named dataset.table, with letters, digits and _ only")
    return TableName(project, dataset, name)


def quoted(name: str) -> str:
    """An identifier as SQL; one with a backtick has been refused before."""
    return f"`{name}`"


def checked_columns(columns: Sequence[TableColumn]) -> None:
    """``ForeignFailure`` (invalid) unless BigQuery takes the columns' names."""
    table_shape.checked_columns(columns, refused)
    for column in columns:
        if any(each in COLUMN_FORBIDDEN for each in column.name):
            raise refused("invalid", f"a column's name holds one of {COLUMN_FORBIDDEN}; rename it in a transform")
        if column.name.lower().startswith(_BEGINNINGS):
            raise refused("invalid", "a column's name begins as BigQuery's own do")


def planned(stored: dict[str, StoredColumn], columns: Sequence[TableColumn]) -> list[SchemaChange]:
    """The changes after which a table holds ``columns``."""
    checked_columns(columns)
    return table_shape.planned(stored, columns, refused)


def stored_columns(table: bigquery.Table) -> dict[str, StoredColumn]:
    """All columns of a table by case-folded name, provenance included."""
    found = {}
    for field in table.schema:
        sql_type = sql_type_of(field)
        logical = _LOGICAL.get(sql_type, "string")
        if sql_type == "STRING" and field.description in ("object", "array"):
            logical = cast("LogicalType", field.description)
        found[field.name.casefold()] = StoredColumn(field.name, sql_type, logical)
    return found


def sql_type_of(field: bigquery.SchemaField) -> str:
    """A column's type as SQL has it; the API has older names for some."""
    return _OF_THE_API.get(field.field_type, str(field.field_type))


def field_of(name: str, logical: LogicalType) -> bigquery.SchemaField:
    """A column to make. Objects and arrays are kept as JSON text; the description says which."""
    from google.cloud import bigquery

    if logical in ("object", "array"):
        return bigquery.SchemaField(name, SQL_TYPES[logical], description=logical)
    return bigquery.SchemaField(name, SQL_TYPES[logical])


def new_table(name: TableName, columns: Sequence[TableColumn], layout: Layout) -> bigquery.Table:
    """A table to make, laid out as asked: by day of a date or moment; other columns can only be clustered by."""
    from google.cloud import bigquery

    fields = [field_of(column.name, column.logical_type) for column in columns]
    fields += [bigquery.SchemaField(own, sql_type) for own, sql_type in PROVENANCE.items()]
    table = bigquery.Table(name.full, schema=fields)
    types = {column.name.casefold(): column.logical_type for column in columns}
    if types.get(layout.partition_by.casefold()) in ("date", "timestamp"):
        table.time_partitioning = bigquery.TimePartitioning(field=layout.partition_by)
    table.clustering_fields = list(layout.cluster_by[:_CLUSTERS_MAX]) or None
    return table


def widened(table: bigquery.Table, name: TableName, changes: dict[str, LogicalType]) -> str:
    """The SQL that gives columns wider types: in place where BigQuery can, else by making the table anew in one step.

    A table made anew keeps its layout; it is read and written whole, which costs what a query over it costs.
    """
    stored = stored_columns(table)
    steps = {(stored[column].sql_type, SQL_TYPES[logical]) for column, logical in changes.items()}
    if steps == {("INT64", "FLOAT64")}:
        return "".join(
            f"ALTER TABLE {name.sql} ALTER COLUMN {quoted(stored[column].name)} SET DATA TYPE {SQL_TYPES[logical]};\n"
            for column, logical in changes.items()
        )
    casts = ", ".join(
        f"CAST({quoted(stored[column].name)} AS {SQL_TYPES[logical]}) AS {quoted(stored[column].name)}"
        for column, logical in changes.items()
    )
    return f"CREATE OR REPLACE TABLE {name.sql}{_layout_sql(table)} AS SELECT * REPLACE ({casts}) FROM {name.sql};\n"


def extended(name: TableName, added: dict[str, LogicalType]) -> str:
    """The SQL that adds columns; "" for none. One that somebody else has added meanwhile is no error."""
    if not added:
        return ""
    columns = [f"ADD COLUMN IF NOT EXISTS {quoted(column)} {SQL_TYPES[logical]}" for column, logical in added.items()]
    return f"ALTER TABLE {name.sql} {', '.join(columns)};\n"


def _layout_sql(table: bigquery.Table) -> str:
    sql = ""
    partitioning: Any = table.time_partitioning
    if partitioning is not None and partitioning.field:
        column = next(field for field in table.schema if field.name == partitioning.field)
        by = quoted(partitioning.field)
        sql += f" PARTITION BY {by}" if column.field_type == "DATE" else f" PARTITION BY TIMESTAMP_TRUNC({by}, DAY)"
    if table.clustering_fields:
        sql += f" CLUSTER BY {', '.join(quoted(field) for field in table.clustering_fields)}"
    return sql

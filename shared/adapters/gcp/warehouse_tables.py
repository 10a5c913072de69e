"""The tables themselves: found, made, given columns, and our own datasets beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from shared.adapters.gcp.warehouse_jobs import answering, asked, patience
from shared.adapters.gcp.warehouse_schema import (
    SQL_TYPES,
    TableName,
    extended,
    field_of,
    new_table,
    planned,
    refused,
    sql_type_of,
    stored_columns,
    widened,
)
from shared.adapters.gcp.warehouse_sql import Books, text
from shared.adapters.table_shape import StoredColumn
from shared.domain.errors import WarehouseUnavailable
from shared.ports.warehouse import Layout, LogicalType, SchemaChange, TableColumn

if TYPE_CHECKING:
    from google.cloud import bigquery

_STAGED_HOURS: Final = 48
_CHANGES_TRIED_MAX: Final = 5  # while others change the same table


class Tables:
    """The tables of one project. Dataset and books are made at first use where a deployment has not."""

    def __init__(self, client: bigquery.Client, books: str, staging: str, bytes_billed_max: int) -> None:
        self._client = client
        self._bytes_billed_max = bytes_billed_max
        self._books_dataset = books
        self._staging_dataset = staging
        self._made: Books | None = None
        self._books_there = False

    def find(self, name: TableName) -> bigquery.Table | None:
        """The table as it is now, or None."""
        return self._found(name.full)

    def exists(self, full_name: str) -> bool:
        """Whether there is such a table."""
        return self._found(full_name) is not None

    def columns(self, name: TableName) -> dict[str, StoredColumn]:
        """All columns of a table by case-folded name, provenance included; empty when the table does not exist."""
        found = self.find(name)
        return {} if found is None else stored_columns(found)

    def partitioned_by(self, name: TableName) -> str:
        """The column that the table is partitioned by, or ""."""
        found = self.find(name)
        partitioning = found.time_partitioning if found is not None else None
        return str(partitioning.field or "") if partitioning is not None else ""

    def check_keys(self, name: TableName, keys: Sequence[str], coming: Sequence[TableColumn]) -> None:
        """``ForeignFailure`` (notFound) for a key that the table lacks and is not going to get."""
        known = self.columns(name).keys() | {column.name.casefold() for column in coming}
        missing = [key for key in keys if key.casefold() not in known]
        if missing:
            raise refused("notFound", f"the table has no column {', '.join(missing)}")

    def ensure(self, name: TableName, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """Make the additive and widening changes; returns those made.

        A table that somebody else changed meanwhile is looked at again.
        """
        from google.api_core.exceptions import Conflict, PreconditionFailed

        for _ in range(_CHANGES_TRIED_MAX):
            found = self.find(name)
            changes = planned(stored_columns(found) if found is not None else {}, columns)
            with answering():
                try:
                    if found is None:
                        self._create(name, columns, layout)
                    elif changes:
                        self._change(found, name, changes)
                    return changes
                except (Conflict, PreconditionFailed):
                    continue
        raise WarehouseUnavailable(f"table {name.short} kept changing while its columns were to be changed")

    def rows_and_jobs(self, name: TableName) -> tuple[int, int]:
        """How many rows the table has now, which costs nothing to ask, and how many scripts have changed it.

        Whoever asks may have no right to make books; where none are, no script has changed anything.
        """
        jobs_table = self._book("jobs")
        self._books_there = self._books_there or self.exists(jobs_table)
        booked = "SELECT 0"
        if self._books_there:
            booked = f"SELECT COUNT(*) FROM `{jobs_table}` WHERE table_name = {text(name.short)}"
        with answering():
            sql = f"SELECT (SELECT COUNT(*) FROM {name.sql}), ({booked})"
            answer = asked(self._client, sql, self._bytes_billed_max)
            rows, jobs = next(iter(answer)).values()
        return int(rows), int(jobs)

    def books(self) -> Books:
        """The tables in which scripts write down what they did."""
        if self._made is None:
            from google.cloud import bigquery

            jobs = [("job_id", "STRING"), ("table_name", "STRING"), ("rows", "INT64"), ("done_at", "TIMESTAMP")]
            shown = [("table_name", "STRING"), ("batch", "STRING"), ("seq", "STRING")]
            self._dataset(self._books_dataset)
            self._dataset(self._staging_dataset, _STAGED_HOURS)
            places = []
            for table, columns in (("jobs", jobs), ("shown", shown)):
                full = self._book(table)
                made = bigquery.Table(full, schema=[bigquery.SchemaField(*column) for column in columns])
                # Looked up by it with every load, for good: else each would read the ids of all that ever were.
                made.clustering_fields = [columns[0][0]]
                with answering():
                    self._client.create_table(made, exists_ok=True, **patience())
                places.append(f"`{full}`")
            self._made = Books(*places)
        return self._made

    def _book(self, table: str) -> str:
        return f"{self._client.project}.{self._books_dataset}.{table}"

    def _create(self, name: TableName, columns: Sequence[TableColumn], layout: Layout) -> None:
        self._dataset(name.dataset)
        self._client.create_table(new_table(name, columns, layout), **patience())

    def _change(self, table: bigquery.Table, name: TableName, changes: Sequence[SchemaChange]) -> None:
        stored = stored_columns(table)
        wider = {
            change.column.casefold(): cast("LogicalType", change.new_type)
            for change in changes
            if change.action == "widen"
        }
        retyped = {
            column: logical for column, logical in wider.items() if stored[column].sql_type != SQL_TYPES[logical]
        }
        added = {change.column: cast("LogicalType", change.new_type) for change in changes if change.action == "add"}
        sql = (widened(table, name, retyped) if retyped else "") + extended(name, added)
        if sql:
            asked(self._client, sql, self._bytes_billed_max)
            table = self._client.get_table(name.full, **patience())
        # What a statement of SQL does not say, or has lost: the descriptions by which we know objects and arrays.
        logical = {column: (each.name, each.logical_type) for column, each in stored.items()}
        logical |= {column.casefold(): (column, kind) for column, kind in added.items()}
        logical |= {column: (stored[column].name, kind) for column, kind in wider.items()}
        before = {field.name.casefold(): field for field in table.schema}
        touched = {*wider, *(column.casefold() for column in added)}
        wanted = [_field(before.get(column), name, kind, column in touched) for column, (name, kind) in logical.items()]
        if wanted != list(table.schema):
            table.schema = wanted
            self._client.update_table(table, ["schema"], **patience())

    def _found(self, full_name: str) -> bigquery.Table | None:
        from google.api_core.exceptions import NotFound

        with answering():
            try:
                return self._client.get_table(full_name, **patience())
            except NotFound:
                return None

    def _dataset(self, dataset: str, hours: int = 0) -> None:
        """Made where it is not there: who may write to it may not always make others, and would be refused."""
        from google.api_core.exceptions import NotFound
        from google.cloud import bigquery

        made = bigquery.Dataset(f"{self._client.project}.{dataset}")
        if self._client.location:
            made.location = self._client.location
        if hours:
            made.default_table_expiration_ms = hours * 3_600_000
        with answering():
            try:
                self._client.get_dataset(made.reference, **patience())
            except NotFound:
                self._client.create_dataset(made, exists_ok=True, **patience())


def _field(found: bigquery.SchemaField | None, name: str, logical: LogicalType, touched: bool) -> bigquery.SchemaField:
    """The column as it was found, unless its type or what is said of it is not what it should be now."""
    wanted = field_of(name, logical)
    if found is None or (touched and sql_type_of(found) != SQL_TYPES[logical]):
        return wanted
    described = found.description if found.description in ("object", "array") else None
    return found if described == wanted.description else wanted

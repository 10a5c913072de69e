"""Tables in one DuckDB file that several processes take turns with."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.local.warehouse_connection import WarehouseConnection, WarehouseSettings
from shared.adapters.local.warehouse_errors import refused
from shared.adapters.local.warehouse_lock import WarehouseLock
from shared.adapters.local.warehouse_query import limited, to_duckdb
from shared.adapters.local.warehouse_rows import Table
from shared.adapters.local.warehouse_schema import (
    PROVENANCE,
    TableName,
    make,
    planned,
    quoted,
    stored_columns,
    table_name,
)
from shared.adapters.table_shape import StoredColumn
from shared.domain.checks import check
from shared.ports.clock import Clock
from shared.ports.warehouse import JobResult, Layout, LoadJob, SchemaChange, TableColumn, TableInfo

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH_ROWS: Final = 50_000
_GLOB: Final = frozenset("*?[]{}\\")


class DuckDbWarehouse:
    """The Warehouse port on one DuckDB file; layouts and NOT NULL are the cloud's business and ignored here.

    The file is opened per use under a lock between processes and stays open while uses follow one another. Any
    thread may call; one at a time writes.
    """

    def __init__(self, path: Path, objects_root: Path, clock: Clock, settings: WarehouseSettings | None = None) -> None:
        self._path = path
        self._objects_root = objects_root
        self._clock = clock
        self._catalog = path.stem
        check(self._catalog.isidentifier() and self._catalog not in ("temp", "system"), "the warehouse file's name")
        settings = settings or WarehouseSettings()
        lock = WarehouseLock(path, clock, settings.wait_seconds)
        self._connection = WarehouseConnection(path, objects_root, lock, settings)
        self._writing = threading.Lock()
        self._reshaped = False

    # ── schema ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def describe(self, table: str) -> TableInfo | None:
        """The table's columns (without ours), row count and version; None when it does not exist."""
        name = self._name(table)
        if not self._path.exists():
            return None
        with self._connection.cursor() as cursor:
            cursor.begin()
            stored = self._connection.columns(cursor, name)
            if not stored:
                return None
            columns = tuple(
                TableColumn(column.name, column.logical_type) for key, column in stored.items() if key not in PROVENANCE
            )
            found = Table(cursor, name, stored)
            return TableInfo(table, columns, found.rows(), found.version())

    def plan_schema(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """What must change so that the table can hold ``columns``."""
        name = self._name(table)
        if not self._path.exists():
            return planned({}, columns)
        with self._connection.cursor() as cursor:
            return planned(self._connection.columns(cursor, name), columns)

    def ensure(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """Make the additive and widening changes; returns those made."""
        name = self._name(table)
        if not self.plan_schema(table, columns, layout):
            return []
        with self._transaction() as cursor:
            changes, _ = self._made(cursor, name, columns)
            return changes

    def _made(
        self, cursor: duckdb.DuckDBPyConnection, name: TableName, columns: Sequence[TableColumn]
    ) -> tuple[list[SchemaChange], dict[str, StoredColumn]]:
        """The changes that the table needed, and its columns now."""
        stored = self._connection.columns(cursor, name)
        changes = planned(stored, columns)
        if not changes and stored.keys() >= PROVENANCE.keys():
            return [], stored
        make(cursor, name, columns, stored, changes)
        self._reshaped = True
        return changes, stored_columns(cursor, name)

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, job: LoadJob) -> JobResult:
        """Do the job, with the schema changes it needs, in one transaction; a job done before is not done again."""
        name = self._name(job.table)
        files, size = self._files(job.files)
        with self._transaction() as cursor:
            done = Table(cursor, name, {}).done(job.job_id)
            if done:
                return JobResult(*done, repeated=True)
            table = Table(cursor, name, self._made(cursor, name, job.columns)[1] if _brings(job) else {})
            if not _brings(job):
                rows = 0
            elif job.mode == "append":
                rows = table.append(files)
            elif job.mode == "upsert":
                rows = table.upsert(files, job.keys)
            else:
                rows = table.overwrite(files, job.batch, job.seq)
            table.book(job.job_id, rows, size, self._clock.now())
            return JobResult(rows, size, repeated=False)

    def withdraw(self, job: LoadJob, restore: Sequence[str]) -> JobResult:
        """Take the job's rows out of the table again; what they had replaced comes back from ``restore``."""
        name = self._name(job.table)
        files, _ = self._files(job.files)
        kept, size = self._files(restore)
        with self._transaction() as cursor:
            stored = self._connection.columns(cursor, name)
            table = Table(cursor, name, stored)
            done = table.done(job.job_id)
            if done:
                return JobResult(*done, repeated=True)
            if not stored:
                rows = 0
            elif job.mode == "append":
                rows = table.withdraw_appended(files)
            elif job.mode == "upsert":
                rows = table.withdraw_upserted(files, job.keys, job.batch, kept)
            else:
                rows = table.withdraw_shown(job.batch, kept)
            table.book(job.job_id, rows, size, self._clock.now())
            return JobResult(rows, size, repeated=False)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def rows_with_keys(self, table: str, files: Sequence[str], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of the table, provenance columns included, whose key occurs in the files; none if no table."""
        name = self._name(table)
        paths, _ = self._files(files)
        if not self._path.exists():
            return
        with self._connection.cursor() as cursor:
            stored = self._connection.columns(cursor, name)
            if stored and paths:
                yield from _stream(cursor, Table(cursor, name, stored).matching(paths, keys))

    def keys(self, table: str, columns: Sequence[str]) -> pa.Table | None:
        """Distinct non-null values of the columns, sorted; None when the table does not exist."""
        name = self._name(table)
        if not self._path.exists():
            return None
        with self._connection.cursor() as cursor:
            stored = self._connection.columns(cursor, name)
            if not stored:
                return None
            names = [quoted(column.name) for column in Table(cursor, name, stored).key_columns(columns)]
            present = " AND ".join(f"{column} IS NOT NULL" for column in names)
            sql = f"SELECT DISTINCT {', '.join(names)} FROM {name.sql} WHERE {present} ORDER BY ALL"
            return cursor.sql(sql).to_arrow_table()

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, rows_max: int = 10_000) -> pa.Table:
        """Rows of one GoogleSQL SELECT; ``LimitExceeded`` when they are more than ``rows_max``."""
        with self._connection.cursor() as cursor:
            query = to_duckdb(sql, self._catalog)
            values = {name: value for name, value in (parameters or {}).items() if name in query.parameters}
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            return limited(
                cursor.sql(query.sql, params=values or None).to_arrow_reader(min(rows_max + 1, _BATCH_ROWS)), rows_max
            )

    def dump(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of the table, provenance columns included, in no particular order."""
        name = self._name(table)
        if not self._path.exists():
            return
        with self._connection.cursor() as cursor:
            if self._connection.columns(cursor, name):
                yield from _stream(cursor, f"SELECT * FROM {name.sql}")

    def close(self) -> None:
        """Give up the connection and the lock."""
        with self._writing:
            self._connection.close()

    def _name(self, table: str) -> TableName:
        return table_name(self._catalog, table)

    def _files(self, files: Sequence[str]) -> tuple[list[str], int]:
        """Where the files are on this machine, and how large together."""
        paths = []
        size = 0
        for file in files:
            parts = PurePosixPath(file).parts
            check(bool(parts) and not file.startswith("/") and ".." not in parts, "a file is named inside the store")
            check(not _GLOB.intersection(file), "a file's name has no wildcard")
            path = self._objects_root.resolve() / file
            try:
                size += path.stat().st_size
            except FileNotFoundError as error:
                raise refused("notFound", f"there is no file {file}", "FileNotFoundError") from error
            paths.append(str(path))
        return paths, size

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One write at a time, whole or not at all."""
        with self._writing, self._connection.cursor() as cursor:
            self._reshaped = False
            cursor.begin()
            yield cursor  # closing the cursor without a commit rolls back
            cursor.commit()
            if self._reshaped:
                self._connection.forget_columns()


def _brings(job: LoadJob) -> bool:
    """False for a job that only takes its id, so that nothing else is done under it: it makes no table either."""
    return bool(job.files or job.columns) or job.mode != "append"


def _stream(cursor: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    for batch in cursor.sql(sql).to_arrow_reader(_BATCH_ROWS):
        if batch.num_rows:
            yield batch

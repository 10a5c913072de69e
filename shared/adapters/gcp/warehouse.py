"""Tables in BigQuery: each change of one is one job, atomic, and done once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.gcp import channels, warehouse_schema, warehouse_sql
from shared.adapters.gcp.warehouse_files import File, Staged, checked, files_of, grouped
from shared.adapters.gcp.warehouse_jobs import Jobs, answering, asked, finished, patience
from shared.adapters.gcp.warehouse_query import bound, parameters_of
from shared.adapters.gcp.warehouse_schema import PROVENANCE, TableName, planned, refused, stored_columns
from shared.adapters.gcp.warehouse_sql import Script
from shared.adapters.gcp.warehouse_tables import Tables
from shared.adapters.table_shape import StoredColumn
from shared.domain.checks import check
from shared.domain.ids import derive
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import JobResult, Layout, LoadJob, SchemaChange, TableColumn, TableInfo

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery

_ROWS_LABEL: Final = "mend_rows"  # of a job whose rows are known before it runs; a script's stand in the books
BYTES_BILLED_MAX: Final = 1_000_000_000_000


class BigQueryWarehouse:
    """The Warehouse port on one project.

    Files go from the object store into a table by load jobs, which cost nothing: into the table itself when rows of one
    batch are only added and the files' columns are the table's; else into a staging table, from which one script moves
    them.
    ``staging`` and ``books`` are datasets of our own; what is in the first ends by itself after two days.
    """

    def __init__(
        self,
        client: bigquery.Client,
        objects: ObjectStore,
        *,
        books: str = "mend_books",
        staging: str = "mend_staging",
        bytes_billed_max: int = BYTES_BILLED_MAX,
    ) -> None:
        self._client = client
        self._objects = objects
        self._own = (books, staging)
        self._staging = f"{client.project}.{staging}"
        self._tables = Tables(client, books, staging, bytes_billed_max)
        self._jobs = Jobs(client)
        self._bytes_billed_max = bytes_billed_max

    # ── schema ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def describe(self, table: str) -> TableInfo | None:
        """The table's columns (without ours), row count and version; None when it does not exist."""
        found = self._tables.find(self._name(table))
        if found is None:
            return None
        stored = stored_columns(found)
        columns = tuple(
            TableColumn(column.name, column.logical_type) for key, column in stored.items() if key not in PROVENANCE
        )
        shape = derive(*(f"{column.name} {column.sql_type}" for column in stored.values()), length=8)
        modified = int(found.modified.timestamp() * 1_000) if found.modified else 0
        rows, jobs = self._tables.rows_and_jobs(self._name(table))
        return TableInfo(table, columns, rows, f"{modified}-{rows}-{jobs}-{shape}")

    def plan_schema(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """What must change so that the table can hold ``columns``."""
        found = self._tables.find(self._name(table))
        return planned(stored_columns(found) if found else {}, columns)

    def ensure(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """Make the additive and widening changes; returns those made."""
        return self._tables.ensure(self._name(table), columns, layout)

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, job: LoadJob) -> JobResult:
        """Do the job, after the schema changes it needs; a job done before is not done again."""
        name = self._name(job.table)
        for path in job.files:
            checked(path)
        if not (job.files or job.columns) and job.mode == "append":
            return self._halted(job)
        files = files_of(self._objects, job.files)
        rows, size = sum(file.rows for file in files), sum(file.bytes for file in files)

        def start(job_id: str) -> Any:
            self._tables.check_keys(name, job.keys if job.mode == "upsert" else (), job.columns)
            self._tables.ensure(name, job.columns, job.layout)
            stored = self._tables.columns(name)
            # What several batches share had waited: it goes where the loads that a table may have a day do not count.
            if job.mode == "append" and job.batch and _as_they_are(files, stored):
                return self._load(job_id, [file.uri for file in files], name.full, files[0], rows, "WRITE_APPEND")
            return self._script(job_id, self._loading(job, name, stored, files, rows), rows)

        done = self._jobs.once(job.job_id, start)
        return JobResult(self._rows(job, done.job, rows), size, done.repeated)

    def withdraw(self, job: LoadJob, restore: Sequence[str]) -> JobResult:
        """Take the job's rows out of the table again; what they had replaced comes back from ``restore``."""
        name = self._name(job.table)
        files, kept = files_of(self._objects, job.files), files_of(self._objects, restore)
        size = sum(file.bytes for file in kept)
        stored = self._tables.columns(name)
        if not stored:
            return self._halted(job)._replace(bytes=size)

        def start(job_id: str) -> Any:
            script = self._made(job, name, stored)
            staged, back = self._staged(files), self._staged(kept)
            if job.mode == "append":
                sql = script.withdraw_appended(staged)
            elif job.mode == "upsert":
                sql = script.withdraw_upserted(staged, key_columns(stored, job.keys), job.batch, back)
            else:
                sql = script.withdraw_shown(job.batch, back)
            return self._script(job_id, sql, None)

        done = self._jobs.once(job.job_id, start)
        return JobResult(self._rows(job, done.job, 0), size, done.repeated)

    def _loading(
        self, job: LoadJob, name: TableName, stored: dict[str, StoredColumn], files: Sequence[File], rows: int
    ) -> str:
        script, staged = self._made(job, name, stored), self._staged(files)
        if job.mode == "append":
            return script.append(staged, rows)
        if job.mode == "overwrite":
            return script.overwrite(staged, job.batch, job.seq, rows)
        keys = key_columns(stored, job.keys)
        partitioned = self._tables.partitioned_by(name)
        pruned = next((column for column in keys if column.name.casefold() == partitioned.casefold()), None)
        return script.upsert(staged, keys, rows, warehouse_sql.pruning(pruned, staged))

    def _halted(self, job: LoadJob) -> JobResult:
        """Take the job's id and do nothing, so that nothing else is done under it."""
        done = self._jobs.once(job.job_id, lambda job_id: self._script(job_id, "SELECT 1", 0))
        return JobResult(self._rows(job, done.job, 0), 0, done.repeated)

    def _made(self, job: LoadJob, name: TableName, stored: dict[str, StoredColumn]) -> Script:
        return Script(self._tables.books(), job.job_id, name, tuple(stored.values()))

    def _rows(self, job: LoadJob, done: Any, known: int) -> int:
        """The rows that the job is said to have brought: by its label, else by the books.

        A script that does not stand there has brought none, whatever it was to bring: it only took the job's id.
        """
        label = (done.labels or {}).get(_ROWS_LABEL)
        if label is not None and job.mode != "overwrite":
            return int(label)
        booked = self._books_say(job.job_id)
        if booked is None:
            return known if done.job_type == "load" else 0
        return booked

    def _books_say(self, job_id: str) -> int | None:
        sql = f"SELECT `rows` FROM {self._tables.books().jobs} WHERE job_id = {warehouse_sql.text(job_id)}"
        with answering():
            rows = [row[0] for row in asked(self._client, sql, self._bytes_billed_max)]
        return int(rows[0]) if rows else None

    # ── files into tables ──────────────────────────────────────────────────────────────────────────────────────────

    def _staged(self, files: Sequence[File]) -> list[Staged]:
        """The files' rows in staging tables, loaded unless they are there."""
        self._tables.books()  # and the dataset of staging tables beside them
        groups = grouped(files, lambda table: f"{self._staging}.{table}")
        for group in groups:
            if self._tables.exists(group.table):
                continue
            first, rows = group.files[0], sum(file.rows for file in group.files)
            uris = [file.uri for file in group.files]
            with answering():  # whoever loads it at the same time loads the same
                finished(self._load(None, uris, group.table, first, rows, "WRITE_TRUNCATE"))
        return groups

    def _load(
        self, job_id: str | None, uris: list[str], table: str, like: File, rows: int, disposition: str
    ) -> bigquery.LoadJob:
        from google.cloud import bigquery

        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=disposition,
            schema=[bigquery.SchemaField(name, sql_type) for name, sql_type in like.columns],
            labels={_ROWS_LABEL: str(rows)},
        )
        config._properties["load"]["columnNameCharacterMap"] = "V2"
        return self._client.load_table_from_uri(uris, table, job_id=job_id, job_config=config, **patience())

    def _script(self, job_id: str, sql: str, rows: int | None) -> bigquery.QueryJob:
        from google.cloud import bigquery

        labels = {} if rows is None else {_ROWS_LABEL: str(rows)}
        config = bigquery.QueryJobConfig(labels=labels, maximum_bytes_billed=self._bytes_billed_max)
        return self._client.query(sql, job_id=job_id, job_config=config, **patience(), job_retry=None)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def rows_with_keys(self, table: str, files: Sequence[str], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of the table, provenance columns included, whose key occurs in the files; none if no table."""
        name = self._name(table)
        for path in files:
            checked(path)
        stored = self._tables.columns(name)
        if stored and files:
            staged = self._staged(files_of(self._objects, files))
            yield from self._stream(warehouse_sql.matching(name, staged, key_columns(stored, keys)))

    def keys(self, table: str, columns: Sequence[str]) -> pa.Table | None:
        """Distinct non-null values of the columns, sorted; None when the table does not exist."""
        name = self._name(table)
        stored = self._tables.columns(name)
        if not stored:
            return None
        names = [warehouse_schema.quoted(column.name) for column in key_columns(stored, columns)]
        present = " AND ".join(f"{column} IS NOT NULL" for column in names)
        listed = ", ".join(names)
        with answering():
            sql = f"SELECT DISTINCT {listed} FROM {name.sql} WHERE {present} ORDER BY {listed}"
            return asked(self._client, sql, self._bytes_billed_max).to_arrow(create_bqstorage_client=False)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, rows_max: int = 10_000) -> pa.Table:
        """Rows of one GoogleSQL SELECT; ``LimitExceeded`` when they are more than ``rows_max`` or cost too much."""
        names = bound(sql, self._own)
        with answering():
            return parameters_of(parameters or {}, names).run(self._client, sql, rows_max, self._bytes_billed_max)

    def dump(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of the table, provenance columns included, as they were at one moment."""
        name = self._name(table)
        if self._tables.find(name) is not None:
            yield from self._stream(f"SELECT * FROM {name.sql}")

    def close(self) -> None:
        """Give back connections; the next use opens new ones."""
        self._client.close()  # type: ignore[no-untyped-call]

    def _stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with answering():
            rows = asked(self._client, sql, self._bytes_billed_max)
            batches = iter(rows.to_arrow_iterable())
        while True:
            with answering():
                batch = next(batches, None)
            if batch is None:
                return
            if batch.num_rows:
                yield batch

    def _name(self, table: str) -> TableName:
        return warehouse_schema.table_name(self._client.project, table, self._own)


def client_of(project: str, location: str, emulator: str = "") -> bigquery.Client:
    """The client for one project and location."""
    from google.cloud import bigquery

    if emulator:
        options = {"api_endpoint": emulator}
        return bigquery.Client(project, credentials=channels.anonymous(), client_options=options, location=location)
    return bigquery.Client(project, location=location)


def key_columns(stored: Mapping[str, StoredColumn], keys: Sequence[str]) -> list[StoredColumn]:
    """The key's columns; ``ForeignFailure`` (notFound) when the table lacks one."""
    missing = [key for key in keys if key.casefold() not in stored]
    if missing or not keys:
        raise refused("notFound", f"the table has no column {', '.join(missing) or 'that could be its key'}")
    return [stored[key.casefold()] for key in keys]


def _as_they_are(files: Sequence[File], stored: Mapping[str, StoredColumn]) -> bool:
    """Whether the files' columns are the table's, in their order: then a load job needs no help."""
    check(bool(stored), "the table was made before it is loaded")
    mine = tuple((column.name, column.sql_type) for column in stored.values())
    return bool(files) and all(file.columns == mine for file in files)


def bytes_of(client: bigquery.Client, sql: str) -> int:
    """What a query would read, told without running it."""
    from google.cloud import bigquery

    config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    with answering():
        return int(client.query(sql, job_config=config, **patience(), job_retry=None).total_bytes_processed or 0)

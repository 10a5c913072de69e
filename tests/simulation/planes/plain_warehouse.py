"""The Warehouse port on plain rows in memory: one copy of a table is changed and put in its place in one step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from shared.adapters.local.warehouse_errors import refused
from shared.adapters.local.warehouse_schema import PROVENANCE, planned, table_name
from shared.domain.checks import check
from shared.ports.clock import Clock
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import JobResult, Layout, LoadJob, SchemaChange, TableColumn, TableInfo
from tests.simulation.planes import rows_file
from tests.simulation.planes.plain_table import PlainTable
from tests.simulation.planes.rows_file import Rows

if TYPE_CHECKING:
    import pyarrow as pa

_GLOB = frozenset("*?[]{}\\")
_CATALOG = "warehouse"


class PlainWarehouse:
    """Files are JSON (or Parquet, by their first bytes).

    ``arrow``: rows are given out as the port has them; without, as ``Rows``, which is all that the plane's own readers
    need and imports nothing.
    """

    def __init__(self, objects: ObjectStore, clock: Clock, *, arrow: bool = False) -> None:
        self._objects = objects
        self._clock = clock
        self._arrow = arrow
        self._tables: dict[str, PlainTable] = {}
        self._done: dict[str, tuple[int, int]] = {}

    # ── schema ──

    def describe(self, table: str) -> TableInfo | None:
        """The table's columns (without ours), row count and version; None when it does not exist."""
        found = self._tables.get(_folded(table))
        if found is None:
            return None
        columns = tuple(
            TableColumn(each.name, each.logical_type) for key, each in found.columns.items() if key not in PROVENANCE
        )
        return TableInfo(table, columns, len(found.rows), found.version)

    def plan_schema(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """What must change so that the table can hold ``columns``."""
        found = self._tables.get(_folded(table))
        return planned(found.columns if found is not None else {}, columns)

    def ensure(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """Make the additive and widening changes; returns those made."""
        changes = self.plan_schema(table, columns, layout)
        if changes:
            made = self._copy(table)
            made.make(columns, changes)
            self._tables[_folded(table)] = made
        return changes

    # ── jobs ──

    def run(self, job: LoadJob) -> JobResult:
        """Do the job, with the schema changes it needs, in one step; a job done before is not done again."""
        size = self._size(job.files, _folded(job.table))
        done = self._done.get(job.job_id)
        if done is not None:
            return JobResult(*done, repeated=True)
        if job.mode == "append" and not (job.files or job.columns):  # it only takes its id
            if _folded(job.table) in self._tables:
                return self._book(job, self._copy(job.table), 0, 0)
            self._done[job.job_id] = 0, 0
            return JobResult(0, 0, repeated=False)
        table = self._copy(job.table)
        changes = planned(table.columns, job.columns)
        if changes:
            table.make(job.columns, changes)
        files = [self._read(path) for path in job.files]
        if job.mode == "append":
            rows = table.append(files)
        elif job.mode == "upsert":
            rows = table.upsert(files, job.keys)
        else:
            rows = table.overwrite(files, job.batch, job.seq)
        return self._book(job, table, rows, size)

    def withdraw(self, job: LoadJob, restore: Sequence[str]) -> JobResult:
        """Take the job's rows out of the table again; what they had replaced comes back from ``restore``."""
        known = _folded(job.table)
        self._size(job.files, known)
        size = self._size(restore, known)
        done = self._done.get(job.job_id)
        if done is not None:
            return JobResult(*done, repeated=True)
        if known not in self._tables:
            self._done[job.job_id] = 0, size
            return JobResult(0, size, repeated=False)
        table = self._copy(job.table)
        files = [self._read(path) for path in job.files]
        if job.mode == "append":
            rows = table.withdraw_appended(files)
        elif job.mode == "upsert":
            rows = table.withdraw_upserted(files, job.keys, job.batch, [self._read(path) for path in restore])
        else:
            rows = table.withdraw_shown(job.batch, [self._read(path) for path in restore])
        return self._book(job, table, rows, size)

    def _book(self, job: LoadJob, table: PlainTable, rows: int, size: int) -> JobResult:
        """Table and job id in one step."""
        table.jobs += 1
        self._tables[_folded(job.table)] = table
        self._done[job.job_id] = rows, size
        return JobResult(rows, size, repeated=False)

    # ── reading ──

    def rows_with_keys(self, table: str, files: Sequence[str], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of the table, provenance columns included, whose key occurs in the files; none if no table."""
        found = self._tables.get(_folded(table))
        self._size(files, "")
        if found is not None and files:
            places = found.places(keys)
            keyed = {
                tuple(row[place] for place in places) for row in found.fitted([self._read(each) for each in files])
            }
            yield from self._shown(
                found.as_rows([row for row in found.rows if tuple(row[place] for place in places) in keyed])
            )

    def keys(self, table: str, columns: Sequence[str]) -> pa.Table | None:
        """Distinct non-null values of the columns, sorted; None when the table does not exist."""
        found = self._tables.get(_folded(table))
        if found is None:
            return None
        places = found.places(columns)
        distinct = {tuple(row[place] for place in places) for row in found.rows}
        kept = [list(key) for key in sorted(key for key in distinct if None not in key)]
        stored = [list(found.columns.values())[place] for place in places]
        rows = Rows([each.name for each in stored], [str(each.logical_type) for each in stored], kept)
        return as_arrow(rows) if self._arrow else rows

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, rows_max: int = 10_000) -> pa.Table:
        """What DuckDB answers about a copy of the tables: nothing that is simulated asks anything."""
        import pyarrow.parquet as pq

        from shared.adapters.local.warehouse import DuckDbWarehouse

        with tempfile.TemporaryDirectory() as name:
            engine = DuckDbWarehouse(Path(name) / f"{_CATALOG}.duckdb", Path(name), self._clock)
            for number, (table, plain) in enumerate(self._tables.items()):
                info = self.describe(table)
                pq.write_table(as_arrow(plain.as_rows()), Path(name) / f"{number}.parquet")
                columns = info.columns if info is not None else ()
                engine.run(LoadJob(str(number), table, "append", (f"{number}.parquet",), columns, (), "", ""))
            try:
                return engine.query(sql, parameters, rows_max)
            finally:
                engine.close()

    def dump(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of the table, provenance columns included."""
        found = self._tables.get(_folded(table))
        if found is not None:
            yield from self._shown(found.as_rows())

    def close(self) -> None:
        """Nothing to give up."""

    # ── files ──

    def _shown(self, rows: Rows) -> Iterator[Any]:
        if not rows.rows:
            return
        if self._arrow:
            yield from as_arrow(rows).to_batches(max_chunksize=50_000)
        else:
            yield rows

    def _copy(self, table: str) -> PlainTable:
        found = self._tables.get(_folded(table))
        return found.copy() if found is not None else PlainTable()

    def _size(self, files: Sequence[str], table: str) -> int:
        """How large the files are together; ``ForeignFailure`` (notFound) when one is not there."""
        size = 0
        for file in files:
            parts = PurePosixPath(file).parts
            check(bool(parts) and not file.startswith("/") and ".." not in parts, "a file is named inside the store")
            check(not _GLOB.intersection(file), "a file's name has no wildcard")
            info = self._objects.stat(file)
            if info is None:
                raise refused("notFound", f"there is no file {file}", "FileNotFoundError")
            size += info.bytes
        return size

    def _read(self, path: str) -> Rows:
        with self._objects.read(path) as stream:
            parquet = stream.read(4) == b"PAR1"
        return _from_parquet(self._objects, path) if parquet else rows_file.read(self._objects, path)


def _folded(table: str) -> str:
    return table_name(_CATALOG, table).folded


def as_arrow(rows: Rows) -> pa.Table:
    """The rows as the port gives them out."""
    import pyarrow as pa

    kinds = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "time": pa.time64("us"),
    }
    fields = [pa.field(name, kinds.get(kind, pa.string())) for name, kind in zip(rows.columns, rows.types, strict=True)]
    given = rows.to_pylist()
    return pa.Table.from_arrays(
        [pa.array([row[field.name] for row in given], field.type) for field in fields], schema=pa.schema(fields)
    )


def _from_parquet(objects: ObjectStore, path: str) -> Rows:
    import pyarrow.parquet as pq

    from services.load.table_rows import logical_type

    with objects.read(path) as stream:
        table = pq.read_table(stream)
    columns = [column.to_pylist() for column in table.columns]
    kinds = [str(logical_type(field.type)) for field in table.schema]
    inside = [
        [cell if cell is None else cell.isoformat() for cell in cells]
        if kind in ("date", "timestamp", "time")
        else cells
        for cells, kind in zip(columns, kinds, strict=True)
    ]
    return Rows(table.column_names, kinds, [list(row) for row in zip(*inside, strict=True)])

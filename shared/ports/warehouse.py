"""The tables that people query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp", "time", "object", "array"]
Mode = Literal["append", "upsert", "overwrite"]

BATCH_COLUMN = "_mend_batch"
ROW_COLUMN = "_mend_row"
SEQ_COLUMN = "_mend_seq"

OVER_QUOTA = "quotaExceeded"  # reason of a ``ForeignFailure``: the table has had the loads that it may have a day


class TableColumn(NamedTuple):
    """A column of a table, in logical types."""

    name: str
    logical_type: LogicalType
    required: bool = False


class TableInfo(NamedTuple):
    """What a table is now. ``version`` changes whenever its rows or columns do."""

    table: str
    columns: tuple[TableColumn, ...]
    rows: int
    version: str


class SchemaChange(NamedTuple):
    """One change to make or made: ``add`` a column, ``widen`` its type, or ``create`` the table."""

    action: Literal["create", "add", "widen"]
    column: str
    old_type: str
    new_type: str


class Layout(NamedTuple):
    """How a new table is laid out; ignored for an existing one."""

    partition_by: str = ""
    cluster_by: tuple[str, ...] = ()


class LoadJob(NamedTuple):
    """One idempotent change of a table.

    ``job_id`` is deterministic: a job that succeeded once is never done again. ``files`` are object store paths of
    Parquet files with the table's columns and the three provenance columns. ``keys`` are the upsert's key columns.
    ``batch`` and ``seq`` are those of every row in the files; "" when an append brings rows of several batches, which
    their provenance columns tell apart.
    """

    job_id: str
    table: str
    mode: Mode
    files: tuple[str, ...]
    columns: tuple[TableColumn, ...]
    keys: tuple[str, ...]
    batch: str
    seq: str
    layout: Layout = Layout()


class JobResult(NamedTuple):
    """What a job did. ``rows`` = rows of the files now in the table (or older than what is there, for upserts)."""

    rows: int
    bytes: int
    repeated: bool  # the job had been done before; nothing happened now


class Warehouse(Protocol):
    """Raises ``WarehouseUnavailable`` when our own warehouse says no for now (``WarehouseBusy``: since it has had its
    number of jobs), ``ForeignFailure`` when it refuses.

    A table is named ``dataset.table``.
    """

    def describe(self, table: str) -> TableInfo | None:
        """The table's columns, row count and version; None when it does not exist."""

    def plan_schema(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """What must change so that the table can hold ``columns``. ``ForeignFailure`` (reason ``incompatible``) when
        only a narrowing change would do."""

    def ensure(self, table: str, columns: Sequence[TableColumn], layout: Layout) -> list[SchemaChange]:
        """Make the additive and widening changes of ``plan_schema``; returns those made. Repeating is harmless."""

    def run(self, job: LoadJob) -> JobResult:
        """Do the job in one atomic step.

        append: add the rows; a job of no files and no columns only takes its id, and makes no table (its ``rows`` are
        0, or those of the job that was done under the id). One of several batches is no part of what the warehouse
        allows a table in loads, where that is limited: it is what waited for such a limit.
        upsert: one row per key, a row replaces another only when (seq, row) is greater.
        overwrite: replace all rows, unless the table shows a batch with a greater seq (then nothing, rows = 0) or
        this very batch (then the rows are added to it; one that is there already is replaced).
        """

    def rows_with_keys(self, table: str, files: Sequence[str], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of the table, provenance columns included, whose key occurs in the files; none if no table."""

    def withdraw(self, job: LoadJob, restore: Sequence[str]) -> JobResult:
        """Undo: take the rows of ``job.files`` out of the table.

        append: rows with their (batch, row) go. upsert: each key of the files whose current row comes from
        ``job.batch`` gets the greatest (seq, row) among ``restore`` (files of rows, provenance columns included; each
        file may lack columns), or goes when there is none. overwrite: if the table shows ``job.batch``, its rows
        become all rows of ``restore``. ``rows`` = rows taken out.
        """

    def keys(self, table: str, columns: Sequence[str]) -> pa.Table | None:
        """Distinct non-null values of the columns, sorted; None when the table does not exist."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, rows_max: int = 10_000) -> pa.Table:
        """Rows of a read-only GoogleSQL query (``@name`` parameters)."""

    def dump(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of the table, in no particular order; nothing when it does not exist."""

    def close(self) -> None:
        """Give up connections and locks."""

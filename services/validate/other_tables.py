"""Tables of the warehouse that a quality rule in SQL compares the batch with, kept as snapshots beside the verdict."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from services.validate.pushdown import name_sql, table_sql
from services.validate.sql_rules import Unanswered, check_names
from shared.domain import paths
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from services.validate.sql_rules import OtherTable, SqlQuery
    from shared.domain.contract import Column
    from shared.ports.ports import Ports
    from shared.ports.sql_engine import SqlEngine
    from shared.ports.warehouse import TableInfo, Warehouse

CELLS_MAX = 20_000_000  # of one table's named columns; more is not copied beside every verdict
BYTES_MAX = 200_000_000  # of all tables that are kept at once: each is in memory up to three times, beside the engine's
TEXTS_ASKED = 100_000  # cells of text from which on the warehouse is asked first how long they are
_NOT_READ = ("object", "array")
_OURS = (BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN)


def columns_read(other: OtherTable, info: TableInfo | None) -> list[str]:
    """The table's columns that the query may name, in the table's order; ``Unanswered`` when it does not exist."""
    if info is None:
        raise Unanswered(f"the table {other.table} does not exist yet")
    plain = [each.name for each in info.columns if each.logical_type not in _NOT_READ and each.name not in _OURS]
    named = [name for name in plain if other.columns is None or name.casefold() in other.columns]
    if not plain:
        raise Unanswered(f"the table {other.table} has no column that a query can read")
    return named or plain[:1]  # its rows can be counted all the same


def selected(other: OtherTable, columns: list[str]) -> str:
    """GoogleSQL that gives these columns of the table."""
    return f"SELECT {', '.join(name_sql(name) for name in columns)} FROM {table_sql(other.table)}"


class OtherTables:
    """The other tables of one attempt's rules; ``snapshots`` are the files of what was read."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._read: dict[tuple[str, tuple[str, ...]], pa.Table] = {}
        self._described: dict[str, TableInfo | None] = {}
        self.snapshots: list[str] = []

    def rows(self, other: OtherTable) -> pa.Table:
        """The table's rows as they are now, and stay for this attempt; ``Unanswered`` when they cannot be had."""
        warehouse: Warehouse = self._ports.warehouse
        if other.table not in self._described:
            self._described[other.table] = warehouse.describe(other.table)
        info = self._described[other.table]
        columns = columns_read(other, info)
        most = CELLS_MAX // len(columns)
        if info is not None and info.rows > most:
            raise Unanswered(f"the table {other.table} has more than {most:,} rows, too many to be kept with a verdict")
        key = (other.table, tuple(columns))
        if key not in self._read:
            if info is not None:
                self._check_room(other.table, self._characters(info, columns))
            found = warehouse.query(selected(other, columns), rows_max=most)
            self._check_room(other.table, found.nbytes)
            self._read[key] = self._kept(other.table, found)
        return self._read[key]

    def keep(self, later: Iterable[OtherTable]) -> None:
        """Let go of all rows but those that ``later`` ones are."""
        wanted = set()
        for other in later:
            info = self._described.get(other.table)
            with suppress(Unanswered):
                wanted.add((other.table, tuple(columns_read(other, info))))
        self._read = {key: rows for key, rows in self._read.items() if key in wanted}

    def _check_room(self, table: str, size: int) -> None:
        if size + sum(each.nbytes for each in self._read.values()) > BYTES_MAX:
            most = f"at most {BYTES_MAX / 1_000_000:,.0f} MB of other tables are kept at once"
            raise Unanswered(f"the table {table} is too large: {most}")

    def _characters(self, info: TableInfo, columns: list[str]) -> int:
        """How long the table's texts are together, asked of the warehouse where it may matter; else 0."""
        kinds = {each.name: each.logical_type for each in info.columns}
        texts = [name for name in columns if kinds[name] == "string"]
        if len(texts) * info.rows < TEXTS_ASKED:
            return 0
        lengths = " + ".join(f"COALESCE(SUM(CHAR_LENGTH({name_sql(name)})), 0)" for name in texts)
        found = self._ports.warehouse.query(f"SELECT {lengths} AS n FROM {table_sql(info.table)}", rows_max=1)
        return int(found["n"][0].as_py())

    def _kept(self, table: str, found: pa.Table) -> pa.Table:
        """The rows in a fixed order, and a file of them that is named by its content."""
        import polars as pl

        frame = pl.DataFrame(pl.from_arrow(found))
        frame = frame.sort(frame.columns, nulls_last=True)
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
        path = paths.rows_snapshot(table, hashlib.sha256(content).hexdigest()[:32])
        if self._ports.objects.stat(path) is None:
            with self._ports.objects.write(path) as stream:
                stream.write(content)
        self.snapshots.append(path)
        return frame.to_arrow()


class AskedOfRows:
    """Queries asked of an attempt's typed rows, and of snapshots of other tables.

    ``queries`` are all that will be asked, so that no table is kept longer than it is needed.
    """

    def __init__(
        self,
        engine: SqlEngine,
        rows: Callable[[list[Column]], Iterable[pa.Table]],
        others: OtherTables,
        queries: Iterable[SqlQuery],
    ) -> None:
        self._engine = engine
        self._rows = rows
        self._others = others
        self._later = list(queries)

    def value(self, query: SqlQuery, columns: list[Column]) -> Any:
        """The single value of the query; see ``Asked``."""
        self._later.remove(query)
        try:
            beside = {each.name: self._others.rows(each) for each in query.others}
            known = [each.name for each in columns]
            check_names(query, known + [name for each in beside.values() for name in each.column_names])
            (value,) = self._engine.values([query.sql], self._rows(columns), beside)
        finally:
            self._others.keep(each for later in self._later for each in later.others)
        return value

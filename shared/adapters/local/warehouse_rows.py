"""The SQL that moves rows of Parquet files into a table and out again, keyed and in the order of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.adapters.local.warehouse_errors import refused
from shared.adapters.local.warehouse_schema import TableName, quoted
from shared.adapters.table_shape import StoredColumn
from shared.domain.ids import derive
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN

if TYPE_CHECKING:
    import duckdb

_BATCH: Final = quoted(BATCH_COLUMN)
_ROW: Final = quoted(ROW_COLUMN)
_SEQ: Final = quoted(SEQ_COLUMN)
_NEWEST_FIRST: Final = f"{_SEQ} DESC NULLS LAST, {_ROW} DESC NULLS LAST"


class Shown(NamedTuple):
    """The delivery that a table in overwrite mode shows; None when it shows none of ours."""

    batch: str
    seq: str


class Table:
    """One table inside a transaction."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, name: TableName, stored: dict[str, StoredColumn]) -> None:
        self._cursor = cursor
        self._sql = name.sql
        self._folded = name.folded
        self._stored = stored
        self._file_columns: dict[str, tuple[tuple[str, str], ...]] = {}

    # ── what the files hold, in the table's types ──────────────────────────────────────────────────────────────────

    def source(self, files: Sequence[str], only: Sequence[str] = ()) -> str:
        """A SELECT of the files' rows with the table's columns and types (or ``only`` some, by case-folded name).

        Files may differ in columns and types; a column that a file lacks is null.
        """
        wanted = [self._stored[name] for name in (only or self._stored)]
        selects = []
        for paths, present in self._by_schema(files):
            cells = ", ".join(_cell(column, present.get(column.name.casefold())) for column in wanted)
            selects.append(f"SELECT {cells} FROM read_parquet([{', '.join(map(literal, paths))}])")
        if not selects:
            selects.append(f"SELECT {', '.join(_cell(column, None) for column in wanted)} WHERE false")
        return "(" + " UNION ALL ".join(selects) + ")"

    def _by_schema(self, files: Sequence[str]) -> list[tuple[list[str], dict[str, str]]]:
        """The files in groups of equal columns; each with the type of every column by case-folded name."""
        groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for file in files:
            if file not in self._file_columns:
                sql = f"SELECT * FROM read_parquet([{literal(file)}]) LIMIT 0"
                described = self._cursor.execute(sql).description or []
                self._file_columns[file] = tuple((str(column[0]).casefold(), str(column[1])) for column in described)
            groups.setdefault(self._file_columns[file], []).append(file)
        return [(paths, dict(columns)) for columns, paths in groups.items()]

    def key_columns(self, keys: Sequence[str]) -> list[StoredColumn]:
        """The key's columns; ``ForeignFailure`` (notFound) when the table lacks one."""
        missing = [key for key in keys if key.casefold() not in self._stored]
        if missing or not keys:
            raise refused("notFound", f"the table has no column {', '.join(missing) or 'that could be its key'}")
        return [self._stored[key.casefold()] for key in keys]

    def matching(self, files: Sequence[str], keys: Sequence[str]) -> str:
        """A SELECT of the table's rows whose key occurs in the files."""
        columns = self.key_columns(keys)
        keyed = self.source(files, [column.name.casefold() for column in columns])
        return f"SELECT t.* FROM {self._sql} AS t SEMI JOIN {keyed} AS f ON {_same(columns)}"

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def rows(self) -> int:
        """How many rows the table has."""
        return self._count(f"SELECT count(*) FROM {self._sql}")

    def append(self, files: Sequence[str]) -> int:
        """Add the files' rows."""
        return self._insert(self.source(files))

    def upsert(self, files: Sequence[str], keys: Sequence[str]) -> int:
        """One row per key: the one with the greatest (seq, row) of those here and in the files."""
        columns = self.key_columns(keys)
        names = _list(columns)
        source = self.source(files)
        narrow = self.source(files, [*(column.name.casefold() for column in columns), SEQ_COLUMN, ROW_COLUMN])
        rows, distinct = self._cursor.execute(
            f"SELECT coalesce(sum(n), 0), count(*) FROM (SELECT count(*) AS n FROM {narrow} GROUP BY {names})"
        ).fetchall()[0]
        one_each = (
            f" QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY {_NEWEST_FIRST}) = 1" if rows > distinct else ""
        )
        if self._cursor.execute(f"SELECT 1 FROM {self._sql} LIMIT 1").fetchone() is None:
            self._insert(f"(SELECT * FROM {source}{one_each})")
        else:
            older = f"(t.{_SEQ} IS NULL OR f.{_SEQ} > t.{_SEQ} OR (f.{_SEQ} = t.{_SEQ} AND f.{_ROW} > t.{_ROW}))"
            self._count(
                f"DELETE FROM {self._sql} AS t USING (SELECT * FROM {narrow}{one_each}) AS f "
                f"WHERE {_same(columns)} AND {older}"
            )
            self._insert(f"(SELECT * FROM {source} AS f ANTI JOIN {self._sql} AS t ON {_same(columns)}{one_each})")
        return int(rows)

    def overwrite(self, files: Sequence[str], batch: str, seq: str) -> int:
        """Show the files' rows and nothing else, unless a newer delivery is shown; equal seqs go by batch.

        What the table shows of the same batch stays: these are the rows that were healed since.
        """
        shown = self.shown()
        if shown and (shown.seq, shown.batch) > (seq, batch):
            return 0
        if shown and shown.batch == batch:
            self.withdraw_appended(files)
        else:
            self._cursor.execute(f"DELETE FROM {self._sql}")
        self.show(batch, seq)
        return self._insert(self.source(files))

    # ── undo ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def withdraw_appended(self, files: Sequence[str]) -> int:
        """Take out the rows that the files name by (batch, row)."""
        names = self.source(files, [BATCH_COLUMN, ROW_COLUMN])
        return self._count(
            f"DELETE FROM {self._sql} AS t USING (SELECT DISTINCT * FROM {names}) AS f "
            f"WHERE t.{_BATCH} = f.{_BATCH} AND t.{_ROW} = f.{_ROW}"
        )

    def withdraw_upserted(self, files: Sequence[str], keys: Sequence[str], batch: str, restore: Sequence[str]) -> int:
        """Let each key of the files that shows ``batch`` show its newest row among ``restore``, or go."""
        columns = self.key_columns(keys)
        names = _list(columns)
        keyed = self.source(files, [column.name.casefold() for column in columns])
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE affected AS SELECT DISTINCT {names} FROM {self._sql} AS t "
            f"SEMI JOIN {keyed} AS f ON {_same(columns)} WHERE t.{_BATCH} = ?",
            [batch],
        )
        taken = self._count(
            f"DELETE FROM {self._sql} AS t USING temp.affected AS f WHERE {_same(columns)} AND t.{_BATCH} = ?", [batch]
        )
        self._insert(
            f"(SELECT * FROM {self.source(restore)} AS t SEMI JOIN temp.affected AS f ON {_same(columns)} "
            f"QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY {_NEWEST_FIRST}) = 1)"
        )
        self._cursor.execute("DROP TABLE temp.affected")
        return taken

    def withdraw_shown(self, batch: str, restore: Sequence[str]) -> int:
        """If the table shows ``batch``, let it show all rows of ``restore`` instead."""
        shown = self.shown()
        if shown is None or shown.batch != batch:
            return 0
        taken = self._count(f"DELETE FROM {self._sql}")
        self._insert(self.source(restore))
        newest = self._cursor.execute(
            f"SELECT {_BATCH}, {_SEQ} FROM {self._sql} WHERE {_SEQ} IS NOT NULL AND {_BATCH} IS NOT NULL "
            f"ORDER BY {_SEQ} DESC, {_BATCH} DESC LIMIT 1"
        ).fetchone()
        self.show(*(newest or (None, None)))
        return taken

    # ── the books ──────────────────────────────────────────────────────────────────────────────────────────────────

    def shown(self) -> Shown | None:
        """The delivery that the table shows."""
        row = self._cursor.execute(
            'SELECT shown_batch, shown_seq FROM "_mend"."tables" WHERE table_name = ?', [self._folded]
        ).fetchone()
        return Shown(row[0], row[1]) if row and row[0] is not None else None

    def show(self, batch: str | None, seq: str | None) -> None:
        """Remember which delivery the table shows, even when it has no rows."""
        self._cursor.execute('DELETE FROM "_mend"."tables" WHERE table_name = ?', [self._folded])
        self._cursor.execute('INSERT INTO "_mend"."tables" VALUES (?, ?, ?)', [self._folded, batch, seq])

    def version(self) -> str:
        """Changes whenever a job or a new column changes the table."""
        jobs = self._count('SELECT count(*) FROM "_mend".jobs WHERE table_name = ?', [self._folded])
        shape = derive(*(f"{column.name} {column.sql_type}" for column in self._stored.values()), length=8)
        return f"{jobs}-{shape}"

    def done(self, job_id: str) -> tuple[int, int] | None:
        """Rows and bytes of a job that was done before."""
        row = self._cursor.execute('SELECT "rows", "bytes" FROM "_mend".jobs WHERE job_id = ?', [job_id]).fetchone()
        return (row[0], row[1]) if row else None

    def book(self, job_id: str, rows: int, size: int, now: int) -> None:
        """Write down that a job is done, in the transaction that did it."""
        self._cursor.execute('INSERT INTO "_mend".jobs VALUES (?, ?, ?, ?, ?)', [job_id, self._folded, rows, size, now])

    def _insert(self, source: str) -> int:
        names = _list(list(self._stored.values()))
        return self._count(f"INSERT INTO {self._sql} ({names}) SELECT {names} FROM {source}")

    def _count(self, sql: str, parameters: Sequence[str] = ()) -> int:
        row = self._cursor.execute(sql, list(parameters)).fetchone()
        return int(row[0]) if row else 0


def literal(text: str) -> str:
    """A string as SQL."""
    return "'" + text.replace("'", "''") + "'"


def _cell(column: StoredColumn, file_type: str | None) -> str:
    """A column of a file as the table has it; null when the file lacks it."""
    name = quoted(column.name)
    if file_type == column.sql_type:
        return name
    return f"CAST({name if file_type else 'NULL'} AS {column.sql_type}) AS {name}"


def _list(columns: Sequence[StoredColumn]) -> str:
    return ", ".join(quoted(column.name) for column in columns)


def _same(columns: Sequence[StoredColumn]) -> str:
    return " AND ".join(f"t.{quoted(column.name)} IS NOT DISTINCT FROM f.{quoted(column.name)}" for column in columns)

"""The scripts that move staged rows into a table and out again, each one transaction that books what it did.

Values are few, and ours; they stand in the text as literals.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from shared.adapters.gcp.warehouse_files import Staged, source
from shared.adapters.gcp.warehouse_schema import TableName, quoted
from shared.adapters.table_shape import StoredColumn
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN

_BATCH: Final = quoted(BATCH_COLUMN)
_ROW: Final = quoted(ROW_COLUMN)
_SEQ: Final = quoted(SEQ_COLUMN)
# The scripts' variables: no column may be named so.
_N, _B, _S = "_mend_rows", "_mend_shown_batch", "_mend_shown_seq"
_NEWEST_FIRST: Final = f"{_SEQ} DESC NULLS LAST, {_ROW} DESC NULLS LAST"


class Books(NamedTuple):
    """The tables in which scripts write down what they did: jobs, and the delivery that each table shows."""

    jobs: str
    shown: str


class Script(NamedTuple):
    """What every script needs: the job's id in the books, the table, its columns."""

    books: Books
    job_id: str
    table: TableName
    columns: tuple[StoredColumn, ...]

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, staged: Sequence[Staged], rows: int) -> str:
        """Add the files' rows."""
        return self._once([self._insert(staged)], str(rows))

    def upsert(self, staged: Sequence[Staged], keys: Sequence[StoredColumn], rows: int, pruned: str) -> str:
        """One row per key: the one with the greatest (seq, row) of those here and in the files."""
        newer = f"(t.{_SEQ} IS NULL OR f.{_SEQ} > t.{_SEQ} OR (f.{_SEQ} = t.{_SEQ} AND f.{_ROW} > t.{_ROW}))"
        merge = (
            f"MERGE {self.table.sql} t USING (SELECT * FROM {source(staged, self.columns)} WHERE TRUE"
            f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {_names(keys)} ORDER BY {_NEWEST_FIRST}) = 1) f\n"
            f"ON {same(keys, _nullable(keys, staged))}{pruned}\n"
            f"WHEN MATCHED AND {newer} THEN UPDATE SET {self._assignments('f')}\n"
            f"WHEN NOT MATCHED THEN INSERT ({_names(self.columns)}) VALUES ({_names(self.columns, 'f.')});\n"
        )
        return self._once([merge], str(rows))

    def overwrite(self, staged: Sequence[Staged], batch: str, seq: str, rows: int) -> str:
        """Show the files' rows and nothing else, unless a newer delivery is shown; equal seqs go by batch."""
        newer = f"{_S} > {text(seq)} OR ({_S} = {text(seq)} AND {_B} > {text(batch)})"
        statements = [
            *self._look(),
            f"IF {_B} IS NOT NULL AND ({newer}) THEN\n  SET {_N} = 0;\nELSE\n",
            f"IF {_B} = {text(batch)} THEN\n{self._take_out(staged)}",
            f"ELSE\n  DELETE FROM {self.table.sql} WHERE TRUE;\nEND IF;\n",
            self._insert(staged),
            self._show(f"SELECT {text(batch)} AS batch, {text(seq)} AS seq"),
            f"SET {_N} = {rows};\nEND IF;\n",
        ]
        return self._once(statements, _N)

    def withdraw_appended(self, staged: Sequence[Staged]) -> str:
        """Take out the rows that the files name by (batch, row)."""
        count = f"SET {_N} = (SELECT COUNT(*) FROM {self.table.sql} t WHERE {self._named(staged)});\n"
        return self._once([count, self._take_out(staged)], _N)

    def withdraw_upserted(
        self, staged: Sequence[Staged], keys: Sequence[StoredColumn], batch: str, kept: Sequence[Staged]
    ) -> str:
        """Let each key of the files that shows ``batch`` show its newest row among ``kept``, or go."""
        by_key = f"SELECT DISTINCT {_names(keys)} FROM {source(staged, keys)}"
        nullable = _nullable(keys, [*staged, *kept])
        # A row without any order counts too, so that whether there is a row stands in a column of its own.
        newest = (
            f"SELECT *, TRUE AS `_mend_kept` FROM {source(kept, self.columns)} WHERE TRUE"
            f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {_names(keys)} ORDER BY {_NEWEST_FIRST}) = 1"
        )
        others = [column for column in self.columns if column not in keys]
        restored = ", ".join(f"r.{quoted(column.name)}" for column in others)
        joined = f"SELECT {_names(keys, 'f.')}, {restored}, r.`_mend_kept` FROM ({by_key}) f LEFT JOIN ({newest}) r"
        on = same(keys, nullable, "f", "r")
        mine = f"{same(keys, nullable)} AND t.{_BATCH} = {text(batch)}"
        count = f"SET {_N} = (SELECT COUNT(*) FROM {self.table.sql} t JOIN ({by_key}) f ON {mine});\n"
        merge = (
            f"MERGE {self.table.sql} t USING ({joined} ON {on}) f ON {mine}\n"
            f"WHEN MATCHED AND f.`_mend_kept` THEN UPDATE SET {_assigned(others, 'f')}\n"
            "WHEN MATCHED THEN DELETE;\n"
        )
        return self._once([count, merge], _N)

    def withdraw_shown(self, batch: str, kept: Sequence[Staged]) -> str:
        """If the table shows ``batch``, let it show all rows of ``kept`` instead."""
        newest = (
            f"SELECT {_BATCH} AS batch, {_SEQ} AS seq FROM {self.table.sql} WHERE {_SEQ} IS NOT NULL"
            f" AND {_BATCH} IS NOT NULL ORDER BY {_SEQ} DESC, {_BATCH} DESC LIMIT 1"
        )
        statements = [
            *self._look(),
            f"IF {_B} = {text(batch)} THEN\n  SET {_N} = (SELECT COUNT(*) FROM {self.table.sql});\n",
            f"DELETE FROM {self.table.sql} WHERE TRUE;\n",
            self._insert(kept),
            self._show(newest),
            "END IF;\n",
        ]
        return self._once(statements, _N)

    # ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _once(self, statements: Sequence[str], rows: str) -> str:
        """The statements and their entry in the books, unless it is there; and the rows that the books say."""
        job = text(self.job_id)
        return (
            f"DECLARE {_N} INT64 DEFAULT 0;\nDECLARE {_B} STRING;\nDECLARE {_S} STRING;\nBEGIN TRANSACTION;\n"
            f"IF NOT EXISTS (SELECT 1 FROM {self.books.jobs} WHERE job_id = {job}) THEN\n"
            f"{''.join(statements)}"
            f"INSERT INTO {self.books.jobs} (job_id, table_name, `rows`, done_at)"
            f" VALUES ({job}, {text(self.table.short)}, {rows}, CURRENT_TIMESTAMP());\n"
            "END IF;\nCOMMIT TRANSACTION;\n"
            f"SELECT `rows` FROM {self.books.jobs} WHERE job_id = {job};\n"
        )

    def _look(self) -> list[str]:
        found = f"FROM {self.books.shown} WHERE table_name = {text(self.table.short)}"
        return [f"SET {_B} = (SELECT batch {found});\n", f"SET {_S} = (SELECT seq {found});\n"]

    def _show(self, delivery: str) -> str:
        """Remember which delivery the table shows, even when it has no rows."""
        name = text(self.table.short)
        return (
            f"DELETE FROM {self.books.shown} WHERE table_name = {name};\n"
            f"INSERT INTO {self.books.shown} (table_name, batch, seq) SELECT {name}, batch, seq FROM ({delivery});\n"
        )

    def _insert(self, staged: Sequence[Staged]) -> str:
        names = _names(self.columns)
        return f"INSERT INTO {self.table.sql} ({names}) SELECT {names} FROM {source(staged, self.columns)};\n"

    def _take_out(self, staged: Sequence[Staged]) -> str:
        return f"DELETE FROM {self.table.sql} t WHERE {self._named(staged)};\n"

    def _named(self, staged: Sequence[Staged]) -> str:
        own = [column for column in self.columns if column.name.casefold() in (BATCH_COLUMN, ROW_COLUMN)]
        named = f"SELECT 1 FROM {source(staged, own)} f WHERE f.{_BATCH} = t.{_BATCH} AND f.{_ROW} = t.{_ROW}"
        return f"EXISTS ({named})"

    def _assignments(self, alias: str) -> str:
        return _assigned(self.columns, alias)


def matching(table: TableName, staged: Sequence[Staged], keys: Sequence[StoredColumn]) -> str:
    """A SELECT of the table's rows whose key occurs in the files."""
    found = f"SELECT 1 FROM {source(staged, keys)} f WHERE {same(keys, _nullable(keys, staged))}"
    return f"SELECT t.* FROM {table.sql} t WHERE EXISTS ({found})"


def pruning(column: StoredColumn | None, staged: Sequence[Staged]) -> str:
    """The least and the greatest of the partition column in the files: a merge reads no other partitions then.

    "" when they are not known. Only a column of the key may prune: else the row that is to be replaced could lie in
    another partition, and would stay there beside the new one.
    """
    ranges = [file.ranges.get(column.name.casefold()) for group in staged for file in group.files] if column else []
    known = [each for each in ranges if each is not None]
    if column is None or not known or len(known) < len(ranges):
        return ""
    least, greatest = min(low for low, _ in known), max(high for _, high in known)
    if not isinstance(least, date) or not isinstance(greatest, date):
        return ""
    return f" AND t.{quoted(column.name)} BETWEEN {_moment(column, least)} AND {_moment(column, greatest)}"


def same(columns: Sequence[StoredColumn], nullable: bool, left: str = "t", right: str = "f") -> str:
    """That two rows have the same key. BigQuery joins by equality alone; where nulls occur, that of a text of both."""
    names = [quoted(column.name) for column in columns]
    if nullable:
        return " AND ".join(f"{_comparable(left, name)} = {_comparable(right, name)}" for name in names)
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)


def _comparable(alias: str, name: str) -> str:
    return f'IFNULL(TO_JSON_STRING({alias}.{name}), "null")'  # a text that says null has quotes around it


def text(value: str) -> str:
    """A string as SQL. GoogleSQL knows all the escapes that JSON makes of ASCII."""
    return json.dumps(value, ensure_ascii=False)


def _moment(column: StoredColumn, value: Any) -> str:
    return f"CAST({text(value.isoformat() if isinstance(value, datetime) else str(value))} AS {column.sql_type})"


def _nullable(keys: Sequence[StoredColumn], staged: Sequence[Staged]) -> bool:
    """Whether a key of the files may have a null; a file that lacks the column has nothing else."""
    names = {column.name.casefold() for column in keys}
    return any(not names <= group.types.keys() or names & file.nulls for group in staged for file in group.files)


def _names(columns: Sequence[StoredColumn], before: str = "") -> str:
    return ", ".join(f"{before}{quoted(column.name)}" for column in columns)


def _assigned(columns: Sequence[StoredColumn], alias: str) -> str:
    return ", ".join(f"{quoted(column.name)} = {alias}.{quoted(column.name)}" for column in columns)

"""What a change of contract asks of the destination table: what the next load does by itself, and what it cannot do.

The statements are BigQuery's, printed and never executed. What load does is decided by ``shared.adapters.table_shape``;
a test holds this page to it. Tables that Mendline made have no NOT NULL, and nothing here adds one: validate sees to
required columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from shared.domain.contract import Column, Contract, LogicalType, is_wider

By = Literal["load", "you", "nobody"]
SQL_TYPES: Final[dict[LogicalType, str]] = {
    "string": "STRING", "integer": "INT64", "number": "FLOAT64", "boolean": "BOOL", "date": "DATE",
    "timestamp": "TIMESTAMP", "time": "TIME", "object": "STRING", "array": "STRING",
}  # fmt: skip
# Old and new types between which BigQuery has a cast at all; any text may fail, and is null then.
_CASTS: Final = {("integer", "boolean"), ("boolean", "integer"), ("number", "integer"), ("timestamp", "date"),
                 ("timestamp", "time")}  # fmt: skip
_DATASET: Final = re.compile(r"(?:[A-Za-z0-9_-]{1,64}\.)?[A-Za-z0-9_]{1,128}")  # after its project, if that is named
_TABLE: Final = re.compile(r"[^\W\d][\w-]{0,110}")  # leaves room for an ending
_FORBIDDEN: Final = re.compile(r"[!\"$()*,./;?@\[\\\]^`{}~'\x00-\x1f\x7f]")
_BEGINNINGS: Final = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", "_change_")
_NAME_CHARACTERS_MAX: Final = 300
_NEXT, _BEFORE = "_next", "_before"


class Step(NamedTuple):
    """One thing that happens to the table, or has to. ``column`` "" = the whole table."""

    column: str
    what: str
    by: By  # load: at the next load; you: before it; nobody: nothing is to be done
    statements: tuple[str, ...] = ()


def plan(before: Contract, after: Contract, table: str = "") -> list[Step]:
    """The steps of a table that was loaded under ``before``, in the order in which they have to be done.

    ``table`` is the destination (``dataset.table``), by default the one that ``after`` names. No statement is given
    for a name that BigQuery would not take.
    """
    return _Planner(before, after, table or after.table).steps()


class _Planner:
    def __init__(self, before: Contract, after: Contract, table: str) -> None:
        self._before, self._after = before, after
        self._dataset, _, self._name = table.rpartition(".")
        named = _DATASET.fullmatch(self._dataset) is not None or not self._dataset
        self._sound = named and _TABLE.fullmatch(self._name) is not None
        # BigQuery's names of columns do not differ by case.
        self._old = {column.name.casefold(): column for column in before.columns}
        self._new = {column.name.casefold(): column for column in after.columns}

    def steps(self) -> list[Step]:
        order: tuple[By, ...] = ("you", "load", "nobody")
        found = [*self._names(), *self._columns()]
        return sorted(found, key=lambda each: order.index(each.by))

    def _table(self, ending: str = "") -> str:
        return quoted(f"{self._dataset}.{self._name}{ending}" if self._dataset else f"{self._name}{ending}")

    def _alter(self, column: str, action: str) -> tuple[str, ...]:
        """One statement; none where a name could not stand in it."""
        return (f"ALTER TABLE {self._table()} {action};",) if self._sound and takes(column) else ()

    def _names(self) -> Iterator[Step]:
        if not self._sound:
            yield Step("", "BigQuery takes no table of that name: name the destination with --table", "nobody")
        if self._before.table != self._after.table:
            what = "the contract names another table; rows go where the pipeline's destination says"
            yield Step("", what, "nobody")
        for column in self._after.columns:
            if not takes(column.name):
                what = "BigQuery takes no column of that name: give it another one in a transform"
                yield Step(column.name, what, "you")

    def _columns(self) -> Iterator[Step]:
        gone = {key: column for key, column in self._old.items() if key not in self._new}
        for key, column in self._new.items():
            if key in self._old:
                continue
            former = next((name for each in column.synonyms if (name := each.casefold()) in gone), None)
            if former is None:
                yield self._added(column)
            else:
                yield from self._renamed(gone.pop(former), column)
        for column in gone.values():
            what = "stays in the table, and is null in new rows; drop it when nobody reads it any more"
            yield Step(column.name, what, "nobody", self._alter(column.name, f"DROP COLUMN {quoted(column.name)}"))
        copied: list[Column] = []
        for key, column in self._new.items():
            if key in self._old:
                yield from self._kept(self._old[key], column, copied)
        if copied:
            yield self._copy(copied)

    def _added(self, column: Column) -> Step:
        typed = SQL_TYPES[column.logical_type]
        if column.logical_type in ("object", "array"):
            typed += f" OPTIONS (description = '{column.logical_type}')"  # by which load knows it
        action = f"ADD COLUMN IF NOT EXISTS {quoted(column.name)} {typed}"
        return Step(column.name, "is added, null in the rows that are there", "load", self._alter(column.name, action))

    def _renamed(self, old: Column, new: Column) -> Iterator[Step]:
        """Left alone, load adds the new name beside the old one."""
        action = f"RENAME COLUMN {quoted(old.name)} TO {quoted(new.name)}"
        statements = self._alter(new.name, action) if takes(old.name) else ()
        what = f"was called {old.name}: rename it before the next load, which adds a second column otherwise"
        yield Step(new.name, f"{what} (not possible for a column that the table is partitioned by)", "you", statements)
        if old.logical_type != new.logical_type:
            yield Step(new.name, "has another type, too: compare again when it has its new name", "you")

    def _kept(self, old: Column, new: Column, copied: list[Column]) -> Iterator[Step]:
        name, was, now = old.name, old.logical_type, new.logical_type
        if was == now:
            if not old.nullable and new.nullable:
                what = "may be null: only where somebody else made the column NOT NULL, that has to go"
                yield Step(name, what, "nobody", self._alter(name, f"ALTER COLUMN {quoted(name)} DROP NOT NULL"))
            return
        if is_wider(now, was):
            yield self._widened(name, was, now)
        elif is_wider(was, now):
            yield Step(name, f"stays {SQL_TYPES[was]}, which holds {now}{_LOSS.get((was, now), '')}", "nobody")
        else:
            copied.append(new)

    def _widened(self, name: str, was: LogicalType, now: LogicalType) -> Step:
        typed = SQL_TYPES[now]
        if typed == SQL_TYPES[was]:
            return Step(name, f"holds {now} as it is: both are {typed}", "load")
        if (was, now) == ("integer", "number"):
            what = "becomes FLOAT64 in place; whole numbers beyond 2^53 lose digits"
            return Step(name, what, "load", self._alter(name, f"ALTER COLUMN {quoted(name)} SET DATA TYPE {typed}"))
        what = (
            f"becomes {typed}: the table is read and made anew in one step, its partitioning and clustering kept. "
            "By hand, add its PARTITION BY and CLUSTER BY to the statement"
        )
        if not self._sound or not takes(name):
            return Step(name, what, "load")
        replaced = f"CAST({quoted(name)} AS {typed}) AS {quoted(name)}"
        table = self._table()
        sql = f"CREATE OR REPLACE TABLE {table} AS SELECT * REPLACE ({replaced}) FROM {table};"
        return Step(name, what, "load", (sql,))

    def _copy(self, columns: list[Column]) -> Step:
        """What no in-place change can do. Until it is done the loads are refused (incompatible)."""
        names = [self._old[column.name.casefold()].name for column in columns]
        told = ", ".join(
            f"{name} ({self._old[name.casefold()].logical_type} to {column.logical_type})"
            for name, column in zip(names, columns, strict=True)
        )
        what = (
            f"not possible in place: {told}. Loads are refused until the table is copied; what cannot be cast is null. "
            "Add the table's PARTITION BY and CLUSTER BY, look at the copy, then exchange the names"
        )
        if not self._sound or not all(map(takes, names)):
            return Step("", what, "you")
        casts = ", ".join(self._cast(name, column) for name, column in zip(names, columns, strict=True))
        table, following = self._table(), self._table(_NEXT)
        return Step(
            names[0] if len(names) == 1 else "",
            what,
            "you",
            (
                f"CREATE TABLE {following} AS SELECT * REPLACE ({casts}) FROM {table};",
                f"ALTER TABLE {table} RENAME TO {quoted(self._name + _BEFORE)};",
                f"ALTER TABLE {following} RENAME TO {quoted(self._name)};",
            ),
        )

    def _cast(self, name: str, column: Column) -> str:
        was = self._old[name.casefold()].logical_type
        castable = was in ("object", "array") or (was, column.logical_type) in _CASTS
        value = quoted(name) if castable else "NULL"
        return f"SAFE_CAST({value} AS {SQL_TYPES[column.logical_type]}) AS {quoted(name)}"


_LOSS: Final = {
    ("number", "integer"): "; whole numbers beyond 2^53 lose digits",
    ("timestamp", "date"): " as midnight UTC",
    ("string", "object"): " as JSON text",
    ("string", "array"): " as JSON text",
}


def takes(name: str) -> bool:
    """True for a name of a column that BigQuery takes, and that can stand in a statement."""
    begins = name.lower().startswith(_BEGINNINGS)
    return bool(name) and len(name) <= _NAME_CHARACTERS_MAX and not begins and not _FORBIDDEN.search(name)


def quoted(name: str) -> str:
    """An identifier as SQL. No name with a backtick or a backslash gets here."""
    return f"`{name}`"

"""One warehouse table of plain rows, and what loads and withdrawals do to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.adapters.local.warehouse_errors import refused
from shared.adapters.local.warehouse_schema import PROVENANCE
from shared.adapters.table_shape import StoredColumn
from shared.domain.ids import derive
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN, SchemaChange, TableColumn
from tests.simulation.planes.rows_file import Row, Rows

Key = tuple[Any, ...]


class Shown(NamedTuple):
    """The delivery that a table in overwrite mode shows."""

    seq: str
    batch: str


@dataclass(slots=True)
class PlainTable:
    """Columns by case-folded name in the order of each row's cells; rows are replaced, never changed in place."""

    columns: dict[str, StoredColumn] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    shown: Shown | None = None
    jobs: int = 0

    def copy(self) -> PlainTable:
        """The same table, to be changed and put in this one's place when all went well."""
        return PlainTable(dict(self.columns), self.rows, self.shown, self.jobs)

    @property
    def version(self) -> str:
        """Changes whenever a job or a new column changes the table."""
        return (
            f"{self.jobs}-{derive(*(f'{each.name} {each.logical_type}' for each in self.columns.values()), length=8)}"
        )

    # ── columns ──

    def make(self, columns: Sequence[TableColumn], changes: Sequence[SchemaChange]) -> None:
        """Make planned changes; a new table gets the provenance columns after its own."""
        if not self.columns:
            self.columns = {each.name.casefold(): _stored(each.name, each.logical_type) for each in columns}
            self.columns |= {name: _stored(name, _own_type(name)) for name in PROVENANCE}
            return
        for change in changes:
            folded = change.column.casefold()
            if change.action == "add":
                self.columns[folded] = _stored(change.column, change.new_type)
                self.rows = [[*row, None] for row in self.rows]
            elif change.action == "widen":
                place, turn = list(self.columns).index(folded), turned(change.old_type, change.new_type)
                self.columns[folded] = _stored(change.column, change.new_type)
                self.rows = [[*row[:place], turn(row[place]), *row[place + 1 :]] for row in self.rows]

    def fitted(self, files: Sequence[Rows]) -> list[Row]:
        """The files' rows in the table's columns and types; what a file lacks is null."""
        found: list[Row] = []
        for file in files:
            have = {name.casefold(): place for place, name in enumerate(file.columns)}
            places = [have.get(name, -1) for name in self.columns]
            turns = [
                (place, turned(file.types[places[place]], column.logical_type))
                for place, column in enumerate(self.columns.values())
                if places[place] >= 0 and file.types[places[place]] != column.logical_type
            ]
            for row in file.rows:
                cells = [row[place] if place >= 0 else None for place in places]
                for place, turn in turns:
                    cells[place] = turn(cells[place])
                found.append(cells)
        return found

    def places(self, keys: Sequence[str]) -> list[int]:
        """Positions of key columns; ``ForeignFailure`` (notFound) when the table lacks one."""
        missing = [key for key in keys if key.casefold() not in self.columns]
        if missing or not keys:
            raise refused("notFound", f"the table has no column {', '.join(missing) or 'that could be its key'}")
        order = list(self.columns)
        return [order.index(key.casefold()) for key in keys]

    def _own(self) -> tuple[int, int, int]:
        order = list(self.columns)
        return order.index(BATCH_COLUMN), order.index(ROW_COLUMN), order.index(SEQ_COLUMN)

    def as_rows(self, rows: Sequence[Row] | None = None) -> Rows:
        """Rows of the table (all by default) with its columns."""
        names = [each.name for each in self.columns.values()]
        types = [str(each.logical_type) for each in self.columns.values()]
        return Rows(names, types, list(self.rows if rows is None else rows))

    # ── jobs ──

    def append(self, files: Sequence[Rows]) -> int:
        """Add the files' rows."""
        new = self.fitted(files)
        self.rows = [*self.rows, *new]
        return len(new)

    def upsert(self, files: Sequence[Rows], keys: Sequence[str]) -> int:
        """One row per key: the one with the greatest (seq, row) of those here and in the files."""
        places, (_, number, seq) = self.places(keys), self._own()
        given = self.fitted(files)
        newest = _newest(given, places, seq, number)

        def yields(row: Row) -> bool:
            new = newest.get(_key(row, places))
            if new is None:
                return False
            if row[seq] is None:
                return True
            if new[seq] is None or new[seq] < row[seq]:
                return False
            return bool(new[seq] > row[seq] or _greater(new[number], row[number]))

        left = [row for row in self.rows if not yields(row)]
        there = {_key(row, places) for row in left}
        self.rows = left + [row for key, row in newest.items() if key not in there]
        return len(given)

    def overwrite(self, files: Sequence[Rows], batch: str, seq: str) -> int:
        """Show the files' rows and nothing else, unless a newer delivery is shown; what is of the batch stays."""
        if self.shown is not None and self.shown > (seq, batch):
            return 0
        if self.shown is not None and self.shown.batch == batch:
            self.withdraw_appended(files)
        else:
            self.rows = []
        self.shown = Shown(seq, batch)
        return self.append(files)

    # ── undo ──

    def withdraw_appended(self, files: Sequence[Rows]) -> int:
        """Take out the rows that the files name by (batch, row)."""
        batch, number, _ = self._own()
        gone = {(row[batch], row[number]) for row in self.fitted(files) if None not in (row[batch], row[number])}
        return self._keep([row for row in self.rows if (row[batch], row[number]) not in gone])

    def withdraw_upserted(self, files: Sequence[Rows], keys: Sequence[str], batch: str, restore: Sequence[Rows]) -> int:
        """Let each key of the files that shows ``batch`` show its newest row among ``restore``, or go."""
        places, (mine, number, seq) = self.places(keys), self._own()
        keyed = {_key(row, places) for row in self.fitted(files)}
        affected = {key for row in self.rows if row[mine] == batch and (key := _key(row, places)) in keyed}
        taken = self._keep([row for row in self.rows if row[mine] != batch or _key(row, places) not in affected])
        back = [row for row in self.fitted(restore) if _key(row, places) in affected]
        self.rows = [*self.rows, *_newest(back, places, seq, number).values()]
        return taken

    def withdraw_shown(self, batch: str, restore: Sequence[Rows]) -> int:
        """If the table shows ``batch``, let it show all rows of ``restore`` instead."""
        if self.shown is None or self.shown.batch != batch:
            return 0
        taken = self._keep([])
        self.rows = self.fitted(restore)
        place, _, seq = self._own()
        known = [Shown(row[seq], row[place]) for row in self.rows if None not in (row[seq], row[place])]
        self.shown = max(known, default=None)
        return taken

    def _keep(self, rows: list[Row]) -> int:
        gone = len(self.rows) - len(rows)
        self.rows = rows
        return gone


def _stored(name: str, logical_type: Any) -> StoredColumn:
    return StoredColumn(name, "", logical_type)


def _own_type(name: str) -> str:
    return "integer" if name == ROW_COLUMN else "string"


def _key(row: Row, places: list[int]) -> Key:
    return tuple([row[place] for place in places])


def _greater(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one > other


def _newest(rows: Sequence[Row], places: list[int], seq: int, number: int) -> dict[Key, Row]:
    """Per key the row with the greatest (seq, row), null before everything."""
    best: dict[Key, Row] = {}
    for row in rows:
        key = _key(row, places)
        known = best.get(key)
        if known is None or _age(row, seq, number) > _age(known, seq, number):
            best[key] = row
    return best


def _age(row: Row, seq: int, number: int) -> tuple[bool, str, bool, int]:
    return row[seq] is not None, row[seq] or "", row[number] is not None, row[number] or 0


def turned(old: str, new: str) -> Callable[[Any], Any]:
    """What turns a cell of one logical type into another; ``ForeignFailure`` (invalid) for a cell that cannot be."""
    if new in ("string", "object", "array"):
        return _as_text
    if (old, new) == ("date", "timestamp"):
        return lambda cell: None if cell is None else f"{cell}T00:00:00+00:00"
    if new in ("integer", "number"):
        return lambda cell: _as_number(cell, int if new == "integer" else float)
    return lambda cell: None if cell is None else _refuse()


def _as_text(cell: Any) -> str | None:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return None if cell is None else str(cell)


def _as_number(cell: Any, kind: type) -> Any:
    try:
        return None if cell is None else kind(cell)
    except ValueError:
        return _refuse()


def _refuse() -> None:
    raise refused("invalid", "a cell cannot become the column's type", "ConversionException")

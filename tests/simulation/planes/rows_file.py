"""A file of rows as JSON: the names and logical types of its columns, and its rows as lists of cells.

Dates, times and moments are ISO text inside the plane; they become Python's values where somebody looks from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from shared.ports.object_store import ObjectStore

Row = list[Any]

_OUTSIDE: dict[str, Callable[[str], Any]] = {
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "time": time.fromisoformat,
}


class Rows(NamedTuple):
    """Some rows; ``types`` are logical types, "list" for a column of violations."""

    columns: list[str]
    types: list[str]
    rows: list[Row]

    def place(self, column: str) -> int:
        """The position of a column in each row."""
        return self.columns.index(column)

    def only(self, rows: Iterable[Row]) -> Rows:
        """The same columns with other rows."""
        return Rows(self.columns, self.types, list(rows))

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dicts, cells as Python's values."""
        moments = [(place, _OUTSIDE[kind]) for place, kind in enumerate(self.types) if kind in _OUTSIDE]
        found = []
        for row in self.rows:
            shown = list(row)
            for place, outside in moments:
                if shown[place] is not None:
                    shown[place] = outside(shown[place])
            found.append(dict(zip(self.columns, shown, strict=True)))
        return found

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self.rows)


def write(objects: ObjectStore, path: str, rows: Rows) -> int:
    """Store the rows under ``path``; how many bytes that are."""
    content = to_json(rows)
    with objects.write(path) as stream:
        stream.write(content)
    return len(content)


def read(objects: ObjectStore, path: str) -> Rows:
    """The rows under ``path``; ``FileNotFoundError`` when there is nothing."""
    with objects.read(path) as stream:
        return Rows(*from_json(stream.read()))

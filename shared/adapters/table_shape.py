"""What a table's columns may be named, and what they can become, whichever warehouse holds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from shared.domain.errors import ForeignFailure
from shared.ports.warehouse import LogicalType, SchemaChange, TableColumn

Refused = Callable[[str, str], ForeignFailure]
"""The failure of a warehouse that says no for good, from its reason and message."""

_COLUMN_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f]")
_COLUMN_CHARACTERS_MAX: Final = 300
# A column of the first type can become one of the second and keep every row; string can be reached from all.
_WIDER: Final[set[tuple[LogicalType, LogicalType]]] = {("integer", "number"), ("date", "timestamp")}


class StoredColumn(NamedTuple):
    """A column as the catalogue has it."""

    name: str
    sql_type: str
    logical_type: LogicalType


def checked_columns(columns: Sequence[TableColumn], refused: Refused) -> None:
    """``ForeignFailure`` (invalid) unless the columns' names can stand in one table."""
    seen: set[str] = set()
    for column in columns:
        folded = column.name.casefold()
        if not column.name or len(column.name) > _COLUMN_CHARACTERS_MAX or _COLUMN_FORBIDDEN.search(column.name):
            raise refused("invalid", "a column's name is empty, too long or contains control characters")
        if folded.startswith("_mend_"):
            raise refused("invalid", "column names that start with _mend_ are Mendline's own")
        if folded in seen:
            raise refused("invalid", "two columns have the same name but for upper and lower case")
        seen.add(folded)


def planned(stored: dict[str, StoredColumn], columns: Sequence[TableColumn], refused: Refused) -> list[SchemaChange]:
    """The changes after which a table holds ``columns``; the same whichever of two loads comes first."""
    checked_columns(columns, refused)
    if not stored:
        return [SchemaChange("create", "", "", "")]
    changes = []
    for column in columns:
        old = stored.get(column.name.casefold())
        if old is None:
            changes.append(SchemaChange("add", column.name, "", column.logical_type))
        elif not _holds(old.logical_type, column.logical_type):
            if not _holds(column.logical_type, old.logical_type):
                raise refused(
                    "incompatible",
                    f"column {column.name} is {old.logical_type} and cannot become {column.logical_type} "
                    "without losing rows",
                )
            changes.append(SchemaChange("widen", old.name, old.logical_type, column.logical_type))
    return changes


def _holds(wide: LogicalType, narrow: LogicalType) -> bool:
    return wide in (narrow, "string") or (narrow, wide) in _WIDER

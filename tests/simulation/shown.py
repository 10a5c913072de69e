"""Compares what tables show: a column that was widened meanwhile shows the same values in another type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

_MIDNIGHT = "T00:00:00+00:00"
Table = Mapping[Any, Mapping[str, Any]]


def typed(value: Any, like: Any) -> Any:
    """A value in the type that its column has by now."""
    if isinstance(like, str) and not isinstance(value, (str, bool)):
        return f"{value}{_MIDNIGHT}" if like == f"{value}{_MIDNIGHT}" else str(value)
    if isinstance(like, datetime) and isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=like.tzinfo)
    return value


def same_row(row: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    """Whether a row is shown, nulls left out."""
    told = {name: typed(value, shown.get(name)) for name, value in row.items() if value is not None}
    return told == {name: value for name, value in shown.items() if value is not None}


def same_table(before: Table, now: Table) -> bool:
    """Whether a table shows what it showed before, except for types that were widened."""
    return before.keys() == now.keys() and all(same_row(row, now[key]) for key, row in before.items())

"""The service levels of a contract that a delivery alone can show: how old its newest row is, and its oldest.

``freshness`` is the age of the newest value of a column of dates or timestamps when the delivery was taken in,
``latency`` that of the oldest. What else a contract promises (availability, retention, support …) no delivery can show.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

from shared.domain.contract import Contract, SlaProperty

Kind = Literal["freshness", "latency"]
_SECONDS: Final = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_TYPES: Final = ("date", "timestamp")


class ServiceLevel(NamedTuple):
    """How old a column's newest (freshness) or oldest (latency) value may be when a delivery is taken in."""

    kind: Kind
    column: str
    seconds: float
    said: str  # such as "24 h"
    unit: str
    unit_seconds: int


def service_levels(contract: Contract) -> tuple[list[ServiceLevel], list[tuple[SlaProperty, str]]]:
    """Those that are checked, and the others, each with why it is not."""
    levels: list[ServiceLevel] = []
    unchecked: list[tuple[SlaProperty, str]] = []
    for promised in contract.sla:
        found = _level(contract, promised)
        if isinstance(found, str):
            unchecked.append((promised, found))
        else:
            levels += found
    return levels, unchecked


def _level(contract: Contract, promised: SlaProperty) -> list[ServiceLevel] | str:
    kind: Kind | None = {"freshness": "freshness", "latency": "latency"}.get(promised.property.strip().casefold())  # type: ignore[assignment]
    if kind is None:
        return "no delivery can show it"
    try:
        value = float(promised.value)
    except ValueError:
        return "its value is no number"
    unit = promised.unit.strip().casefold()
    if unit not in _SECONDS:
        return "its unit is not one of s, min, h, d, w"
    if not math.isfinite(value) or value < 0:
        return "its value is no duration"
    elements = [each.strip().rpartition(".") for each in promised.element.split(",") if each.strip()]
    objects = {contract.table, contract.table.rpartition(".")[2], contract.logical_table}
    if any(table and table not in objects for table, _, _ in elements):
        return "its element is of another object"
    names = [column for _, _, column in elements]
    columns = [contract.column(name) for name in names]
    if not names or any(column is None or column.logical_type not in _TYPES for column in columns):
        return "its element names no column of dates or timestamps (object.column)"
    said = f"{value:g} {promised.unit.strip()}"
    return [ServiceLevel(kind, name, value * _SECONDS[unit], said, unit, _SECONDS[unit]) for name in names]

"""The service levels of a contract that a delivery alone can show: how old its newest row is, and its oldest.

``freshness`` is the age of the newest value of a column of dates or timestamps when the delivery was taken in,
``latency`` that of the oldest. What else a contract promises (availability, retention, support …) no delivery can show.
"""

from __future__ import annotations

import json
import math
from typing import Final, Literal, NamedTuple

from shared.domain.contract import Column, Contract, SlaProperty

Kind = Literal["freshness", "latency"]
_SECONDS: Final = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
    **dict.fromkeys(("y", "yr", "year", "years"), 31_557_600),  # of 365.25 days
}
_UNCLEAR: Final = {
    "m": "its unit m may mean minutes or months, and the standard does not say: write min",
    **dict.fromkeys(("mo", "month", "months"), "its unit is no fixed time: write it in days"),
}
_UNSHOWN: Final = {
    "frequency": "how often deliveries come no single one can show; the pipeline's alerts: freshness watches that",
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
    holds: bool  # a batch that does not keep it


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
            unchecked += [(promised, why) for why in _beside(promised)]
    return levels, unchecked


def _beside(promised: SlaProperty) -> list[str]:
    """What a level that is checked says besides."""
    more = json.loads(promised.more) if promised.more else {}
    told = []
    if more.get("valueExt") is not None:
        told.append("its valueExt is not checked: the standard does not say what it means here")
    if more.get("scheduler") or more.get("schedule"):
        told.append("its schedule is not checked: every delivery is measured when it is taken in")
    return told


def _column(contract: Contract, name: str) -> Column | None:
    """By the standard's name, else by the name in the data."""
    return next((each for each in contract.columns if each.logical_name == name), None) or contract.column(name)


def _level(contract: Contract, promised: SlaProperty) -> list[ServiceLevel] | str:
    kind: Kind | None = {"freshness": "freshness", "latency": "latency"}.get(promised.property.strip().casefold())  # type: ignore[assignment]
    if kind is None:
        return _UNSHOWN.get(promised.property.strip().casefold(), "no delivery can show it")
    try:
        value = float(promised.value)
    except ValueError:
        return "its value is no number"
    unit = promised.unit.strip().casefold()
    if unit not in _SECONDS:
        return _UNCLEAR.get(unit, "its unit is not one of s, min, h, d, w, y")
    if not math.isfinite(value) or value < 0:
        return "its value is no duration"
    elements = [each.strip().rpartition(".") for each in promised.element.split(",") if each.strip()]
    objects = {contract.table, contract.table.rpartition(".")[2], contract.logical_table}
    if any(table and table not in objects for table, _, _ in elements):
        return "its element is of another object"
    names = [column for _, _, column in elements]
    columns = [column for name in names if (column := _column(contract, name)) and column.logical_type in _TYPES]
    if not names or len(columns) < len(names):
        return "its element names no column of dates or timestamps (object.column)"
    said = f"{value:g} {promised.unit.strip()}"
    seconds, holds = _SECONDS[unit], promised.severity == "error"
    return [ServiceLevel(kind, column.name, value * seconds, said, unit, seconds, holds) for column in columns]

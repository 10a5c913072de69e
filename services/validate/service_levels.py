"""Whether a delivery is as fresh as its contract promises, measured at the moment at which it was taken in.

That moment is on record, so a verdict made again is the same one. A promise that is not kept is told; it holds the
batch only when the contract says so (``severity: error``).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from services.validate.findings import DatasetFinding
from services.validate.quality import CHECK
from services.validate.scoring import Measure
from shared.domain.service_levels import ServiceLevel, service_levels

if TYPE_CHECKING:
    import polars as pl

    from services.validate.terms import Terms
    from shared.domain.contract import Contract

_DAY: Final = timedelta(days=1)


class ServiceLedger:
    """The newest and the oldest value of every column that a service level names, chunk by chunk."""

    def __init__(self, contract: Contract) -> None:
        self.levels, _ = service_levels(contract)
        self._ends: dict[str, tuple[Any, Any]] = {}
        self._rows = 0
        self.measures: list[Measure] = []

    def add(self, typed: pl.DataFrame, raw: pl.Series | None) -> None:
        """Take in a chunk's typed cells; records that did not fit have none."""
        self._rows += typed.height
        for name in {level.column for level in self.levels}:
            cells = typed[name] if raw is None else typed[name].filter(~raw)
            low, high = cells.min(), cells.max()
            if low is None:
                continue
            known = self._ends.get(name, (low, high))
            self._ends[name] = (min(known[0], low), max(known[1], high))

    def findings(self, terms: Terms, arrived: int) -> list[DatasetFinding]:
        """The levels that are not kept by a whole batch that was taken in at ``arrived`` (microseconds since 1970)."""
        if not terms.whole or not arrived:
            return []
        found = []
        for level in self.levels:
            ends = self._ends.get(level.column)
            if terms.waives(f"{CHECK}:{level.kind}", level.column):
                continue
            if ends is None:
                if self._rows and level.holds:  # an age that nobody can tell keeps no promise
                    self.measures.append(Measure("timeliness", 0.0))
                    found.append(_finding(level, None))
                continue
            moment = _end_of(ends[1] if level.kind == "freshness" else ends[0])
            age = arrived / 1_000_000 - moment.timestamp()
            self.measures.append(Measure("timeliness", _kept(level, age)))
            if age > level.seconds:
                found.append(_finding(level, age))
        return found


def _end_of(value: Any) -> datetime:
    """A date is over at midnight, UTC: until then more of it may come."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value if isinstance(value, date) else date.min, time(), UTC) + _DAY


def _kept(level: ServiceLevel, age: float) -> float:
    """How far a promise is kept: the promised age over the observed one, in whole units, as coarse as it is told."""
    if age <= level.seconds:
        return 1.0
    return level.seconds / level.unit_seconds / (int(age // level.unit_seconds) + 1)


def _finding(level: ServiceLevel, age: float | None) -> DatasetFinding:
    """``age`` None: no row has a time."""
    # As coarse as the promise is: the exact age would tell a cell.
    observed = None if age is None else int(age // level.unit_seconds)
    end = "newest" if level.kind == "freshness" else "oldest"
    return DatasetFinding(
        check=f"{CHECK}:{level.kind}",
        column=level.column,
        message=f"{level.column}: the {end} row was more than {level.said} old when the delivery was taken in"
        if age is not None
        else f"{level.column}: no row has a time, where the contract wants the {end} at most {level.said} old",
        holds=level.holds,
        evidence={
            "metric": level.kind,
            "observed": observed,
            "expected": f"at most {level.said}",
            "unit": level.unit,
            "severity": "error" if level.holds else "warning",
            "dimension": "timeliness",
        },
    )

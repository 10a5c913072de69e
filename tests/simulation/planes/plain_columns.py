"""Strange columns of a delivery, tried as the missing ones; the product's own trial, fed from lists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from services.validate.baseline import Baseline
from services.validate.casting import TextRules
from services.validate.column_matching import COLUMNS_TRIED, TYPES_TRIED, ColumnTrial, Mismatch
from services.validate.identities import ROWS_MAX
from services.validate.profile import BatchProfile, ColumnProfile
from services.validate.recent_rows import BATCHES_MAX, GAP_MAX, NUMERIC, RecentRows
from shared.domain import paths
from shared.domain.contract import Column
from shared.events.types import BatchStaged
from shared.ports.object_store import ObjectStore
from shared.ports.ports import Ports
from shared.ports.state_store import Where
from tests.simulation.planes import rows_file
from tests.simulation.planes.plain_cells import cast_of, value_rules
from tests.simulation.planes.rows_file import Rows

_TYPES_OF_TEXT = tuple(kind for kind in TYPES_TRIED if kind not in ("timestamp", "time"))


class PlainRecentRows(RecentRows):
    """Levels only: the numeric columns of simulated orders keep no identity among themselves."""

    def levels(self, column: str) -> list[float]:
        """The mean of each batch that has one."""
        found = []
        for profile, frame in zip(self.profiles, self.frames, strict=True):
            level = profile.get(column, {}).get("mean")
            if level is None and frame is not None:
                level = _mean(frame, column)  # type: ignore[arg-type]
            if level is not None:
                found.append(float(level))
        return found


def _mean(frame: Rows, column: str) -> float | None:
    values = [row[frame.place(column)] for row in frame.rows] if column in frame.columns else []
    values = [value for value in values if value is not None]
    return _in_order(values) / len(values) if values else None


def recent_rows(event: BatchStaged, ports: Ports, baseline: Baseline) -> PlainRecentRows:
    """The newest batches of the baseline; nothing when several deliveries since then were not released."""
    since = [Where("pipeline", "==", event.pipeline), Where("seq", "<", event.seq)]
    if baseline.places:
        since.append(Where("seq", ">", baseline.places[0].seq))
        if len(ports.state.query("deliveries", since, order_by="seq", limit=GAP_MAX + 1)) > GAP_MAX:
            return PlainRecentRows((), ())
    newest = list(zip(baseline.profiles, baseline.places, strict=False))[:BATCHES_MAX]
    frames = [
        _passed(ports.objects, place.batch_id, place.attempt) if place.rows <= ROWS_MAX else None
        for _, place in reversed(newest)
    ]
    return PlainRecentRows(tuple(profile for profile, _ in reversed(newest)), tuple(frames))  # type: ignore[arg-type]


def _passed(objects: ObjectStore, batch_id: str, attempt: int) -> Rows | None:
    parts = [rows_file.read(objects, info.path) for info in list(objects.list(paths.passed(batch_id, attempt)))]
    return parts[0].only(row for part in parts for row in part.rows) if parts else None


def with_values(staged: Rows, mismatch: Mismatch, rules: TextRules) -> tuple[str, ...]:
    """The unexpected columns in which at least one cell is not null."""
    nulls = {None, *rules.null_values}
    places = {name: staged.place(name) for name in mismatch.unexpected}
    return tuple(name for name, place in places.items() if any(row[place] not in nulls for row in staged.rows))


class PlainColumnTrial(ColumnTrial):
    """The product's trial; only how it counts is ours."""

    def take(self, staged: Rows, raw: Sequence[bool]) -> None:
        """Look at all rows of a delivery; ``staged`` has the contract's names where they are known."""
        rows = [row for row, is_raw in zip(staged.rows, raw, strict=True) if not is_raw]
        self._rows += len(rows)
        nulls = set(self._rules.null_values)
        for name in self._tried:
            place = staged.place(name)
            cells = [row[place] for row in rows]
            self._own_name = self._own_name or name in cells
            values = [cell for cell in cells if cell is not None and cell not in nulls]
            self._count(self._nulls, name, len(rows) - len(values))
            self._count(self._sampled, name, len(values))
            self._count_kinds(name, values)
            for column in self._mismatch.missing[:COLUMNS_TRIED]:
                self._fit(name, values, column)

    def _count_kinds(self, name: str, values: list[str]) -> None:
        for kind in _TYPES_OF_TEXT:
            cast = cast_of(kind, self._rules.decimal)
            self._count(self._as_type, (name, kind), sum(cast(value) is not None for value in values))
        if values and self._as_type[name, "integer"] >= len(values):
            # Text that is all whole numbers is looked at once, as numbers; 0 and 1 are truth values too.
            self._as_type[name, "number"] = len(values)
            self._as_type[name, "boolean"] = sum(value in ("0", "1") for value in values)
            self._as_type[name, "date"] = 0

    def _fit(self, name: str, values: list[str], column: Column) -> None:
        rules = [each for each in _rules_alone(self._contract, column) if each.rule.check != "required"]
        cast = cast_of(column.logical_type, self._rules.decimal)
        typed = [cast(value) for value in values]
        fitting = [value for value in typed if value is not None and not any(rule.breaks(value) for rule in rules)]
        self._count(self._fits, (column.name, name), len(fitting))
        if column.logical_type in NUMERIC and self._baseline.profiles:
            known = self._profiles.setdefault(column.name, BatchProfile()).columns.setdefault(name, ColumnProfile())
            note(known, [value for value in typed if value is not None], self._rows, self._rows - len(values))


def _rules_alone(contract: Any, column: Column) -> list[Any]:
    return [each for each in value_rules(contract, ()) if each.rule.columns == (column.name,)]


def note(profile: ColumnProfile, values: Sequence[Any], rows: int, nulls: int) -> None:
    """Take rows with these values and nulls into a column's profile."""
    profile.rows += rows
    profile.nulls += nulls
    if not values:
        return
    if isinstance(values[0], str):
        profile.first, profile.last = min(values), max(values)
    elif not isinstance(values[0], bool):
        mean = _in_order(values) / len(values)
        profile.add_moments(len(values), mean, math.fsum((value - mean) ** 2 for value in values))


def _in_order(values: Sequence[float]) -> float:
    """The sum, added up one by one as the engine does with so few: a mean on the edge of rounding falls to one side."""
    total = 0.0
    for value in values:
        total += value
    return total


def aliases_of(learned: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Other names of contract columns, by column."""
    found: dict[str, list[str]] = {}
    for each in learned:
        found.setdefault(each["wanted"], []).append(each["delivered"])
    return found

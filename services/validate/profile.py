"""A batch's profile: counts, mean and spread per column, collected chunk by chunk; never a cell value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

DIGITS = 9  # so that a different order of summation gives the same profile
VALUES_MIN = 20  # a mean of fewer values would nearly be a cell, and a share of fewer rows is chance
COLUMNS_KEPT = 2_000  # documents are bounded


@dataclass(slots=True)
class ColumnProfile:
    """Running moments of one column (Chan's method, so that chunks combine exactly)."""

    rows: int = 0
    nulls: int = 0
    values: int = 0
    mean: float = 0.0
    squares: float = 0.0
    first: Any = None  # least and greatest date, kept in memory only
    last: Any = None

    def add_moments(self, values: int, mean: float, squares: float) -> None:
        """Combine with the moments of other rows."""
        if not values:
            return
        total = self.values + values
        difference = mean - self.mean
        self.mean += difference * values / total
        self.squares += squares + difference * difference * self.values * values / total
        self.values = total

    @property
    def spread(self) -> float:
        """Standard deviation, 0 for fewer than two values."""
        return math.sqrt(self.squares / (self.values - 1)) if self.values > 1 else 0.0

    @property
    def null_share(self) -> float:
        """Share of null cells."""
        return self.nulls / self.rows if self.rows else 0.0


@dataclass(slots=True)
class BatchProfile:
    """The profiles of all columns of an attempt."""

    columns: dict[str, ColumnProfile] = field(default_factory=dict)

    def add(self, typed: pl.DataFrame, untyped: Mapping[str, int] | None = None) -> None:
        """Take in typed rows; ``untyped`` counts by column the cells that are null only because they have no type."""
        import polars as pl

        schema = typed.schema
        names = [name for name in schema if name != "_mend_row"]
        numeric = [name for name in names if schema[name].is_numeric()]
        temporal = [name for name in names if schema[name].is_temporal() and schema[name] != pl.Time]
        if not typed.height:
            return
        facts = (
            typed.select(
                *(pl.col(name).mean().alias(f"m:{name}") for name in numeric),
                *(pl.col(name).var().alias(f"v:{name}") for name in numeric),
                *(pl.col(name).min().alias(f"a:{name}") for name in temporal),
                *(pl.col(name).max().alias(f"z:{name}") for name in temporal),
            ).row(0, named=True)
            if numeric or temporal
            else {}
        )
        for name in names:
            profile = self.columns.setdefault(name, ColumnProfile())
            nulls = typed[name].null_count()
            profile.rows += typed.height
            profile.nulls += nulls - (untyped or {}).get(name, 0)
            values = typed.height - nulls
            if f"m:{name}" in facts and values:
                profile.add_moments(values, float(facts[f"m:{name}"]), float(facts[f"v:{name}"] or 0.0) * (values - 1))
            if facts.get(f"a:{name}") is not None:
                low, high = facts[f"a:{name}"], facts[f"z:{name}"]
                profile.first = low if profile.first is None else min(profile.first, low)
                profile.last = high if profile.last is None else max(profile.last, high)

    def null_share(self, column: str) -> float:
        """Share of null cells in a column; 0 for an unknown one."""
        profile = self.columns.get(column)
        return profile.null_share if profile else 0.0

    def document(self) -> dict[str, Any]:
        """What is kept: rows and null share of every column, mean and spread of numeric ones with enough values."""
        kept: dict[str, Any] = {}
        for name, profile in list(self.columns.items())[:COLUMNS_KEPT]:
            facts: dict[str, Any] = {"rows": profile.rows}
            if profile.rows >= VALUES_MIN:
                facts["null_share"] = rounded(profile.null_share)
            if profile.values >= VALUES_MIN and math.isfinite(profile.mean) and math.isfinite(profile.squares):
                facts |= {"values": profile.values, "mean": rounded(profile.mean), "spread": rounded(profile.spread)}
            kept[name] = facts
        return kept


def rounded(number: float) -> float:
    """The number with nine significant digits."""
    return float(f"{number:.{DIGITS}g}")

"""Quality in percent: per dimension the share of rows without a violation of it, in all the mean of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.validate.findings import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.validate.findings import Rule

DIMENSIONS: tuple[Dimension, ...] = ("completeness", "validity", "uniqueness", "consistency")


@dataclass(slots=True)
class Tally:
    """Rows of an attempt, and by chunk how many of them failed in each dimension and at all."""

    rows: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    by_dimension: dict[int, dict[Dimension, int]] = field(default_factory=dict)

    def note(self, chunk: int, rows: int, failed: int, by_dimension: dict[Dimension, int]) -> None:
        """Set a chunk's counts; a chunk judged again replaces its earlier counts."""
        self.rows[chunk] = rows
        self.failed[chunk] = failed
        self.by_dimension[chunk] = by_dimension

    @property
    def rows_total(self) -> int:
        """All rows."""
        return sum(self.rows.values())

    @property
    def rows_failed(self) -> int:
        """Rows with at least one violation that is not only a warning."""
        return sum(self.failed.values())

    def dimensions(self, measured: Iterable[Dimension]) -> dict[str, float]:
        """Score per measured dimension."""
        total = self.rows_total
        scores: dict[str, float] = {}
        for name in DIMENSIONS:
            if name in set(measured):
                failed = sum(counts.get(name, 0) for counts in self.by_dimension.values())
                scores[name] = round(100 * (1 - failed / total), 4) if total else 100.0
        return scores


def measured(rules: Iterable[Rule]) -> set[Dimension]:
    """The dimensions that some of the rules measure; every cell has a type to be of, so validity always."""
    return {"validity", *(rule.dimension for rule in rules)}


def overall(dimensions: dict[str, float]) -> float:
    """The mean of the dimensions; 100 when nothing was measured."""
    return round(sum(dimensions.values()) / len(dimensions), 4) if dimensions else 100.0

"""Quality in percent, by dimension and overall: rows without a violation, rules on the whole batch that are kept.

A dimension scores 100 × (share of rows without a violation of it) × (mean of how far its rules on the whole batch are
kept). A row, or a rule, that is only a warning counts half. Overall is the mean by the contract's weights (each 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from services.validate.findings import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from services.validate.findings import Rule, Severity

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
WARNING_COUNTS: Final = 0.5  # of what an error counts


class Measure(NamedTuple):
    """A rule on the whole batch, and how far it is kept: 1 wholly, 0 not at all."""

    dimension: Dimension
    kept: float


def kept(holds: bool, severity: Severity) -> float:
    """How far a rule is kept that holds or not."""
    return 1.0 if holds else 1 - WARNING_COUNTS if severity == "warning" else 0.0


@dataclass(slots=True)
class Tally:
    """Rows of an attempt, and by chunk how many of them failed in each dimension and at all."""

    rows: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    by_dimension: dict[int, dict[Dimension, float]] = field(default_factory=dict)

    def note(self, chunk: int, rows: int, failed: int, by_dimension: dict[Dimension, float]) -> None:
        """Set a chunk's counts, a row that breaks only warnings as ``WARNING_COUNTS``; a later call replaces them."""
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

    def dimensions(self, measured: Iterable[Dimension], measures: Sequence[Measure] = ()) -> dict[str, float]:
        """Score of each dimension that rows or rules on the whole batch measure."""
        total, by_rows = self.rows_total, set(measured)
        scores: dict[str, float] = {}
        for name in DIMENSIONS:
            rules = [each.kept for each in measures if each.dimension == name]
            if name not in by_rows and not rules:
                continue
            failed = sum(counts.get(name, 0) for counts in self.by_dimension.values())
            share = 1 - failed / total if total else 1.0
            scores[name] = round(100 * share * (sum(rules) / len(rules) if rules else 1.0), 4)
        return scores


def measured(rules: Iterable[Rule]) -> set[Dimension]:
    """The dimensions that some of the rules measure; every cell has a type to be of, so validity always."""
    return {"validity", *(rule.dimension for rule in rules)}


def overall(dimensions: Mapping[str, float], weights: Sequence[tuple[str, float]] = ()) -> float:
    """The mean of the dimensions by their weights (1 where none is stated); 100 when nothing was measured."""
    stated = dict(weights)
    weighted = {name: stated.get(name, 1.0) for name in dimensions}
    total = sum(weighted.values())
    if not total:
        return 100.0
    return round(sum(score * weighted[name] for name, score in dimensions.items()) / total, 4)

"""What can be found wrong with a cell, a row or a whole attempt, and how it is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import polars as pl

Dimension = Literal["completeness", "validity", "uniqueness", "consistency", "timeliness", "accuracy"]
Severity = Literal["error", "warning"]

# What the standard calls the dimensions of quality rules, and what they are here.
DIMENSION_NAMES: dict[str, Dimension] = {
    "accuracy": "accuracy",
    "completeness": "completeness",
    "conformity": "validity",
    "consistency": "consistency",
    "coverage": "completeness",
    "timeliness": "timeliness",
    "uniqueness": "uniqueness",
}
DIMENSION_OF: dict[str, Dimension] = {
    "well_formed": "validity",
    "type": "validity",
    "required": "completeness",
    "enum": "validity",
    "pattern": "validity",
    "format": "validity",
    "length": "validity",
    "range": "validity",
    "multiple_of": "validity",
    "unique_items": "validity",
    "unique": "uniqueness",
    "unique_inside": "uniqueness",
    "primary_key": "uniqueness",
    "relationship": "consistency",
    "functional_dependency": "consistency",
    "custom": "validity",  # custom:NAME, of an installed package
}


class Rule(NamedTuple):
    """One check on one or several columns."""

    check: str
    columns: tuple[str, ...]
    explanation: str  # for people, in quarantine; says what would have been right
    severity: Severity = "error"
    stated: str = ""  # the dimension that the contract names, in the standard's words

    @property
    def column(self) -> str:
        """The columns as one name."""
        return ",".join(self.columns)

    @property
    def key(self) -> tuple[str, str]:
        """What distinguishes findings of one attempt."""
        return self.check, self.column

    @property
    def dimension(self) -> Dimension:
        """The quality dimension it measures."""
        if self.stated in DIMENSION_NAMES:
            return DIMENSION_NAMES[self.stated]
        return DIMENSION_OF[self.check.partition(":")[0]]


class Failure(NamedTuple):
    """The rows of a chunk that break a rule: ``mask`` has one entry per row of the chunk, never null."""

    rule: Rule
    mask: pl.Series


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFinding:
    """Something wrong with the attempt as a whole."""

    check: str
    column: str = ""
    message: str  # one sentence without values
    holds: bool = True
    evidence: dict[str, Any] = field(default_factory=dict)

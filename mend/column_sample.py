"""One column of the data that a contract is inferred from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from shared.domain.contract import LogicalType


@dataclass(slots=True)
class ColumnSample:
    """One column's values, nulls taken out, and what was found about it."""

    name: str
    position: int
    values: pl.Series  # as delivered
    rows: int
    logical_type: LogicalType = "string"
    format: str = ""
    nulls: set[str] = field(default_factory=set)  # tokens that mean null here
    known: pl.Series | None = None  # values that are not null

    @property
    def full(self) -> bool:
        return self.known is not None and len(self.known) == self.rows > 0

"""Cells that pass and can be read in two ways, where other cells of their column prove the way that was not declared.

A delivery that writes 03/04/2024 month first under a contract that says day first has days above 12 in it, which fail;
its other days pass as wrong ones. The same holds for 1.234 where the column's other numbers look like 1.234,56. The
column decides: when enough of its cells can only be read the other way, the ones that fit both are not to be trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.findings import Failure, Rule
from shared.domain.contract_formats import exchanged_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from shared.domain.contract import Column

PROOFS_MIN = 3  # fewer are slips of a hand, unless nothing speaks for the declared way
SHARE_MIN = 0.01  # of the cells that prove either way
_ISO_DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"


class _Ways(NamedTuple):
    """Over a column of texts: what one way alone can read, and what both read as different things."""

    declared_only: pl.Expr
    both: pl.Expr
    other_only: pl.Expr


class TwoReadings:
    """Counts the proofs for either way of one column, and marks the cells in doubt."""

    def __init__(self, column: Column, ways: _Ways, explanation: str) -> None:
        self.column = column.name
        self.rule = Rule("type", (column.name,), explanation)
        self._ways = ways
        self.declared_only = self.both = self.other_only = 0

    def note_failed(self, cells: pl.Series) -> None:
        """Take in cells that could not be typed."""
        self.other_only += self._count(cells, self._ways.other_only)

    def note_passed(self, cells: pl.Series, typed: pl.Series) -> None:
        """Take in a chunk's cells; those that were typed count."""
        passed = cells.filter(typed.is_not_null())
        self.declared_only += self._count(passed, self._ways.declared_only)
        self.both += self._count(passed, self._ways.both)

    @property
    def doubted(self) -> bool:
        """True when so much speaks for the other way that cells which fit both may not be loaded."""
        return self.both > 0 and _counts(self.other_only, self.declared_only)

    def failure(self, cells: pl.Series, typed: pl.Series) -> Failure | None:
        """The chunk's cells in doubt; None without any."""
        import polars as pl

        hit = cells.alias("cell").to_frame().select(self._ways.both.fill_null(False).alias("hit"))["hit"]
        mask = pl.select(hit & typed.is_not_null()).to_series()
        return Failure(self.rule, mask) if mask.any() else None

    def facts(self) -> dict[str, Any]:
        """What was counted; ``mixed``: both ways are proven, so that no cell in doubt may be read either way."""
        mixed = _counts(self.declared_only, self.other_only) and _counts(self.other_only, self.declared_only)
        return {
            "declared_only": self.declared_only,
            "both": self.both,
            "other_only": self.other_only,
            "mixed": mixed,
        }

    @staticmethod
    def _count(cells: pl.Series, which: pl.Expr) -> int:
        return int(cells.alias("cell").to_frame().select(which.fill_null(False).sum()).item()) if cells.len() else 0


def _counts(proofs: int, against: int) -> bool:
    enough = proofs >= PROOFS_MIN and proofs >= SHARE_MIN * (proofs + against)
    return enough or proofs > against


def readings_in_question(columns: Sequence[Column], decimal: str) -> list[TwoReadings]:
    """A ledger for every column that knows two ways."""
    found = [_of_column(column, decimal) for column in columns]
    return [ledger for ledger in found if ledger is not None]


def _of_column(column: Column, decimal: str) -> TwoReadings | None:
    kind = column.logical_type
    if kind == "number":
        said = f"{column.name} could be read with the other decimal mark, as other cells of the column must be"
        return TwoReadings(column, _number_ways(decimal), said)
    if kind not in ("date", "timestamp"):
        return None
    declared = column.strptime_format
    layout = declared or "%Y-%m-%d"
    other = exchanged_order(layout)
    if not other:
        return None
    said = f"{column.name} could be read with day and month the other way round, as other cells of the column must be"
    return TwoReadings(column, _date_ways(layout, other, prefix=not declared), said)


def _date_ways(layout: str, other: str, *, prefix: bool) -> _Ways:
    """``prefix``: only the text's day is looked at, whatever clock follows it."""
    import polars as pl

    cell = pl.col("cell")
    if prefix:
        cell = pl.when(cell.str.contains(_ISO_DAY)).then(cell.str.slice(0, 10))
    one, two = _moment(cell, layout), _moment(cell, other)
    return _Ways(
        declared_only=one.is_not_null() & two.is_null(),
        both=one.is_not_null() & two.is_not_null() & (one != two),
        other_only=one.is_null() & two.is_not_null(),
    )


def _moment(text: pl.Expr, layout: str) -> pl.Expr:
    if not any(mark in layout for mark in ("%H", "%I", "%T", "%R")):
        return text.str.to_date(layout, strict=False)
    zoned = any(mark in layout for mark in ("%z", "%:z", "%#z"))
    return text.str.to_datetime(layout, strict=False, time_unit="us", time_zone="UTC" if zoned else None)


def _number_ways(decimal: str) -> _Ways:
    """A mark before exactly three digits may separate thousands; before any other number of digits it cannot."""
    import polars as pl

    mark, other = (r"\.", ",") if decimal == "." else (",", r"\.")
    cell = pl.col("cell").str.strip_chars()
    both = cell.str.contains(rf"^[+-]?[1-9][0-9]{{0,2}}{mark}[0-9]{{3}}$")
    grouped = rf"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+{other}[0-9]+"
    return _Ways(
        declared_only=cell.str.contains(rf"^[+-]?[0-9]*{mark}[0-9]+$") & ~both,
        both=both,
        other_only=cell.str.contains(rf"^[+-]?(?:{grouped}|[0-9]+{other}(?:[0-9]{{1,2}}|[0-9]{{4,}}))$"),
    )

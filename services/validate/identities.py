"""Sums, differences and steps that numeric columns keep among themselves: what tells columns apart when names do not.

A total is the sum of its parts in every row; a daily change is today's level less yesterday's. An identity that held in
all of the last rows is looked for again in a delivery, with an unexpected column in the place of a missing one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import polars as pl

ROWS_MIN = 5  # in fewer rows it may be chance
ROWS_MAX = 200
COLUMNS_MAX = 40
DISTINCT_MIN = 3
TOLERANCE = 1e-9


class Identity(NamedTuple):
    """``wanted`` is the sum or the difference of two columns, or the step of one since the row before."""

    kind: Literal["sum", "difference", "step"]
    wanted: str
    first: str
    second: str = ""

    @property
    def said(self) -> str:
        """For people."""
        if self.kind == "step":
            return f"{self.wanted} = {self.first} - the {self.first} before"
        return f"{self.wanted} = {self.first} {'+' if self.kind == 'sum' else '-'} {self.second}"


def identities(rows: pl.DataFrame, wanted: str, *, steps: bool) -> list[Identity]:
    """The identities that ``wanted`` kept in all rows (numeric columns, oldest first)."""
    names = [name for name in rows.columns[:COLUMNS_MAX] if name != wanted]
    if wanted not in rows.columns or rows.height < ROWS_MIN:
        return []
    whole = rows.drop_nulls(wanted)
    if whole.height < ROWS_MIN or whole[wanted].n_unique() < DISTINCT_MIN:
        return []
    found = [each for each in _guesses(rows, wanted, names) if _kept(each, rows)]
    if steps:
        found += [each for name in names if _kept(each := Identity("step", wanted, name), rows)]
    return found


def _guesses(rows: pl.DataFrame, wanted: str, names: list[str]) -> Iterator[Identity]:
    """Those that the last row keeps."""
    last = rows.row(-1, named=True)
    target = last[wanted]
    known = [name for name in names if last[name] is not None and rows[name].n_unique() >= DISTINCT_MIN]
    if target is None:
        return
    for place, one in enumerate(known):
        for other in known[place + 1 :]:
            if _near(last[one] + last[other], target):
                yield Identity("sum", wanted, one, other)
            elif _near(last[one] - last[other], target):
                yield Identity("difference", wanted, one, other)
            elif _near(last[other] - last[one], target):
                yield Identity("difference", wanted, other, one)


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE * max(1.0, abs(other))


def _kept(identity: Identity, rows: pl.DataFrame) -> bool:
    share, tested = _share(identity, {name: rows[name] for name in rows.columns}, None)
    return share == 1.0 and tested >= ROWS_MIN - 1


def _share(identity: Identity, columns: Mapping[str, pl.Series], before: float | None) -> tuple[float, int]:
    """The share of rows that keep the identity, and how many could be tested."""
    import polars as pl

    one = columns[identity.first].alias("one")
    if identity.kind == "step":
        other = one.shift(1, fill_value=before).alias("other")
    else:
        other = columns[identity.second].alias("other")
    frame = pl.DataFrame([columns[identity.wanted].alias("wanted"), one, other]).drop_nulls()
    if not frame.height:
        return 0.0, 0
    result = pl.col("one") + pl.col("other") if identity.kind == "sum" else pl.col("one") - pl.col("other")
    size = pl.max_horizontal(pl.col("wanted").abs(), pl.lit(1.0))
    near = frame.select(((result - pl.col("wanted")).abs() <= TOLERANCE * size).sum()).item()
    return near / frame.height, frame.height


def keeps(
    identity: Identity, candidate: pl.Series, delivered: Mapping[str, list[pl.Series]], before: Mapping[str, float]
) -> bool | None:
    """Whether a delivery keeps the identity with ``candidate`` as the wanted column; None when it cannot be tested.

    ``delivered`` gives for each contract column what it may be: one column when it came under its name.
    """
    tested = False
    for first in delivered.get(identity.first, []):
        for second in delivered.get(identity.second, []) if identity.second else [first]:
            if identity.kind == "step" and identity.first not in before:
                continue
            columns = {identity.wanted: candidate, identity.first: first, identity.second: second}
            share, rows = _share(identity, columns, before.get(identity.first))
            tested = tested or rows > 0
            if rows and share == 1.0:
                return True
    return False if tested else None

"""What a contract claims of one column, beside its type: no more than so many values support.

Lists of allowed values, least values, patterns, keys and ``required`` need enough behind them. That something was not
seen proves little: it is believed where what comes next to it was seen often, and thins out too slowly for chance to
have hidden the rest.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mend.value_patterns import format_of, pattern_of
from shared.domain.contract import Column
from shared.domain.personal_data import is_personal

if TYPE_CHECKING:
    import polars as pl

    from mend.column_sample import ColumnSample
    from shared.domain.contract import LogicalType

REQUIRED_ROWS_MIN = 100  # no null in so many rows: nulls are no ordinary thing here
CLOCK_ROWS_MIN = 5  # times in order by chance: once in 5! = 120
RANGE_ROWS_MIN = 100
ENUM_ROWS_MIN = 200
ENUM_VALUES_MAX = 20
UNSEEN_TIMES_MIN = 4  # how often the first unseen thing should have been seen; by chance it is missed once in e^4 = 55
POSITIVE_ROWS_MIN = 30  # with fewer, that none is below zero may be chance

ISO_MOMENTS: tuple[tuple[LogicalType, str], ...] = (
    ("date", r"^\d{4}-\d{2}-\d{2}$"),
    ("timestamp", r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?$"),
    ("time", r"^\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?$"),
)
_ZERO = r"^0(?:[.,]0*)?$"
_MOMENT = re.compile(r"\d[/:.-]\d")


def is_real_date(known: pl.Series) -> bool:
    """Whether the texts, which begin with year, month and day, are of days that there are."""
    return bool(known.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).is_not_null().all())


def claimed(sample: ColumnSample, key: tuple[str, ...], nulls: set[str]) -> Column:
    """The column as a contract states it; ``nulls`` are the texts that mean null wherever the contract is used."""
    in_key = sample.name in key
    enough = sample.rows >= REQUIRED_ROWS_MIN or in_key or _is_clock(sample)
    enum = _enum(sample)
    text = sample.known if sample.logical_type == "string" and not enum else None
    form = format_of(text) if text is not None else ""
    return Column(
        name=sample.name,
        logical_type=sample.logical_type,
        format=sample.format or form,
        required=sample.full and enough,
        primary_key_position=key.index(sample.name) + 1 if in_key else 0,
        enum=enum,
        minimum=_minimum(sample),
        pattern="" if form or text is None else pattern_of(text),
        null_values=tuple(sorted(sample.nulls)) if sample.nulls != nulls else None,
    )


def _is_clock(sample: ColumnSample) -> bool:
    """Whether a time goes on from row to row: the rows' own, not that of something that may never happen."""
    if sample.logical_type not in ("date", "timestamp") or sample.format or sample.rows < CLOCK_ROWS_MIN:
        return False
    return sample.values.n_unique() == sample.rows and sample.values.is_sorted()


def _minimum(sample: ColumnSample) -> int | None:
    """Zero, when none of many rows goes below and so many stand on it that a slope would go on below.

    Latitudes, or summer's degrees, claim nothing, nor does what comes down to zero once in a while.
    """
    known = sample.known
    if sample.logical_type not in ("integer", "number") or known is None or len(known) < RANGE_ROWS_MIN:
        return None
    if known.str.starts_with("-").any():
        return None
    whole = sample.logical_type == "integer"
    zeros = int(known.str.contains(r"^\+?0$" if whole else _ZERO).sum())
    ones = int(known.str.contains(r"^\+?1$").sum()) if whole else 0
    ends = _unseen_times([*([ones] if ones else []), zeros]) >= UNSEEN_TIMES_MIN
    return 0 if ends and len(known) - zeros >= POSITIVE_ROWS_MIN else None


def _unseen_times(times: Sequence[int]) -> float:
    """How often the next thing after those seen so many times should have been seen, if the steepest step down between
    two neighbours came once more; without a step as often as the last.
    """
    steepest = min((after / before for before, after in itertools.pairwise(times)), default=1.0)
    return times[-1] * min(1.0, steepest)


def _enum(sample: ColumnSample) -> tuple[str, ...]:
    """All values, when even one rarer than the rarest by the steepest step between two would have been seen; none of
    data that is sorted by them, which shows some values only later.
    """
    known = sample.known
    if sample.logical_type != "string" or known is None or len(known) < ENUM_ROWS_MIN:
        return ()
    if known.n_unique() > ENUM_VALUES_MAX:
        return ()
    halves = [known.slice(0, len(known) // 2), known.slice(len(known) // 2)]
    counts = known.alias("value").value_counts(name="times").sort("value")
    values: list[str] = counts.get_column("value").to_list()
    if is_personal(sample.name, values):
        return ()  # a contract is read by more people than the data is
    if len(values) < 2 or any(len(v) > 40 or _MOMENT.search(v) for v in values):
        return ()
    if any(half.n_unique() < len(values) for half in halves):
        return ()
    times = counts.get_column("times").sort(descending=True).to_list()
    return tuple(values) if _unseen_times(times) >= UNSEEN_TIMES_MIN else ()

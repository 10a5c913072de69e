"""Which columns of a sample are the table's key: what no two rows share, where that can hardly be chance.

Of n rows drawn from ``room`` equally likely values some n(n-1)/2/room pairs are alike (the birthday problem): where
that is much more than none, and none is found, the values were not drawn but given out.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING

from shared.domain.contract_formats import strptime_pattern

if TYPE_CHECKING:
    import polars as pl

    from mend.column_sample import ColumnSample

KEY_ROWS_MIN = 10
COMPOSITE_ROWS_MIN = 200
WORD_ROWS_MIN = 200
PAIRS_MIN = 4  # of which by chance none is found once in e^4 = 55
KEY_COLUMNS_MAX = 3
KEY_CANDIDATES_MAX = 12
PROBE_ROWS = 5_000

KEY_NAME = re.compile(r"(?:^|_)(?:id|key|code|uuid|guid|nr|no|number|sku|isbn|iata|icao|codice)$", re.IGNORECASE)
_SURE_NAME = re.compile(r"(?:^|_)(?:id|key|uuid|guid)$", re.IGNORECASE)  # codes and numbers are also of other things
_WORD = r"^[\p{L}\p{N}_.:/-]{1,40}$"
_NO_LETTER = r"^[^\p{L}]*$"


def primary_key(samples: list[ColumnSample], frame: pl.DataFrame, notes: list[str]) -> tuple[str, ...]:
    """A column, or up to three, that no two rows share: named like a key before leftmost, and never by a measure."""
    rows = frame.height
    usable = [s for s in samples if s.full and s.logical_type in ("string", "integer", "date", "timestamp")]
    distinct = {sample.name: frame.get_column(sample.name).n_unique() for sample in usable}
    if rows >= KEY_ROWS_MIN:
        for sample in sorted(usable, key=lambda s: (not KEY_NAME.search(s.name), s.position)):
            named = bool(KEY_NAME.search(sample.name))
            given = _SURE_NAME.search(sample.name) or ((named or sample.position == 0) and _is_given(sample))
            if distinct[sample.name] == rows and given:
                return (sample.name,)
    if rows < COMPOSITE_ROWS_MIN:
        return ()
    found = _composite(usable, distinct, frame)
    if found:
        notes.append(f"no column is unique; together {', '.join(found)} are: please check that they are the key")
    return found


def _is_given(sample: ColumnSample) -> bool:
    """Whether a column counts its rows, or gives many of them a word each; texts, addresses and amounts are none."""
    if _pairs(sample.rows, _room(sample)) >= PAIRS_MIN:
        return True
    return (
        sample.logical_type == "string"
        and sample.rows >= WORD_ROWS_MIN
        and bool(sample.values.str.contains(_WORD).all() and not sample.values.str.contains(_NO_LETTER).any())
    )


def _pairs(rows: int, room: float) -> float:
    """How many pairs of rows should be alike, were they drawn from so many values."""
    return rows * (rows - 1) / 2 / room


def _room(sample: ColumnSample) -> float:
    """How many values lie between the first and the last, in the steps that they are apart; infinite if unknown.

    Texts have such steps when they are alike but for a number, as p1 and p20 are.
    """
    import polars as pl

    values: pl.Series = sample.values
    if sample.logical_type == "string":
        parts = values.str.extract_groups(
            r"^(?<before>[^0-9]*)(?<number>[0-9]{1,18})(?<after>[^0-9]*)$"
        ).struct.unnest()
        if parts.null_count().row(0) != (0, 0, 0) or parts["before"].n_unique() > 1 or parts["after"].n_unique() > 1:
            return math.inf
        values = parts["number"]
    elif sample.logical_type in ("date", "timestamp"):
        layout = sample.format and strptime_pattern(sample.format)
        dtype = pl.Date() if sample.logical_type == "date" else pl.Datetime("us")
        values = values.str.strptime(dtype, layout or None, strict=False).dt.epoch("s")
    places = values.cast(pl.Int64, strict=False).sort()
    steps: list[int] = places.diff().drop_nulls().to_list()
    if places.null_count() or not any(steps):
        return math.inf
    return sum(steps) / math.gcd(*steps) + 1


def _composite(usable: list[ColumnSample], distinct: dict[str, int], frame: pl.DataFrame) -> tuple[str, ...]:
    """The most plausible smallest unique combination: with a time, then codes before numbers, then leftmost."""
    rows = frame.height
    members = [s for s in usable if 1 < distinct[s.name] <= rows / 2 and not _is_measure(s)]
    members = sorted(members, key=lambda s: (-_plausible(s), s.position))[:KEY_CANDIDATES_MAX]
    probe = frame.head(PROBE_ROWS)
    for size in range(2, KEY_COLUMNS_MAX + 1):
        groups = [
            group
            for group in itertools.combinations(sorted(members, key=lambda s: s.position), size)
            if math.prod(distinct[s.name] for s in group) >= rows
            and _pairs(rows, math.prod(distinct[s.name] for s in group)) >= PAIRS_MIN
        ]
        groups.sort(key=lambda group: (-sum(_plausible(s) for s in group), [s.position for s in group]))
        for group in groups:
            names = [sample.name for sample in group]
            if probe.select(names).n_unique() == probe.height and frame.select(names).n_unique() == rows:
                return tuple(names)
    return ()


def _plausible(sample: ColumnSample) -> int:
    if KEY_NAME.search(sample.name):
        return 3
    return {"timestamp": 3, "date": 3, "string": 2}.get(sample.logical_type, 1)


def _is_measure(sample: ColumnSample) -> bool:
    """Numbers below zero are measured, not given."""
    return sample.logical_type == "integer" and bool(sample.values.str.starts_with("-").any())

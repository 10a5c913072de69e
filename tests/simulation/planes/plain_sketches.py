"""A batch's sketches over lists: what is kept of them is the product's, the counting is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

from services.validate.profile import BatchProfile
from services.validate.sketches import CATEGORIES_MAX, ROWS_SAMPLED, ColumnSketch, sketched
from shared.domain.checks import check
from shared.domain.contract import Column

_EPOCH = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400


def sketch_document(
    profile: BatchProfile, columns: Sequence[Column], values: Mapping[str, Sequence[Any]], salt: str
) -> dict[str, dict[str, Any]]:
    """The profile's document, with the facts of every sketched column."""
    found = profile.document()
    for column in sketched(columns):
        if column.name not in found:
            continue
        cells = [value for value in values[column.name] if value is not None]
        check(len(cells) <= ROWS_SAMPLED, "so few rows are a sample of themselves")
        sketch = ColumnSketch(column, values=len(cells))
        if sketch.counted:
            counts = Counter(str(value).lower() if isinstance(value, bool) else value for value in cells)
            sketch.many = len(counts) > CATEGORIES_MAX
            sketch.categories = {} if sketch.many else dict(counts)
        sketch.rising = all(before <= after for before, after in pairwise(cells))
        sketch.falling = all(before >= after for before, after in pairwise(cells))
        sample = [_number(value) for value in cells] if sketch.ordered else cells
        found[column.name] |= sketch.document(sample, profile.columns[column.name], salt)
    return found


def _number(value: Any) -> float:
    """Numbers as they are, days as seconds since 1970."""
    if isinstance(value, str):
        return float((date.fromisoformat(value).toordinal() - _EPOCH) * _DAY_SECONDS)
    return float(value)

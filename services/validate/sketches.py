"""What a batch's columns look like beyond mean and spread: quantiles, categories, order, distinct values, days.

Collected chunk by chunk in bounded memory, the same whatever the chunks are. What is kept has no cell in it: a quantile
is the mean of at least ``VALUES_MIN`` values, a category a salted hash, and a personal column keeps none of it.

Rows are sampled by the smallest hashes of their numbers (a bottom-k sample: uniform without replacement, and the sample
of a union is made of the samples; Cohen and Kaplan, *Summarizing data using bottom-k sketches*, PODC 2007).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from operator import lt
from typing import TYPE_CHECKING, Any, Final

from services.validate.profile import VALUES_MIN, rounded
from shared.domain.ids import derive
from shared.domain.personal_data import BY_VALUE, PUBLIC, hides_values, treatment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from services.validate.profile import BatchProfile, ColumnProfile
    from shared.domain.contract import Column

COLUMNS_SKETCHED: Final = 200
ROWS_SAMPLED: Final = 2_048
CENTROIDS_MAX: Final = 32
CATEGORIES_MAX: Final = 50
CATEGORY_VALUES_MIN: Final = 5  # values per category: texts that hardly repeat are no categories
_LOOKED_AT: Final = 2_048  # rows that show whether a column has categories, before all are counted
_ORDERED: Final = ("integer", "number", "date", "timestamp")
_MOMENTS: Final = ("date", "timestamp")
_COUNTED: Final = ("string", "boolean")
_HASHES: Final = 2**64
_SEED: Final = 11
_DAY_SECONDS: Final = 86_400


def sketched(columns: Sequence[Column]) -> list[Column]:
    """The columns of a contract that are sketched: the first ones, no personal ones, nothing nested."""
    found = [column for column in columns if column.logical_type not in ("object", "array", "time")]
    return [column for column in found[:COLUMNS_SKETCHED] if treatment_of(column) in (PUBLIC, BY_VALUE)]


@dataclass(slots=True)
class ColumnSketch:
    """One column's facts, as far as they are collected."""

    column: Column
    values: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    many: bool = False  # more values than can be categories: no longer counted
    rising: bool = True
    falling: bool = True
    last: Any = None  # value in delivery order

    @property
    def ordered(self) -> bool:
        """True for a column of numbers or moments."""
        return self.column.logical_type in _ORDERED

    @property
    def counted(self) -> bool:
        """True while each of its values is counted."""
        return self.column.logical_type in _COUNTED and not self.many

    def count(self, cells: pl.Series) -> None:
        """Count texts or truth values, as long as they are few."""
        import polars as pl

        if self.many:
            return
        texts = cells.cast(pl.String)
        self.many = texts.head(_LOOKED_AT).n_unique() > CATEGORIES_MAX + 1
        for value, count in () if self.many else texts.drop_nulls().value_counts().iter_rows():
            self.categories[value] = self.categories.get(value, 0) + count
        self.many = self.many or len(self.categories) > CATEGORIES_MAX
        if self.many:
            self.categories = {}

    def follow(self, cells: pl.Series) -> None:
        """Look whether the values only rise or only fall, in the order of the delivery."""
        if not (self.rising or self.falling):
            return
        first, before = cells[0], self.last
        self.rising = self.rising and (before is None or first >= before) and cells.is_sorted()
        self.falling = self.falling and (before is None or first <= before) and cells.is_sorted(descending=True)
        self.last = cells[-1]

    def document(self, sample: Sequence[float], profile: ColumnProfile, salt: str) -> dict[str, Any]:
        """The facts as plain JSON; ``sample`` has values as numbers in delivery order. {} for too few values."""
        if self.values < VALUES_MIN or len(sample) < VALUES_MIN:
            return {}
        found: dict[str, Any] = {"distinct": len(self.categories) if self.counted else _distinct(sample, self.values)}
        if self.ordered:
            moments = self.column.logical_type in _MOMENTS
            found |= {"sampled": len(sample), "centroids_json": json.dumps(_centroids(sample, around=moments))}
            if not (self.rising and self.falling):  # all values are equal
                found["order"] = 1 if self.rising else -1 if self.falling else 0
                found["steps_back"] = rounded(_steps_back(sample))
            if moments and profile.first is not None:
                found |= {"first_day": str(profile.first)[:10], "last_day": str(profile.last)[:10]}
        elif self.categories and self._are_categories():
            hashed = {derive("category", salt, self.column.name, name): n for name, n in self.categories.items()}
            found["categories_json"] = json.dumps({name[:12]: hashed[name] for name in sorted(hashed)})
        return found

    def _are_categories(self) -> bool:
        repeated = self.values >= CATEGORY_VALUES_MIN * len(self.categories) or bool(self.column.enum)
        return repeated and not hides_values(self.column, self.categories)


def _centroids(sample: Sequence[float], *, around: bool) -> list[float]:
    """Means of equally large slices of the sorted values; ``around`` their median, so that times of day compare."""
    ordered = sorted(sample)
    middle = ordered[len(ordered) // 2] if around else 0.0
    slices = max(1, min(CENTROIDS_MAX, len(ordered) // VALUES_MIN))
    ends = [len(ordered) * number // slices for number in range(slices + 1)]
    return [rounded(sum(ordered[low:high]) / (high - low) - middle) for low, high in pairwise(ends)]


def _distinct(sample: Sequence[float], values: int) -> int:
    """How many different values there are, by those that a sample of a share q has once (f1) and twice (f2).

    seen + f1² / (2 f2 n / (n - 1) + f1 q / (1 - q)): Chao and Lin, *Nonparametric lower bounds for species richness
    under sampling without replacement*, Biometrics 2012; exact for all the values, and where all of them differ.
    """
    counts, rows = Counter(sample), len(sample)
    times = Counter(counts.values())
    if rows >= values or not times[1]:
        return len(counts)
    unseen = times[1] ** 2 / (2 * times[2] * rows / (rows - 1) + times[1] * rows / (values - rows))
    return round(len(counts) + unseen)


def _steps_back(sample: Sequence[float]) -> float:
    """Share of steps from one sampled value to the next that go down."""
    back: int = sum(map(lt, sample[1:], sample))
    return back / max(1, len(sample) - 1)


class Sketches:
    """The sketches of all columns of an attempt, fed with typed rows that have ``_mend_row``."""

    def __init__(self, columns: Sequence[Column], salt: str) -> None:
        self._salt = salt
        self._columns = {column.name: ColumnSketch(column) for column in sketched(columns)}
        self._sample: pl.DataFrame | None = None
        self._bound = _HASHES - 1  # greatest hash of a sampled row

    def add(self, typed: pl.DataFrame) -> None:
        """Take in a chunk."""
        names = [name for name in typed.columns if name in self._columns]
        if not typed.height or not names:
            return
        for name in names:
            sketch, cells = self._columns[name], typed[name]
            nulls = cells.null_count()
            sketch.values += cells.len() - nulls
            if sketch.column.logical_type in _COUNTED:
                sketch.count(cells)
            elif nulls < cells.len():
                sketch.follow(cells.drop_nulls() if nulls and (sketch.rising or sketch.falling) else cells)
        self._take_sample(typed, names)

    def _take_sample(self, typed: pl.DataFrame, names: list[str]) -> None:
        """Keep the rows with the smallest hashes, so many as there is room for."""
        import polars as pl

        hashes = _mixed(typed["_mend_row"])
        if hashes.len() > ROWS_SAMPLED:
            self._bound = min(self._bound, int(hashes.bottom_k(ROWS_SAMPLED).max()))  # type: ignore[arg-type]
        kept = typed.select("_mend_row", *names).with_columns(hashes)
        kept = kept.filter(pl.col("_mend_hash") <= self._bound) if self._bound < _HASHES - 1 else kept
        kept = kept.with_columns(_as_number(self._columns[name].column) for name in names)
        sample = kept if self._sample is None else pl.concat([self._sample, kept], how="diagonal")
        if sample.height > ROWS_SAMPLED:
            sample = sample.bottom_k(ROWS_SAMPLED, by="_mend_hash")
            self._bound = int(sample["_mend_hash"].max())  # type: ignore[arg-type]
        self._sample = sample

    def document(self, profile: BatchProfile) -> dict[str, dict[str, Any]]:
        """The profile's document, with the facts of every sketched column."""
        found = profile.document()
        if self._sample is None:
            return found
        sample = self._sample.sort("_mend_row")
        for name, sketch in self._columns.items():
            if name not in found or name not in sample.columns:
                continue
            cells = sample[name].drop_nulls()
            values = cells.filter(cells.is_finite()).to_list() if sketch.ordered else cells.to_list()
            found[name] |= sketch.document(values, profile.columns[name], self._salt)
        return found


def _mixed(rows: pl.Series) -> pl.Series:
    """A hash of row numbers that stays the same in every version: a round of splitmix64 (Steele and others, 2014)."""
    import polars as pl

    spread = pl.col("row").cast(pl.UInt64) * 0x9E3779B97F4A7C15
    mixed = (spread ^ (spread // 2**32)) * 0xBF58476D1CE4E5B9
    return rows.alias("row").to_frame().select(mixed.alias("_mend_hash")).to_series()


def _as_number(column: Column) -> pl.Expr:
    """Numbers as they are, days and moments as seconds since 1970, others as hashes."""
    import polars as pl

    cells = pl.col(column.name)
    if column.logical_type not in _ORDERED:
        return pl.when(cells.is_not_null()).then(cells.hash(_SEED)).alias(column.name)
    if column.logical_type in _MOMENTS:
        return cells.to_physical().cast(pl.Float64) * (_DAY_SECONDS if column.logical_type == "date" else 1e-6)
    return cells.cast(pl.Float64)

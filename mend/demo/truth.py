"""Compare a table of flights with what was published: the only way to see a heal that was wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mend.demo.dataset import Dataset

if TYPE_CHECKING:
    import polars as pl

KEY = ("year", "month", "day", "carrier", "flight", "origin")
TEXTS = ("carrier", "tailnum", "origin", "dest")
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
NULL = "NA"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``wrong`` counts cells that differ by (month, column); ``missing`` and ``unknown`` count rows by month."""

    rows_published: int
    rows_loaded: int
    missing: dict[int, int]
    unknown: dict[int, int]
    wrong: dict[tuple[int, str], int]

    @property
    def true(self) -> bool:
        """Whether everything that was loaded is as published."""
        return not self.unknown and not self.wrong


def published_flights(dataset: Dataset) -> pl.DataFrame:
    """All flights with the types that the contract gives them."""
    import polars as pl

    text = pl.read_csv(dataset.csv("flights"), infer_schema=False, null_values=[NULL])
    numbers = [name for name in text.columns if name not in TEXTS and name != "time_hour"]
    moment = pl.col("time_hour").str.to_datetime(TIME_FORMAT, time_unit="us", time_zone="UTC")
    return text.with_columns(pl.col(numbers).cast(pl.Int64), moment)


def compare(loaded: pl.DataFrame, dataset: Dataset) -> Comparison:
    """Set the loaded table beside the published flights, row by row over the key.

    Columns that were never published are left out; a measure in fractions counts as its nearest whole number, because
    a conversion there and back is exact only so far.
    """
    import polars as pl

    published = published_flights(dataset)
    measures = [n for n in published.columns if n not in TEXTS and n != "time_hour"]
    moment = pl.col("time_hour")
    zone = getattr(loaded.schema["time_hour"], "time_zone", None)
    moment = moment.dt.convert_time_zone("UTC") if zone else moment.dt.replace_time_zone("UTC")
    typed = loaded.select(
        pl.col(list(TEXTS)).cast(pl.String),
        pl.col(measures).cast(pl.Float64).round(0).cast(pl.Int64),
        moment.cast(pl.Datetime("us", "UTC")),
    )
    both = published.join(typed, on=list(KEY), how="inner", suffix="__loaded", validate="1:1")
    others = [name for name in published.columns if name not in KEY]
    differs = [pl.col(name).ne_missing(pl.col(f"{name}__loaded")).sum().alias(name) for name in others]
    wrong = both.group_by("month").agg(differs)
    return Comparison(
        rows_published=published.height,
        rows_loaded=loaded.height,
        missing=_by_month(published.join(typed, on=list(KEY), how="anti")),
        unknown=_by_month(typed.join(published, on=list(KEY), how="anti")),
        wrong={
            (row["month"], name): row[name] for row in wrong.sort("month").to_dicts() for name in others if row[name]
        },
    )


def _by_month(rows: pl.DataFrame) -> dict[int, int]:
    return dict(rows.group_by("month").len().sort("month").iter_rows())

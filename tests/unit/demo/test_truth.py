"""Goal: a heal that put a wrong value into the table is found, and a right one is not accused."""

import polars as pl
import pytest

from mend.demo.dataset import Dataset
from mend.demo.truth import compare, published_flights


@pytest.fixture(scope="module")
def flights(dataset: Dataset) -> pl.DataFrame:
    return published_flights(dataset)


def test_the_published_flights_are_true(flights: pl.DataFrame, dataset: Dataset) -> None:
    found = compare(flights, dataset)
    assert found.true
    assert (found.rows_published, found.rows_loaded, found.missing) == (336_776, 336_776, {})


def test_other_types_and_new_columns_are_no_fault(flights: pl.DataFrame, dataset: Dataset) -> None:
    miles = (pl.col("distance") * 1.609344).round(0) / 1.609344
    loaded = flights.with_columns(
        distance=miles, cabin_crew=pl.lit(2), time_hour=pl.col("time_hour").dt.replace_time_zone(None)
    )
    assert compare(loaded, dataset).true


def test_faults_are_counted_where_they_are(flights: pl.DataFrame, dataset: Dataset) -> None:
    august, may = pl.col("month") == 8, pl.col("month") == 5
    loaded = flights.filter(
        ~((pl.col("month") == 2) & (pl.col("carrier") == "OO") | (pl.col("day") == 31))
    ).with_columns(
        distance=pl.when(august).then(pl.col("distance") * 1.609344).otherwise(pl.col("distance")),
        tailnum=pl.when(may & (pl.col("tailnum") == "N271LV")).then(None).otherwise(pl.col("tailnum")),
        carrier=pl.when((pl.col("month") == 3) & (pl.col("carrier") == "HA")).then(pl.lit("H A")).otherwise("carrier"),
    )
    found = compare(loaded, dataset)
    assert not found.true
    assert set(found.wrong) == {(5, "tailnum"), (8, "distance")}
    assert found.wrong[8, "distance"] == flights.filter(august & (pl.col("day") != 31)).height
    assert set(found.unknown) == {3}
    assert set(found.missing) == {1, 3, 5, 7, 8, 10, 12}

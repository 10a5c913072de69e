"""Sketches are the same whatever the chunks, bounded, true within their promise, and hold no cell."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validate.profile import VALUES_MIN, BatchProfile
from services.validate.sketches import CATEGORIES_MAX, CENTROIDS_MAX, COLUMNS_SKETCHED, ROWS_SAMPLED, Sketches
from shared.domain.contract import Column


def sketch(frame: pl.DataFrame, columns: Sequence[Column], cuts: Sequence[int] = ()) -> dict[str, dict[str, Any]]:
    """The profile of rows that come in chunks cut at these places."""
    sketches, profile = Sketches(columns, "shop"), BatchProfile()
    numbered = frame.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_mend_row"))
    ends = [0, *sorted(cuts), frame.height]
    for low, high in pairwise(ends):
        sketches.add(numbered.slice(low, high - low))
        profile.add(numbered.slice(low, high - low))
    return sketches.document(profile)


def column(values: Sequence[Any], kind: str = "number", **facts: Any) -> dict[str, Any]:
    """The sketch of one column."""
    types: dict[str, Any] = {"number": pl.Float64, "integer": pl.Int64, "string": pl.String, "boolean": pl.Boolean}
    types |= {"date": pl.Date, "timestamp": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame({"x": pl.Series(list(values), dtype=types[kind])})
    return sketch(frame, [Column(name="x", logical_type=kind, **facts)])["x"]  # type: ignore[arg-type]


MANY = 3 * ROWS_SAMPLED
FRAME = pl.DataFrame(
    {
        "number": [((row * 7919) % 1009) / 7 for row in range(MANY)],
        "kind": ["abc"[(row * row) % 3] for row in range(MANY)],
        "text": [f"text {row * 31 % 5000}" for row in range(MANY)],
        "day": [date(2040, 1, 1) + timedelta(days=row // 50) for row in range(MANY)],
        "flag": [row % 7 == 0 if row % 5 else None for row in range(MANY)],
    }
)
COLUMNS = [
    Column(name="number", logical_type="number"),
    Column(name="kind"),
    Column(name="text"),
    Column(name="day", logical_type="date"),
    Column(name="flag", logical_type="boolean"),
]
EXACT = ("distinct", "sampled", "categories_json", "order", "steps_back", "first_day", "last_day", "centroids_json")


@given(st.lists(st.integers(0, MANY), max_size=6))
def test_the_chunks_make_no_difference(cuts: list[int]) -> None:
    whole, pieces = sketch(FRAME, COLUMNS), sketch(FRAME, COLUMNS, cuts)
    for name, facts in whole.items():
        for key in set(EXACT) & set(facts):
            assert pieces[name][key] == facts[key], (name, key)


def test_no_cell_is_kept_of_texts() -> None:
    told = json.dumps(sketch(FRAME, COLUMNS)["kind"]) + json.dumps(sketch(FRAME, COLUMNS)["text"])
    assert not [row for row in ("text 1", '"a"', '"b"', '"c"') if row in told]


@pytest.mark.parametrize("named", [{"name": "customer_email"}, {"name": "x", "classification": "restricted"}])
@pytest.mark.parametrize("kind", ["string", "number", "date"])
def test_nothing_is_kept_of_a_personal_column(named: dict[str, Any], kind: str) -> None:
    values = {"string": ["a", "b"] * 50, "number": [1.0, 2.0] * 50, "date": [date(2020, 1, 1)] * 100}[kind]
    found = sketch(pl.DataFrame({named["name"]: values}), [Column(logical_type=kind, **named)])  # type: ignore[arg-type]
    assert set(found[named["name"]]) <= {"rows", "null_share", "values", "mean", "spread"}


def test_values_that_look_personal_are_no_categories() -> None:
    assert "categories_json" not in column(["anna@example.org", "ben@example.org"] * 50, "string")
    assert "categories_json" in column(["anna at example", "ben at example"] * 50, "string")
    assert "categories_json" in column(["anna@example.org"] * 100, "string", classification="public")


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        ([f"c{row % CATEGORIES_MAX}" for row in range(1000)], CATEGORIES_MAX),
        ([f"c{row % (CATEGORIES_MAX + 1)}" for row in range(1000)], 0),
        ([f"c{row % 10}" for row in range(49)], 0),  # they hardly repeat
        ([f"c{row % 10}" for row in range(50)], 10),
        (["a"] * (VALUES_MIN - 1) + [None] * 100, 0),
        (["a"] * VALUES_MIN + [None] * 100, 1),
    ],
)
def test_what_counts_as_categories(values: list[str | None], categories: int) -> None:
    assert len(json.loads(column(values, "string").get("categories_json", "{}"))) == categories


def test_categories_have_their_exact_counts() -> None:
    counts = json.loads(column(["a"] * 70 + ["b"] * 30 + [None] * 9, "string")["categories_json"])
    assert sorted(counts.values()) == [30, 70]
    assert counts == json.loads(column((["b"] * 3 + ["a"] * 7) * 10, "string")["categories_json"])


def test_quantiles_lie_where_they_should_and_are_means_of_enough_values() -> None:
    chance = random.Random(5)
    values = [chance.gauss(0, 1) for _ in range(50_000)]
    found = column(values)
    centroids = json.loads(found["centroids_json"])
    assert (len(centroids), found["sampled"]) == (CENTROIDS_MAX, ROWS_SAMPLED)
    assert abs(centroids[15] + centroids[16]) < 0.15
    assert 0.9 < centroids[26] < 1.15  # from 0.8125 to 0.84375 of a normal distribution
    assert len(json.loads(column(values[:99])["centroids_json"])) == 4
    assert "centroids_json" not in column(values[: VALUES_MIN - 1])


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (range(100), 1),
        (range(100, 0, -1), -1),
        ([0, 0, 1, 1] + [2] * 90, 1),
        ([*range(60), *range(40)], 0),
        ([7] * 100, None),
        ([*range(50), None, *range(50, 90)], 1),
    ],
)
def test_the_order_of_a_column(values: Sequence[int | None], order: int | None) -> None:
    assert column(values, "integer").get("order") == order


def test_one_step_back_at_the_edge_of_a_chunk_is_seen() -> None:
    frame = pl.DataFrame({"x": pl.Series([*range(100), *range(50, 150)], dtype=pl.Int64)})
    columns = [Column(name="x", logical_type="integer")]
    assert [sketch(frame, columns, cuts)["x"]["order"] for cuts in ([], [100], [30, 100, 101])] == [0, 0, 0]


def test_moments_are_kept_around_their_median_with_their_first_and_last_day() -> None:
    start = datetime(2071, 3, 4, tzinfo=UTC)
    one, other = (
        column([start + timedelta(days=days, minutes=minute) for minute in range(1440)], "timestamp")
        for days in (0, 400)
    )
    assert one["centroids_json"] == other["centroids_json"]
    assert (one["first_day"], one["last_day"]) == ("2071-03-04", "2071-03-04")
    assert -43_200 < json.loads(one["centroids_json"])[0] < -40_000


@pytest.mark.parametrize("distinct", [1, 12, 900, 20_000, 100_000])
def test_how_many_values_there_are(distinct: int) -> None:
    chance = random.Random(distinct)
    values = [chance.randrange(distinct) if distinct < 100_000 else number for number in range(100_000)]
    assert column(values, "integer")["distinct"] == pytest.approx(min(distinct, len(set(values))), rel=0.25)


def test_only_the_first_columns_are_sketched() -> None:
    names = [f"x{number}" for number in range(COLUMNS_SKETCHED + 5)]
    frame = pl.DataFrame({name: [float(row) for row in range(30)] for name in names})
    found = sketch(frame, [Column(name=name, logical_type="number") for name in names])
    assert sum("sampled" in facts for facts in found.values()) == COLUMNS_SKETCHED
    assert all("mean" in facts for facts in found.values())
    assert len(json.dumps(found)) < 250_000

"""Known answers of the statistics family: batches before, one batch, a contract, and exactly what is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

import polars as pl
import pytest

from services.validate.baseline import baseline_of, weekday_of
from services.validate.drift import BatchFacts, shifts
from services.validate.profile import BatchProfile
from services.validate.sketches import Sketches
from shared.domain.contract import Column, Contract, DriftLimits

Columns = Mapping[str, Any]
ROWS = 1_000
MONDAY = date(2024, 1, 1)


class Case(NamedTuple):
    """What came on each day before (0 is a Monday), what comes now, and by column the reasons and whether it holds."""

    name: str
    before: Callable[[int], Columns]
    now: Columns
    found: Mapping[str, tuple[str, ...]]
    days: int = 8
    limits: DriftLimits | None = None  # of each column
    table: DriftLimits | None = None
    holds: bool = False
    facts: Mapping[str, Any] = {}  # of the columns
    place: Mapping[str, Any] = {}  # of the documents of the batches before


def even(low: float, high: float, rows: int = ROWS) -> list[float]:
    """Values that lie evenly."""
    return [low + (high - low) * (row * 389 % rows) / rows for row in range(rows)]


def mix(rows: int = ROWS, **shares: int) -> list[str]:
    """Categories in percent."""
    return [name for name, share in shares.items() for _ in range(rows * share // 100)]


def nulls(values: list[Any], percent: int) -> list[Any]:
    """The values with so many of them gone, evenly."""
    return [None if row % 100 < percent else value for row, value in enumerate(values)]


def x(values: list[Any]) -> Columns:
    """One column."""
    return {"x": values}


def steady(values: list[Any]) -> Callable[[int], Columns]:
    """The same every day."""
    return lambda day: x(values)


def rows_of(*counts: int) -> Callable[[int], Columns]:
    """Batches of so many rows, over and over."""
    return lambda day: x(even(0, 1, counts[day % len(counts)]))


FLAT = even(0, 100)
ABC = mix(a=50, b=30, c=20)
WEEK = rows_of(1000, 1010, 990, 1005, 995, 200, 150)
UP = list(range(ROWS))

MOVED = [
    Case("the same again", steady(FLAT), x(FLAT), {}),
    Case("a mean a tenth of the spread away", steady(FLAT), x(even(3, 103)), {}),
    Case("a mean one spread away", steady(FLAT), x(even(30, 130)), {"x": ("mean", "quantiles")}),
    Case("a mean one spread below", steady(FLAT), x(even(-30, 70)), {"x": ("mean", "quantiles")}),
    Case("four batches before say nothing", steady(FLAT), x(even(30, 130)), {}, days=4),
    Case("five batches before say it", steady(FLAT), x(even(30, 130)), {"x": ("mean", "quantiles")}, days=5),
    Case("means that always wander", lambda day: x(even(60 * day % 300, 60 * day % 300 + 100)), x(even(130, 230)), {}),
    Case("a mean beyond all that wander", lambda day: x(even(day % 3, day % 3 + 100)), x(even(300, 400)),
         {"x": ("mean", "quantiles")}),
    Case("one strange batch before hides nothing", lambda day: x(even(300, 400) if day == 3 else FLAT),
         x(even(300, 400)), {"x": ("mean", "quantiles")}),
    Case("two such batches before make it known", lambda day: x(even(300, 400) if day in (2, 3) else FLAT),
         x(even(300, 400)), {}),
    Case("a steady column that moves", steady([5.0] * ROWS), x([9.0] * ROWS), {"x": ("mean", "quantiles")}),
    Case("a steady column that stays", steady([5.0] * ROWS), x([5.0] * ROWS), {}),
    Case("a mean too few rows can tell", steady(FLAT), x(even(30, 130, 19)), {"": ("rows",)}),
    Case("twice the spread is no more than twice", steady(FLAT), x(even(-49, 149)), {"x": ("quantiles",)}),
    Case("three times the spread", steady(FLAT), x(even(-100, 200)), {"x": ("spread", "quantiles")}),
    Case("a third of the spread", steady(FLAT), x(even(35, 65)), {"x": ("spread", "quantiles")}),
    Case("one outlier widens the spread", steady(FLAT), x([*FLAT[1:], 1e6]), {"x": ("spread",)}),
    Case("no spread before", steady([5.0] * ROWS), x([5.0, 5.1] * 500), {"x": ("quantiles",)}),
    Case("the shape alone", steady(FLAT), x(even(0, 21, 500) + even(79, 100, 500)), {"x": ("quantiles",)}),
    Case("a shape in too few values", lambda day: x(even(0, 100, 99)), x(even(0, 21, 49) + even(79, 100, 50)), {}),
    Case("most values are zero", steady(FLAT), x([0.0] * 600 + FLAT[:400]), {"x": ("mean", "quantiles")}),
    Case("a tenth of the values is zero", steady(FLAT), x([0.0] * 100 + FLAT[100:]), {}),
    Case("a stated mean is passed", steady(FLAT), x(even(3, 103)), {"x": ("mean",)},
         limits=DriftLimits(mean_shift_max=4), holds=True),
    Case("a stated spread is passed", steady(FLAT), x(even(-20, 120)), {"x": ("spread",)},
         limits=DriftLimits(spread_ratio_max=1.3), holds=True),
    Case("a stated distance is passed", steady(FLAT), x(even(6, 106)), {"x": ("quantiles",)},
         limits=DriftLimits(ks_max=0.05), holds=True),
    Case("a stated distance allows", steady(FLAT), x(even(20, 120)), {},
         limits=DriftLimits(ks_max=0.5, mean_shift_max=1e9)),
    Case("switched off", steady(FLAT), x(even(300, 400)), {}, limits=DriftLimits(enabled=False)),
]  # fmt: skip

NULLS = [
    Case("as many nulls", steady(nulls(FLAT, 10)), x(nulls(FLAT, 10)), {}),
    Case("some more nulls", steady(nulls(FLAT, 10)), x(nulls(FLAT, 30)), {}),
    Case("many more nulls", steady(nulls(FLAT, 10)), x(nulls(FLAT, 50)), {"x": ("nulls",)}),
    Case("far fewer nulls", steady(nulls(FLAT, 60)), x(FLAT), {"x": ("nulls",)}),
    Case("nothing but nulls", steady(FLAT), x([None] * ROWS), {"x": ("nulls",)}),
    Case("nulls that come and go", lambda day: x(nulls(FLAT, 60 * (day % 2))), x(nulls(FLAT, 60)), {}),
    Case("nulls of too few rows", steady(FLAT), x(nulls(FLAT[:19], 50)), {"": ("rows",)}),
    Case("stated nulls are passed", steady(FLAT), x(nulls(FLAT, 6)), {"x": ("nulls",)},
         limits=DriftLimits(null_share_change_max=0.05), holds=True),
    Case("stated nulls are kept", steady(FLAT), x(nulls(FLAT, 50)), {}, limits=DriftLimits(null_share_change_max=0.9)),
]  # fmt: skip

CATEGORIES = [
    Case("the same mix", steady(ABC), x(ABC), {}),
    Case("a slightly other mix", steady(ABC), x(mix(a=45, b=33, c=22)), {}),
    Case("another mix", steady(ABC), x(mix(a=20, b=20, c=60)), {"x": ("categories",)}),
    Case("a mix that always changes", lambda day: x(mix(a=90, b=10) if day % 2 else mix(a=10, b=90)),
         x(mix(a=50, b=50)), {}),
    Case("a mix in few rows", lambda day: x(mix(40, a=50, b=30, c=20)), x(mix(40, a=30, b=40, c=30)), {}),
    Case("a stated mix is passed", steady(ABC), x(mix(a=40, b=36, c=24)), {"x": ("categories",)},
         limits=DriftLimits(psi_max=0.01), holds=True),
    Case("a stated mix is kept", steady(ABC), x(mix(a=20, b=20, c=60)), {}, limits=DriftLimits(psi_max=2)),
    Case("a new category", steady(ABC), x(mix(a=45, b=30, c=15, d=10)), {"x": ("categories", "new_categories")}),
    Case("a rare new category", steady(ABC), x(mix(a=49, b=29, c=20, d=2)), {}),
    Case("no new category is allowed", steady(ABC), x(mix(a=49, b=29, c=20, d=2)), {"x": ("new_categories",)},
         limits=DriftLimits(new_categories=False), holds=True),
    Case("new categories are allowed", steady(ABC), x(mix(a=45, b=30, c=15, d=10)), {"x": ("categories",)},
         limits=DriftLimits(new_categories=True)),
    Case("categories that always are new", lambda day: x([f"of day {day}"] * ROWS), x(["of today"] * ROWS), {}),
    Case("a vanished category", steady(ABC), x(mix(a=60, b=40)), {"x": ("categories", "vanished_categories")}),
    Case("a rare category vanished", steady(mix(a=58, b=40, c=2)), x(mix(a=60, b=40)), {}),
    Case("a category that lacked before", lambda day: x(ABC if day else mix(a=60, b=40)), x(mix(a=60, b=40)),
         {"x": ("categories",)}),
    Case("none may vanish", steady(mix(a=58, b=40, c=2)), x(mix(a=60, b=40)), {"x": ("vanished_categories",)},
         limits=DriftLimits(vanished_categories=False), holds=True),
    Case("any may vanish", steady(mix(a=80, b=12, c=8)), x(mix(a=84, b=16)), {"x": ("categories",)},
         limits=DriftLimits(vanished_categories=True)),
    Case("other names for all", steady(ABC), x(mix(A=50, B=30, C=20)),
         {"x": ("categories", "new_categories", "vanished_categories")}),
    Case("true and false change places", steady(mix(t=80, f=20)), x(mix(t=20, f=80)), {"x": ("categories",)}),
    Case("categories of a personal column", steady(ABC), x(mix(A=50, B=30, C=20)), {},
         facts={"classification": "restricted"}),
    Case("texts become categories", steady([f"text {row}" for row in range(ROWS)]), x(ABC), {"x": ("distinct",)}),
    Case("texts that all are others", steady([f"text {row}" for row in range(ROWS)]),
         x([f"other {row}" for row in range(ROWS)]), {}),
    Case("ids that repeat", steady(UP), x([row // 10 for row in range(ROWS)]),
         {"x": ("mean", "quantiles", "distinct")}),
]  # fmt: skip

ORDER = [
    Case("running numbers go on", lambda day: x([day * ROWS + row for row in UP]), x([8 * ROWS + row for row in UP]),
         {}),
    Case("running numbers out of order", lambda day: x([day * ROWS + row for row in UP]),
         x([8 * ROWS + row * 7 % ROWS for row in UP]), {"x": ("order",)}),
    Case("one step back", lambda day: x(UP), x([*UP[:500], 3, *UP[501:]]), {"x": ("order",)}),
    Case("numbers that fall, as ever", lambda day: x(UP[::-1]), x(UP[::-1]), {}),
    Case("numbers that rise where they fell", lambda day: x(UP[::-1]), x(UP), {"x": ("order",)}),
    Case("never in order", steady(FLAT), x(UP), {"x": ("mean", "spread", "quantiles")}),
    Case("once out of order before", lambda day: x(FLAT if day == 2 else sorted(FLAT)), x(FLAT), {}),
    Case("all equal is no order", lambda day: x(sorted(FLAT)), x(sorted(FLAT)), {}),
]  # fmt: skip

NUMBER_OF_ROWS = [
    Case("as many rows", rows_of(1000), x(even(0, 1, 1000)), {}),
    Case("some fewer rows", rows_of(1000), x(even(0, 1, 600)), {}),
    Case("less than half the rows", rows_of(1000), x(even(0, 1, 400)), {"": ("rows",)}),
    Case("more than half as many again", rows_of(1000), x(even(0, 1, 1600)), {"": ("rows",)}),
    Case("rows that always vary", rows_of(200, 1000, 3000, 500), x(even(0, 1, 400)), {}),
    Case("few rows vary by chance", rows_of(10), x(even(0, 1, 4)), {}),
    Case("no row at all", rows_of(1000), x([]), {"": ("rows",)}),
    Case("a weekend as ever", WEEK, x(even(0, 1, 190)), {}, days=33),
    Case("a weekend's rows on a Monday", WEEK, x(even(0, 1, 190)), {"": ("rows",)}, days=28),
    Case("the first Saturday", WEEK, x(even(0, 1, 200)), {}, days=5),
    Case("a workday's rows on a Sunday", WEEK, x(even(0, 1, 1000)), {"": ("rows",)}, days=34),
    Case("a stated number of rows is passed", rows_of(1000), x(even(0, 1, 850)), {"": ("rows",)},
         table=DriftLimits(row_count_change_max=0.1), holds=True),
    Case("a stated number of rows is kept", rows_of(1000), x(even(0, 1, 200)), {},
         table=DriftLimits(row_count_change_max=0.9)),
    Case("rows are not watched", rows_of(1000), x(even(0, 1, 10)), {}, table=DriftLimits(enabled=False)),
    Case("batches that were held do not count", steady(FLAT), x(even(30, 130)), {}, place={"judged_before": True}),
    Case("nor those of which much was set aside", steady(FLAT), x(even(30, 130)), {}, place={"rows_passed": 700}),
    Case("a few rows set aside do not matter", steady(FLAT), x(even(30, 130)), {"x": ("mean", "quantiles")},
         place={"rows_passed": 800}),
]  # fmt: skip

CASES = [*MOVED, *NULLS, *CATEGORIES, *ORDER, *NUMBER_OF_ROWS]


def judged(day: int, columns: Columns, contract: Contract) -> dict[str, Any]:
    """A batch's document; its rows are of one day."""
    kind = contract.columns[0].logical_type
    types: dict[str, Any] = {"number": pl.Float64, "integer": pl.Int64, "string": pl.String}
    frame = pl.DataFrame({"x": pl.Series(list(columns["x"]), dtype=types[kind], strict=False)}).with_columns(
        pl.lit(MONDAY + timedelta(days=day)).alias("day"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_mend_row"),
    )
    sketches, profile = Sketches(contract.columns, "p"), BatchProfile()
    sketches.add(frame)
    profile.add(frame)
    about = {"batch_id": f"b{day}", "attempt": 1, "seq": f"{day:03}", "rows": frame.height}
    weekday = weekday_of(profile, contract.columns, 0)
    return {**about, "weekday": weekday, "columns": sketches.document(profile)}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_exactly_this_is_found(case: Case) -> None:
    values = [value for value in (*case.before(0)["x"], *case.now["x"]) if value is not None]
    kind = "string" if isinstance(values[0], str) else "integer" if isinstance(values[0], int) else "number"
    column = Column(name="x", logical_type=kind, drift_limits=case.limits, **case.facts)  # type: ignore[arg-type]
    day = Column(name="day", logical_type="date")
    contract = Contract(id="c", version="1", table="t", columns=(column, day), drift_limits=case.table)
    before = [judged(day, case.before(day), contract) | case.place for day in reversed(range(case.days))]
    now = judged(case.days, case.now, contract)
    tested = BatchFacts(now["columns"], now["rows"], now["weekday"])
    found = shifts(tested, baseline_of((each["batch_id"], each) for each in before), contract)
    assert {each.column: tuple(each.evidence["reasons"]) for each in found} == dict(case.found)
    assert [each.holds for each in found] == [case.holds] * len(found)
    for each in found:
        for effect in each.evidence["effects"]:
            assert effect["effect"] > effect["limit"] or effect["reason"] in ("order", "rows")


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)

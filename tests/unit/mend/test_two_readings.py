"""Goal: what can be read in two ways is never loaded the wrong way where the column's other cells prove the other.

Deliveries go through all services; the truth is known for every row.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from mend.audit import audit
from tests.unit.mend.small_project import CONTRACT, HEADER, SmallProject

DAYS = {number: date(2024, 1, 1) + timedelta(days=number * 3 % 360) for number in range(1, 401)}
DAY_FIRST = "{name: day, logicalType: date, logicalTypeOptions: {format: dd/MM/yyyy}}"


class Feed(SmallProject):
    """A small project whose contract declares how days are written; deliveries are made from the true values."""

    def __init__(self, folder: Path, day: str = DAY_FIRST) -> None:
        super().__init__(folder, healing="guarded, rows_share_max: 1.0")
        text = CONTRACT.replace("{name: day, logicalType: date}", day)
        (folder / "contracts" / "orders.odcs.yaml").write_text(text, encoding="utf-8")

    def deliver_days(self, texts: dict[int, str]) -> None:
        """One row for each day, as it is written."""
        self.deliver("a.csv", HEADER + "".join(f"{number},Rome,1.5,{text}\n" for number, text in texts.items()))

    def shown(self, column: str) -> dict[int, object]:
        """What the table shows, after everything was done and the audit is ok."""
        process = self.run()
        assert audit(process).problems == []
        return {row["id"]: row[column] for chunk in process.warehouse.dump("shop.orders") for row in chunk.to_pylist()}


def test_a_column_that_is_month_first_is_read_so_as_a_whole(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    feed.deliver_days({number: f"{day:%m/%d/%Y}" for number, day in DAYS.items()})
    assert feed.shown("day") == DAYS


def test_where_both_orders_are_proven_only_what_is_certain_is_loaded(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    feed.deliver_days(
        {number: f"{day:%m/%d/%Y}" if number % 5 == 0 else f"{day:%d/%m/%Y}" for number, day in DAYS.items()}
    )
    shown = feed.shown("day")
    certain = {number: day for number, day in DAYS.items() if day.day > 12 or day.day == day.month}
    assert shown.items() <= certain.items()
    assert {number: day for number, day in certain.items() if number % 5}.items() <= shown.items()


def test_a_single_slip_holds_no_other_row_back(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    texts = {number: f"{day:%d/%m/%Y}" for number, day in DAYS.items()}
    slip = next(number for number, day in DAYS.items() if day.day > 12)
    texts[slip] = f"{DAYS[slip]:%m/%d/%Y}"
    feed.deliver_days(texts)
    shown = feed.shown("day")
    assert {number: day for number, day in DAYS.items() if number != slip}.items() <= shown.items()


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_short_delivery_whose_only_proof_is_the_other_way(tmp_path: Path, rows: int) -> None:
    feed = Feed(tmp_path)
    days = {1: date(2024, 1, 13), 2: date(2024, 3, 4), 3: date(2024, 5, 6)}
    feed.deliver_days({number: f"{day:%m/%d/%Y}" for number, day in list(days.items())[:rows]})
    shown = feed.shown("day")
    assert shown.items() <= days.items()


def test_year_day_month_is_no_iso(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "{name: day, logicalType: date}")
    feed.deliver_days({number: f"{day:%Y-%d-%m}" for number, day in DAYS.items()})
    shown = feed.shown("day")
    assert shown.items() <= DAYS.items()


def test_iso_under_a_declared_year_day_month_is_not_rewritten_into_other_days(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "{name: day, logicalType: date, logicalTypeOptions: {format: yyyy-dd-MM}}")
    feed.deliver_days({number: f"{day:%d.%m.%Y}" for number, day in DAYS.items()})
    assert feed.shown("day").items() <= DAYS.items()


NUMBERS = {number: number * 37.25 for number in range(1, 201)} | {201: 1234.0, 202: 56789.0, 203: 2000.0}


def _continental(value: float) -> str:
    text = f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
    return text.removesuffix(",00")


def test_thousands_with_a_point_among_decimal_commas(tmp_path: Path) -> None:
    """1.234 passes as a number under a decimal point; the column's other numbers say that it is a thousand."""
    feed = Feed(tmp_path, "{name: day, logicalType: date}")
    feed.deliver(
        "a.csv",
        HEADER + "".join(f'{number},Rome,"{_continental(value)}",2024-01-02\n' for number, value in NUMBERS.items()),
    )
    shown = feed.shown("amount")
    assert shown.items() <= NUMBERS.items()
    assert len(shown) > 150


def test_three_decimals_stay_what_they_are(tmp_path: Path) -> None:
    feed = Feed(tmp_path, "{name: day, logicalType: date}")
    numbers = {number: number + number / 1000 for number in range(1, 300)}
    feed.deliver("a.csv", HEADER + "".join(f"{n},Rome,{value:.3f},2024-01-02\n" for n, value in numbers.items()))
    assert feed.shown("amount") == {number: round(value, 3) for number, value in numbers.items()}

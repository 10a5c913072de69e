"""Casting agrees with the plain-Python oracle on every type, for usual, odd and hostile texts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.validate.casting import TextRules, cast_frame
from shared.domain.contract import LOGICAL_TYPES, Column
from tests.oracles.check_oracle import FAILED, typed_value

DIGITS = st.text("0123456789", min_size=1, max_size=22)
NUMBERS = st.one_of(
    DIGITS,
    st.integers().map(str),
    st.integers(2**53 - 3, 2**53 + 3).map(str),
    st.integers(2**63 - 2, 2**63 + 2).map(str),
    st.floats().map(str),
    st.from_regex(r"[+-]?[0-9]{0,4}[.,]?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["1.0", "-3.000", "007", "1e3", "inf", "NaN", "1_0", "0x1", "٣", "１", "--1", "+", ".", "5.", ".5"]
    ),
)
CLOCK = st.sampled_from(
    [
        "00:00",
        "23:59:59",
        "24:00",
        "12:60",
        "12:00:60",
        "1:02",
        "12:00:00.5",
        "12:00:00.1234567",
        "12:00:00.1230000",
        "12:00:00.",
    ]
)
ZONES = st.sampled_from(["", "Z", "z", "+00:00", "-05:30", "+23:59", "+24:00", "+0100", " UTC"])
DAYS = st.one_of(
    st.dates().map(date.isoformat),
    st.sampled_from(
        [
            "2013-1-2",
            "2013-02-30",
            "0000-01-01",
            "0001-01-01",
            "0999-12-31",
            "1000-01-01",
            "9999-12-31",
            "12013-01-01",
            "+2013-01-02",
            " 2013-01-02",
        ]
    ),
    st.sampled_from(["2013-03-31", "2013-10-27"]),
)
STAMPS = st.builds(lambda day, mark, clock, zone: day + mark + clock + zone, DAYS, st.sampled_from("T t"), CLOCK, ZONES)
WORDS = st.sampled_from(
    ["", "NA", "true", "F", "Yes", "y", "0", "1", "2", "{}", '{"a":[1]}', "[1,2]", "[", "{} x", "null", " 12", "12 "]
)
CELLS = st.one_of(st.none(), WORDS, NUMBERS, DAYS, CLOCK, STAMPS, st.text(max_size=6))


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(LOGICAL_TYPES),
    st.lists(CELLS, max_size=12),
    st.sampled_from([("",), ("", "NA"), ("0", "NA"), ()]),
    st.sampled_from(".,"),
)
def test_every_cell_is_its_value_or_a_failure(
    kind: Any, cells: list[str | None], nulls: tuple[str, ...], decimal: str
) -> None:
    column = Column(name="x", logical_type=kind)
    cast = cast_frame(pl.DataFrame({"x": pl.Series(cells, dtype=pl.String)}), [column], TextRules(nulls, decimal))
    expected = [typed_value(cell, column, nulls, decimal) for cell in cells]
    failed = cast.failed["x"].to_list() if "x" in cast.failed else [False] * len(cells)
    assert failed == [value is FAILED for value in expected]
    assert cast.frame["x"].to_list() == [None if value is FAILED else value for value in expected]


@settings(max_examples=60, deadline=None)
@given(st.lists(STAMPS, max_size=10))
@example(["1000-01-01T00:00"])
def test_local_times_that_are_ambiguous_are_not_guessed(cells: list[str]) -> None:
    column = Column(name="x", logical_type="timestamp", timezone="Europe/Rome")
    cast = cast_frame(pl.DataFrame({"x": pl.Series(cells, dtype=pl.String)}), [column], TextRules())
    expected = [typed_value(cell, column) for cell in cells]
    assert cast.frame["x"].to_list() == [None if value is FAILED else value for value in expected]


def test_leading_zeros_of_text_stay() -> None:
    cast = cast_frame(pl.DataFrame({"zip": ["00501", " x "]}), [Column(name="zip")], TextRules())
    assert cast.frame["zip"].to_list() == ["00501", " x "]


@pytest.mark.parametrize(
    ("logical_type", "form", "clock"), [("date", "dd.MM.yyyy", ""), ("timestamp", "dd.MM.yyyy HH:mm", " 10:15")]
)
def test_a_year_of_two_digits_is_no_year_of_the_first_century(logical_type: str, form: str, clock: str) -> None:
    column = Column(name="x", logical_type=logical_type, format=form)  # type: ignore[arg-type]
    texts = [f"{day}{clock}" for day in ("05.03.2025", "5.3.25", "05.03.25", "05.03.0025")]
    made = cast_frame(pl.DataFrame({"x": texts}), [column], TextRules())
    assert made.failed["x"].to_list() == [False, True, True, False]
    assert made.frame["x"].dt.year().to_list() == [2025, None, None, 25]


def test_a_declared_format_is_read_besides_iso_unless_they_could_be_confused() -> None:
    usual = Column(name="x", logical_type="date", format="dd/MM/yyyy")
    cast = cast_frame(pl.DataFrame({"x": ["02/01/2013", "2013-01-02", "13/13/2013"]}), [usual], TextRules())
    assert cast.frame["x"].to_list() == [date(2013, 1, 2), date(2013, 1, 2), None]
    odd = Column(name="x", logical_type="date", format="yyyy-dd-MM")
    cast = cast_frame(pl.DataFrame({"x": ["2013-31-01", "2013-01-31"]}), [odd], TextRules())
    assert cast.frame["x"].to_list() == [date(2013, 1, 31), None]


@pytest.mark.parametrize(
    ("kind", "cells", "expected"),
    [
        ("integer", pl.Series([1.0, 1.5, float("nan"), None]), [1, None, None, None]),
        ("integer", pl.Series([2**63], dtype=pl.UInt64), [None]),
        ("number", pl.Series([2**53, 2**53 + 1]), [float(2**53), None]),
        ("number", pl.Series([1.5, float("inf")]), [1.5, None]),
        ("string", pl.Series([1, None]), ["1", None]),
        ("string", pl.Series([1.5]), [None]),
        ("boolean", pl.Series([1, 0, 2, None]), [True, False, None, None]),
        ("boolean", pl.Series([1.0]), [None]),
        ("date", pl.Series([datetime(2013, 1, 2), datetime(2013, 1, 2, 3)]), [date(2013, 1, 2), None]),
        ("array", pl.Series([[1, 2], None]), ["[1,2]", None]),
        ("object", pl.Series([{"a": 1}]), ['{"a":1}']),
    ],
)
def test_typed_deliveries_lose_nothing_either(kind: Any, cells: pl.Series, expected: list[Any]) -> None:
    cast = cast_frame(cells.alias("x").to_frame(), [Column(name="x", logical_type=kind)], TextRules())
    assert cast.frame["x"].to_list() == expected
    failing = [value is None and cell is not None for cell, value in zip(cells, expected, strict=True)]
    assert (cast.failed["x"].to_list() if "x" in cast.failed else [False] * len(failing)) == failing


ISO_Z = "yyyy-MM-dd'T'HH:mm:ss"


@pytest.mark.parametrize(
    ("form", "cell", "wanted"),
    [
        (ISO_Z + "XXX", "2020-01-01T10:00:00Z", "10:00"),
        (ISO_Z + "XXX", "2020-01-01T10:00:00+02:00", "08:00"),
        (ISO_Z + "XXX", "2020-01-01T10:00:00", ""),
        (ISO_Z + ".SSSXXX", "2020-01-01T10:00:00.000Z", "10:00"),
        (ISO_Z + "XX", "2020-01-01T10:00:00Z", "10:00"),
        (ISO_Z + "X", "2020-01-01T10:00:00Z", "10:00"),
        (ISO_Z + "xxx", "2020-01-01T10:00:00Z", ""),  # the small letter writes +00:00
    ],
)
def test_the_letter_x_reads_z_for_utc(form: str, cell: str, wanted: str) -> None:
    column = Column(name="a", logical_type="timestamp", format=form)
    (found,) = cast_frame(pl.DataFrame({"a": [cell]}), [column], TextRules()).frame["a"]
    assert (found.strftime("%H:%M") if found else "") == wanted


@pytest.mark.parametrize(
    ("form", "zoned", "cell", "wanted"),
    [
        ("", True, "08:00:00Z", "08:00"),
        ("", True, "08:00+02:00", "06:00"),
        ("", True, "01:00:00.5+02", "23:00"),
        ("", True, "23:30-0130", "01:00"),
        ("", True, "08:00", "08:00"),
        ("", True, "25:00Z", ""),
        ("", True, "08:00 Z", ""),
        ("", None, "08:00Z", ""),
        ("HH:mm:ssXXX", None, "08:00:00Z", "08:00"),
        ("HH:mm:ssXXX", None, "08:00:00+02:00", "06:00"),
        ("HH:mm:ssXXX", None, "08:00:00", ""),
    ],
)
def test_a_time_of_day_with_its_distance_from_utc(form: str, zoned: bool | None, cell: str, wanted: str) -> None:
    column = Column(name="a", logical_type="time", format=form, has_timezone=zoned)
    (found,) = cast_frame(pl.DataFrame({"a": [cell]}), [column], TextRules()).frame["a"]
    assert (found.strftime("%H:%M") if found else "") == wanted


@pytest.mark.parametrize("kind", [pl.Categorical(), pl.Enum(["NA", "x"])])
def test_a_null_word_is_null_however_text_is_stored(kind: Any) -> None:
    column = Column(name="x", logical_type="string", null_values=("NA",))
    cast = cast_frame(pl.DataFrame({"x": pl.Series(["NA", "x", None], dtype=kind)}), [column], TextRules())
    assert (cast.frame["x"].to_list(), cast.failed) == ([None, "x", None], {})

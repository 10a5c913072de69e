"""The hypotheses in a violation's evidence say what kind of failure it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validate.text_probes import near_match_share, within_one_edit
from tests.unit.validate.world import World

Make = Callable[..., World]


def hypotheses(world: Make, column: dict[str, Any], cells: list[str], check: str = "type") -> dict[str, Any]:
    result = world([{"name": "x", **column}]).judge(pl.DataFrame({"x": cells}))
    return dict(result.evidence(check, "x")["hypotheses"])


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("1234,5", "decimal_comma"),
        ("1,234,567.5", "thousands_comma"),
        ("1.234.567,5", "thousands_point"),
        ("1 234.5", "thousands_space"),
        ("1 234,5", "thousands_space_comma"),
        ("1'234.5", "thousands_apostrophe"),
        ("€ 12.50", "currency"),
        ("12.50 EUR", "currency"),
        ("12%", "percent"),
        ("(12.5)", "parentheses"),
        ("12.5-", "trailing_minus"),
    ],
)
def test_number_formats_are_recognised(world: Make, text: str, layout: str) -> None:
    found = hypotheses(world, {"logicalType": "number"}, [text, "1.5"])
    assert found["number_formats"][0] == {"format": layout, "share": 1.0}


def test_a_wider_type_and_null_words_are_recognised(world: Make) -> None:
    found = hypotheses(world, {"logicalType": "integer"}, ["1.5", "2.25", "N/A", " 7"])
    assert found["number_share"] == 0.5
    assert found["null_word_share"] == 0.25
    assert found["whitespace_share"] == 0.25


ISO = [f"2013-03-{day:02}T10:00:00Z" for day in range(1, 29)]


def test_day_first_dates_decide_together_by_days_that_are_no_months(world: Make) -> None:
    found = hypotheses(world, {"logicalType": "timestamp"}, [*ISO, "05/03/2013 10:00", "27/03/2013 10:00"])
    assert found["date_formats"][0] == {"format": "%d/%m/%Y %H:%M", "share": 1.0, "in_range_share": 1.0}
    assert found["day_month"]["verdict"] == "day_first"


def test_ambiguous_dates_are_decided_by_the_days_of_the_passing_rows(world: Make) -> None:
    found = hypotheses(world, {"logicalType": "timestamp"}, [*ISO, "03/05/2013 10:00", "03/12/2013 10:00"])
    assert found["day_month"] == {
        "both_share": 1.0, "day_first_only_share": 0.0, "month_first_only_share": 0.0, "verdict": "month_first",
    }  # fmt: skip
    assert found["date_formats"][0]["format"] == "%m/%d/%Y %H:%M"


def test_dates_that_nothing_decides_stay_ambiguous(world: Make) -> None:
    found = hypotheses(world, {"logicalType": "date"}, ["03/05/2013", "04/06/2013"])
    assert found["day_month"]["verdict"] == "ambiguous"


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("20130305", "%Y%m%d"),
        ("5 Mar 2013", "%d %b %Y"),
        ("March 5, 2013", "%B %d, %Y"),
        ("05.03.2013", "%d.%m.%Y"),
        ("05.03.13", "%d.%m.%y"),
        ("2013/03/05", "%Y/%m/%d"),
        ("2013-03-05T10:00:00Z", "%Y-%m-%dT%H:%M:%SZ"),
    ],
)
def test_date_formats_are_recognised(world: Make, text: str, layout: str) -> None:
    found = hypotheses(world, {"logicalType": "date"}, [text, "2013-03-04", "2013-03-06"])
    assert layout in [item["format"] for item in found["date_formats"] if item["in_range_share"] == 1.0]


def test_epochs_are_recognised(world: Make) -> None:
    assert hypotheses(world, {"logicalType": "timestamp"}, ["1362477600"])["epoch_share"] == {"seconds": 1.0}


def test_spellings_of_allowed_values_are_recognised(world: Make) -> None:
    column = {"logicalType": "string", "enum": [{"value": "Newark"}, {"value": "Kennedy"}]}
    found = hypotheses(world, column, [" Newark", "KENNEDY", "Ｎewark", "Kenedy", "Paris"], "enum")
    assert found["normalised"] == {"strip": 0.2, "casefold": 0.2, "unicode": 0.2, "any": 0.6}
    assert found["near_match_share"] == pytest.approx(0.6)
    assert found["allowed"] == 2


@pytest.mark.parametrize(
    ("cells", "share"),
    [
        (["123", "7", "45600"], 1.0),
        (["99", "007", "0123"], 0.0),  # no code has them; zeros were not lost but miscounted
        (["1", "12"], 0.0),  # two codes could be meant; a code that has no zero in front
        (["123", "AB"], 0.5),
    ],
)
def test_codes_that_lost_their_zeros_are_recognised(world: Make, cells: list[str], share: float) -> None:
    codes = ("00123", "00007", "045600", "01", "001", "12345", "AB1")
    column = {"logicalType": "string", "enum": [{"value": code} for code in codes]}
    assert hypotheses(world, column, cells, "enum").get("leading_zeros_share", 0.0) == share


@pytest.mark.parametrize(
    ("cells", "share"),
    [
        (["CUST-1007", "1008", "X1009"], 1.0),
        (["C-1007 b", "C-7", "CUST-"], 0.0),  # something behind the digits; a single one; none
        (["Q-5005"], 0.0),  # two keys have it
        (["1007", "Paris"], 0.5),
    ],
)
def test_keys_behind_another_prefix_are_recognised(world: Make, cells: list[str], share: float) -> None:
    keys = ("C-1007", "C-1008", "C-1009", "A-5005", "B-5005", "C-7")
    column = {"logicalType": "string", "enum": [{"value": key} for key in keys]}
    assert hypotheses(world, column, cells, "enum").get("other_prefix_share", 0.0) == share


@pytest.mark.parametrize(
    ("cells", "share"),
    [
        (["M\ufffdnchen", "Z?rich", "Malm??n"], 1.0),
        (["why?", "?", "a ? b", "5?6", "Newark"], 0.0),
    ],
)
def test_letters_that_were_lost_are_recognised(world: Make, cells: list[str], share: float) -> None:
    column = {"logicalType": "string", "enum": [{"value": "Kennedy"}]}
    assert hypotheses(world, column, cells, "enum").get("letters_lost_share", 0.0) == share
    form = {"logicalType": "string", "logicalTypeOptions": {"pattern": "^[A-Z]+$"}}
    assert hypotheses(world, form, cells, "pattern").get("letters_lost_share", 0.0) == share


def test_sides_of_a_range_are_told(world: Make) -> None:
    column = {"logicalType": "integer", "logicalTypeOptions": {"minimum": 0, "maximum": 9}}
    found = hypotheses(world, column, ["-1", "10", "11", "12", "5"], "range")
    assert (found["below_share"], found["above_share"]) == (0.25, 0.75)


def test_columns_that_are_null_together_are_named(world: Make) -> None:
    columns = [{"name": name, "logicalType": "string", "required": True} for name in "abc"]
    result = world(columns, rows_per_part=2).judge(
        pl.DataFrame({"a": ["", "1", ""], "b": ["", "1", ""], "c": ["1", "", ""]})
    )
    assert result.evidence("required", "a")["hypotheses"] == {"columns_null_together": ["b"]}
    assert result.evidence("required", "c")["hypotheses"] == {}


def test_kinds_of_repetition_are_told(world: Make) -> None:
    w = world(
        [{"name": "x", "logicalType": "integer", "unique": True}, {"name": "y", "logicalType": "integer"}],
        rows_per_part=2,
    )
    result = w.judge(pl.DataFrame({"x": ["1", "1", "2", "2", "3"], "y": ["1", "1", "1", "2", "1"]}))
    found = result.evidence("unique", "x")["hypotheses"]
    assert found == {"groups": 2, "identical_share": 0.5, "conflicting_share": 0.5, "earlier_share": 0.0}


@given(
    st.lists(st.tuples(st.text("abc", max_size=4), st.integers(1, 3)), max_size=8),
    st.lists(st.text("abc", max_size=4), max_size=8),
)
def test_near_texts_are_those_with_one_allowed_value_within_an_edit(
    values: list[tuple[str, int]], allowed: list[str]
) -> None:
    near = sum(count for text, count in values if sum(within_one_edit(text, word) for word in set(allowed)) == 1)
    cells = sum(count for _, count in values)
    assert near_match_share(values, allowed) == (near / cells if cells else 0.0)


@given(st.text("ab", max_size=5), st.text("ab", max_size=5))
def test_one_edit_is_one_edit(left: str, right: str) -> None:
    letters = "ab"
    near = {left}
    for place in range(len(left) + 1):
        near |= {left[:place] + letter + left[place:] for letter in letters}
        near |= {
            left[:place] + left[place + 1 :],
            left[:place] + left[place + 1 : place + 2] + left[place : place + 1] + left[place + 2 :],
        }
        near |= {left[:place] + letter + left[place + 1 :] for letter in letters}
    assert within_one_edit(left, right) == (right in near)
    assert near_match_share([(left, 1)], [right]) == (1.0 if right in near else 0.0)

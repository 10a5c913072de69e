"""Goal: each remedy changes what is certain and refuses what is a guess; method: small columns that trap."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.remediate.playbook.convert_unit import convert
from services.remediate.playbook.normalise_text import _fitting, clean, fold_to
from services.remediate.playbook.parse_dates import choose
from services.remediate.playbook.parse_numbers import parse
from services.remediate.playbook.rename_columns import match
from services.remediate.playbook.snap_to_allowed import snap
from services.remediate.registry import REMEDIES, candidates
from shared.domain.causes import CAUSES
from shared.domain.contract import Column
from shared.domain.policy import Policy

CARRIERS = pl.Series(["UA", "AA", "B6", "DL", "EV", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV", "HA", "OO"])
CITIES = pl.Series(["Newark", "La Guardia", "Kennedy", "Zürich", "San José"])


def column(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"value": texts}, schema={"value": pl.String}).with_columns(rows=pl.lit(1, dtype=pl.UInt32))


def dates(texts: list[str], kind: str, verdict: str = "") -> tuple[list[str | None], float]:
    chosen, sure = choose(column(texts), kind, verdict)
    if not chosen:
        return [None] * len(texts), 0.0
    return pl.select(pl.coalesce([each.parsed for each in chosen])).to_series().to_list(), sure


@pytest.mark.parametrize(
    ("texts", "kind", "read"),
    [
        (["13/01/2013", "02/01/2013"], "date", ["2013-01-13", "2013-01-02"]),
        (["01/13/2013", "01/02/2013"], "date", ["2013-01-13", "2013-01-02"]),
        (["01.02.2013"], "date", ["2013-02-01"]),
        (["20130401"], "date", ["2013-04-01"]),
        (["5 Mar 2013", "Mar 6, 2013"], "date", ["2013-03-05", "2013-03-06"]),
        (["13/01/2013 05:00"], "timestamp", ["2013-01-13 05:00:00"]),
        (["2013/01/13 5:07 PM"], "timestamp", ["2013-01-13 17:07:00"]),
        (["13.01.2013 05:00:01.25"], "timestamp", ["2013-01-13 05:00:01.250"]),
        (["2013-01-01 05:00:00+02:00"], "timestamp", ["2013-01-01 03:00:00Z"]),
        (["5:07 PM"], "time", ["17:07:00"]),
    ],
)
def test_dates_that_a_column_decides(texts: list[str], kind: str, read: list[str]) -> None:
    parsed, sure = dates(texts, kind)
    assert parsed == read
    assert sure >= 0.95


@pytest.mark.parametrize(
    ("name", "texts", "mended"),
    [
        ("email", [" a@b.c", "a@b.c\u200b", "a b@c.d", "a@b@c"], ["a@b.c", "a@b.c", None, None]),
        ("hostname", ["a.b ", " 1.2.3.4", "a_b"], ["a.b", None, None]),  # an address is no name
        (
            "uuid",
            ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6\n", "f81d4fae"],
            ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", None],
        ),
    ],
)
def test_texts_that_have_their_format_once_they_are_clean(
    name: str, texts: list[str], mended: list[str | None]
) -> None:
    found = _fitting("format", Column(name="x", format=name), pl.Series(texts))
    assert found is not None
    assert found.to_list() == mended


@pytest.mark.parametrize("texts", [["03/04/2013", "05/06/2013"], ["13/01/2013", "01/13/2013"], ["01/02/13"]])
def test_dates_that_could_be_the_other_way_round_are_doubtful(texts: list[str]) -> None:
    assert dates(texts, "date")[1] <= 0.5


def test_the_columns_own_verdict_decides_between_day_and_month() -> None:
    assert dates(["03/04/2013"], "date", "day_first") == (["2013-04-03"], 0.95)
    assert dates(["03/04/2013"], "date", "month_first") == (["2013-03-04"], 0.95)


@pytest.mark.parametrize("texts", [["soon"], ["99/99/2013"], ["0000"], [""], ["31.02.2013"], ["13/01/0013"]])
def test_what_is_no_date_stays(texts: list[str]) -> None:
    assert dates(texts, "date")[0] == [None]


@given(st.lists(st.dates(min_value=__import__("datetime").date(1900, 1, 1)), min_size=1, max_size=30, unique=True))
def test_dates_written_day_first_are_never_read_wrong_with_certainty(days: list[Any]) -> None:
    credible = [day for day in days if day.year <= 2100]
    if not credible:
        return
    parsed, sure = dates([day.strftime("%d/%m/%Y") for day in credible], "date")
    if sure > 0.6:
        assert parsed == [day.isoformat() for day in credible]


@pytest.mark.parametrize(
    ("texts", "whole", "read"),
    [
        (["1,5", "12,25"], False, ["1.5", "12.25"]),
        (["1.234,56"], False, ["1234.56"]),
        (["1,234.5", "1,234,567"], False, ["1234.5", "1234567"]),
        (["1 234", "12\u00a0345"], True, ["1234", "12345"]),
        (["1'234.5"], False, ["1234.5"]),
        (["$1,234.50", "€ 12.5"], False, ["1234.50", "12.5"]),
        (["(3.50)", "7-"], False, ["-3.50", "-7"]),
        (["1,234"], True, ["1234"]),
    ],
)
def test_numbers_that_a_column_decides(texts: list[str], whole: bool, read: list[str]) -> None:
    parsed = parse(column(texts), whole=whole)
    assert parsed is not None
    assert parsed[0].to_list() == read
    assert parsed[2] >= 0.95


@pytest.mark.parametrize(("texts", "whole"), [(["1,234"], False), (["1.234"], True), (["12%"], False)])
def test_numbers_that_could_mean_the_other_thing_are_doubtful(texts: list[str], whole: bool) -> None:
    parsed = parse(column(texts), whole=whole)
    assert parsed is not None
    assert parsed[2] <= 0.7


@pytest.mark.parametrize("text", ["abc", "1,2,3", "--5", "1.2.3", "NaN", "0x10", ""])
def test_what_is_no_number_stays(text: str) -> None:
    parsed = parse(column([text]), whole=False)
    assert parsed is None or parsed[0].to_list() == [None]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (" UA", "UA"), ("ua", "UA"), ("U A", "UA"), ("UA.", "UA"), ("Bb6", "B6"), ("EVV", "EV"),
        ("UAA", None), ("U4", None), ("AU", None), ("ZZ", None), ("U", None), ("", None), ("A", None), ("9F", None),
    ],
)  # fmt: skip
def test_short_codes_are_snapped_only_when_nothing_else_is_near(text: str, meant: str | None) -> None:
    assert snap(pl.Series([text]), CARRIERS)[0].to_list() == [meant]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Newrak", "Newark"), ("Kenedy", "Kennedy"), ("LaGuardia", "La Guardia"), ("ZÃ¼rich", "Zürich"),
        ("NEWARK", "Newark"), ("Boston", None), ("Newark2", None), ("Kent", None),
    ],
)  # fmt: skip
def test_words_are_snapped_to_the_one_that_is_near(text: str, meant: str | None) -> None:
    assert snap(pl.Series([text]), CITIES)[0].to_list() == [meant]


def test_between_two_equally_near_values_it_refuses() -> None:
    assert snap(pl.Series(["Karlstadt"]), pl.Series(["Karlstad", "Marlstadt", "Darlstadt"]))[0].to_list() == [None]


def test_crowded_codes_are_never_guessed() -> None:
    tails = pl.Series([f"N{number}UA" for number in range(10_000, 10_400)])
    assert snap(pl.Series(["N10X01UA", "N1040UA", "N10999UA"]), tails)[0].to_list() == [None, None, None]


def test_a_number_is_never_taken_for_one_like_it() -> None:
    """A key that has not come yet looks like a slip of one that has: 22 is not 2 typed twice, 5312 is not 5321."""
    assert snap(pl.Series(["22", "33", "100"]), pl.Series(["1", "2", "3", "10"]))[0].to_list() == [None, None, None]
    assert snap(pl.Series(["5312", "90871"]), pl.Series(["5321", "90817", "1066", "7"]))[0].to_list() == [None, None]
    assert snap(pl.Series(["berlin 12"]), pl.Series(["berlin 1", "berlin 2", "potsdam 1"]))[0].to_list() == [None]


def test_punctuation_counts_where_it_makes_another_number() -> None:
    known = pl.Series(["5", "15", "123", "Route 12", "2024-01", "DE-12"])
    texts = ["-5", "1.5", "1-2-3", "route 1.2", " - 5"]
    assert fold_to(pl.Series(texts), known).to_list() == [None] * len(texts)
    assert fold_to(pl.Series([" 5 ", "2024/01", "de 12"]), known).to_list() == ["5", "2024-01", "DE-12"]


def test_two_allowed_values_that_fold_alike_are_left_alone() -> None:
    assert fold_to(pl.Series(["a-b"]), pl.Series(["A B", "AB", "C"])).to_list() == [None]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=20))
def test_cleaning_twice_changes_nothing_more(texts: list[str]) -> None:
    once = clean(pl.Series(texts, dtype=pl.String))
    assert clean(once).to_list() == once.to_list()


def told(missing: str, delivered: str, **changed: Any) -> dict[str, Any]:
    plain = {"missing": missing, "delivered": delivered, "synonym": False, "name_similarity": 0.0, "fits_share": 1.0}
    return {**plain, **changed}


def test_a_synonym_beats_everything() -> None:
    found = match(["city"], [told("city", "citty", name_similarity=0.95), told("city", "town", synonym=True)])
    assert found is not None
    assert found.rename == {"town": "city"}
    assert found.confidence >= 0.97


def test_a_name_that_differs_by_case_and_marks_is_the_same_name() -> None:
    found = match(["dep_time"], [told("dep_time", "DepTime")])
    assert found is not None
    assert (found.rename, found.confidence) == ({"DepTime": "dep_time"}, 0.98)


@pytest.mark.parametrize(
    "candidates_told",
    [
        [told("city", "city_a", name_similarity=0.8), told("city", "city_b", name_similarity=0.8)],
        [told("city", "citi", name_similarity=0.9, fits_share=0.5)],
        [told("city", "citi", name_similarity=0.9, profile_similarity=0.1)],
    ],
)
def test_a_doubtful_match_is_no_certainty(candidates_told: list[dict[str, Any]]) -> None:
    found = match(["city"], candidates_told)
    assert found is not None
    assert found.confidence <= 0.5


def test_nothing_that_resembles_is_no_match() -> None:
    assert match(["city"], [told("city", "x", fits_share=0.1)]) is None


def test_one_delivered_column_cannot_be_two() -> None:
    pair = [told("city", "town", synonym=True), told("place", "town", synonym=True)]
    assert match(["city", "place"], pair) is None


def step(delivered: str, name: float, *, kept: int, broken: int, continues: float = 1.0) -> dict[str, Any]:
    such = {"kept": kept, "broken": broken, "such_as": ["change = level - the level before"] if kept else []}
    return told("change", delivered, name_similarity=name, identities=such, continues=continues, logical_type="integer")


def test_a_name_that_misleads_is_no_match_by_itself_and_the_values_choose_what_is_asked() -> None:
    found = match(["change"], [step("new_change", 0.9, kept=0, broken=1), step("difference", 0.4, kept=1, broken=0)])
    assert found is not None
    assert found.rename == {"difference": "change"}
    assert found.by_values
    assert found.confidence <= 0.5
    assert "the values speak for difference (change = level - the level before)" in found.doubts[0]


def test_names_that_contain_each_other_and_values_that_continue_are_sure() -> None:
    best = told("ill", "total_ill", name_contained=True, continues=0.9, logical_type="integer")
    far = told("ill", "tests", name_similarity=0.2, continues=0.01, logical_type="integer")
    found = match(["ill"], [best, far])
    assert found is not None
    assert (found.rename, found.confidence) == ({"total_ill": "ill"}, 0.95)
    for rival in (told("ill", "ill_now", continues=0.8), told("ill", "beds", name_similarity=0.1, continues=1.2)):
        doubtful = match(["ill"], [best, rival])
        assert doubtful is not None
        assert doubtful.confidence <= 0.5


def test_numbers_are_not_renamed_by_a_like_name_alone() -> None:
    found = match(["ill"], [told("ill", "total_ill", name_contained=True, logical_type="integer")])
    assert found is not None
    assert found.confidence <= 0.5


def test_what_was_rejected_is_not_asked_again() -> None:
    pair = [told("city", "city_a", name_similarity=0.8), told("city", "city_b", name_similarity=0.7)]
    found = match(["city"], pair, [{"city_a": "city"}])
    assert found is not None
    assert found.rename == {"city_b": "city"}
    assert match(["city"], pair, [{"city_a": "city"}, {"city_b": "city"}]) is None


def test_another_name_that_the_pipeline_knows_is_sure_unless_the_values_contradict() -> None:
    learned = {"change": "new_change"}
    known = match(["change"], [step("new_change", 0.9, kept=1, broken=0)], (), learned)
    assert known is not None
    assert known.confidence == 0.99
    against = match(["change"], [step("new_change", 0.9, kept=0, broken=1)], (), learned)
    assert against is not None
    assert against.confidence <= 0.5


def test_units_are_divided_and_rounded_to_the_columns_type() -> None:
    texts = pl.Series(["2253.0816", "1.609344", "x", ""])
    assert convert(texts, 1.609344, whole=True, comma=False).to_list() == ["1400", "1", None, None]
    assert convert(pl.Series(["1,609344"]), 1.609344, whole=False, comma=True).to_list() == ["1,0"]


def test_every_cause_that_a_remedy_names_exists_and_every_prior_has_a_reason() -> None:
    for remedy in REMEDIES:
        for cause, fit in remedy.fits.items():
            assert cause == "" or cause in CAUSES, f"{remedy.name} names {cause}"
            assert fit.why.endswith(".")
            assert fit.successes > 0
            assert fit.failures > 0
    assert all(candidates(cause, Policy())[-1].name == "hold_for_person" for cause in CAUSES)

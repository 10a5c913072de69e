"""Goal: a feed whose header changes: which column continues which, other names and wider types that are accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from services.validate.identities import identities
from shared.events.types import ContractAmended
from tests.unit.validate.world import World

# One row a day: those ill now are in hospital or at home; the day's change is what it was less the day before.
COLUMNS = [
    {"name": "day", "logicalType": "date"},
    {"name": "hospital", "logicalType": "integer"},
    {"name": "home", "logicalType": "integer"},
    {"name": "now_ill", "logicalType": "integer"},
    {"name": "new_now_ill", "logicalType": "integer"},
]
HOSPITAL = (100, 130, 170, 200, 260, 310, 390, 470)
HOME = (90, 120, 180, 230, 240, 300, 350, 420)


def days() -> list[dict[str, str]]:
    found, before = [], 150
    for number, (hospital, home) in enumerate(zip(HOSPITAL, HOME, strict=True)):
        total = hospital + home
        row = {"day": f"2020-03-{number + 1:02}", "hospital": hospital, "home": home, "now_ill": total}
        found.append({name: str(value) for name, value in {**row, "new_now_ill": total - before}.items()})
        before = total
    return found


def amend(w: World, remedy: str = "r1", **fields: Any) -> None:
    w.handle(
        ContractAmended(id="a", time=1, subject="s", correlation_id="c", pipeline="things", remedy_id=remedy, **fields)
    )


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[World]:
    w = World(tmp_path, COLUMNS)
    for number, row in enumerate(days()[:-1]):
        assert w.judge(pl.DataFrame([row]), batch=f"b{number}").validated.state == "released"
    yield w
    w.close()


def renamed(names: dict[str, str], **more: str) -> pl.DataFrame:
    return pl.DataFrame([days()[-1]]).rename(names).with_columns(**{name: pl.lit(text) for name, text in more.items()})


def candidates(w: World, rows: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    found = w.judge(rows, batch="b7").evidence("missing_columns")
    return {(each["missing"], each["delivered"]): each for each in found["candidates"]}


def test_values_tell_what_names_hide(feed: World) -> None:
    told = candidates(
        feed, renamed({"now_ill": "total_ill", "new_now_ill": "change_total"}, new_ill="200", beds="470000")
    )
    change, trap = told["new_now_ill", "change_total"], told["new_now_ill", "new_ill"]
    assert trap["name_contained"]
    assert not change["name_contained"]
    assert change["identities"] == {"kept": 1, "broken": 0, "such_as": ["new_now_ill = now_ill - the now_ill before"]}
    assert trap["identities"]["broken"] == 1
    total = told["now_ill", "total_ill"]
    assert total["continues"] == 1.0
    assert total["identities"]["kept"] == 1
    assert all(each["continues"] < 0.01 for key, each in told.items() if key[1] == "beds")


def test_no_cell_is_in_the_evidence(feed: World) -> None:
    found = feed.judge(renamed({"now_ill": "total_ill"}), batch="b7").evidence("missing_columns")
    assert not {"470", "420", "890"} & {str(each) for each in json.dumps(found).replace(",", " ").split()}


def test_another_name_that_was_accepted_is_read_without_a_word_until_it_is_taken_back(feed: World) -> None:
    rows = renamed({"now_ill": "total_ill"})
    assert feed.judge(rows, batch="b7").validated.state == "held"
    amend(feed, accept_renames_json='{"total_ill": "now_ill"}')
    result = feed.judge(rows, batch="b8")
    assert result.validated.state == "released"
    assert result.incidents == {}
    assert result.passed["now_ill"].to_list() == [890]
    verdict = feed.document("verdicts", "b8:1")
    assert verdict is not None
    assert json.loads(verdict["rename_json"]) == {"total_ill": "now_ill"}
    # Two other names at once: nobody guesses.
    amend(feed, accept_renames_json='{"sick": "now_ill"}')
    assert feed.judge(rows.with_columns(sick=pl.lit("1")), batch="b9").validated.state == "held"
    amend(feed, remove_renames=["total_ill"])
    assert feed.judge(rows, batch="b10").validated.state == "held"


def test_an_earlier_name_counts_when_names_are_compared(feed: World) -> None:
    amend(feed, accept_renames_json='{"total_now_sick": "now_ill"}')
    told = candidates(feed, renamed({"now_ill": "total_sick"}))
    assert told["now_ill", "total_sick"]["name_contained"]


def test_an_acceptance_that_comes_after_its_remedy_was_undone_is_void(feed: World) -> None:
    """Events come out of order: what is taken back stays so, and another remedy may accept the same."""
    amend(feed, remove_renames=["total_ill"])
    amend(feed, accept_renames_json='{"total_ill": "now_ill"}')
    assert feed.judge(renamed({"now_ill": "total_ill"}), batch="b7").validated.state == "held"
    amend(feed, "r2", accept_renames_json='{"total_ill": "now_ill"}')
    assert feed.judge(renamed({"now_ill": "total_ill"}), batch="b8").validated.state == "released"


def test_a_wider_type_is_accepted_and_taken_back(feed: World) -> None:
    rows = renamed({}).with_columns(home=pl.lit("1.5"))
    assert feed.judge(rows, batch="b7").validated.rows_quarantined == 1
    result = feed.judge(rows, batch="b7", attempt=2, accept_columns=["home:number"])
    assert result.passed["home"].to_list() == [1.5]
    assert feed.judge(rows.drop("home"), batch="b8").validated.state == "held"  # wider, but not optional
    amend(feed, remove_columns=["home:number"])
    assert feed.judge(rows, batch="b9").validated.rows_quarantined == 1


def test_a_new_column_that_became_wider_gets_its_first_type_back(feed: World) -> None:
    rows = renamed({}, beds="7")
    assert feed.judge(rows, batch="b7", accept_columns=["beds:integer"]).passed["beds"].to_list() == [7]
    wider = feed.judge(rows, batch="b8", accept_columns=["beds:number"])
    assert wider.passed.schema["beds"] == pl.Float64
    amend(feed, remove_columns=["beds:number"])
    assert feed.judge(rows, batch="b9").passed.schema["beds"] == pl.Int64
    absent = feed.judge(rows.drop("beds"), batch="b10")
    assert absent.passed["beds"].to_list() == [None]
    verdict = feed.document("verdicts", "b10:1")
    assert verdict is not None
    assert verdict["absent_columns"] == ["beds"]


def test_a_new_column_without_a_value_waits_for_one(feed: World) -> None:
    rows = renamed({}, note="")
    assert feed.judge(rows, batch="b7").validated.state == "released"
    result = feed.judge(renamed({}, note="7"), batch="b8")
    assert set(result.incidents) == {("unexpected_columns", "")}
    assert [each["logical_type"] for each in result.evidence("unexpected_columns")["unexpected"]] == ["integer"]


def test_few_or_constant_rows_show_no_identity() -> None:
    rows = pl.DataFrame({"a": [1.0, 2, 3, 4], "b": [1.0, 1, 2, 2], "c": [2.0, 3, 5, 6]})
    assert identities(rows, "c", steps=True) == []
    still = pl.DataFrame({"a": [0.0] * 8, "b": [0.0] * 8, "c": [0.0] * 8})
    assert identities(still, "c", steps=True) == []
    more = pl.concat([rows, rows.select(pl.all() * 3)])
    assert [each.said for each in identities(more, "c", steps=False)] == ["c = a + b"]

"""Goal: whatever the contract or the data, ``mend contract test`` comes to a verdict or says why there is none."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from mend.main import app

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: things
version: 1.0.0
status: active
schema:
"""
CONTRACT = (
    HEAD
    + """\
  - name: things
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: size, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: kind, logicalType: string}
"""
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/things.odcs.yaml").write_text(CONTRACT)
    return tmp_path


def mend(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contract", *arguments])


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_an_error_that_nobody_foresaw_is_a_reason(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("a number is too large")

    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    monkeypatch.setattr("services.validate.judgement.cast_frame", broken)
    (delivery,) = told(mend("test", "good.csv", "--json"))["deliveries"]
    assert delivery["state"] == "unreadable"
    assert delivery["whole"] == ["a number is too large"]
    assert "a number is too large" in mend("test", "good.csv").stdout


@pytest.mark.parametrize(
    "cells", [[b"ok", b"\xff"], [timedelta(days=1), timedelta(days=2)]], ids=["bytes", "durations"]
)
@pytest.mark.parametrize("engine", ["memory", "staged"])
def test_cells_of_other_types_fail_and_stop_nothing(place: Path, cells: list[Any], engine: str) -> None:
    frame = pl.DataFrame({"id": [1, 2], "size": [1.0, 2.0], "kind": cells})
    frame.write_parquet(place / "odd.parquet")
    (delivery,) = told(mend("test", "odd.parquet", "--json", "--engine", engine))["deliveries"]
    failing = {
        row["row"]
        for row in delivery["rows"]
        if ("type", "kind") in {(r["check"], r["column"]) for r in row["reasons"]}
    }
    assert (delivery["state"], failing) == ("failed", {2} if cells[0] == b"ok" else {1, 2})


SEVERAL = (
    CONTRACT
    + """\
  - name: lines
    physicalName: order_lines
    properties:
      - {name: line, logicalType: integer, required: true}
    quality:
      - {type: sql, query: "SELECT COUNTIF(line > 2) FROM ${table}", mustBe: 0}
"""
)


def test_of_several_tables_one_is_named(place: Path) -> None:
    (place / "contracts/things.odcs.yaml").write_text(SEVERAL)
    (place / "lines.csv").write_text("line\n1\n3\n\n")
    result = mend("test", "lines.csv")
    assert result.exit_code
    assert "--schema-name: things, order_lines" in str(result.exception)
    for name in ("lines", "order_lines"):
        (delivery,) = told(mend("test", "lines.csv", "--schema-name", name, "--json"))["deliveries"]
        assert delivery["whole"] == ["the query gives 1 where the contract wants exactly 0"]
    assert 'none of the tables is "line"' in str(
        mend("diff", *["contracts/things.odcs.yaml"] * 2, "--schema-name", "line").exception
    )


def test_the_name_of_the_only_table_must_be_right(place: Path) -> None:
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    assert mend("test", "good.csv", "--schema-name", "THINGS").exit_code == 0
    assert 'did you mean "things"' in str(mend("test", "good.csv", "--schema-name", "thing").exception)


def test_two_of_several_tables_are_compared_and_corrupted(place: Path) -> None:
    (place / "a.yaml").write_text(SEVERAL)
    (place / "b.yaml").write_text(
        SEVERAL.replace("line, logicalType: integer, required: true", "line, logicalType: string")
    )
    assert told(mend("diff", "a.yaml", "b.yaml", "--schema-name", "things", "--json"))["changes"] == []
    changed = told(mend("diff", "a.yaml", "b.yaml", "--schema-name", "lines", "--json"))["changes"]
    assert {each["column"] for each in changed} == {"line"}
    (place / "lines.csv").write_text("line\n" + "1\n2\n" * 20)
    assert told(mend("mutate", "lines.csv", "--contract", "a.yaml", "--schema-name", "lines", "--json"))["outcomes"]


def test_every_table_of_a_contract_is_checked(place: Path) -> None:
    (place / "contracts/things.odcs.yaml").write_text(SEVERAL)
    level = "slaProperties: [{property: freshness, value: 1, unit: d, element: order_lines.day}]\n"
    day = SEVERAL.replace("- {name: line,", "- {name: day, logicalType: date}\n      - {name: line,")
    (place / "contracts/days.odcs.yaml").write_text(day + level)
    assert "2 files checked: 0 errors, 0 warnings" in CliRunner().invoke(app, ["check"]).stdout
    (place / "contracts/things.odcs.yaml").write_text(SEVERAL.replace("line > 2", "lime > 2"))
    result = CliRunner().invoke(app, ["check"])
    assert "things.odcs.yaml:17" in result.stdout.replace("\n", "")
    assert 'no column "lime" (did you mean "line"?)' in " ".join(result.stdout.split())
    assert "0 errors, 1 warning" in result.stdout


def with_query(query: str) -> str:
    rule = f"      - {{type: sql, name: theirs, query: {json.dumps(query)}, mustBe: 0}}\n"
    ours = '      - {type: sql, name: ours, query: "SELECT COUNTIF(size > 2) FROM ${table}", mustBe: 0}\n'
    return CONTRACT + f"    quality:\n{rule}{ours}"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT count(*) FILTER (WHERE size < 0) FROM ${model}", "Filter is not allowed"),
        ("SELECT count(*) FROM ${model} WHERE kind !~ '^a'", "not"),
        ("SELECT count(*) FROM ${model} WHERE id > now()", "now is not allowed"),
        ("SELECT count(*) FROM ${model} QUALIFY row_number() OVER (PARTITION BY id) > 1", "not allowed"),
        ("SELECT approx_percentile(size, 0.95) FROM ${model}", "approx_percentile is not allowed"),
        ("SELECT count(*) FROM `${project}.${dataset}.${model}`", "placeholder"),
        ("SELECT count(*) FROM ${model} WHERE sise > 2", 'the contract has no column "sise" (did you mean "size"?)'),
        ("SELECT TOP 1 count(*) FROM ${model}", "no GoogleSQL: Invalid expression (line 1 of the query)"),
        ("SELECT count(*) FROM ${model} SAMPLE (10 ROWS)", "no GoogleSQL"),
        (
            "SELECT count(*) FROM ${model} WHERE \"Kind\" = 'XX'",
            '"Kind" is a text in GoogleSQL, and a column elsewhere',
        ),
    ],
)
def test_a_query_of_another_system_is_said_and_the_rest_is_judged(place: Path, query: str, why: str) -> None:
    (place / "contracts/things.odcs.yaml").write_text(with_query(query))
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    found = told(mend("test", "good.csv", "--json"))
    assert found["deliveries"][0]["whole"] == ["the query (ours) gives 1 where the contract wants exactly 0"]
    (unchecked,) = found["not_checked"]
    assert unchecked.startswith('quality rule "theirs" (sql) is not checked: ')
    assert why in unchecked
    checked = CliRunner().invoke(app, ["check"])
    assert checked.exit_code == 0
    assert "things.odcs.yaml:13: warning" in checked.stdout.replace("\n", "")


@pytest.mark.parametrize(
    "query", ['SELECT COUNTIF(kind = "XX") FROM ${table}', "SELECT COUNTIF(`kind` = 'kind') FROM ${table}"]
)
def test_a_text_in_double_quotes_that_names_no_column_is_a_text(place: Path, query: str) -> None:
    (place / "contracts/things.odcs.yaml").write_text(with_query(query))
    (place / "good.csv").write_text("id,size,kind\n1,1,a\n")
    assert (found := told(mend("test", "good.csv", "--json")))["ok"]
    assert found["not_checked"] == []


@pytest.mark.parametrize("several", [False, True])
def test_a_query_that_fails_on_the_data_is_placed_in_the_user_s_own_file(place: Path, several: bool) -> None:
    text = with_query("SELECT MAX(kind) FROM ${table}")
    text += '      - {type: sql, query: "SELECT TOP 1 x FROM ${table}", mustBe: 0}\n'
    other = "  - {name: other, properties: [{name: x, logicalType: string}]}\n"
    text = text.replace("schema:\n", f"schema:\n{other}") if several else text
    (place / "contracts/things.odcs.yaml").write_text(text)
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    named = ["--schema-name", "things"] if several else []
    (delivery,) = told(mend("test", "good.csv", "--json", *named))["deliveries"]
    (message,) = delivery["whole"]
    assert message.startswith(f"contracts/things.odcs.yaml:{14 if several else 13}: the query gives no number")
    pl.DataFrame({"id": [1], "size": [2.5], "kind": ["a"]}).write_parquet(place / "good.parquet")
    error = str(mend("test", "good.parquet", *named).exception)
    assert error.startswith(f"contracts/things.odcs.yaml:{14 if several else 13}: the query gives no number")


def test_a_check_that_no_package_brings_is_a_wrong_contract(place: Path) -> None:
    rule = "    quality: [{type: custom, engine: mendline, implementation: theirs}]\n"
    (place / "contracts/things.odcs.yaml").write_text(CONTRACT + rule)
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    error = str(mend("test", "good.csv").exception)
    assert error.startswith("contracts/things.odcs.yaml:12: there is no check “theirs”")


def test_a_contract_without_columns_judges_nothing_and_can_be_compared(place: Path) -> None:
    (place / "contracts/things.odcs.yaml").write_text(HEAD + "  - {name: things}\n")
    (place / "full.yaml").write_text(CONTRACT)
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    assert "no columns" in str(mend("test", "good.csv").exception)
    checked = CliRunner().invoke(app, ["check"])
    assert checked.exit_code == 0
    assert "things has no columns: nothing of it can be checked" in checked.stdout.replace("\n", " ")
    assert told(mend("diff", "contracts/things.odcs.yaml", "full.yaml", "--json"))["changes"]

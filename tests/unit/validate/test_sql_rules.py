"""Quality rules in SQL: what a query may do, what it gives, and that nothing of a cell gets out by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from services.validate.sql_rules import prepare
from shared.adapters.local.sql_engine import DuckDbSqlEngine
from shared.domain.contract import QualityRule
from shared.domain.errors import DefinitionError, TerminalError
from shared.domain.masking import clean
from tests.unit.validate.world import World

Make = Callable[..., World]

ROWS = pl.DataFrame(
    {
        "x": ["1", "2", None, "bad", "-5", "7"],
        "y": ["a", "b", "b", None, "c", "A"],
        "d": ["2024-01-0" + n for n in "123456"],
    }
)


def _columns(query: str, column: str = "x", **compared: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "x", "logicalType": "integer"},
        {"name": "y", "logicalType": "string"},
        {"name": "d", "logicalType": "date"},
    ]
    rule = {"type": "sql", "query": query, "name": "q", **compared}
    next(each for each in found if each["name"] == column)["quality"] = [rule]
    return found


def _rule(query: str) -> QualityRule:
    return QualityRule(metric="sql", columns=("x",), comparison="mustBe", low=0, query=query, line=7)


ANSWERS = [
    ("SELECT COUNT(*) FROM ${table}", 6),
    ("SELECT COUNT(*) FROM {object}", 6),
    ("SELECT COUNT(*) FROM `${table}`", 6),
    ("SELECT COUNT(*) FROM things", 6),
    ("SELECT COUNT(*) FROM Things AS t WHERE t.x > 0", 3),
    ("SELECT COUNT(*) FROM ${schema} WHERE x IS NULL", 2),
    ("SELECT COUNT(*) FROM things WHERE things.x IS NULL", 2),
    ("SELECT COUNT(${column}) FROM ${table}", 4),
    ("SELECT COUNT({property}) FROM {object}", 4),
    ("SELECT COUNTIF(${column} < 0) FROM ${table}", 1),
    ("SELECT 100 * COUNTIF(x IS NULL) / COUNT(*) FROM ${table}", 100 / 3),
    ("SELECT COUNT(DISTINCT LOWER(y)) FROM ${table}", 3),
    ("SELECT COUNT(*) FROM (SELECT y FROM ${table} GROUP BY y HAVING COUNT(*) > 1)", 1),
    ("WITH twice AS (SELECT y FROM ${table} GROUP BY y HAVING COUNT(*) > 1) SELECT COUNT(*) FROM twice", 1),
    ("SELECT COUNT(*) FROM ${table} a JOIN ${table} b ON a.x = b.x", 4),
    ("SELECT COUNT(*) FROM ${table} WHERE d BETWEEN DATE '2024-01-02' AND DATE '2024-01-04'", 3),
    ("SELECT COUNT(*) FROM ${table} WHERE REGEXP_CONTAINS(y, '^[a-z]$')", 4),
]


@pytest.mark.parametrize(("query", "observed"), ANSWERS)
def test_known_answers(world: Make, query: str, observed: float) -> None:
    w = world(_columns(query, mustBe=-1), rows_per_part=2)
    found = w.judge(ROWS).evidence("quality:sql", "x")
    assert found["observed"] == pytest.approx(observed)
    kept = world(_columns(query, mustBeBetween=[observed - 0.01, observed + 0.01])).judge(ROWS)
    assert ("quality:sql", "x") not in kept.incidents


@pytest.mark.parametrize(
    ("query", "compared", "kept"),
    [
        ("SELECT MAX(x) FROM ${table}", {"mustBeLessThan": 8}, True),
        ("SELECT MAX(x) FROM ${table}", {"mustBeLessThan": 7}, False),
        ("SELECT SUM(x) FROM ${table}", {"mustBe": 5}, True),
        ("SELECT AVG(x) FROM ${table}", {"mustNotBe": 1.25}, False),
        ("SELECT LOGICAL_AND(x > 0) FROM ${table}", {"mustBe": 1}, False),
        ("SELECT MAX(x) FROM ${table} WHERE FALSE", {"mustBeLessThan": 8}, False),  # null keeps no rule
        ("SELECT x FROM ${table} WHERE x = 7", {"mustBe": 7}, True),
    ],
)
def test_a_value_that_may_be_a_cell_is_compared_and_not_told(
    world: Make, query: str, compared: dict[str, Any], kept: bool
) -> None:
    result = world(_columns(query, severity="warning", **compared)).judge(ROWS)
    assert (("quality:sql", "x") not in result.incidents) == kept
    if not kept:
        assert result.evidence("quality:sql", "x")["observed"] is None
        said = "gives null" if "FALSE" in query else "does not give what it should"
        assert said in result.incidents["quality:sql", "x"].message


def test_a_broken_rule_holds_the_batch(world: Make) -> None:
    result = world(_columns("SELECT COUNTIF(x < 0) FROM ${table}", mustBe=0)).judge(ROWS)
    assert result.held is not None
    assert result.held.reason == "the query (q) gives 1 where the contract wants exactly 0"


def test_an_empty_batch_can_be_asked(world: Make) -> None:
    w = world(_columns("SELECT COUNT(*) FROM ${table}", mustBeGreaterThan=0))
    result = w.judge(ROWS.clear())
    assert result.evidence("quality:sql", "x")["observed"] == 0


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT COUNT( FROM ${table}", "no GoogleSQL.*line 1 of the query"),
        ("", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("DELETE FROM ${table} WHERE TRUE", "one SELECT"),
        ("CREATE TABLE x AS SELECT 1", "one SELECT"),
        ("SELECT COUNT(*) FROM information_schema.tables", "no table"),
        ("SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES", "no table"),
        ("SELECT COUNT(*) FROM shop.INFORMATION_SCHEMA.TABLES", "no table"),
        ("SELECT COUNT(*) FROM _mend.jobs", "no table"),
        ("SELECT COUNT(*) FROM project.shop.orders", "no table"),
        ("SELECT COUNT(*) FROM `orders*`", "no table"),
        (
            "SELECT COUNT(*) FROM a JOIN b ON TRUE JOIN c ON TRUE JOIN d ON TRUE JOIN e ON TRUE JOIN f ON TRUE",
            "more than 5 other tables",
        ),
        ("WITH other_table_0 AS (SELECT 1 AS n) SELECT COUNT(*) FROM other_table_0", "another name"),
        ("SELECT COUNT(*) FROM `/etc/passwd`", "no table"),
        ("SELECT COUNT(*) FROM read_csv('/etc/passwd')", "not allowed|no table"),
        ("SELECT COUNT(*) FROM ${table}, UNNEST([1, 2])", "not allowed"),
        ("SELECT getenv('HOME')", "getenv is not allowed"),
        ("SELECT CURRENT_DATE() FROM ${table}", "not allowed"),
        ("SELECT RAND() FROM ${table}", "not allowed"),
        ("SELECT REPEAT(y, 1000000) FROM ${table}", "not allowed"),
        ("SELECT LPAD(y, 1000000) FROM ${table}", "not allowed"),
        ("SELECT STRING_AGG(y) FROM ${table}", "not allowed"),
        ("SELECT ROW_NUMBER() OVER () FROM ${table}", "not allowed"),
        ("WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n FROM a) SELECT COUNT(*) FROM a", "may never end"),
        ("SELECT COUNT(*) FROM ${table} NATURAL JOIN orders", "columns that nobody names"),
        ("SELECT COUNT(*) FROM ${database}", "placeholder that is not known"),
        ("SELECT COUNT(*) FROM ${table} --" + "x" * 20_000, "longer than"),
    ],
)
def test_what_is_no_harmless_query_is_refused_with_the_line(query: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as error:
        prepare(_rule(query), "shop.things", "c.yaml")
    assert (error.value.path, error.value.line) == ("c.yaml", 7)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT COUNTIF(y + 1 > x) FROM ${table}", "failed"),
        ("SELECT x FROM ${table}", "one value"),
        ("SELECT COUNT(*), COUNT(x) FROM ${table}", "one value"),
        ("SELECT MIN(y) FROM ${table}", "no number"),
        ("SELECT SUM(CAST(y AS INT64)) FROM ${table}", "failed"),
    ],
)
def test_a_query_that_fails_is_an_error_and_no_verdict_and_tells_no_cell(world: Make, query: str, why: str) -> None:
    rows = ROWS.with_columns(y=pl.lit("planted-cell"))
    with pytest.raises(DefinitionError, match=why) as error:
        world(_columns(query, mustBe=0)).judge(rows)
    assert error.value.line > 0
    assert "planted" not in str(error.value)


TOTALS = pl.DataFrame({"y": ["a", "b", "c", "A"], "total": [1, 2, -4, 7], "day": [date(2024, 1, 1)] * 4})
OFF = """
SELECT COUNT(*) FROM (SELECT y, SUM(x) AS found FROM ${table} WHERE y IS NOT NULL GROUP BY y) AS mine
JOIN totals ON totals.y = mine.y WHERE totals.total != mine.found
"""
ACROSS = [
    (OFF, 1),  # c: -5 instead of -4
    (OFF.replace("totals ON", "shop.totals AS totals ON"), 1),
    (OFF.replace("JOIN totals", "JOIN `shop.totals` AS totals"), 1),
    ("SELECT (SELECT SUM(x) FROM ${table}) - (SELECT SUM(total) FROM totals)", -1),
    ("SELECT COUNT(*) FROM totals", 4),
    ("SELECT COUNT(*) FROM (SELECT * FROM totals)", 4),
    ("WITH totals AS (SELECT 1 AS n) SELECT COUNT(*) FROM totals", 1),  # its own, not the warehouse's
    ("WITH sums AS (SELECT SUM(total) AS n FROM totals) SELECT MAX(n) + COUNT(*) FROM sums, ${table}", 12),
    ("SELECT COUNT(*) FROM totals WHERE NOT EXISTS (SELECT 1 FROM ${table} AS t WHERE t.y = totals.y)", 0),
    ("SELECT COUNT(*) FROM totals JOIN other.totals AS more ON more.y = totals.y", 2),
    ("SELECT COUNT(*) FROM ${table} JOIN totals ON totals.day = d", 4),
    ("SELECT MAX(totals.total) FROM ${table} CROSS JOIN totals", 7),
    ("SELECT COUNT(*) FROM (${table} AS b JOIN totals AS o ON b.y = o.y)", 5),
    ("SELECT COUNT(*) FROM (${table} AS b JOIN `shop.totals` AS o ON b.y = o.y)", 5),
    ("SELECT COUNT(o.y) FROM ${table} b LEFT JOIN (totals o JOIN other.totals c ON o.y = c.y) ON o.y = b.y", 3),
    ("SELECT COUNT(*) FROM ((${table} AS b JOIN totals AS o ON b.y = o.y) JOIN other.totals c ON c.y = o.y)", 3),
    ("SELECT COUNT(*) FROM ${table} JOIN totals USING (y)", 5),
    ("SELECT COUNT(*) FROM ${table} AS b JOIN (SELECT total AS b, y FROM totals) AS o USING (y) WHERE b > 0", 4),
    ("SELECT COUNT(*) FROM totals AS total WHERE total > 1", 2),  # a column may have a table's name
]


@pytest.mark.parametrize(("query", "observed"), ACROSS)
def test_a_query_may_compare_the_batch_with_other_tables(world: Make, query: str, observed: float) -> None:
    def made(**compared: Any) -> World:
        w = world(_columns(query, **compared), rows_per_part=2)
        w.table("shop.totals", TOTALS, {"y": "string", "total": "integer", "day": "date"})
        w.table("other.totals", TOTALS.head(2), {"y": "string", "total": "integer", "day": "date"})
        return w

    broken = made(mustBe=observed + 1).judge(ROWS)
    assert broken.held is not None
    assert not broken.evidence("quality:sql", "x").get("unanswered")
    assert ("quality:sql", "x") not in made(mustBe=observed).judge(ROWS).incidents


def test_what_a_verdict_saw_of_another_table_is_kept_with_it(world: Make) -> None:
    w = world(_columns(OFF, mustBe=0))
    w.table("shop.totals", TOTALS, {"y": "string", "total": "integer", "day": "date"})
    first = w.judge(ROWS)
    (snapshot,) = first.validated.snapshots
    assert snapshot.startswith("snapshots/shop.totals.rows/")
    assert w.read([snapshot]).to_dicts() == TOTALS.select("y", "total").sort("y").to_dicts()  # only what it names
    w.table("shop.totals", pl.DataFrame({"y": ["z"], "total": [1]}), {"y": "string", "total": "integer"})
    assert w.handle(first.event) == []  # delivered again: the verdict stands
    document = w.document("verdicts", "b1:1")
    assert document is not None
    assert document["snapshots"] == [snapshot]
    assert w.judge(ROWS, "b2").validated.snapshots != [snapshot]
    assert w.judge(ROWS, "b3").validated.snapshots == w.judge(ROWS, "b4").validated.snapshots


def test_a_table_that_is_not_there_holds_the_batch_and_is_named(world: Make) -> None:
    w = world(_columns(OFF, mustBe=0))
    result = w.judge(ROWS)
    assert result.held is not None
    assert result.held.reason == "the query (q) cannot be asked: the table shop.totals does not exist yet"
    evidence = result.evidence("quality:sql", "x")
    assert (evidence["observed"], evidence["tables"]) == (None, ["shop.totals"])
    w.table("shop.totals", TOTALS.filter(pl.col("y") != "c"), {"y": "string", "total": "integer", "day": "date"})
    assert w.judge(ROWS, "b2").held is None


def test_a_table_that_is_too_large_is_not_copied(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.validate.other_tables.CELLS_MAX", 7)
    w = world(_columns(OFF, mustBe=0, severity="warning"))
    w.table("shop.totals", TOTALS, {"y": "string", "total": "integer", "day": "date"})
    result = w.judge(ROWS)
    assert result.held is None
    assert "more than 3 rows" in result.incidents["quality:sql", "x"].message
    assert result.validated.snapshots == []


MANY = pl.DataFrame({"y": [f"{n:0100}" for n in range(1_000)], "total": [1] * 1_000})
COUNTED = "SELECT COUNT(*) FROM TABLE WHERE y IS NULL"


def _reading(world: Make, *tables: str) -> tuple[World, list[str]]:
    """A contract with a query for each table, all of them alike in size, and what the warehouse is asked."""
    columns = _columns(COUNTED)
    columns[0]["quality"] = [
        {"type": "sql", "query": COUNTED.replace("TABLE", each), "name": f"of {each}", "mustBe": 0, "severity": "info"}
        for each in tables
    ]
    w, asked = world(columns), []
    for name in sorted(set(tables)):
        w.table(f"shop.{name}", MANY, {"y": "string", "total": "integer"})
    query = w.process.warehouse.query

    def noted(sql: str, *arguments: Any, **named: Any) -> Any:
        asked.append(sql)
        return query(sql, *arguments, **named)

    w.process.warehouse.query = noted  # type: ignore[method-assign]
    return w, asked


def test_a_table_is_kept_until_no_later_query_reads_it(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.validate.other_tables.BYTES_MAX", 150_000)  # of one table, not of two
    w, asked = _reading(world, "a", "a", "b", "c")
    assert ("quality:sql", "x") not in w.judge(ROWS).incidents
    assert len(asked) == 3  # the second finds what the first has read
    together, _ = _reading(world, "a", "b", "a")
    found = together.judge(ROWS).evidence("quality:sql", "x")
    assert [(each["name"], each["observed"]) for each in found["rules"]] == [("of b", None)]
    assert found["unanswered"] == "the table shop.b is too large: at most 0 MB of other tables are kept at once"


def test_long_texts_are_not_even_read(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.validate.other_tables.BYTES_MAX", 99_999)
    monkeypatch.setattr("services.validate.other_tables.TEXTS_ASKED", 1_000)
    w, asked = _reading(world, "a")
    assert w.judge(ROWS).evidence("quality:sql", "x")["unanswered"].startswith("the table shop.a is too large")
    assert asked == ["SELECT COALESCE(SUM(CHAR_LENGTH(`y`)), 0) AS n FROM `shop`.`a`"]


def test_nothing_is_asked_for_a_rule_that_a_person_has_waived(world: Make) -> None:
    gone = world(_columns("SELECT COUNT(*) FROM totals WHERE totals.gone > 1", mustBe=0))
    gone.table("shop.totals", TOTALS, {"y": "string", "total": "integer", "day": "date"})
    result = gone.judge(ROWS, waive=["quality:sql:x"])
    assert result.held is None
    assert result.validated.snapshots == []


def test_a_column_that_another_table_lacks_is_an_error_with_the_line(world: Make) -> None:
    w = world(_columns("SELECT COUNT(*) FROM totals WHERE totals.gone > 1", mustBe=0))
    w.table("shop.totals", TOTALS, {"y": "string", "total": "integer", "day": "date"})
    with pytest.raises(DefinitionError, match=r"it reads shop\.totals as well") as error:
        w.judge(ROWS)
    assert error.value.line > 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT COUNT(*) FROM ${table} b LEFT JOIN totals o ON o.y = b.y WHERE o IS NULL",
        "SELECT COUNT(totals) FROM ${table} LEFT JOIN totals USING (y)",
        "SELECT COUNT(o) FROM ${table} b LEFT JOIN (SELECT y FROM totals) AS o ON o.y = b.y",
        "WITH o AS (SELECT y FROM totals) SELECT COUNT(*) FROM ${table} b LEFT JOIN o ON o.y = b.y WHERE o IS NULL",
        "SELECT COUNT(b) FROM ${table} b",
    ],
)
def test_a_table_is_no_value(world: Make, query: str) -> None:
    w = world(_columns(query, mustBe=0))
    w.table("shop.totals", TOTALS, {"y": "string", "total": "integer", "day": "date"})
    with pytest.raises(DefinitionError, match=r"is a table and no value: name a column of it"):
        w.judge(ROWS)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "DROP TABLE batch",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM duckdb_settings()",
    ],
)
def test_the_engine_is_shut_in_by_itself(sql: str) -> None:
    with pytest.raises(TerminalError):
        DuckDbSqlEngine(200).values([sql], [ROWS.to_arrow()])


def test_a_batch_beyond_the_engines_memory_is_an_error() -> None:
    rows = pl.DataFrame({"x": pl.int_range(0, 500_000, eager=True).hash().cast(pl.String)}).to_arrow()
    with pytest.raises(TerminalError, match="the query failed: Out of Memory"):
        DuckDbSqlEngine(20).values(["SELECT COUNT(DISTINCT x) FROM batch"], [rows] * 5)


@pytest.mark.parametrize("name", ["things", "things_v1", "THINGS_V1", "shop.things_v1"])
def test_a_query_may_call_the_table_by_either_of_its_names(name: str) -> None:
    made = prepare(_rule(f"SELECT COUNT(*) FROM {name}"), ("things", "shop.things_v1"), "c.yaml", "trial")
    assert not made.others


def test_null_is_said_to_be_null(world: Make) -> None:
    result = world(_columns("SELECT MAX(x) FROM ${table} WHERE 1 = 0", mustBe=3)).judge(ROWS)
    assert "gives null where the contract wants exactly 3" in result.incidents["quality:sql", "x"].message


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(TerminalError, match="there is no column sise"):
        DuckDbSqlEngine().values(["SELECT COUNT(sise) FROM batch"], [ROWS.to_arrow()], {})


@pytest.mark.parametrize(
    "sentence", ['format "password" is not checked', "Invalid expression / Unexpected token (line 3 of the query)"]
)
def test_our_own_sentences_are_no_secrets(sentence: str) -> None:
    assert clean(sentence) == sentence
    assert "hunter2" not in clean("password hunter2")

"""What of a contract cannot be checked here is said, and the rest of it is used."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from services.validate.checkable import checkable
from services.validate.pushdown import _alike
from shared.domain.contract import Contract, parse_contract
from tests.unit.validate.world import World

Make = Callable[..., World]
HEAD = "apiVersion: v3.2.0\nkind: DataContract\nid: x\nversion: '1'\nschema:\n  - name: t\n    properties:\n"


def read(*columns: str) -> Contract:
    return checkable(parse_contract(HEAD + "".join(f"      - {each}\n" for each in columns), "c.yaml"), "c.yaml")


PATTERNS = [
    (r"^\p{L}+$", ["é", "1"], {2}),
    (r"^(?<y>[0-9]{4})$", ["2020", "20"], {2}),
    (r"^[a-c&&[^b]]$", ["a", "b"], {2}),
    (r"^(?!x)", ["y", "x"], {2}),
    (r"^(a)\1$", ["aa", "ab"], {2}),
    (r"^[[a](?=b)", ["[b", "b"], {2}),
    ("^[a-c", ["a", "d"], set()),
]


@pytest.mark.parametrize(("pattern", "cells", "failing"), PATTERNS)
def test_patterns_are_those_of_the_engine_that_runs_them(
    world: Make, pattern: str, cells: list[str], failing: set[int]
) -> None:
    w = world([{"name": "x", "logicalType": "string", "logicalTypeOptions": {"pattern": pattern}}])
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        assert w.judge(pl.DataFrame({"x": cells})).reasons.get(("pattern", "x"), set()) == failing


def test_a_pattern_that_no_engine_reads_is_said(world: Make) -> None:
    pattern = "logicalTypeOptions: {pattern: '^[a-c'}"
    contract = read(
        f"{{name: a, logicalType: string, {pattern}}}",
        f"{{name: o, logicalType: object, properties: [{{name: b, logicalType: string, {pattern}}}]}}",
        f"{{name: l, logicalType: array, items: {{logicalType: string, {pattern}}}}}",
        "{name: q, logicalType: string, quality: [{metric: invalidValues, arguments: {pattern: '('}, mustBe: 3}]}",
        "{name: fine, logicalType: string, logicalTypeOptions: {pattern: '^(?=a)'}}",
    )
    told: list[tuple[str, Any]] = [
        (each.column, each.what.partition(" is no regular")[0]) for each in contract.unsupported
    ]
    assert told == [
        ("a", "the pattern is not checked: ^[a-c"),
        ("o.b", "the pattern is not checked: ^[a-c"),
        ("l[]", "the pattern is not checked: ^[a-c"),
        ("q", "quality rule (invalidValues) is not checked: ("),
    ]
    assert [column.pattern for column in contract.columns] == ["", "", "", "", "^(?=a)"]
    assert contract.quality == ()
    inside = contract.columns[1].inside
    assert inside is not None
    assert inside.properties[0].pattern == ""


QUERIES = [
    ("SELECT COUNTIF(A > 1) FROM ${table}", ""),
    ("SELECT COUNTIF(b > 1) FROM ${table}", "b"),
    ("SELECT COUNTIF(x.B > 1) FROM ${table} x", "b"),
    ("SELECT COUNTIF(`b` > 1) FROM t", "b"),
    ("SELECT COUNTIF(raw.b > 1) FROM raw", "b"),
    ("SELECT COUNT(*) FROM ${table} GROUP BY b", "b"),
    ("SELECT COUNT(*) FROM ${table} x JOIN ${table} y USING (b)", "b"),
    ("SELECT COUNT(*) FROM (SELECT a, COUNT(*) AS n FROM ${table} GROUP BY a) AS g WHERE g.n > 1 AND n > 1", ""),
    ("SELECT COUNT(*) FROM (SELECT a, COUNT(*) AS n FROM ${table} GROUP BY a) AS g WHERE g.m > 1", ""),
    ("WITH g(k) AS (SELECT a FROM ${table}) SELECT COUNT(k) FROM g", ""),
    ("WITH g AS (SELECT b AS k FROM ${table}) SELECT COUNT(k) FROM g", "b"),
    ("SELECT COUNTIF(DATE_DIFF(d, DATE_TRUNC(d, MONTH), DAY) > EXTRACT(YEAR FROM d)) FROM ${table}", ""),
    ("SELECT COUNTIF(JSON_VALUE(o, '$.b') = 'b') FROM ${table}", ""),
    ("SELECT COUNTIF(other.z > x.b) FROM ${table} AS x JOIN other ON other.a = x.a", "b"),
    ("SELECT COUNTIF(b > 1) FROM ${table} AS x JOIN other ON other.a = x.a", ""),
    ("SELECT COUNTIF(gone.b > 1) FROM ${table}", "gone"),
    ("SELECT COUNTIF(spoken > 1) FROM ${table}", "spoken"),
    ("SELECT COUNT(*) FROM ${table}", ""),
]


@pytest.mark.parametrize(("query", "missing"), QUERIES)
def test_a_query_about_a_column_that_the_contract_lacks_is_said(query: str, missing: str) -> None:
    text = HEAD.replace("- name: t\n", "- name: t\n    physicalName: raw\n")
    text += "      - {name: a, logicalType: integer}\n      - {name: d, logicalType: date}\n"
    text += "      - {name: o, logicalType: object}\n      - {name: spoken, physicalName: c, logicalType: integer}\n"
    rule = f"    quality: [{{type: sql, name: theirs, query: {json.dumps(query)}, mustBe: 0}}]\n"
    contract = checkable(parse_contract(text + rule, "c.yaml"), "c.yaml")
    assert len(contract.quality) == (not missing)
    told = [each.what.partition(" is not checked: ")[2] for each in contract.unsupported]
    assert [each.partition(" (")[0] for each in told] == [f'the contract has no column "{missing}"'] * bool(missing)
    assert missing != "spoken" or told[0].endswith("(it is called c in the data)")


def test_the_rest_is_judged_and_an_accepted_column_is_asked(world: Make) -> None:
    query = "SELECT COUNTIF(z > 1) FROM ${table}"
    quality = [{"type": "sql", "name": "theirs", "query": query, "mustBe": 0}]
    w = world([{"name": "x", "logicalType": "integer", "required": True, "quality": quality}])
    judged = w.judge(pl.DataFrame({"x": ["1", None]}))
    assert (judged.held, judged.validated.rows_quarantined) == (None, 1)
    judged = w.judge(pl.DataFrame({"x": ["1"], "z": ["2"]}), batch="b2", accept_columns=["z:integer"])
    assert judged.evidence("quality:sql", "x")["observed"] == 1


def test_sets_within_brackets_are_not_pushed_down() -> None:
    assert [_alike(each) for each in ("^[a-c&&[^b]]$", "^[a-z--b]$", "^[a-c]$")] == [False, False, True]

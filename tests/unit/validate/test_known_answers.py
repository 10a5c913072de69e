"""Known answers: small deliveries whose failing rows are written down by hand, of contents and of relationships.

A case is one line: what the contract says, the cells of each row (numbered from 1), and the rows that fail by check.
Two rows make a part, so that most cases cross the border of one.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.validate.known_answers import Rows, judged
from tests.unit.validate.world import World

# ── content: what a cell or a column may hold ──────────────────────────────────────────────────────────────────────


def of(kind: str, **about: Any) -> dict[str, Any]:
    options = {name: about.pop(name) for name in list(about) if name in OPTIONS}
    column: dict[str, Any] = {"name": "x", "logicalType": kind, **about}
    return column | ({"logicalTypeOptions": options} if options else {})


OPTIONS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "format",
}  # fmt: skip


def values(*allowed: Any) -> list[dict[str, Any]]:
    return [{"value": each} for each in allowed]


CONTENT: list[tuple[dict[str, Any], list[str | None], Rows]] = [
    (of("string", required=True), ["a", "", None], {"required": {2, 3}}),
    (of("integer", required=True), ["0", "", "x"], {"required": {2}, "type": {3}}),
    (of("string", required=True), [" ", "0", "null"], {}),
    (of("date", required=True), ["2020-01-01", None], {"required": {2}}),
    (of("boolean", required=True), ["no", ""], {"required": {2}}),
    (of("string"), ["", None, "x"], {}),
    (of("integer", minimum=0), ["0", "-1", "1"], {"range": {2}}),
    (of("integer", maximum=5), ["5", "6", ""], {"range": {2}}),
    (of("integer", minimum=1, maximum=3), ["0", "1", "3", "4"], {"range": {1, 4}}),
    (of("integer", exclusiveMinimum=0), ["0", "1"], {"range": {1}}),
    (of("integer", exclusiveMaximum=0), ["0", "-1"], {"range": {1}}),
    (of("number", minimum=0.1), ["0.1", "0.09", "0.10"], {"range": {2}}),
    (of("number", minimum=-0.5, exclusiveMaximum=0.5), ["-0.5", "0.5", "0.4999"], {"range": {2}}),
    (of("number", minimum=0), ["-0.0", "-1e-9"], {"range": {2}}),
    (of("number", maximum=1e6), ["1e6", "1000000.01", "1e7"], {"range": {2, 3}}),
    (of("date", minimum="2020-01-01"), ["2019-12-31", "2020-01-01"], {"range": {1}}),
    (of("date", maximum="2020-02-29"), ["2020-03-01", "2020-02-29"], {"range": {1}}),
    (of("date", exclusiveMinimum="2020-01-01"), ["2020-01-01", "2020-01-02"], {"range": {1}}),
    (of("timestamp", minimum="2020-01-01T00:00:00Z"), ["2019-12-31T23:59:59Z", "2020-01-01T00:00:00Z"], {"range": {1}}),
    (of("timestamp", maximum="2020-01-01T00:00:00Z"), ["2020-01-01T01:00:00+02:00", "2020-01-01T00:00:01Z"],
     {"range": {2}}),
    (of("time", minimum="09:00:00+01:00"), ["07:59:59", "08:00"], {"range": {1}}),
    (of("time", minimum="08:00:00"), ["07:59:59", "08:00"], {"range": {1}}),
    (of("integer", minimum=0, maximum=10**19), ["-1", "0", str(2**63 - 1), str(2**63)], {"range": {1}, "type": {4}}),
    (of("integer", minimum=10**19), ["0", str(2**63 - 1)], {"range": {1, 2}}),
    (of("integer", exclusiveMaximum=-(10**19)), ["0", ""], {"range": {1}}),
    (of("integer", exclusiveMinimum=-(10**19)), ["0", str(-(2**63))], {}),
    (of("integer", multipleOf=10**19), ["0", "5"], {"multiple_of": {2}}),
    (of("integer", enum=values(10**19)), ["1", ""], {"enum": {1}}),
    (of("integer", enum=values(1, 10**19)), ["1", "2"], {"enum": {2}}),
    (of("integer", format="u64"), ["-1", "7", str(2**64 - 1)], {"range": {1}, "type": {3}}),
    (of("number", minimum=10**44, multipleOf=10**19), ["1e45", "5"], {"range": {2}, "multiple_of": {2}}),
    (of("integer", multipleOf=5), ["10", "11", "0", "-5"], {"multiple_of": {2}}),
    (of("number", multipleOf=0.1), ["0.3", "0.35", "0.7"], {"multiple_of": {2}}),
    (of("number", multipleOf=0.25), ["1.25", "1.3", "-0.75"], {"multiple_of": {2}}),
    (of("string", minLength=2), ["a", "ab", "é", "éé"], {"length": {1, 3}}),
    (of("string", maxLength=2), ["ab", "abc", "日本", "日本語"], {"length": {2, 4}}),
    (of("string", minLength=2, maxLength=2), ["a", "ab", "abc"], {"length": {1, 3}}),
    (of("string", minLength=1), ["", None, "a"], {}),
    (of("string", maxLength=1), ["👍", "e\u0301"], {"length": {2}}),
    (of("string", pattern="^[A-Z]{3}$"), ["ABC", "ABCD", "abc", "AB"], {"pattern": {2, 3, 4}}),
    (of("string", pattern="b"), ["abc", "ac"], {"pattern": {2}}),
    (of("string", pattern="^a$"), ["a", "a\n", "\na"], {"pattern": {2, 3}}),
    (of("string", pattern=r"^\d+$"), ["12", "1a", "٣"], {"pattern": {2}}),
    (of("string", pattern="^(?!x)"), ["a", "x", "ax"], {"pattern": {2}}),
    (of("string", pattern="(?i)^yes$"), ["YES", "no"], {"pattern": {2}}),
    (of("string", pattern="^$"), ["", None, "a"], {"pattern": {3}}),
    (of("string", enum=values("a", "b")), ["a", "c", "A", "b "], {"enum": {2, 3, 4}}),
    (of("string", enum=values("a")), ["", None, "a"], {}),
    (of("integer", enum=values(1, 2)), ["1", "2.0", "3"], {"enum": {3}}),
    (of("number", enum=values(0.5)), ["0.5", "0.50", "5e-1", "1"], {"enum": {4}}),
    (of("date", enum=values("2020-01-01")), ["2020-01-01", "2020-01-02"], {"enum": {2}}),
    (of("string", enum=values("it's", 'a"b', "a,b")), ["it's", 'a"b', "a,b", "ab"], {"enum": {4}}),
    (of("string", enum=values("é")), ["é", "e\u0301"], {"enum": {2}}),
    (of("string", unique=True), ["a", "b", "a"], {"unique": {1, 3}}),
    (of("string", unique=True), ["a", "A", "a "], {}),
    (of("string", unique=True), ["", "", None], {}),
    (of("integer", unique=True), ["1", "1.0", "01"], {"unique": {1, 2, 3}}),
    (of("integer", unique=True), ["1", "x", "x"], {"type": {2, 3}}),
    (of("number", unique=True), ["0", "-0.0", "1"], {"unique": {1, 2}}),
    (of("timestamp", unique=True), ["2020-01-01T00:00:00Z", "2020-01-01T02:00:00+02:00"], {"unique": {1, 2}}),
    (of("integer", primaryKey=True, primaryKeyPosition=1), ["1", "1", "2"], {"primary_key": {1, 2}}),
    (of("integer", primaryKey=True, primaryKeyPosition=1), ["1", "", ""], {"required": {2, 3}}),
    (of("integer", required=True, minimum=1, multipleOf=2), ["", "0", "3", "-3"],
     {"required": {1}, "range": {2, 4}, "multiple_of": {3, 4}}),
    (of("string", minLength=3, pattern="^a"), ["ab", "b", "abc"], {"length": {1, 2}, "pattern": {2}}),
    (of("string", enum=values("a"), unique=True), ["b", "b", "a"], {"enum": {1, 2}, "unique": {1, 2}}),
    (of("integer", minimum=0), ["x", "-1"], {"type": {1}, "range": {2}}),
    (of("string", maxLength=3, customProperties=[{"property": "nullValues", "value": ["n/a"]}]), ["n/a", "abcd"],
     {"length": {2}}),
    (of("integer", required=True, customProperties=[{"property": "nullValues", "value": ["-"]}]), ["-", "1", ""],
     {"required": {1}, "type": {3}}),
    (of("string", quality=[{"metric": "nullValues", "mustBe": 0}]), ["a", "", None], {"required": {2, 3}}),
    (of("string", quality=[{"metric": "duplicateValues", "mustBe": 0}]), ["a", "a"], {"unique": {1, 2}}),
    (of("string", quality=[{"metric": "invalidValues", "arguments": {"validValues": ["a"]}, "mustBe": 0}]), ["a", "b"],
     {"enum": {2}}),
    (of("string", quality=[{"metric": "invalidValues", "arguments": {"pattern": "^a"}, "mustBe": 0}]), ["a", "b"],
     {"pattern": {2}}),
]  # fmt: skip


@pytest.mark.parametrize(("column", "cells", "failing"), CONTENT)
def test_cells_that_break_their_columns_rules(
    known_world: World, column: dict[str, Any], cells: list[str | None], failing: Rows
) -> None:
    result = judged(known_world, [column], {"x": cells})
    assert {check: rows for (check, _), rows in result.reasons.items()} == failing
    assert result.validated.rows_passed == len(cells) - len(set().union(*failing.values()))


# ── relationships: other tables, and columns among themselves ──────────────────────────────────────────────────────

TEXT, WHOLE = {"logicalType": "string"}, {"logicalType": "integer"}
ROW_KEYS: dict[str, Any] = {
    "relationships": [{"type": "foreignKey", "from": ["things.a", "things.b"], "to": ["shelves.shop", "shelves.shelf"]}]
}


WARNING = [{"property": "severity", "value": "warning"}]


def dependency(known: list[str], other: list[str]) -> dict[str, Any]:
    return {"customProperties": [{"property": "functionalDependencies", "value": [{"from": known, "to": other}]}]}


def refers(to: str, **about: Any) -> dict[str, Any]:
    return {"relationships": [{"type": "foreignKey", "to": to, **about}]}


def key(*positions: int) -> list[dict[str, Any]]:
    return [{"primaryKey": True, "primaryKeyPosition": position} for position in positions]


Related = tuple[list[dict[str, Any]], dict[str, Any], dict[str, list[str | None]], dict[tuple[str, str], set[int]]]
RELATED: list[Related] = [
    # one column's key in another table
    ([{"name": "a", **TEXT, **refers("countries.code")}], {}, {"a": ["de", "fr", "pt"]}, {("relationship", "a"): {2}}),
    ([{"name": "a", **TEXT, **refers("countries.code")}], {}, {"a": ["", None]}, {}),
    ([{"name": "a", **TEXT, **refers("countries.code")}], {}, {"a": ["DE", "de "]}, {("relationship", "a"): {1, 2}}),
    ([{"name": "a", **TEXT, **refers("shop.countries.code")}], {}, {"a": ["no", "xx"]}, {("relationship", "a"): {2}}),
    ([{"name": "a", **TEXT, **refers("empty.code")}], {}, {"a": ["de", ""]}, {("relationship", "a"): {1}}),
    ([{"name": "a", **TEXT, **refers("nowhere.code")}], {}, {"a": ["de", ""]}, {("relationship", "a"): {1}}),
    ([{"name": "a", **WHOLE, **refers("shelves.shelf")}], {}, {"a": ["1", "2.0", "3"]}, {("relationship", "a"): {3}}),
    ([{"name": "a", **WHOLE, **refers("shelves.shelf")}], {}, {"a": ["x", "9"]},
     {("type", "a"): {1}, ("relationship", "a"): {2}}),
    ([{"name": "a", "logicalType": "date", **refers("days.day")}], {}, {"a": ["2020-01-01", "2020-01-02"]},
     {("relationship", "a"): {2}}),
    ([{"name": "a", **TEXT, "required": True, **refers("countries.code")}], {}, {"a": ["", "xx", "de"]},
     {("required", "a"): {1}, ("relationship", "a"): {2}}),
    ([{"name": "a", **TEXT, "enum": values("de", "xx"), **refers("countries.code")}], {}, {"a": ["xx", "pt", "de"]},
     {("relationship", "a"): {1}, ("enum", "a"): {2}}),
    ([{"name": "a", **TEXT, "unique": True, **refers("countries.code")}], {}, {"a": ["xx", "xx", "de"]},
     {("relationship", "a"): {1, 2}, ("unique", "a"): {1, 2}}),
    ([{"name": "a", **TEXT, **refers("countries.code")}, {"name": "b", **TEXT, **refers("countries.code")}], {},
     {"a": ["de", "xx"], "b": ["xx", "xx"]}, {("relationship", "a"): {2}, ("relationship", "b"): {1, 2}}),
    # a key of two columns in another table
    ([{"name": "a", **TEXT}, {"name": "b", **WHOLE}], ROW_KEYS, {"a": ["s1", "s2", "s2"], "b": ["2", "1", "2"]},
     {("relationship", "a,b"): {3}}),
    ([{"name": "a", **TEXT}, {"name": "b", **WHOLE}], ROW_KEYS, {"a": ["", "s9"], "b": ["9", ""]}, {}),
    ([{"name": "a", **TEXT}, {"name": "b", **WHOLE}], ROW_KEYS, {"a": ["s1", "s9"], "b": ["x", "1"]},
     {("type", "b"): {1}, ("relationship", "a,b"): {2}}),
    ([{"name": "a", **TEXT}, {"name": "b", **WHOLE}], ROW_KEYS, {"a": ["s1"] * 3, "b": ["1"] * 3}, {}),
    # a table's own rows
    ([{"name": "a", **TEXT, **key(1)[0]}, {"name": "b", **TEXT, **refers("things.a")}], {},
     {"a": ["x", "y", "z"], "b": ["y", "w", ""]}, {("relationship", "b"): {2}}),
    ([{"name": "a", **TEXT, **key(1)[0]}, {"name": "b", **TEXT, **refers("things.a")}], {},
     {"a": ["x", "y"], "b": ["x", "y"]}, {}),
    # keys of several columns
    ([{"name": "a", **TEXT, **key(1)[0]}, {"name": "b", **TEXT, **key(2)[0]}], {},
     {"a": ["x", "x", "y"], "b": ["1", "1", "1"]}, {("primary_key", "a,b"): {1, 2}}),
    ([{"name": "a", **TEXT, **key(1)[0]}, {"name": "b", **TEXT, **key(2)[0]}], {},
     {"a": ["x", "x"], "b": ["1", "2"]}, {}),
    ([{"name": "a", **TEXT, **key(1)[0]}, {"name": "b", **TEXT, **key(2)[0]}], {},
     {"a": ["x", "x", ""], "b": ["", "", "1"]}, {("required", "b"): {1, 2}, ("required", "a"): {3}}),
    ([{"name": "a", **TEXT, **key(1)[0]}, {"name": "b", **TEXT, **key(2)[0]}], {},
     {"a": ["ab", "a"], "b": ["c", "bc"]}, {}),
    ([{"name": "a", **WHOLE, **key(2)[0]}, {"name": "b", **WHOLE, **key(1)[0]}], {},
     {"a": ["1", "2"], "b": ["2", "1"]}, {}),
    ([{"name": "a", **WHOLE, **key(2)[0]}, {"name": "b", **WHOLE, **key(1)[0]}], {},
     {"a": ["1", "1"], "b": ["2", "2.0"]}, {("primary_key", "b,a"): {1, 2}}),
    ([{"name": "a", **TEXT, "unique": True}, {"name": "b", **TEXT, "unique": True}], {},
     {"a": ["x", "x", "y"], "b": ["1", "2", "2"]}, {("unique", "a"): {1, 2}, ("unique", "b"): {2, 3}}),
    ([{"name": "a", **TEXT, **key(1)[0]}, {"name": "b", **TEXT, "unique": True}], {},
     {"a": ["x", "x"], "b": ["1", "1"]}, {("primary_key", "a"): {1, 2}, ("unique", "b"): {1, 2}}),
    # combinations that a rule of the table counts
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}],
     {"quality": [{"metric": "duplicateValues", "arguments": {"properties": ["a", "b"]}, "mustBe": 0}]},
     {"a": ["x", "x", "x"], "b": ["1", "1", ""]}, {("unique", "a,b"): {1, 2}}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}],
     {"quality": [{"metric": "duplicateValues", "arguments": {"properties": ["b"]}, "mustBe": 0}]},
     {"a": ["x", "y"], "b": ["1", "1"]}, {("unique", "b"): {1, 2}}),
    # what one column says of another
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}], dependency(["a"], ["b"]),
     {"a": ["x", "x", "y"], "b": ["1", "2", "1"]}, {("functional_dependency", "a"): {1, 2}}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}], dependency(["a"], ["b"]),
     {"a": ["x", "x", "y"], "b": ["1", "1", "1"]}, {}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}], dependency(["a"], ["b"]),
     {"a": ["x", "x", "x"], "b": ["1", "1", "2"]}, {("functional_dependency", "a"): {1, 2, 3}}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}], dependency(["a"], ["b"]),
     {"a": ["", "", "x"], "b": ["1", "2", "1"]}, {}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}], dependency(["a"], ["b"]),
     {"a": ["x", "x", "x"], "b": ["1", "", "1"]}, {}),
    ([{"name": "a", **TEXT}, {"name": "b", **WHOLE}], dependency(["a"], ["b"]),
     {"a": ["x", "x"], "b": ["1", "1.0"]}, {}),
    ([{"name": "a", **TEXT}, {"name": "b", **WHOLE}], dependency(["a"], ["b"]),
     {"a": ["x", "x", "y"], "b": ["1", "x", "2"]}, {("type", "b"): {2}}),
    ([{"name": "a", **WHOLE}, {"name": "b", **TEXT}], dependency(["a"], ["b"]),
     {"a": ["1", "01", "2"], "b": ["x", "y", "x"]}, {("functional_dependency", "a"): {1, 2}}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}, {"name": "c", **TEXT}], dependency(["a", "b"], ["c"]),
     {"a": ["x", "x", "x"], "b": ["1", "1", "2"], "c": ["p", "q", "q"]}, {("functional_dependency", "a,b"): {1, 2}}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}, {"name": "c", **TEXT}], dependency(["a"], ["b", "c"]),
     {"a": ["x", "x", "y"], "b": ["1", "1", "1"], "c": ["p", "q", "p"]}, {("functional_dependency", "a"): {1, 2}}),
    ([{"name": "a", **TEXT}, {"name": "b", **TEXT}, {"name": "c", **TEXT}], dependency(["a"], ["b", "c"]),
     {"a": ["x", "x"], "b": ["1", "1"], "c": ["p", "p"]}, {}),
    ([{"name": "a", **TEXT, **refers("countries.code")}, {"name": "b", **TEXT}], dependency(["a"], ["b"]),
     {"a": ["xx", "xx", "de"], "b": ["1", "2", "1"]},
     {("relationship", "a"): {1, 2}, ("functional_dependency", "a"): {1, 2}}),
    # a reference that is only told
    ([{"name": "a", **TEXT, **refers("countries.code", customProperties=WARNING)}], {}, {"a": ["xx", "de"]}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("properties", "table", "columns", "failing"), RELATED)
def test_rows_that_break_what_relates_them(
    known_world: World,
    properties: list[dict[str, Any]],
    table: dict[str, Any],
    columns: dict[str, list[str | None]],
    failing: dict[tuple[str, str], set[int]],
) -> None:
    assert judged(known_world, properties, columns, **table).reasons == failing


# Rules over several columns, in SQL: what the query gives on two columns of whole numbers, and whether that is allowed.
ACROSS: list[tuple[str, dict[str, Any], list[str | None], list[str | None], bool]] = [
    ("SELECT COUNTIF(a > b) FROM ${table}", {"mustBe": 0}, ["1", "2"], ["2", "3"], True),
    ("SELECT COUNTIF(a > b) FROM ${table}", {"mustBe": 0}, ["1", "4"], ["2", "3"], False),
    ("SELECT COUNTIF(a > b) FROM ${table}", {"mustBe": 0}, ["", "4"], ["2", ""], True),
    ("SELECT COUNTIF(a > b) FROM ${table}", {"mustBe": 0}, ["x", "1"], ["0", "1"], True),
    ("SELECT SUM(a) - SUM(b) FROM ${table}", {"mustBe": 0}, ["1", "2"], ["2", "1"], True),
    ("SELECT SUM(a) - SUM(b) FROM ${table}", {"mustBe": 0}, ["1", "2"], ["2", "2"], False),
    ("SELECT SUM(a) - SUM(b) FROM ${table}", {"mustBeBetween": [-1, 1]}, ["1", "2"], ["2", "2"], True),
    ("SELECT AVG(a) FROM ${table}", {"mustBeLessThan": 3}, ["1", "5"], ["0", "0"], False),
    ("SELECT AVG(a) FROM ${table}", {"mustBeLessOrEqualTo": 3}, ["1", "5"], ["0", "0"], True),
    ("SELECT MAX(a) FROM ${table}", {"mustBeGreaterThan": 4}, ["1", "5"], ["0", "0"], True),
    ("SELECT MIN(b) FROM ${table}", {"mustNotBe": 0}, ["1", "5"], ["0", "9"], False),
    ("SELECT COUNT(DISTINCT a) FROM ${table}", {"mustBe": 2}, ["1", "1", "2"], ["0"] * 3, True),
    ("SELECT COUNT(*) FROM ${table} WHERE a = b", {"mustBe": 0}, ["1", "2"], ["1", "3"], False),
    ("SELECT COUNT(*) FROM ${table} AS x JOIN ${table} AS y ON x.a = y.b", {"mustBe": 2}, ["1", "2"], ["2", "1"], True),
    ("SELECT COUNT(*) FROM (SELECT a FROM ${table} GROUP BY a HAVING SUM(b) > 5)", {"mustBe": 1}, ["1"] * 2, ["3"] * 2,
     True),
    ("WITH t AS (SELECT a + b AS s FROM ${table}) SELECT COUNTIF(s > 9) FROM t", {"mustBe": 0}, ["5"], ["5"], False),
    ("SELECT MAX(a) FROM ${table}", {"mustBeGreaterThan": 0}, ["", ""], ["", ""], False),
    ("SELECT COUNTIF(a IS NULL) = COUNTIF(b IS NULL) FROM ${table}", {"mustBe": 1}, ["", "1"], ["1", ""], True),
]  # fmt: skip


@pytest.mark.parametrize(("query", "allowed", "first", "second", "kept"), ACROSS)
def test_rules_over_several_columns(
    known_world: World,
    query: str,
    allowed: dict[str, Any],
    first: list[str | None],
    second: list[str | None],
    kept: bool,
) -> None:
    columns = [{"name": "a", **WHOLE}, {"name": "b", **WHOLE}]
    rule = {"quality": [{"type": "sql", "query": query, **allowed}]}
    result = judged(known_world, columns, {"a": first, "b": second}, **rule)
    assert (result.held is None) == kept


def test_there_are_sixty_of_each_family() -> None:
    assert len(CONTENT) >= 60
    assert len(RELATED) + len(ACROSS) >= 60

"""How quality rules with a threshold are read and written, and which are kept with the reason."""

from __future__ import annotations

import pytest

from mend.contract_changes import changes
from shared.domain.contract import Contract, QualityRule, parse_contract, write_contract
from shared.domain.errors import DefinitionError

_TEXT = """\
apiVersion: {api}
kind: DataContract
id: c
version: 1.0.0
status: active
schema:
  - name: t
    properties:
      - name: x
        logicalType: {kind}
        quality: [{column}]
      - {{name: Y, physicalName: y, logicalType: string}}
    quality: [{table}]
"""


def _read(column: str = "", table: str = "", kind: str = "string", api: str = "v3.1.0") -> Contract:
    contract = parse_contract(_TEXT.format(api=api, kind=kind, column=column, table=table), "c.yaml")
    assert parse_contract(write_contract(contract), "d.yaml") == contract
    return contract


def _rule(column: str = "", table: str = "", kind: str = "string", api: str = "v3.1.0") -> QualityRule:
    contract = _read(column, table, kind, api)
    assert contract.unsupported == ()
    return contract.quality[0]


def test_a_threshold_with_all_it_says() -> None:
    rule = _rule(
        "{metric: invalidValues, mustBeBetween: [1, 5], unit: percent, severity: info, dimension: conformity, name: n,"
        " arguments: {validValues: [1, 2.0, null], pattern: '^1'}}",
        kind="integer",
    )
    assert (rule.metric, rule.columns, rule.comparison, rule.low, rule.high) == (
        "invalidValues", ("x",), "mustBeBetween", 1, 5,
    )  # fmt: skip
    assert (rule.percent, rule.severity, rule.dimension, rule.name) == (True, "warning", "conformity", "n")
    assert (rule.valid_values, rule.pattern, rule.line) == ((1, 2), "^1", 11)
    assert rule.expected == "1 to 5 %"


def test_a_combination_of_columns_is_named_as_in_the_table() -> None:
    rule = _rule(table="{metric: duplicateValues, mustBeLessThan: 9, arguments: {properties: [Y, x]}}")
    assert (rule.columns, rule.severity) == (("y", "x"), "error")


@pytest.mark.parametrize("api", ["v3.0.0", "v3.0.2", "v3.1.0"])
def test_rule_is_an_older_word_for_metric(api: str) -> None:
    assert _rule("{rule: duplicateCount, mustBeLessThan: 10}", api=api).metric == "duplicateValues"
    assert _rule("{rule: nullValues, mustBeLessThan: 10, unit: percent}", api=api).percent


def test_a_rule_that_allows_no_row_but_only_warns_is_no_check_on_cells() -> None:
    contract = _read("{metric: nullValues, mustBe: 0, severity: warning}")
    assert not contract.columns[0].required
    assert contract.quality[0].severity == "warning"


@pytest.mark.parametrize(
    ("column", "table", "why"),
    [
        ("{metric: nullValues, mustBe: 3, unit: days}", "", "its unit is days"),
        ("{metric: nullValues, mustBe: few}", "", "mustBe is compared with a number"),
        ("{metric: nullValues, mustBe: true}", "", "mustBe is compared with a number"),
        ("{metric: nullValues, mustBeBetween: [5, 1]}", "", "the smaller one first"),
        ("{metric: rowCount, mustBe: 3}", "", "belongs to the table"),
        ("{metric: invalidValues, mustBe: 3}", "", "names neither validValues nor a pattern"),
        ("{metric: invalidValues, mustBe: 3, arguments: {validValues: a}}", "", "no list of values"),
        ("{metric: invalidValues, mustBe: 3, arguments: {pattern: 3}}", "", "its pattern is no text"),
        ("{metric: invalidValues, mustBe: 3, arguments: {minimum: 3}}", "", "the argument minimum"),
        ("{metric: duplicateValues, mustBe: 3, arguments: {properties: [x, Y]}}", "", "belongs to the table"),
        ("", "{metric: nullValues, mustBe: 3}", "it names no column"),
        ("", "{metric: duplicateValues, mustBe: 3}", "it names no column"),
        ("", "{metric: rowCount, mustBe: 3, unit: percent}", "has no percentage"),
    ],
)
def test_what_does_not_say_what_it_needs_is_kept_with_the_reason(column: str, table: str, why: str) -> None:
    contract = _read(column, table)
    assert contract.quality == ()
    assert [why in each.what for each in contract.unsupported] == [True]


def test_a_query_with_a_threshold() -> None:
    rule = _rule('{type: sql, query: "SELECT COUNT(*) FROM ${table}", mustBeGreaterThan: 3}')
    assert (rule.metric, rule.columns, rule.query) == ("sql", ("x",), "SELECT COUNT(*) FROM ${table}")
    assert _rule(table='{type: sql, query: "SELECT 1", mustBe: 1, severity: info}').severity == "warning"
    kept = _read('{type: sql, query: "SELECT 1", mustBe: yes}').unsupported
    assert ["mustBe is compared with a number" in each.what for each in kept] == [True]


def test_texts_and_other_engines_are_said() -> None:
    contract = _read("{type: text, description: d}", "{type: custom, engine: soda, implementation: x}")
    assert [each.what for each in contract.unsupported] == [
        "quality rule (text) is not checked: it is for people to read",
        "quality rule (custom) is not checked: the engine soda decides about it",
    ]


def test_objects_are_not_compared_as_a_whole() -> None:
    assert _rule("{metric: nullValues, mustBeLessThan: 3}", kind="object").metric == "nullValues"
    assert _read("{metric: missingValues, mustBeLessThan: 3}", kind="array").quality == ()


@pytest.mark.parametrize(
    ("column", "table", "message"),
    [
        ("{metric: invalidValues, mustBe: 3, arguments: {validValues: [a]}}", "", "must be a number"),
        ("", "{metric: duplicateValues, mustBe: 3, arguments: {properties: [z]}}", 'no column "z"'),
        ("{metric: nullValues, mustBe: 3, mustNotBe: 4}", "", "mustBe"),
        ("{metric: nullValues}", "", "mustBe"),
    ],
)
def test_what_contradicts_itself_is_refused(column: str, table: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        _read(column, table, kind="integer")


def test_a_changed_threshold_is_a_change_and_another_name_is_none() -> None:
    before = _read("{metric: nullValues, mustBeLessThan: 3, name: a}")
    assert [each.what for each in changes(before, _read("{metric: nullValues, mustBeLessThan: 3, name: b}"))] == []
    told = [each.what for each in changes(before, _read("{metric: nullValues, mustBeLessThan: 2, name: a}"))]
    assert told == [
        "a quality rule with a threshold is gone",
        "a quality rule with a threshold is new: rows that passed may be set aside",
    ]

"""Formats, bounds and allowed values in a column's own type; what cannot be read is said and not checked."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.contract import parse_contract, write_contract
from shared.domain.errors import DefinitionError
from tests.unit.domain.test_contract import with_column


def said(lines: str) -> list[str]:
    return [rule.what for rule in with_column(lines).unsupported]


@pytest.mark.parametrize(
    "text", ["VV", "YYYY-'W'ww-e", "QQQ yyyy", "epoch", "unix", "HH:mm:ss.n", "yyyy-MM-dd[ HH:mm]", "yyyy-MM-dd VV"]
)
@pytest.mark.parametrize("kind", ["date", "timestamp", "time"])
def test_a_format_that_is_not_known_leaves_text(kind: str, text: str) -> None:
    enum = "enum: [{value: Q1 2020}]\nquality: [{metric: invalidValues, arguments: {validValues: [a]}, mustBe: 3}]"
    contract = with_column(
        f"logicalType: {kind}\nlogicalTypeOptions: {{format: \"{text}\", minimum: '2020'}}\nrequired: true\n{enum}"
    )
    (column,) = contract.columns
    assert (column.logical_type, column.format, column.enum, column.minimum) == ("string", "", (), None)
    assert column.required
    assert contract.quality == ()
    first, second = contract.unsupported
    assert first.what.startswith(
        f"the {kind} is not checked, nor are its bounds and values: its cells stay text, since"
    )
    assert "invalidValues" in second.what
    assert parse_contract(write_contract(contract), "d.yaml").columns == contract.columns


@pytest.mark.parametrize("text", ["date-time", "ISO-8601", "ISO8601", "iso", "date", "RFC3339"])
def test_a_name_of_iso_8601_is_no_format_of_its_own(text: str) -> None:
    contract = with_column(f"logicalType: timestamp\nlogicalTypeOptions: {{format: {text}}}")
    assert (contract.columns[0].logical_type, contract.columns[0].format, contract.unsupported) == ("timestamp", "", ())


@pytest.mark.parametrize(
    ("kind", "options", "minimum"),
    [
        ("date", "minimum: '01.02.2020', format: dd.MM.yyyy", "2020-02-01"),
        ("date", "minimum: '2020-02-01', format: dd.MM.yyyy", "2020-02-01"),
        ("date", "minimum: '2020-02-01T00:00:00Z'", "2020-02-01"),
        ("timestamp", "minimum: '01.02.2020 08:00', format: 'dd.MM.yyyy HH:mm'", "2020-02-01T08:00:00"),
        ("time", "minimum: '08.30', format: 'HH.mm'", "08:30:00"),
    ],
)
def test_a_bound_may_be_written_as_the_cells_are(kind: str, options: str, minimum: str) -> None:
    contract = with_column(f"logicalType: {kind}\nlogicalTypeOptions: {{{options}}}")
    assert (contract.columns[0].minimum, contract.unsupported) == (minimum, ())


@pytest.mark.parametrize(
    ("kind", "bound"), [("date", "2020"), ("date", "2020-02-01T08:00:00"), ("timestamp", "yesterday"), ("time", "8")]
)
def test_a_bound_that_is_none_is_said(kind: str, bound: str) -> None:
    contract = with_column(f"logicalType: {kind}\nlogicalTypeOptions: {{maximum: '{bound}'}}")
    assert contract.columns[0].maximum is None
    assert [rule.what for rule in contract.unsupported] == [f'maximum is not checked: "{bound}" is no {kind}']


@pytest.mark.parametrize(
    ("kind", "values", "enum"),
    [
        ("string", "[{value: 1}, {value: a}]", ("1", "a")),
        ("integer", "[{value: '1'}, {value: 2}]", (1, 2)),
        ("number", "[{value: '1.5'}]", (1.5,)),
        ("date", "[{value: '2020-02-01T00:00:00'}]", ("2020-02-01",)),
    ],
)
def test_allowed_values_come_into_the_column_s_type(kind: str, values: str, enum: tuple[Any, ...]) -> None:
    contract = with_column(f"logicalType: {kind}\nenum: {values}")
    assert (contract.columns[0].enum, contract.unsupported) == (enum, ())


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("string", "0.10", "one of a string column must be text, found a number"),
        ("string", "true", "one of a string column must be text, found true/false"),
        ("date", "2020-02-30", '"2020-02-30" is no date'),
    ],
)
def test_allowed_values_that_are_none_are_said(kind: str, value: str, why: str) -> None:
    contract = with_column(f"logicalType: {kind}\nenum: [{{value: {value}}}]")
    assert contract.columns[0].enum == ()
    assert [rule.what for rule in contract.unsupported] == [f"its allowed values are not checked: {why}"]


@pytest.mark.parametrize(
    ("zone", "name"),
    [("+02:00", "Etc/GMT-2"), ("GMT+2", "Etc/GMT-2"), ("UTC-05", "Etc/GMT+5"), ("+00:00", "Etc/UTC"), ("+05:30", "")],
)
def test_a_zone_may_be_a_distance(zone: str, name: str) -> None:
    contract = with_column(f"logicalType: timestamp\nlogicalTypeOptions: {{defaultTimezone: '{zone}'}}")
    assert (contract.columns[0].timezone, len(contract.unsupported)) == (name, 0 if name else 1)


def test_the_older_word_for_metric_is_read_at_every_depth() -> None:
    older = "quality: [{rule: duplicateCount, mustBe: 0}]"
    for inside in (
        f"properties: [{{name: b, {older}}}]",
        f"properties: [{{name: l, logicalType: array, items: {{{older}}}}}]",
    ):
        assert with_column(f"logicalType: object\n{inside}").columns


@pytest.mark.parametrize(("rule", "required", "unique"), [("nullCheck", True, False), ("uniqueCheck", False, True)])
def test_rules_of_version_3_0_that_allow_none(rule: str, required: bool, unique: bool) -> None:
    column = with_column(f"logicalType: string\nquality: [{{rule: {rule}}}]", "v3.0.2").columns[0]
    assert (column.required, column.unique) == (required, unique)


def test_rules_of_version_3_0_that_are_not_known_are_said() -> None:
    contract = with_column("quality: [{rule: theirOwn}, {rule: duplicateCount}]", "v3.0.2")
    assert [rule.what for rule in contract.unsupported] == [
        "quality rule (theirOwn) is not checked",
        "quality rule (duplicateValues) is not checked: it compares with nothing",
    ]


def test_what_the_timezone_of_a_time_means_is_said_as_it_is_read() -> None:
    assert "is moved by it" in said("logicalType: time\nlogicalTypeOptions: {timezone: true}")[0]
    assert "is no time" in said("logicalType: time\nlogicalTypeOptions: {timezone: false}")[0]
    assert "is read by that" in said("logicalType: timestamp\nlogicalTypeOptions: {timezone: true}")[0]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("physicalType: NUMBER(38,0)", "the size in physicalType NUMBER(38,0) is not checked"),
        ("logicalType: string\nphysicalType: VARCHAR(2)", "the size in physicalType VARCHAR(2) is not checked"),
        ("physicalType: weird thing", 'physicalType "weird thing" is not known here: the cells are taken as texts'),
        ("logicalType: boolean\nlogicalTypeOptions: {foo: 3}", "foo of a boolean is not checked"),
        (
            "customProperties: [{property: severity, value: critical}]",
            "the severity critical is not known here: it counts as error (write error or warning)",
        ),
        ("customProperties: [{property: unit, value: 5}]", "the custom property unit is not read: it is no text"),
        (
            "customProperties: [{property: nullValues, value: NA}]",
            "the custom property nullValues is not read: it is no list",
        ),
        (
            "relationships: [{to: b.id, customProperties: [{property: severity, value: critical}]}]",
            "the severity critical is not known here: it counts as error (write error or warning)",
        ),
    ],
)
def test_what_is_not_checked_is_said(lines: str, what: str) -> None:
    assert said(lines) == [what]


@pytest.mark.parametrize(
    "physical", ["VARCHAR", "text", "character varying", "INT(11)", "TIMESTAMP(6)", "VARCHAR(MAX)", "uuid"]
)
def test_a_physical_type_that_says_nothing_more_is_not_mentioned(physical: str) -> None:
    assert said(f"physicalType: {physical}") == []


HEAD = "apiVersion: {}\nkind: DataContract\nid: x\nversion: '1'\n"
TABLE = "schema:\n  - name: t\n    properties: [{name: a, logicalType: string}]\n"


def test_a_relationship_of_another_table_is_not_taken_for_this_one_s() -> None:
    relations = "    relationships: [{from: other.a, to: b.id}, {from: t.a, to: c.id}, {from: [t.a], to: [d.id]}]\n"
    contract = parse_contract(HEAD.format("v3.1.0") + TABLE + relations, "c.yaml")
    assert [each.table for each in contract.references] == ["c", "d"]
    assert [each.what for each in contract.unsupported] == [
        "a relationship from other is not checked: that is another table"
    ]


def test_functional_dependencies_of_another_tool_are_said() -> None:
    theirs = "{property: functionalDependencies, value: a -> b}, {property: p, value: 1}, {property: p, value: 2}"
    customs = f"    customProperties: [{theirs}]\n"
    contract = parse_contract(HEAD.format("v3.1.0") + TABLE + customs, "c.yaml")
    assert [each.what for each in contract.unsupported] == [
        "the custom property functionalDependencies is not read: it is no list"
    ]
    assert contract.custom == (("functionalDependencies", '"a -> b"'), ("p", "1"), ("p", "2"))
    assert parse_contract(write_contract(contract), "d.yaml") == contract


@pytest.mark.parametrize(
    "more",
    [
        "servers: [{server: s, type: api, location: http://x, format: json}]\n",
        "servers: [{server: s, type: kafka, host: h, topic: t}]\n",
        "team: [{username: u, comment: c}]\n",
    ],
    ids=["api", "kafka", "team"],
)
def test_what_version_3_0_allows_beside_the_data_is_allowed(more: str) -> None:
    assert parse_contract(HEAD.format("v3.0.2") + TABLE + more, "c.yaml").unsupported == ()


@pytest.mark.parametrize("more", ["type: api, location: http://x, format: json", "type: kafka, host: h, topic: t"])
def test_what_version_3_1_no_longer_allows_of_servers_is_said(more: str) -> None:
    contract = parse_contract(HEAD.format("v3.1.0") + TABLE + f"servers: [{{server: s, {more}}}]\n", "c.yaml")
    assert all("unknown key" in each.what for each in contract.unsupported)
    assert contract.unsupported


def test_what_every_tool_refuses_is_refused() -> None:
    with pytest.raises(DefinitionError, match="unknown key"):
        parse_contract(HEAD.format("v3.1.0") + TABLE + "team: {name: t, members: [{username: u, c: d}]}\n", "c.yaml")


@pytest.mark.parametrize(("word", "required"), [("yes", True), ("No", False), ("on", True)])
def test_older_words_for_true_and_false(word: str, required: bool) -> None:
    assert with_column(f"logicalType: string\nrequired: {word}").columns[0].required is required


def test_a_table_of_another_kind_is_said() -> None:
    contract = parse_contract(
        HEAD.format("v3.2.0") + TABLE.replace("name: t\n", "name: t\n    logicalType: blob\n"), "c"
    )
    assert ["what a blob holds" in each.what for each in contract.unsupported] == [True]

"""Contracts: read strictly from the standard's YAML, written to read back equal, slips named with their place."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files

import jsonschema
import pytest
import yaml

from services.validate.checkable import checkable
from shared.domain.contract import (
    Column,
    Contract,
    DriftLimits,
    FunctionalDependency,
    Reference,
    RowCountRule,
    SlaProperty,
    parse_contract,
    write_contract,
)
from shared.domain.errors import DefinitionError

GOOD = """\
apiVersion: v3.2.0
kind: DataContract
id: flights
version: 1.0.0
status: active
schema:
  - name: flights
    properties:
      - name: year
        logicalType: integer
        logicalTypeOptions: {minimum: 2000, maximum: 2100}
        required: true
        primaryKey: true
        primaryKeyPosition: 2
      - name: carrier
        logicalType: string
        logicalTypeOptions: {pattern: '^[A-Z0-9]{2}$', maxLength: 2}
        required: true
        primaryKey: true
        primaryKeyPosition: 1
        synonyms: [{synonym: airline}]
        relationships: [{to: airlines.carrier}]
        customProperties:
          - {property: allowedRepairs, value: [snap]}
      - name: origin
        logicalType: string
        enum: [{value: EWR}, {value: JFK}, {value: NO}]
      - name: time_hour
        logicalType: timestamp
        logicalTypeOptions: {format: "yyyy-MM-dd'T'HH:mm:ssX", minimum: "2013-01-01T00:00:00Z"}
      - name: distance
        physicalType: NUMERIC(10,2)
    relationships:
      - {from: [flights.origin, flights.year], to: [weather.origin, weather.year]}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
      - {type: sql, query: "select 1", mustBe: 0}
slaProperties:
  - {property: frequency, value: 1, unit: d}
"""


def with_column(lines: str, api: str = "v3.2.0") -> Contract:
    """A contract whose only column has these lines."""
    body = "\n".join("        " + line for line in lines.splitlines())
    return parse_contract(
        f"apiVersion: {api}\nkind: DataContract\nid: x\nversion: '1'\nschema:\n  - name: t\n    properties:\n"
        f"      - name: a\n{body}\n",
        "c.yaml",
    )


def standard() -> jsonschema.Draft201909Validator:
    """The standard's own validator."""
    text = (files("open_data_contract_standard") / "schema.json").read_text("utf-8")
    return jsonschema.Draft201909Validator(json.loads(text))


def test_the_example_is_read() -> None:
    contract = parse_contract(GOOD, "c.yaml")
    assert contract.column_names == ("year", "carrier", "origin", "time_hour", "distance")
    assert contract.primary_key == ("carrier", "year")
    assert contract.unique_keys == (("carrier", "year"),)
    assert contract.references == (
        Reference(columns=("carrier",), table="airlines", parent_columns=("carrier",)),
        Reference(columns=("origin", "year"), table="weather", parent_columns=("origin", "year")),
    )
    assert contract.references[0].qualified("travel") == "travel.airlines"
    assert contract.row_counts == (RowCountRule(minimum=1),)
    assert [(rule.metric, rule.query, rule.line) for rule in contract.quality] == [("sql", "select 1", 37)]
    assert [rule.what for rule in contract.unsupported] == ["the size in physicalType NUMERIC(10,2) is not checked"]
    assert contract.sla == (SlaProperty(property="frequency", value="1", unit="d"),)
    year, carrier, origin, hour, distance = contract.columns
    assert (year.logical_type, year.minimum, year.maximum, year.nullable) == ("integer", 2000, 2100, False)
    assert (carrier.pattern, carrier.max_length, carrier.synonyms) == ("^[A-Z0-9]{2}$", 2, ("airline",))
    assert carrier.allowed_repairs == ("snap",)
    assert origin.enum == ("EWR", "JFK", "NO")
    assert origin.nullable
    assert hour.strptime_format == "%Y-%m-%dT%H:%M:%S%#z"
    assert distance.logical_type == "number"


def test_the_example_written_reads_back_equal() -> None:
    contract = parse_contract(GOOD, "c.yaml")
    text = write_contract(contract)
    assert parse_contract(text, "d.yaml") == contract
    assert not list(standard().iter_errors(yaml.safe_load(text)))


def test_reading_loads_no_engine_and_importing_no_schema() -> None:
    program = (
        "import sys, shared.domain.contract as c, shared.domain.pipeline, shared.domain.policy\n"
        "before = [m for m in ('jsonschema', 'polars', 'open_data_contract_standard') if m in sys.modules]\n"
        f"c.parse_contract({GOOD!r}, 'c')\n"
        "print(before, [m for m in ('jsonschema', 'polars', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message", "hint"),
    [
        ("version: 1.0.0", "version: 1.0", 4, 1, '"version" must be text, found a number', "quote it"),
        ("minimum: 2000", "minimun: 2000", 11, 30, 'unknown key "minimun"', 'did you mean "minimum"?'),
        ("minimum: 2000", "minLength: 2", 11, 30, 'unknown key "minLength"', "known here:"),
        ("minimum: 2000", "minimum: low", 11, 30, '"minimum" must be a number, found text', ""),
        ("minimum: 2000", "minimum: 3000", 11, 9, "the least value is more than the greatest", "exchange"),
        ("logicalType: integer", "logicalType: int", 10, 9, '"logicalType" cannot be "int"', '"integer"'),
        ("kind: DataContract", "knid: DataContract", 2, 1, 'unknown key "knid"', 'did you mean "kind"?'),
        ("id: flights\n", "", 1, 1, 'the key "id" is missing', "add it"),
        ("apiVersion: v3.2.0", "apiVersion: v2.2.0", 1, 1, "too old", "v3.1.0"),
        ("apiVersion: v3.2.0", "apiVersion: v9.0.0", 1, 1, '"apiVersion" cannot be "v9.0.0"', ""),
        ("status: active", "dataContractSpecification: 1.1.0", 5, 1, "Data Contract Specification", "convert"),
        ("airlines.carrier}", "airlines}", 22, 26, '"to" is written wrongly', "must match"),
        ("[{value: EWR}", "[EWR", 27, 16, "entry 1 must be a mapping, found text", ""),
        ("mustBeGreaterThan: 0}", "mustBeGreaterThan: 0, mustBe: 1}", 36, 9, "only one of", "keep one"),
        ("mustBeGreaterThan: 0}", "mustBeGreaterThen: 0}", 36, 28, 'key "mustBeGreaterThen"', '"mustBeGreaterThan"'),
        (", mustBeGreaterThan: 0}", "}", 36, 9, "missing", "mustBeGreaterThan"),
        ("metric: rowCount", "metric: rowcount", 36, 10, '"metric" cannot be "rowcount"', '"rowCount"'),
        ("allowedRepairs", "allowedRepair", 24, 14, 'unknown property "allowedRepair"', '"allowedRepairs"'),
        ("allowedRepairs, value: [snap]", "allowedRepairs, value: snap", 24, 40, "a list is wanted", "[a, b]"),
        ("allowedRepairs", "functionalDependencies", 24, 14, "does not belong here", "allowedRepairs"),
        ("required: true", "required: maybe", 12, 9, "must be true or false, found text", "true or false"),
        ("primaryKeyPosition: 2", "primaryKeyPosition: 1", 20, 9, 'taken by column "year"', "number"),
        (
            "primaryKey: true\n        primaryKeyPosition: 2",
            "primaryKeyPosition: 2",
            13,
            9,
            "without primaryKey",
            "add",
        ),
        ("name: distance", "name: Year", 31, 9, 'column "Year" stands here twice', "case"),
        ("name: distance", "name: _mend_row", 31, 9, "Mendline's own", "otherwise"),
        ("name: distance", 'name: " "', 31, 9, "without a name", ""),
        ("to: [weather.origin, weather.year]", "to: [weather.origin]", 34, 48, "2 columns refer to 1", "both"),
        ("to: [weather.origin, weather.year]", "to: [a.origin, b.year]", 34, 48, "to 2 tables", "one relationship"),
        ("flights.year]", "flights.yaer]", 34, 10, 'no column "yaer"', 'did you mean "year"?'),
        ("  - name: flights\n", "  - nam: flights\n", 7, 5, 'unknown key "nam"', '"name"'),
        ("schema:", "shcema:", 6, 1, 'unknown key "shcema"', 'did you mean "schema"?'),
        ("unit: d", "units: d", 39, 37, 'unknown key "units"', 'did you mean "unit"?'),
        ("[{synonym: airline}]", "[airline]", 21, 20, "entry 1 must be a mapping", ""),
        ("physicalType: NUMERIC(10,2)", "logicalTypeOptions: {minimum: 1}", 32, 9, "without a logicalType", "add"),
    ],
)
def test_a_slip_is_named(old: str, new: str, line: int, column: int, message: str, hint: str) -> None:
    assert old in GOOD
    with pytest.raises(DefinitionError) as caught:
        parse_contract(GOOD.replace(old, new, 1), "c.yaml")
    error = caught.value
    assert message in error.message
    assert hint in error.hint
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "what"),
    [
        ("required: true", "requierd: true", 12, "year", '"requierd" is not looked at; did you mean "required"?'),
        ("required: true", "required: true\n        isUnique: true", 13, "year", '"isUnique" is not looked at; did'),
        ("status: active", "status: active\nservers: [{server: s, type: local, path: p, format: csv, comma: a}]", 6, "",
         '"comma" of servers is not looked at'),
        ("mustBeGreaterThan: 0}", "mustBeGreaterThan: 0, weight: 3}", 36, "", '"weight" of quality is not looked at'),
    ],
    ids=["requierd", "isUnique", "comma", "weight"],
)  # fmt: skip
def test_a_key_that_other_tools_let_pass_is_said(old: str, new: str, line: int, column: str, what: str) -> None:
    assert old in GOOD
    usual = parse_contract(GOOD, "c.yaml").unsupported
    contract = parse_contract(GOOD.replace(old, new, 1), "c.yaml")
    (said,) = [each for each in contract.unsupported if each not in usual]
    assert (said.column, said.line) == (column, line)
    assert said.what.startswith(f"unknown key {what}")


def test_nothing_is_said_of_keys_of_other_tables() -> None:
    two = GOOD.replace("schema:\n", "schema:\n  - {name: others, colour: red}\n", 1)
    assert not any("colour" in each.what for each in parse_contract(two, "c.yaml", "flights").unsupported)
    assert any("colour" in each.what for each in parse_contract(two, "c.yaml", "others").unsupported)


@pytest.mark.parametrize(
    "schema", ["", "schema: []\n", "schema:\n  - {name: t}\n", "schema:\n  - {name: t, properties: []}\n"]
)
def test_no_table_or_no_columns(schema: str) -> None:
    contract = parse_contract(f"apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: '1'\n{schema}", "c.yaml")
    assert contract.columns == ()
    with pytest.raises(DefinitionError, match="no columns"):
        checkable(contract, "c.yaml")


def test_of_several_tables_the_destination_chooses() -> None:
    head = "apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: '1'\nschema:\n"
    text = head + "".join(
        f"  - {{name: {name}, physicalName: {physical}, properties: [{{name: {name}_id, logicalType: string}}]}}\n"
        for name, physical in (("orders", "shop.orders_v2"), ("lines", "lines"))
    )
    assert parse_contract(text, "c", "shop.orders_v2").column_names == ("orders_id",)
    assert parse_contract(text, "c", "other.lines").column_names == ("lines_id",)
    with pytest.raises(DefinitionError, match="describes 2 tables"):
        parse_contract(text, "c")
    with pytest.raises(DefinitionError, match='did you mean "lines"'):
        parse_contract(text, "c", "shop.line")


def test_quality_rules_that_are_exactly_a_check_become_one() -> None:
    column = with_column(
        "logicalType: string\nquality:\n"
        "  - {metric: nullValues, mustBe: 0}\n"
        "  - {metric: duplicateValues, mustBeLessThan: 1}\n"
        "  - {metric: invalidValues, mustBe: 0, arguments: {validValues: [a, b], pattern: '^.$'}}"
    ).columns[0]
    assert (column.required, column.unique, column.enum, column.pattern) == (True, True, ("a", "b"), "^.$")


def test_quality_rules_that_are_not_checked_are_said_and_kept() -> None:
    contract = with_column(
        "logicalType: string\nlogicalTypeOptions: {format: phone}\nquality:\n"
        "  - {metric: nullValues, mustBeLessThan: 5, unit: days, name: few}\n"
        "  - {type: text, description: looks nice}"
    )
    assert [rule.what for rule in contract.unsupported] == [
        'format "phone" is not checked',
        'quality rule "few" (nullValues) is not checked: its unit is days, not rows or percent',
        "quality rule (text) is not checked: it is for people to read",
    ]
    assert [rule.line for rule in contract.unsupported] == [10, 12, 13]
    assert parse_contract(write_contract(contract), "d.yaml") == contract


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("mustBe: 5", RowCountRule(minimum=5, maximum=5)),
        ("mustBeBetween: [1, 9]", RowCountRule(minimum=1, maximum=9)),
        ("mustBeGreaterThan: 0.5", RowCountRule(minimum=1)),
        ("mustBeGreaterOrEqualTo: 2", RowCountRule(minimum=2)),
        ("mustBeLessThan: 10", RowCountRule(maximum=9)),
        ("mustBeLessOrEqualTo: 10", RowCountRule(maximum=10)),
    ],
)
def test_row_counts(rule: str, expected: RowCountRule) -> None:
    text = GOOD.replace("mustBeGreaterThan: 0}", rule + "}")
    contract = parse_contract(text, "c.yaml")
    assert contract.row_counts == (expected,)
    assert parse_contract(write_contract(contract), "d.yaml") == contract


def test_version_3_0_spells_quality_rules_otherwise() -> None:
    column = with_column(
        "logicalType: string\nquality:\n"
        "  - {rule: duplicateCount, mustBe: 0}\n  - {rule: validValues, validValues: [x]}",
        api="v3.0.2",
    ).columns[0]
    assert (column.unique, column.enum) == (True, ("x",))


def test_custom_properties() -> None:
    contract = with_column(
        "logicalType: number\ncustomProperties:\n  - {property: unit, value: mi}\n"
        "  - {property: nullValues, value: [NA, '']}\n"
        "  - {property: driftLimits, value: {meanShift: 4, enabled: true}}\n"
        "  - {property: theirs, value: {b: [1, null]}}"
    )
    column = contract.columns[0]
    assert (column.unit, column.null_values) == ("mi", ("NA", ""))
    assert column.drift_limits == DriftLimits(mean_shift_max=4.0)
    assert column.custom == (("theirs", '{"b": [1, null]}'),)


def test_functional_dependencies() -> None:
    text = GOOD.replace(
        "slaProperties:",
        "    customProperties:\n      - {property: functionalDependencies, value: [{from: origin, to: [year]}]}\n"
        "slaProperties:",
    )
    contract = parse_contract(text, "c.yaml")
    assert contract.functional_dependencies == (FunctionalDependency(determinants=("origin",), dependents=("year",)),)
    with pytest.raises(DefinitionError, match='no column "orgin"'):
        parse_contract(text.replace("from: origin", "from: orgin"), "c.yaml")


def test_physical_names_are_those_of_the_data() -> None:
    contract = with_column("physicalName: A_1\nlogicalType: string\nrelationships: [{to: /schema/t/properties/a}]")
    assert (contract.columns[0].name, contract.columns[0].logical_name) == ("A_1", "a")
    assert contract.references == (Reference(columns=("A_1",), table="t", parent_columns=("A_1",)),)
    assert parse_contract(write_contract(contract), "d.yaml") == contract


def test_accepted_columns_are_added_once_and_change_the_digest() -> None:
    contract = parse_contract(GOOD, "c.yaml")
    grown = contract.with_columns(["note:string", "a:b:integer", "year:integer", Column(name="x")])
    assert grown.column_names == (*contract.column_names, "note", "a:b", "x")
    assert grown.columns[-2].logical_type == "integer"
    assert grown.digest != contract.digest
    assert contract.with_columns(["year:integer", "year:date"]) is contract


def test_a_wider_type_takes_the_place_of_a_known_one() -> None:
    contract = parse_contract(GOOD, "c.yaml")
    grown = contract.with_columns(["year:number"])
    assert grown.column_names == contract.column_names
    assert {column.name: column.logical_type for column in grown.columns}["year"] == "number"
    assert grown.digest != contract.digest
    text = Column(name="x", logical_type="integer", minimum=1, enum=(1, 2), required=True).widened("string")
    assert text == Column(name="x", logical_type="string", required=True)


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ("{psiMax: 0.2, ksMax: 0.1, newCategories: false, vanishedCategories: true}",
         DriftLimits(psi_max=0.2, ks_max=0.1, new_categories=False, vanished_categories=True)),
        ("{meanShiftMax: 4, spreadRatioMax: 3, nullShareChangeMax: 0.1}",
         DriftLimits(mean_shift_max=4, spread_ratio_max=3, null_share_change_max=0.1)),
        ("{meanShift: 4, enabled: false}", DriftLimits(mean_shift_max=4, enabled=False)),
        ("{psiMax: 0}", '"psiMax" must be a number above 0'),
        ("{psiMax: true}", '"psiMax" must be a number above 0'),
        ("{newCategories: 3}", '"newCategories" must be true or false'),
        ("{psimax: 1}", 'unknown key "psimax"'),
        ("{rowCountChangeMax: 0.3}", "it belongs to the table"),
        ("{meanShift: 4, meanShiftMax: 5}", "stands here twice"),
        ("[psiMax]", "a mapping is wanted"),
    ],
)  # fmt: skip
def test_drift_limits_of_a_column(limits: str, wanted: DriftLimits | str) -> None:
    text = f"logicalType: number\ncustomProperties:\n  - {{property: driftLimits, value: {limits}}}"
    if isinstance(wanted, DriftLimits):
        assert with_column(text).columns[0].drift_limits == wanted
    else:
        with pytest.raises(DefinitionError, match=wanted):
            with_column(text)


def test_drift_limits_of_a_table() -> None:
    text = GOOD.replace(
        "slaProperties:",
        "    customProperties:\n      - {property: driftLimits, value: {rowCountChangeMax: 0.3}}\nslaProperties:",
    )
    assert parse_contract(text, "c.yaml").drift_limits == DriftLimits(row_count_change_max=0.3)
    with pytest.raises(DefinitionError, match="it belongs to a column"):
        parse_contract(text.replace("rowCountChangeMax", "psiMax"), "c.yaml")


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        ("{completeness: 2, accuracy: 0}", (("accuracy", 0.0), ("completeness", 2.0))),
        ("{}", ()),
        ("{completness: 2}", 'no dimension "completness".*completeness'),
        ("{conformity: 2}", 'no dimension "conformity"'),
        ("{accuracy: -1}", 'the weight of "accuracy" must be a number, 0 or more'),
        ("{accuracy: true}", 'the weight of "accuracy" must be a number, 0 or more'),
        (
            "{accuracy: 0, completeness: 0, consistency: 0, timeliness: 0, uniqueness: 0, validity: 0}",
            "has the weight 0",
        ),
        ("[accuracy]", "a mapping is wanted"),
    ],
)
def test_score_weights(weights: str, wanted: tuple[tuple[str, float], ...] | str) -> None:
    text = GOOD.replace(
        "slaProperties:",
        f"    customProperties:\n      - {{property: scoreWeights, value: {weights}}}\nslaProperties:",
    )
    if isinstance(wanted, tuple):
        assert parse_contract(text, "c.yaml").score_weights == wanted
    else:
        with pytest.raises(DefinitionError, match=wanted):
            parse_contract(text, "c.yaml")

"""What is claimed of the inside of JSON cells, and what is left unsaid."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from mend.commands.init import _rules
from mend.inference import infer
from mend.nested_claims import NAMES_MAX, nested
from shared.domain.contract import parse_contract


def claims(values: list[Any]) -> Any:
    found = nested(pl.Series("x", [json.dumps(value) for value in values]))
    return json.loads(found) if found else None


def of(values: list[Any]) -> Any:
    """What is claimed of one property with these values."""
    found = claims([{"p": value} for value in values])
    return None if found is None else {key: said for key, said in found["properties"][0].items() if key != "name"}


@pytest.mark.parametrize(
    ("values", "logical_type"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        ([12345678901234567890, 1], "number"),
        ([True, False], "boolean"),
        (["1", "2"], "string"),
        (["2020-01-31"], "date"),
        (["2020-02-31"], "string"),
        (["2020-02-28T10:00:00Z"], "timestamp"),
        (["10:00:00"], "time"),
        ([{"a": 1}], "object"),
        ([[1]], "array"),
    ],
)
def test_types_are_those_of_json(values: list[Any], logical_type: str) -> None:
    assert of(values)["logicalType"] == logical_type


@pytest.mark.parametrize("values", [[1, "1"], [True, 1], [None, None], [[1], {"a": 1}]])
def test_what_has_several_types_or_none_has_no_type(values: list[Any]) -> None:
    assert "logicalType" not in of(values)


def test_required_is_what_many_objects_have_without_a_null() -> None:
    assert of([1] * 99).get("required") is None
    assert of([1] * 100)["required"] is True
    assert of([*[1] * 200, None]).get("required") is None
    found = claims([*[{"a": 1, "b": 1}] * 200, {"a": 1}])
    assert [(each["name"], each.get("required", False)) for each in found["properties"]] == [("a", True), ("b", False)]


def test_items_and_what_is_deeper() -> None:
    found = claims([[{"lines": [{"qty": 1}]}]] * 100)
    lines = found["items"]["properties"][0]
    assert (lines["name"], lines["logicalType"], lines["required"]) == ("lines", "array", True)
    assert lines["items"]["properties"] == [{"name": "qty", "logicalType": "integer", "required": True}]


@pytest.mark.parametrize(
    "value",
    [
        {f"name{number}": 1 for number in range(NAMES_MAX + 1)},
        {"ada@example.org": 1},
        {"2020-01-01": 1},
        {"": 1},
    ],
)
def test_a_map_is_left_alone(value: dict[str, Any]) -> None:
    assert claims([value]) is None
    assert of([value]) == {"logicalType": "object"}


def test_a_name_that_few_objects_have_is_not_declared() -> None:
    found = claims([*[{"a": 1}] * 99, {"a": 1, "b": 1}])
    assert [each["name"] for each in found["properties"]] == ["a"]


def test_what_is_no_json_claims_nothing() -> None:
    assert nested(pl.Series("x", ["{a: 1}"])) == ""
    assert nested(pl.Series("x", ["[" * 100_000])) == ""
    assert nested(pl.Series("x", [], dtype=pl.String)) == ""


def test_of_very_long_cells_only_some_are_looked_into() -> None:
    long = [json.dumps({"a": "x" * 10_000_000, "b": number}) for number in range(2)]
    found = json.loads(nested(pl.Series("x", [*long, "{b: no JSON}"])))
    assert [each["name"] for each in found["properties"]] == ["a", "b"]
    assert nested(pl.Series("x", [json.dumps({"a": "x" * 30_000_000})])) == ""


def test_a_persons_values_are_not_listed() -> None:
    names = ["Zanzottera", "Quagliarella"]
    found = of([{"last_name": names[number % 2], "size": "small" if number % 3 else "large"} for number in range(900)])
    by_name = {each["name"]: each for each in found["properties"]}
    assert "enum" not in by_name["last_name"]
    assert [each["value"] for each in by_name["size"]["enum"]] == ["large", "small"]


@pytest.mark.parametrize("typed", [True, False])
def test_it_stands_in_the_contract(typed: bool) -> None:
    """Of JSON texts and of what Parquet nests the same."""
    values = [{"a": number, "b": ["x", "y"]} for number in range(100)]
    cells = values if typed else [json.dumps(value) for value in values]
    inferred = infer(pl.DataFrame({"id": range(100), "x": cells}), name="n", table="t")
    column = parse_contract(inferred.text, "n.odcs.yaml").columns[1]
    assert column == inferred.contract.columns[1]
    assert column.inside is not None
    assert [(each.name, each.logical_type, each.required) for each in column.inside.properties] == [
        ("a", "integer", True),
        ("b", "array", True),
    ]


def test_the_names_inside_are_shown_to_whoever_is_asked() -> None:
    cells = [{"a": number, "b": ["x"]} for number in range(100)]
    frame = pl.DataFrame({"one": cells, "many": [[each] for each in cells], "texts": [["x"]] * 100})
    columns = infer(frame, name="n", table="t").contract.columns
    assert [_rules(each) for each in columns] == [
        "required, with a, b", "required, with a, b", "required, of strings",
    ]  # fmt: skip

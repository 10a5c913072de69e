"""Contracts on the inside of objects and arrays: read, kept when written, slips named."""

from __future__ import annotations

import pytest

from shared.domain.contract import Column, Inside, parse_contract, write_contract
from shared.domain.errors import DefinitionError
from tests.unit.domain.test_contract import with_column


def test_nested_values_are_kept_as_json_and_read() -> None:
    contract = with_column(
        "logicalType: object\nproperties:\n  - {name: b, logicalType: integer}\nlogicalTypeOptions: {minProperties: 1}"
    )
    assert contract.columns[0].logical_type == "object"
    assert contract.unsupported == ()
    inside = contract.columns[0].inside
    assert inside == Inside(properties=(Column(name="b", logical_type="integer"),), size_min=1)
    assert parse_contract(write_contract(contract), "d.yaml") == contract


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("logicalType: object\nproperties: [{name: b}, {name: b}]", "stands here twice"),
        ("logicalType: array\nlogicalTypeOptions: {minItems: 3, maxItems: 2}", "maxItems is less than minItems"),
        ("logicalType: object\nlogicalTypeOptions: {minProperties: 3, maxProperties: 2}", "less than minProperties"),
        ("logicalType: array\nitems: {logicalType: integer, enum: [{value: 1.5}]}", "must be whole"),
        ("logicalType: object\nlogicalTypeOptions: {minPropertys: 3}", 'key "minPropertys"'),
    ],
)
def test_slips_inside_are_named(lines: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        with_column(lines)


def test_an_unknown_key_inside_is_said_of_its_column() -> None:
    contract = with_column("logicalType: object\nproperties: [{name: b, logicalType: string, requird: true}]")
    (said,) = contract.unsupported
    assert said.column == contract.columns[0].name
    assert said.what == 'unknown key "requird" is not looked at; did you mean "required"?'

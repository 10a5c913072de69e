"""Formats of contracts' columns: of texts, numbers, dates and times; which are checked, and which are only said."""

from __future__ import annotations

import pytest

from shared.domain.contract import parse_contract, write_contract
from shared.domain.contract_formats import strptime_pattern
from tests.unit.domain.test_contract import with_column


def test_an_integer_format_is_a_range() -> None:
    column = with_column("logicalType: integer\nlogicalTypeOptions: {format: u8, maximum: 100}").columns[0]
    assert (column.minimum, column.maximum) == (0, 100)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("number", "f32", ""),
        ("string", "phone", ""),
        ("string", "password", ": every text has it"),
        ("string", "binary", ": every text has it"),
    ],
)
def test_a_format_that_is_not_checked_is_said(kind: str, text: str, why: str) -> None:
    contract = with_column(f"logicalType: {kind}\nlogicalTypeOptions: {{format: {text}}}")
    assert [rule.what for rule in contract.unsupported] == [f'format "{text}" is not checked{why}']


@pytest.mark.parametrize("text", ["u64", "i128", "u128"])
def test_a_format_of_more_than_64_bits_is_said_to_be_too_wide(text: str) -> None:
    (rule,) = with_column(f"logicalType: integer\nlogicalTypeOptions: {{format: {text}}}").unsupported
    assert rule.what.startswith(f'format "{text}": a number of more than 64 bits with its sign cannot be held')


@pytest.mark.parametrize("text", ["email", "uuid", "uri", "hostname", "ipv4", "ipv6", "byte"])
def test_a_format_of_texts_is_checked(text: str) -> None:
    contract = with_column(f"logicalType: string\nlogicalTypeOptions: {{format: {text}}}")
    assert (contract.columns[0].format, contract.unsupported) == (text, ())
    assert parse_contract(write_contract(contract), "d.yaml") == contract


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ("format: u8, minimum: -5", (0, None, 255, None)),
        ("format: i8, maximum: 1000", (-128, None, 127, None)),
        ("format: i8, exclusiveMinimum: -1000, exclusiveMaximum: 1000", (-128, None, 127, None)),
        ("format: i8, exclusiveMinimum: 10, exclusiveMaximum: 20", (None, 10, None, 20)),
    ],
)
def test_a_bound_does_not_widen_an_integer_format(options: str, bounds: tuple[int | None, ...]) -> None:
    column = with_column(f"logicalType: integer\nlogicalTypeOptions: {{{options}}}").columns[0]
    assert (column.minimum, column.exclusive_minimum, column.maximum, column.exclusive_maximum) == bounds


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        ("yyyy-MM-dd", "%Y-%m-%d"),
        ("dd/MM/yy HH:mm", "%d/%m/%y %H:%M"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "%Y-%m-%dT%H:%M:%S%.3f%:z"),
        ("MMM d, yyyy h:mm a", "%b %d, %Y %I:%M %p"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("yyyyMMdd", "%Y%m%d"),
        ("hh 'o''clock' a", "%I o'clock %p"),
    ],
)
def test_formats(written: str, pattern: str) -> None:
    assert strptime_pattern(written) == pattern


@pytest.mark.parametrize("written", ["", "YYYY", "date", "%Q", "'unclosed", "---"])
def test_no_formats(written: str) -> None:
    with pytest.raises(ValueError):
        strptime_pattern(written)

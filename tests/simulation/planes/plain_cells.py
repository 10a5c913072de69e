"""Cells to values, and the checks on single values, for the types that simulated contracts have."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from services.validate.casting import EXACT_IN_DOUBLE, FALSE_WORDS, TRUE_WORDS, TextRules
from services.validate.column_checks import (
    PATTERN_VALUES_SHOWN,
    _required_severity,
    _written_bounds,
    bounds_of,
    severity_of,
)
from services.validate.findings import Rule
from shared.domain.contract import Column, Contract

Cast = Callable[[str], Any]  # the value of a text, None when it has none
_INTEGER = re.compile(r"([+-]?[0-9]+)(?:\.0+)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ValueRule(NamedTuple):
    """A rule with what is true for a value that breaks it; for ``required`` that is only None."""

    rule: Rule
    breaks: Callable[[Any], bool]


def as_integer(text: str, decimal: str = ".") -> int | None:
    """A whole number of 64 bits."""
    found = _INTEGER.fullmatch(text if decimal == "." or "." in text else text.replace(decimal, "."))
    if found is None or (decimal != "." and "." in text):
        return None
    value = int(found[1])
    return value if -(2**63) <= value < 2**63 else None


def as_number(text: str, decimal: str = ".") -> float | None:
    """A finite number that a double holds."""
    if decimal != ".":
        if "." in text:
            return None
        text = text.replace(decimal, ".")
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    if not math.isfinite(value) or (
        abs(value) >= EXACT_IN_DOUBLE and text.lstrip("+-").isdigit() and value != int(text)
    ):
        return None
    return value


@lru_cache(maxsize=4_096)
def as_day(text: str) -> str | None:
    """A day written in ISO, as it stands."""
    if _DAY.fullmatch(text) is None:
        return None
    try:
        date.fromisoformat(text)
    except ValueError:
        return None
    return text


def as_boolean(text: str) -> bool | None:
    """A word for yes or no."""
    word = text.lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def cast_of(logical_type: str, decimal: str = ".") -> Cast:
    """What types a text that is no word for null; simulated contracts have no moments, objects or arrays."""
    if logical_type == "integer":
        return lambda text: as_integer(text, decimal)
    if logical_type == "number":
        return lambda text: as_number(text, decimal)
    known: dict[str, Cast] = {"date": as_day, "boolean": as_boolean, "string": str}
    return known.get(logical_type, lambda text: None)


def typed_column(cells: list[str | None], column: Column, rules: TextRules) -> tuple[list[Any], set[int]]:
    """The values, and the positions of cells that could not be typed."""
    nulls = rules.nulls_of(column)
    cast = cast_of(column.logical_type, rules.decimal)
    if column.logical_type == "string":
        return [None if cell is None or cell in nulls else cell for cell in cells], set()
    values: list[Any] = []
    failed: set[int] = set()
    for place, cell in enumerate(cells):
        value = None if cell is None or cell in nulls else cast(cell)
        if value is None and cell is not None and cell not in nulls:
            failed.add(place)
        values.append(value)
    return values, failed


_rules: dict[tuple[str, tuple[str, ...]], list[ValueRule]] = {}


def value_rules(contract: Contract, never_null: tuple[str, ...]) -> list[ValueRule]:
    """All rules on single values, in the product's order; remembered by the contract's digest."""
    key = contract.digest, never_null
    if key not in _rules:
        _rules[key] = [rule for column in contract.columns for rule in _rules_of(column, never_null)]
    return _rules[key]


def _rules_of(column: Column, never_null: tuple[str, ...]) -> list[ValueRule]:
    name, severity = column.name, severity_of(column)
    found: list[ValueRule] = []
    if name in never_null or not column.nullable:
        rule = Rule("required", (name,), f"{name} must not be null", _required_severity(column))
        found.append(ValueRule(rule, lambda value: value is None))
    if column.enum:
        allowed = frozenset(column.enum)
        shown = ", ".join(str(value) for value in column.enum[:PATTERN_VALUES_SHOWN])
        rule = Rule("enum", (name,), f"{name} must be one of {shown}", severity)
        found.append(ValueRule(rule, lambda value: value is not None and value not in allowed))
    bounds = [(sign, bound) for sign, bound in bounds_of(column) if bound is not None]
    if bounds:
        text = " and ".join(f"{sign} {bound}" for sign, bound in _written_bounds(column))
        rule = Rule("range", (name,), f"{name} must be {text}", severity)
        found.append(ValueRule(rule, lambda value: value is not None and any(beyond(value, *each) for each in bounds)))
    return found


def beyond(value: Any, sign: str, bound: Any) -> bool:
    """True when a value does not keep a bound."""
    if sign == ">=":
        return bool(value < bound)
    if sign == ">":
        return bool(value <= bound)
    return bool(value > bound) if sign == "<=" else bool(value >= bound)

"""What is wrong inside a JSON cell, in plain Python from the property's own YAML: slow, obvious, independent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

Property = dict[str, Any]
Broken = set[tuple[str, str]]  # check and path


class Pairs(list[tuple[str, Any]]):
    """An object as the pairs that stand in the text."""


def broken(cell: str, asked: Property) -> Broken:
    """The checks that a cell of that property breaks inside; it is JSON of the property's kind."""
    return set(_value(json.loads(cell, object_pairs_hook=Pairs, parse_float=Decimal), asked, asked["name"]))


def _value(value: Any, asked: Property, path: str) -> Iterator[tuple[str, str]]:
    if value is None:
        if asked.get("required"):
            yield "required", path
        return
    kind = asked.get("logicalType")
    options = asked.get("logicalTypeOptions", {})
    if kind is None:
        return
    if kind in ("object", "map"):
        yield from _object(value, asked, options, path)
    elif kind in ("array", "vector"):
        yield from _array(value, asked, options, path)
    else:
        yield from _single(value, asked, options, path)


def _object(value: Any, asked: Property, options: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Pairs):
        yield "type", path
        return
    names = [name for name, _ in value]
    found = dict(value)
    typed = {each["name"] for each in asked.get("properties", []) if "logicalType" in each}
    if any(names.count(name) > 1 for name in names if name in typed or "map" in asked):
        yield "type", path
    if not options.get("minProperties", 0) <= len(found) <= options.get("maxProperties", 10**9):
        yield "length", path
    for name in options.get("required", []):
        if name not in found:
            yield "required", f"{path}.{name}"
    for each in asked.get("properties", []):
        yield from _value(found.get(each["name"]), each, f"{path}.{each['name']}")
    if "map" in asked:
        for name, each in found.items():
            yield from _value(name, asked["map"]["key"], f"{path}.* (key)")
            yield from _value(each, asked["map"]["value"], f"{path}.*")


def _array(value: Any, asked: Property, options: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list) or isinstance(value, Pairs):
        yield "type", path
        return
    fixed = options.get("dimensions")
    low, high = (fixed, fixed) if fixed else (options.get("minItems", 0), options.get("maxItems", 10**9))
    if not low <= len(value) <= high:
        yield "length", path
    if options.get("uniqueItems") and any(_equal(a, b) for n, a in enumerate(value) for b in value[:n]):
        yield "unique_items", path
    items = {"logicalType": "number", "required": True} if fixed else asked.get("items", {})
    for each in value:
        yield from _value(each, items, f"{path}[]")


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Pairs) and isinstance(other, Pairs):
        left, right = dict(one), dict(other)
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    if isinstance(one, list) and isinstance(other, list) and type(one) is type(other):
        return len(one) == len(other) and all(map(_equal, one, other))
    numbers = (int, Decimal)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return isinstance(one, bool) == isinstance(other, bool) and one == other
    return type(one) is type(other) and bool(one == other)


def _single(value: Any, asked: Property, options: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    kind = asked["logicalType"]
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "number": number,
        "integer": number and value == int(value) and -(2**63) <= value < 2**63 and "E" not in str(value),
        "date": isinstance(value, str) and _is_date(value),
    }
    if not fits[kind]:
        yield "type", path
        return
    if "enum" in asked and value not in [each["value"] for each in asked["enum"]]:
        yield "enum", path
    if "pattern" in options and not re.search(options["pattern"], value):
        yield "pattern", path
    if kind == "string" and not options.get("minLength", 0) <= len(value) <= options.get("maxLength", 10**9):
        yield "length", path
    low, high = options.get("minimum"), options.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        yield "range", path


def _is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False

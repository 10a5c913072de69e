"""The checks in plain Python, row by row, written from the README and not from the code: slow, obvious, independent."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from shared.domain.contract import Column, Contract

FAILED = object()

Findings = dict[tuple[str, str], set[int]]
Row = Mapping[str, str | None]

_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}:\d{2})?", re.ASCII)


def typed_value(cell: str | None, column: Column, nulls: Sequence[str] = ("",), decimal: str = ".") -> Any:
    """The value that a staged text stands for: None for null, ``FAILED`` when it is not of the column's type."""
    words = column.null_values if column.null_values is not None else nulls
    if cell is None or cell in words:
        return None
    readers = {
        "integer": lambda: _integer(_point(cell, decimal)),
        "number": lambda: _number(_point(cell, decimal)),
        "boolean": lambda: _boolean(cell),
        "date": lambda: _date(cell),
        "time": lambda: _time(cell),
        "timestamp": lambda: _timestamp(cell, column.timezone),
        "object": lambda: _json(cell, dict),
        "array": lambda: _json(cell, list),
    }
    return readers[column.logical_type]() if column.logical_type in readers else cell


def _point(cell: str, decimal: str) -> str:
    if decimal == ".":
        return cell
    return "no number" if "." in cell else cell.replace(decimal, ".")


def _integer(text: str) -> Any:
    if not re.fullmatch(r"[+-]?[0-9]+(\.0+)?", text):
        return FAILED
    value = int(text.partition(".")[0])
    return value if -(2**63) <= value < 2**63 else FAILED


def _number(text: str) -> Any:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return FAILED
    value = float(text)
    if value in (float("inf"), float("-inf")):
        return FAILED
    if re.fullmatch(r"[+-]?[0-9]+", text) and Decimal(text) != Decimal(value):
        return FAILED
    return value


def _boolean(text: str) -> Any:
    word = text.lower()
    if word in ("true", "t", "yes", "y", "1"):
        return True
    return False if word in ("false", "f", "no", "n", "0") else FAILED


def _date(text: str) -> Any:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return FAILED
    try:
        return date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError:
        return FAILED


def _micros(fraction: str | None) -> int:
    padded = (fraction or "").ljust(6, "0")
    return -1 if padded[6:].strip("0") else int(padded[:6])


def _time(text: str) -> Any:
    found = re.fullmatch(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?", text)
    if found is None:
        return FAILED
    try:
        return time(int(found[1]), int(found[2]), int(found[3] or 0), _micros(found[4]))
    except ValueError:
        return FAILED


def _timestamp(text: str, zone_name: str) -> Any:
    found = _ISO.fullmatch(text)
    if found is None:
        return FAILED
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), _micros(fraction))
        if zone and zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[4:])
            if hours > 23 or minutes > 59:
                return FAILED
            offset = timedelta(hours=hours, minutes=minutes)
            return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset)).astimezone(UTC)
        if zone == "Z" or not zone_name:
            return moment.replace(tzinfo=UTC)
        return _local(moment, ZoneInfo(zone_name)) if moment.year <= 2099 else FAILED
    except (ValueError, OverflowError):
        return FAILED


def _local(moment: datetime, zone: ZoneInfo) -> Any:
    """UTC of a local time that exists there exactly once."""
    meanings = {moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    sound = [utc for utc in meanings if utc.astimezone(zone).replace(tzinfo=None) == moment]
    return sound[0] if len(sound) == 1 else FAILED


def _json(text: str, kind: type) -> Any:
    try:
        return text if isinstance(json.loads(text), kind) else FAILED
    except ValueError:
        return FAILED


def _bound(bound: Any, column: Column) -> Any:
    if column.logical_type == "date":
        return date.fromisoformat(bound)
    if column.logical_type == "time":
        return time.fromisoformat(bound)
    if column.logical_type == "timestamp":
        moment = datetime.fromisoformat(bound)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return bound


def _broken(value: Any, column: Column) -> list[str]:
    """The checks that a typed, non-null value breaks."""
    broken = []
    if column.enum and value not in [_bound(item, column) for item in column.enum]:
        broken.append("enum")
    if column.pattern and not re.search(column.pattern, value):
        broken.append("pattern")
    if isinstance(value, str) and column.logical_type == "string":
        least, most = column.min_length or 0, column.max_length
        if len(value) < least or (most is not None and len(value) > most):
            broken.append("length")
    outside = [
        column.minimum is not None and value < _bound(column.minimum, column),
        column.exclusive_minimum is not None and value <= _bound(column.exclusive_minimum, column),
        column.maximum is not None and value > _bound(column.maximum, column),
        column.exclusive_maximum is not None and value >= _bound(column.exclusive_maximum, column),
    ]
    if any(outside):
        broken.append("range")
    if column.multiple_of is not None and Fraction(value) % Fraction(str(column.multiple_of)) != 0:
        broken.append("multiple_of")
    return broken


def judge(
    rows: Sequence[Row],
    contract: Contract,
    *,
    nulls: Sequence[str] = ("",),
    decimal: str = ".",
    upsert_key: tuple[str, ...] = (),
    parents: Mapping[str, set[tuple[Any, ...]] | None] | None = None,
    released: Sequence[Mapping[str, Any]] = (),
) -> Findings:
    """Row numbers (from 1) by check and column. A row that is ``{}`` did not fit the file."""
    found: Findings = defaultdict(set)
    typed: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        values = {column.name: typed_value(row.get(column.name), column, nulls, decimal) for column in contract.columns}
        if not row:
            found["well_formed", ""].add(number)
            typed.append(dict.fromkeys(values))
            continue
        for column in contract.columns:
            value = values[column.name]
            if value is FAILED:
                found["type", column.name].add(number)
                values[column.name] = None
            elif value is None:
                if column.required or column.primary_key_position or column.name in upsert_key:
                    found["required", column.name].add(number)
            else:
                for check in _broken(value, column):
                    found[check, column.name].add(number)
        typed.append(values)
    _keys(typed, contract, upsert_key, released, found)
    _references(typed, contract, parents or {}, found)
    _dependencies(typed, contract, found)
    return {key: numbers for key, numbers in found.items() if numbers}


def _keys(
    typed: list[dict[str, Any]],
    contract: Contract,
    upsert_key: tuple[str, ...],
    released: Sequence[Mapping[str, Any]],
    found: Findings,
) -> None:
    for key in dict.fromkeys([*contract.unique_keys, *([upsert_key] if upsert_key else [])]):
        check = "primary_key" if key in (contract.primary_key, upsert_key) else "unique"
        groups: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        for number, values in enumerate(typed, 1):
            own = tuple(values[name] for name in key)
            if None not in own:
                groups[own].add(number)
        taken = {tuple(row[name] for name in key) for row in released}
        for own, numbers in groups.items():
            if len(numbers) > 1 or own in taken:
                found[check, ",".join(key)] |= numbers


def _references(
    typed: list[dict[str, Any]],
    contract: Contract,
    parents: Mapping[str, set[tuple[Any, ...]] | None],
    found: Findings,
) -> None:
    for reference in contract.references:
        known = parents.get(reference.table)
        for number, values in enumerate(typed, 1):
            own = tuple(values[name] for name in reference.columns)
            if None not in own and (known is None or own not in known):
                found["relationship", ",".join(reference.columns)].add(number)


def _dependencies(typed: list[dict[str, Any]], contract: Contract, found: Findings) -> None:
    for dependency in contract.functional_dependencies:
        groups: dict[tuple[Any, ...], dict[tuple[Any, ...], set[int]]] = defaultdict(lambda: defaultdict(set))
        for number, values in enumerate(typed, 1):
            known = tuple(values[name] for name in dependency.determinants)
            other = tuple(values[name] for name in dependency.dependents)
            if None not in known and None not in other:
                groups[known][other].add(number)
        for kinds in groups.values():
            if len(kinds) > 1:
                for numbers in kinds.values():
                    found["functional_dependency", ",".join(dependency.determinants)] |= numbers

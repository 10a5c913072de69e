"""Reads one column of an ODCS v3 document: its type, the options of that type, and what its quality rules come to."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, cast

from shared.domain.contract import Bound, Column, LogicalType, QualityRule, Scalar, UnsupportedRule
from shared.domain.contract_formats import check_moment, strptime_pattern
from shared.domain.contract_nested import KEPT_AS, InsideReader, kept
from shared.domain.contract_quality import ColumnRules, column_quality
from shared.domain.contract_rules import Place, column_customs
from shared.domain.definition_file import shape_of
from shared.domain.text_formats import ANY_TEXT, TEXT_FORMATS

_MOMENTS = ("date", "timestamp", "time")
_INTEGER_BITS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "u8": 8, "u16": 16, "u32": 32, "u64": 64}
# Formats of numbers that a column of integers cannot hold here, as in BigQuery: it has 64 bits with the sign.
_TOO_WIDE = ("u64", "i128", "u128")
_PHYSICAL = (
    (re.compile(r"(?:big|small|tiny|medium)?int(?:eger)?\d*|(?:big)?serial|u?int\d+|long|short|byteint"), "integer"),
    (re.compile(r"(?:big)?(?:numeric|decimal)|float\d*|double(?: precision)?|real|number|money"), "number"),
    (re.compile(r"bool(?:ean)?|bit"), "boolean"),
    (re.compile(r"date"), "date"),
    (re.compile(r"(?:timestamp|datetime)\w*(?: with(?:out)? time zone)?"), "timestamp"),
    (re.compile(r"time"), "time"),
    (re.compile(r"json\w*|struct.*|record|object|variant|map.*"), "object"),
    (re.compile(r"array.*|list.*"), "array"),
)


def read_column(
    item: dict[str, Any], place: Place, level: int = 0
) -> tuple[Column, list[UnsupportedRule], ColumnRules]:
    """The column, what of it is not checked, and what its quality rules come to.

    ``level`` says how deep it is in another column's values. ``DefinitionError`` at the first place that contradicts
    itself.
    """
    name = item.get("physicalName") or item["name"]
    if not name.strip():
        raise place.below("name").error("a column without a name", "write its name")
    if name.startswith("_mend_") and not level:
        raise place.below("name").error(
            'names that begin with "_mend_" are Mendline\'s own', "call the column otherwise"
        )
    declared = item.get("logicalType") or _from_physical(item.get("physicalType", ""))
    kind = cast(LogicalType, KEPT_AS.get(declared, declared))
    options = item.get("logicalTypeOptions") or {}
    if options and "logicalType" not in item:
        raise place.below("logicalTypeOptions").error("options without a logicalType", "add logicalType")
    notes: list[UnsupportedRule] = []
    rules = ColumnRules(column=name, logical_type=kind)
    column_quality(item.get("quality") or [], place, rules)
    custom = column_customs(item.get("customProperties") or [], place)
    inner = InsideReader(read_column, level)
    inside = inner.inside(item, declared, name, place)
    notes += inner.notes
    if "timezone" in options:
        said = f"timezone: {str(options['timezone']).lower()}"
        what = f"{said} is not checked: a time with a zone of its own is read by that, any other by defaultTimezone"
        notes.append(UnsupportedRule(column=name, what=what, line=place.below("logicalTypeOptions", "timezone").line))
    enum = [entry["value"] for entry in item.get("enum") or []]
    enum_place = place.below("enum")
    if not enum and rules.valid_values:
        enum, enum_place = rules.valid_values, place.below("quality")
    column = Column(
        name=name,
        logical_type=kind,
        logical_name=item["name"] if item["name"] != name else "",
        physical_type=item.get("physicalType", ""),
        description=item.get("description", ""),
        required=item.get("required", False) or rules.required,
        unique=item.get("unique", False) or rules.unique,
        enum=_enum(enum, kind, enum_place),
        pattern=options.get("pattern", "") or rules.pattern,
        timezone=_zone(options.get("defaultTimezone", ""), place),
        has_timezone=options.get("timezone"),
        format=_format(options.get("format", ""), kind, place, notes, name),
        synonyms=tuple(entry["synonym"] for entry in item.get("synonyms") or []),
        classification=item.get("classification", ""),
        tags=tuple(item.get("tags") or ()),
        nested=kept(item, kind, declared),
        inside=inside,
        **_bounds(options, kind, place),
        **custom,
    )
    rules.thresholds = [_typed_threshold(rule, kind, place.below("quality")) for rule in rules.thresholds]
    return column, notes + rules.unsupported, rules


def _typed_threshold(rule: QualityRule, kind: str, place: Place) -> QualityRule:
    """With its values in the column's own type."""
    return replace(rule, valid_values=_enum(list(rule.valid_values), kind, place))


def _from_physical(physical: str) -> str:
    plain = physical.strip().lower().partition("(")[0].strip()
    return next((logical for pattern, logical in _PHYSICAL if pattern.fullmatch(plain)), "string")


def _enum(values: list[Any], kind: str, place: Place) -> tuple[Scalar, ...]:
    """Allowed values in the column's own type; null says nothing, since ``required`` decides about nulls."""
    typed: list[Scalar] = []
    for index, value in enumerate(values):
        if value is None:
            continue
        at = place.below(index, "value")
        if kind in ("string", *_MOMENTS) and not isinstance(value, str):
            raise at.error(f"an allowed value of a {kind} column must be text, found {shape_of(value)}", "quote it")
        if kind in ("integer", "number") and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise at.error(f"an allowed value of a {kind} column must be a number, found {shape_of(value)}")
        if kind == "integer" and not float(value).is_integer():
            raise at.error("an allowed value of an integer column must be whole")
        if kind == "boolean" and not isinstance(value, bool):
            raise at.error("an allowed value of a boolean column must be true or false")
        if kind in _MOMENTS:
            _moment(value, kind, at)
        typed.append(int(value) if kind == "integer" else float(value) if kind == "number" else value)
    return tuple(dict.fromkeys(typed))


def _zone(name: str, place: Place) -> str:
    if name:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            at = place.below("logicalTypeOptions", "defaultTimezone")
            raise at.error(f'"{name}" is no time zone', "such as Etc/UTC or Europe/Rome") from None
    return name


def _format(text: str, kind: str, place: Place, notes: list[UnsupportedRule], name: str) -> str:
    at = place.below("logicalTypeOptions", "format")
    if kind in _MOMENTS and text:
        try:
            strptime_pattern(text)
        except ValueError as error:
            sentence, _, hint = str(error).partition(" | ")
            raise at.error(sentence, hint) from None
    elif kind == "integer" and text in _TOO_WIDE:
        what = f'format "{text}": a number of more than 64 bits with its sign cannot be held, and fails as no integer'
        notes.append(UnsupportedRule(column=name, what=what, line=at.line))
    elif text and kind in ("string", "integer", "number") and not _is_checked(text, kind):
        why = ": every text has it" if kind == "string" and text in ANY_TEXT else ""
        notes.append(UnsupportedRule(column=name, what=f'format "{text}" is not checked{why}', line=at.line))
    return text if kind in (*_MOMENTS, "string", "integer", "number") else ""


def _is_checked(name: str, kind: str) -> bool:
    return (kind == "integer" and name in _INTEGER_BITS) or (kind == "string" and name in TEXT_FORMATS)


def _moment(text: Any, kind: str, place: Place) -> None:
    try:
        check_moment(str(text), kind)
    except ValueError as error:
        sentence, _, hint = str(error).partition(" | ")
        raise place.error(sentence, hint) from None


def _bounds(options: dict[str, Any], kind: str, place: Place) -> dict[str, Any]:
    """Lengths and bounds, which must leave something possible."""
    at = place.below("logicalTypeOptions")
    if kind == "string":
        shortest, longest = options.get("minLength"), options.get("maxLength")
        if shortest is not None and longest is not None and shortest > longest:
            raise at.below("maxLength").error("maxLength is less than minLength", "exchange them")
        return {"min_length": shortest, "max_length": longest}
    if kind not in (*_MOMENTS, "integer", "number"):
        return {}
    found: dict[str, Bound | None] = {}
    for key, attribute in (
        ("minimum", "minimum"),
        ("maximum", "maximum"),
        ("exclusiveMinimum", "exclusive_minimum"),
        ("exclusiveMaximum", "exclusive_maximum"),
    ):
        found[attribute] = options.get(key)
        if key in options and kind in _MOMENTS:
            _moment(options[key], kind, at.below(key))
    if kind in ("integer", "number"):
        found["multiple_of"] = options.get("multipleOf")
        lows = [found[key] for key in ("minimum", "exclusive_minimum") if found[key] is not None]
        highs = [found[key] for key in ("maximum", "exclusive_maximum") if found[key] is not None]
        if any(cast(float, low) > cast(float, high) for low in lows for high in highs):
            raise at.error("the least value is more than the greatest", "exchange them")
        _narrow_by_bits(found, options.get("format", "") if kind == "integer" else "")
    return found


def _narrow_by_bits(found: dict[str, Bound | None], width: str) -> None:
    """An integer format such as i16 or u8 is a range; declared bounds narrow it, and never widen it."""
    if width not in _INTEGER_BITS:
        return
    bits, signed = _INTEGER_BITS[width], width.startswith("i")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    least = found["exclusive_minimum"] if found["minimum"] is None else found["minimum"]
    most = found["exclusive_maximum"] if found["maximum"] is None else found["maximum"]
    # The bounds of an integer are numbers; the schema says so.
    if not isinstance(least, (int, float)) or least < low:
        found["minimum"], found["exclusive_minimum"] = low, None
    if not isinstance(most, (int, float)) or most > high:
        found["maximum"], found["exclusive_maximum"] = high, None

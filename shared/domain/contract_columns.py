"""Reads one column of an ODCS v3 document: its type, the options of that type, and what its quality rules come to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from shared.domain.contract import Column, LogicalType, UnsupportedRule
from shared.domain.contract_nested import KEPT_AS, InsideReader, kept
from shared.domain.contract_quality import ColumnRules, column_quality
from shared.domain.contract_rules import Place, column_customs, others_named_alike
from shared.domain.contract_values import ColumnValues

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
_TEXT_TYPES = re.compile(
    r"(?:n?var)?n?char2?|character(?: varying)?|(?:tiny|medium|long)?text|n?text|string|utf-?8|n?clob|citext|bpchar"
    r"|enum|uuid|uniqueidentifier|keyword"
)
_SIZED = re.compile(r"[^()]+\(\s*[0-9]+\s*(?:,\s*-?[0-9]+\s*)?\)")


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
    values = ColumnValues(kind, options, name, place)
    kind = values.kind
    rules = ColumnRules(column=name, logical_type=kind)
    column_quality(item.get("quality") or [], place, rules)
    custom = column_customs(item.get("customProperties") or [], place)
    inner = InsideReader(read_column, level)
    inside = inner.inside(item, declared, name, place)
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
        enum=values.allowed(enum, enum_place),
        pattern=options.get("pattern", "") or rules.pattern,
        timezone=values.zone(),
        has_timezone=options.get("timezone"),
        format=values.format(),
        synonyms=tuple(entry["synonym"] for entry in item.get("synonyms") or []),
        classification=item.get("classification", ""),
        tags=tuple(item.get("tags") or ()),
        nested=kept(item, kind, declared),
        inside=inside,
        **values.bounds(),
        **custom,
    )
    _type_thresholds(rules, values, place.below("quality"))
    said = [UnsupportedRule(column=name, what=what, line=at.line) for what, at in _unsaid(item, declared, place)]
    return column, inner.notes + values.notes + said + rules.unsupported, rules


def _unsaid(item: dict[str, Any], declared: str, place: Place) -> Iterator[tuple[str, Place]]:
    """What a property says besides, and no check follows from."""
    physical = item.get("physicalType", "").strip()
    at = place.below("physicalType")
    if _SIZED.fullmatch(physical) and declared in ("string", "number"):
        yield f"the size in physicalType {physical} is not checked", at
    elif physical and "logicalType" not in item and declared == "string" and not _is_text(physical):
        yield f'physicalType "{physical}" is not known here: the cells are taken as texts', at
    if declared == "boolean":
        for option in item.get("logicalTypeOptions") or {}:
            yield f"{option} of a boolean is not checked", place.below("logicalTypeOptions", option)
    for index, custom in enumerate(item.get("customProperties") or []):
        if custom["property"] == "severity" and custom["value"] not in ("error", "warning"):
            what = f"the severity {custom['value']} is not known here: it counts as error (write error or warning)"
            yield what, place.below("customProperties", index)
    yield from others_named_alike(item.get("customProperties") or [], place)


def _is_text(physical: str) -> bool:
    return _TEXT_TYPES.fullmatch(physical.lower().partition("(")[0].strip()) is not None


def _type_thresholds(rules: ColumnRules, values: ColumnValues, place: Place) -> None:
    """Put the values of rules with a threshold into the column's own type; a rule that loses all has nothing to ask."""
    typed = []
    for rule in rules.thresholds:
        valid = values.allowed(list(rule.valid_values), place)
        if rule.valid_values and not valid and not rule.pattern:
            what = f"quality rule ({rule.metric}) is not checked: its values are not of the column's type"
            rules.unsupported.append(UnsupportedRule(column=rules.column, what=what, raw=rule.raw, line=rule.line))
        else:
            typed.append(replace(rule, valid_values=valid))
    rules.thresholds = typed


def _from_physical(physical: str) -> str:
    plain = physical.strip().lower().partition("(")[0].strip()
    return next((logical for pattern, logical in _PHYSICAL if pattern.fullmatch(plain)), "string")

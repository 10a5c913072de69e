"""Reads an ODCS v3 document into a ``Contract``; what the standard does not know is refused, with line and hint."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

from shared.domain.contract import (
    Bound,
    Column,
    Contract,
    LogicalType,
    QualityRule,
    Scalar,
    SlaProperty,
    UnsupportedRule,
)
from shared.domain.contract_formats import check_moment, strptime_pattern
from shared.domain.contract_quality import ColumnRules, TableRules, column_quality, table_quality
from shared.domain.contract_rules import Place, column_customs, names_by_logical, references, table_customs
from shared.domain.definition_file import Document, parse_document, shape_of, suggestion
from shared.domain.definition_schema import SchemaWalk

COLUMNS_MAX = 20_000

_MOMENTS = ("date", "timestamp", "time")
_KEPT_AS = {"map": "object", "vector": "array"}
_INTEGER_BITS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "u8": 8, "u16": 16, "u32": 32, "u64": 64}
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


def read_contract(text: str, path: str, table: str) -> Contract:
    """Parse, judge by the standard's schema, choose the schema object, and read it."""
    document = parse_document(text, path)
    value = _modern(document, document.root.plain())
    findings = _walk().findings(value)
    if findings:
        # A slip of the pen explains the complaints that follow from it, so it comes first.
        slips = [finding for finding in findings if finding.hint.startswith("did you mean")] or findings
        first = min(slips, key=lambda finding: document.position(finding.path))
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise document.error(first.path, first.message + more, first.hint)
    index = _chosen(document, value, table)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return _contract(document, value, index, digest)


@lru_cache(maxsize=1)
def _walk() -> SchemaWalk:
    from importlib.resources import files

    return SchemaWalk(json.loads((files("open_data_contract_standard") / "schema.json").read_text("utf-8")))


def _modern(document: Document, value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is no ODCS v3 and bring v3.0's older spelling of quality rules to today's."""
    if "dataContractSpecification" in value:
        raise document.error(
            ("dataContractSpecification",),
            "a Data Contract Specification file, not the Open Data Contract Standard",
            "convert it: datacontract export --format odcs",
        )
    api = value.get("apiVersion")
    if isinstance(api, str) and api.startswith("v2"):
        raise document.error(("apiVersion",), f"version {api} of the standard is too old", "write it as v3.1.0")
    # v3.1 still allows "rule" as an older word for "metric".
    for schema in _dicts(value.get("schema")):
        for holder in (schema, *_dicts(schema.get("properties"))):
            for rule in _dicts(holder.get("quality")):
                if "rule" in rule and "metric" not in rule:
                    older = rule.pop("rule")
                    rule["metric"] = {"duplicateCount": "duplicateValues"}.get(older, older)
                    _collect_arguments(rule)
    return value


def _collect_arguments(rule: dict[str, Any]) -> None:
    for name in ("validValues", "missingValues", "properties"):
        if name in rule:
            rule.setdefault("arguments", {})[name] = rule.pop(name)
    if rule["metric"] == "validValues":
        rule["metric"] = "invalidValues"
        rule.setdefault("mustBe", 0)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _chosen(document: Document, value: dict[str, Any], table: str) -> int:
    """Index of the schema object that describes ``table``, or of the only one."""
    objects = value.get("schema") or []
    if not objects:
        raise document.error(("schema",), "the contract has no schema", "describe one table under schema:")
    wanted = table.lower()
    for whole in (True, False):
        matching = [
            index
            for index, item in enumerate(objects)
            for name in {str(item.get("physicalName", "")).lower(), item["name"].lower()}
            if wanted and (name == wanted if whole else _last(name) == _last(wanted))
        ]
        if len(set(matching)) == 1:
            return matching[0]
    if len(objects) == 1:
        return 0
    names = [str(item.get("physicalName") or item["name"]) for item in objects]
    if not table:
        raise document.error(("schema",), f"the contract describes {len(objects)} tables", "name the table wanted")
    raise document.error(("schema",), f'none of the tables is "{table}"', suggestion(table.rpartition(".")[2], names))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _contract(document: Document, value: dict[str, Any], index: int, digest: str) -> Contract:
    schema, place = value["schema"][index], Place(document, ("schema", index))
    properties = schema.get("properties") or []
    if not properties:
        raise place.error("the table has no columns", "list them under properties:")
    if len(properties) > COLUMNS_MAX:
        raise place.below("properties").error(f"more than {COLUMNS_MAX} columns")
    names = names_by_logical(schema)
    columns: list[Column] = []
    unsupported: list[UnsupportedRule] = []
    quality = TableRules(names=names)
    seen: dict[str, str] = {}
    for number, item in enumerate(properties):
        at = place.below("properties", number)
        column, notes, rules = _column(item, at)
        if column.name.casefold() in seen:
            raise at.below("name").error(f'column "{column.name}" stands here twice', "names differ by more than case")
        seen[column.name.casefold()] = column.name
        columns.append(column)
        unsupported += notes
        quality.custom_checks += rules.custom_checks
        quality.thresholds += rules.thresholds
    ordered = _with_key_positions(columns, properties, place)
    table_quality(schema.get("quality") or [], place, quality)
    unsupported += quality.unsupported
    customs = table_customs(schema.get("customProperties") or [], place, names)
    table = schema.get("physicalName") or schema["name"]
    return Contract(
        id=value["id"],
        version=value["version"],
        table=table,
        logical_table=schema["name"] if schema["name"] != table else "",
        columns=ordered,
        name=value.get("name", ""),
        status=value.get("status", "active"),
        description=(value.get("description") or {}).get("purpose", ""),
        unique_groups=tuple(quality.unique_groups),
        references=references(value, index, document, names),
        row_counts=tuple(quality.row_counts),
        custom_checks=tuple(quality.custom_checks),
        quality=tuple(quality.thresholds),
        unsupported=tuple(unsupported),
        sla=tuple(_sla(item) for item in value.get("slaProperties") or []),
        tags=tuple(value.get("tags") or ()),
        digest=digest,
        **customs,
    )


def _sla(item: dict[str, Any]) -> SlaProperty:
    value = item["value"]
    return SlaProperty(
        property=item["property"],
        value="" if value is None else str(value).lower() if isinstance(value, bool) else str(value),
        unit=item.get("unit", ""),
        element=item.get("element", ""),
    )


def _with_key_positions(columns: list[Column], properties: list[dict[str, Any]], place: Place) -> tuple[Column, ...]:
    """Number the primary key 1 … n: declared positions first, in their order, then the others as listed."""
    ranked: list[tuple[int, int, int]] = []
    taken: dict[int, str] = {}
    for number, item in enumerate(properties):
        position = int(item.get("primaryKeyPosition", -1))
        if not item.get("primaryKey", False):
            if position > 0:
                at = place.below("properties", number, "primaryKeyPosition")
                raise at.error("a position in the primary key without primaryKey: true", "add primaryKey: true")
            continue
        if position > 0 and position in taken:
            at = place.below("properties", number, "primaryKeyPosition")
            raise at.error(f'position {position} is taken by column "{taken[position]}"', "number the key 1, 2, …")
        if position > 0:
            taken[position] = columns[number].name
        ranked.append((0 if position > 0 else 1, position, number))
    numbered = {number: rank for rank, (_, _, number) in enumerate(sorted(ranked), start=1)}
    return tuple(replace(c, primary_key_position=numbered.get(n, 0)) for n, c in enumerate(columns))


def _column(item: dict[str, Any], place: Place) -> tuple[Column, list[UnsupportedRule], ColumnRules]:
    name = item.get("physicalName") or item["name"]
    if not name.strip():
        raise place.below("name").error("a column without a name", "write its name")
    if name.startswith("_mend_"):
        raise place.below("name").error(
            'names that begin with "_mend_" are Mendline\'s own', "call the column otherwise"
        )
    declared = item.get("logicalType") or _from_physical(item.get("physicalType", ""))
    kind = cast(LogicalType, _KEPT_AS.get(declared, declared))
    options = item.get("logicalTypeOptions") or {}
    if options and "logicalType" not in item:
        raise place.below("logicalTypeOptions").error("options without a logicalType", "add logicalType")
    notes: list[UnsupportedRule] = []
    rules = ColumnRules(column=name, logical_type=kind)
    column_quality(item.get("quality") or [], place, rules)
    custom = column_customs(item.get("customProperties") or [], place)
    nested = _nested(item, kind, declared, options)
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
        pattern=_regex(options.get("pattern", "") or rules.pattern, place.below("logicalTypeOptions", "pattern")),
        timezone=_zone(options.get("defaultTimezone", ""), place),
        format=_format(options.get("format", ""), kind, place, notes, name),
        synonyms=tuple(entry["synonym"] for entry in item.get("synonyms") or []),
        classification=item.get("classification", ""),
        tags=tuple(item.get("tags") or ()),
        nested=nested,
        **_bounds(options, kind, place),
        **custom,
    )
    if nested:
        notes.append(UnsupportedRule(column=name, what="what is inside the value is not checked", line=place.line))
    rules.thresholds = [_typed_threshold(rule, kind, place.below("quality")) for rule in rules.thresholds]
    return column, notes + rules.unsupported, rules


def _typed_threshold(rule: QualityRule, kind: str, place: Place) -> QualityRule:
    """With its values in the column's own type, and a pattern that is one."""
    valid = _enum(list(rule.valid_values), kind, place)
    return replace(rule, valid_values=valid, pattern=_regex(rule.pattern, place))


def _from_physical(physical: str) -> str:
    plain = physical.strip().lower().partition("(")[0].strip()
    return next((logical for pattern, logical in _PHYSICAL if pattern.fullmatch(plain)), "string")


def _nested(item: dict[str, Any], kind: str, declared: str, options: dict[str, Any]) -> str:
    if kind not in ("object", "array"):
        return ""
    inside: dict[str, Any] = {key: item[key] for key in ("properties", "items", "map") if key in item}
    if options:
        inside["logicalTypeOptions"] = options
    if declared != kind:
        inside["logicalType"] = declared
    return json.dumps(inside, sort_keys=True, ensure_ascii=False) if inside else ""


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


def _regex(pattern: str, place: Place) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise place.error(f"not a regular expression: {error}", "quote it in '…' and check the brackets") from None
    return pattern


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
    elif text and kind in ("string", "integer", "number") and not (kind == "integer" and text in _INTEGER_BITS):
        notes.append(UnsupportedRule(column=name, what=f'format "{text}" is not checked', line=at.line))
    return text if kind in (*_MOMENTS, "string", "integer", "number") else ""


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

"""Reads an ODCS v3 document into a ``Contract``; what the standard does not know is refused or said, with line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from shared.domain.contract import COMPARISONS, Column, Contract, SlaProperty, UnsupportedRule
from shared.domain.contract_columns import read_column
from shared.domain.contract_quality import TableRules, table_quality
from shared.domain.contract_rules import (
    Place,
    names_by_logical,
    others_named_alike,
    references,
    severity_of,
    table_customs,
)
from shared.domain.definition_file import Document, parse_document, suggestion
from shared.domain.definition_schema import Finding, SchemaWalk

COLUMNS_MAX = 20_000
_OLDER_RULES = {"duplicateCount": "duplicateValues", "uniqueCheck": "duplicateValues", "nullCheck": "nullValues"}
_SWITCHES = ("required", "unique", "primaryKey", "partitioned", "criticalDataElement")
_OLDER_BOOLEANS = {"yes": True, "on": True, "no": False, "off": False}
_ALLOW_NONE = ("nullCheck", "uniqueCheck")


def read_contract(text: str, path: str, table: str) -> Contract:
    """Parse, judge by the standard's schema, choose the schema object, and read it."""
    document = parse_document(text, path)
    value = _modern(document, document.root.plain())
    findings = [each for each in _walk().findings(value) if not _was_allowed(each, str(value.get("apiVersion")))]
    refused = [each for each in findings if not each.tolerated]
    if refused:
        # A slip of the pen explains the complaints that follow from it, so it comes first.
        slips = [finding for finding in findings if finding.hint.startswith("did you mean")] or refused
        first = min(slips, key=lambda finding: document.position(finding.path))
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise document.error(first.path, first.message + more, first.hint)
    index = _chosen(document, value, table)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    contract = _contract(document, value, index, digest)
    return replace(contract, unsupported=(*contract.unsupported, *_unknown_keys(findings, document, value, index)))


def _unknown_keys(
    findings: list[Finding], document: Document, value: dict[str, Any], index: int
) -> list[UnsupportedRule]:
    """Keys that the standard does not know and its users' tools let pass: said once, but for other tables' own."""
    said: dict[tuple[str, str], UnsupportedRule] = {}
    for each in findings:
        table, inside = each.path[:2], each.path[2:]
        if table[:1] == ("schema",) and table != ("schema", index):
            continue
        column = value["schema"][index]["properties"][inside[1]] if inside[:1] == ("properties",) else {}
        name = str(column.get("physicalName") or column.get("name") or "")
        part = next((step for step in reversed(each.path[:-1]) if isinstance(step, str)), "")
        of = f" of {part}" if part not in ("schema", "properties", "") else ""
        hint = f"; {each.hint}" if each.hint.startswith("did you mean") else ""
        what = f"{each.message}{of} is not looked at{hint}"
        line = document.position(each.path)[0]
        said.setdefault((name, what), UnsupportedRule(column=name, what=what, line=line))
    return list(said.values())


def table_names(text: str, path: str) -> tuple[str, ...]:
    """The tables that a contract describes, by the names that choose them; what is wrong in it is not said here."""
    objects = _dicts(parse_document(text, path).root.plain().get("schema"))
    return tuple(str(item.get("physicalName") or item.get("name") or "") for item in objects)


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
    for holder in _described(_dicts(value.get("schema"))):
        for name in _SWITCHES:
            if isinstance(holder.get(name), str):
                # YAML 1.1, which other tools read, has these words for true and false.
                holder[name] = _OLDER_BOOLEANS.get(holder[name].lower(), holder[name])
        for rule in _dicts(holder.get("quality")):
            if "rule" in rule and "metric" not in rule:
                older = rule.pop("rule")
                rule["metric"] = _OLDER_RULES.get(older, older)
                _collect_arguments(rule, older)
    return value


def _was_allowed(finding: Finding, api: str) -> bool:
    """True for what another edition of the standard allows, and no check needs."""
    if finding.path[:1] == ("schema",) and len(finding.path) == 3 and finding.path[2] == "logicalType":
        return True  # of a table, where the editions of the standard differ
    if not api.startswith("v3.0"):
        return False
    if finding.path[:1] in (("servers",), ("team",)):
        return finding.message.startswith("unknown key")
    of_rule = finding.path[-1:] == ("metric",) or finding.message.startswith("one of the keys of its kind")
    return "quality" in finding.path and of_rule


def _described(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Tables and properties, with all that is inside them."""
    for item in items:
        yield item
        mapped = item.get("map")
        inner = [item.get("items"), *(mapped.values() if isinstance(mapped, dict) else ())]
        yield from _described([*_dicts(item.get("properties")), *_dicts(inner)])


def _collect_arguments(rule: dict[str, Any], older: Any) -> None:
    for name in ("validValues", "missingValues", "properties"):
        if name in rule:
            rule.setdefault("arguments", {})[name] = rule.pop(name)
    if rule["metric"] == "validValues":
        rule["metric"] = "invalidValues"
        rule.setdefault("mustBe", 0)
    if older in _ALLOW_NONE and not any(each in rule for each in COMPARISONS):
        rule["mustBe"] = 0


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _chosen(document: Document, value: dict[str, Any], table: str) -> int:
    """Index of the schema object that describes ``table``, or of the only one."""
    objects = value.get("schema") or []
    if not objects:
        # A contract may be about people and servers alone; what needs its columns says that there are none.
        value["schema"] = objects = [{"name": str(value.get("name") or value["id"])}]
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
        hint = "name one with --schema-name: " + ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise document.error(("schema",), f"the contract describes {len(objects)} tables", hint)
    raise document.error(("schema",), f'none of the tables is "{table}"', suggestion(table.rpartition(".")[2], names))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _contract(document: Document, value: dict[str, Any], index: int, digest: str) -> Contract:
    schema, place = value["schema"][index], Place(document, ("schema", index))
    properties = schema.get("properties") or []
    if len(properties) > COLUMNS_MAX:
        raise place.below("properties").error(f"more than {COLUMNS_MAX} columns")
    names = names_by_logical(schema)
    columns: list[Column] = []
    unsupported: list[UnsupportedRule] = []
    if schema.get("logicalType", "object") != "object":
        what = f"what a {schema['logicalType']} holds is not checked, but for the columns that stand here"
        unsupported.append(UnsupportedRule(column="", what=what, line=place.below("logicalType").line))
    quality = TableRules(names=names)
    seen: dict[str, str] = {}
    for number, item in enumerate(properties):
        at = place.below("properties", number)
        column, notes, rules = read_column(item, at)
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
    foreign_keys = references(value, index, document, names, unsupported)
    levels = tuple(
        _sla(item, Place(document, ("slaProperties", number)), value.get("slaDefaultElement") or "", unsupported)
        for number, item in enumerate(value.get("slaProperties") or [])
    )
    others = others_named_alike(schema.get("customProperties") or [], place)
    unsupported += [UnsupportedRule(column="", what=what, line=at.line) for what, at in others]
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
        references=foreign_keys,
        row_counts=tuple(quality.row_counts),
        custom_checks=tuple(quality.custom_checks),
        quality=tuple(quality.thresholds),
        unsupported=tuple(unsupported),
        sla=levels,
        tags=tuple(value.get("tags") or ()),
        digest=digest,
        **customs,
    )


def _sla(item: dict[str, Any], place: Place, element: str, unsaid: list[UnsupportedRule]) -> SlaProperty:
    """``element``: what it is about where it does not say so itself."""
    value = item["value"]
    customs = [each for each in item.get("customProperties") or [] if each["property"] != "severity"]
    more = {key: item[key] for key in item if key not in ("property", "value", "unit", "element", "customProperties")}
    more |= {"customProperties": customs} if customs else {}
    return SlaProperty(
        property=item["property"],
        value="" if value is None else str(value).lower() if isinstance(value, bool) else str(value),
        unit=item.get("unit", ""),
        element=item.get("element") or element,
        severity=severity_of(item, place, "warning", unsaid),
        more=json.dumps(more, sort_keys=True, ensure_ascii=False) if more else "",
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

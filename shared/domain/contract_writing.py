"""Writes a ``Contract`` as ODCS YAML: the oldest version of the standard that has every key used, never below v3.1."""

from __future__ import annotations

import json
from typing import Any

from shared.domain.contract import Column, Contract, DriftLimits, QualityRule, Reference, RowCountRule, SlaProperty
from shared.domain.contract_rules import DRIFT_KEYS, TABLE_DRIFT_KEYS
from shared.domain.definition_writing import yaml_text

_BOUNDS = (
    ("minLength", "min_length"),
    ("maxLength", "max_length"),
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("exclusiveMinimum", "exclusive_minimum"),
    ("exclusiveMaximum", "exclusive_maximum"),
    ("multipleOf", "multiple_of"),
)


def contract_yaml(contract: Contract) -> str:
    """The whole file."""
    newer = any(column.enum or column.synonyms for column in contract.columns) or any(
        '"map"' in column.nested or '"vector"' in column.nested for column in contract.columns
    )
    document: dict[str, Any] = {
        "apiVersion": "v3.2.0" if newer else "v3.1.0",
        "kind": "DataContract",
        "id": contract.id,
        "name": contract.name,
        "version": contract.version,
        "status": contract.status or "active",
        "description": {"purpose": contract.description} if contract.description else None,
        "tags": list(contract.tags),
        "schema": [_table(contract)],
        "slaProperties": [_sla(promised) for promised in contract.sla],
    }
    return yaml_text(_filled(document, ("id", "version")))


def _sla(promised: SlaProperty) -> dict[str, Any]:
    more: dict[str, Any] = json.loads(promised.more) if promised.more else {}
    if promised.severity == "error":
        more["customProperties"] = [_custom("severity", "error"), *more.get("customProperties", [])]
    written = {name: getattr(promised, name) for name in ("property", "value", "unit", "element")}
    return _filled(written, ("value",)) | more


def _filled(mapping: dict[str, Any], always: tuple[str, ...] = ()) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key in always or value not in (None, "", [], {}, False)}


def _table(contract: Contract) -> dict[str, Any]:
    customs = [_custom(name, json.loads(text)) for name, text in contract.custom]
    if contract.functional_dependencies:
        pairs = [{"from": list(d.determinants), "to": list(d.dependents)} for d in contract.functional_dependencies]
        customs.append(_custom("functionalDependencies", pairs))
    if contract.drift_limits is not None:
        customs.append(_custom("driftLimits", _drift(contract.drift_limits)))
    if contract.score_weights:
        customs.append(_custom("scoreWeights", dict(contract.score_weights)))
    single, composite = _by_column(contract)
    quality = [_row_count(rule) for rule in contract.row_counts]
    quality += [
        {"type": "library", "metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": list(group)}}
        for group in contract.unique_groups
    ]
    table = contract.logical_table or contract.table
    return _filled(
        {
            "name": table,
            "physicalName": contract.table,
            "properties": [_column(column, single.get(column.name, []), contract) for column in contract.columns],
            "relationships": [
                {
                    "from": [f"{_word(table)}.{_logical(contract, name)}" for name in reference.columns],
                    "to": [f"{reference.table}.{name}" for name in reference.parent_columns],
                    **_severity(reference),
                }
                for reference in composite
            ],
            "quality": quality + _kept_quality(contract, ""),
            "customProperties": customs,
        }
    )


def _word(table: str) -> str:
    return table.rpartition(".")[2]


def _logical(contract: Contract, name: str) -> str:
    column = contract.column(name)
    return name if column is None else column.logical_name or column.name


def _by_column(contract: Contract) -> tuple[dict[str, list[Reference]], list[Reference]]:
    single: dict[str, list[Reference]] = {}
    composite = []
    for reference in contract.references:
        if len(reference.columns) == 1:
            single.setdefault(reference.columns[0], []).append(reference)
        else:
            composite.append(reference)
    return single, composite


def _row_count(rule: RowCountRule) -> dict[str, Any]:
    written: dict[str, Any] = {"type": "library", "metric": "rowCount"}
    if rule.name:
        written["name"] = rule.name
    if rule.minimum is not None and rule.minimum == rule.maximum:
        written["mustBe"] = rule.minimum
    elif rule.minimum is not None and rule.maximum is not None:
        written["mustBeBetween"] = [rule.minimum, rule.maximum]
    elif rule.minimum is not None:
        written["mustBeGreaterOrEqualTo"] = rule.minimum
    else:
        written["mustBeLessOrEqualTo"] = rule.maximum
    return written


def _kept_quality(contract: Contract, column: str) -> list[Any]:
    kept = [(rule.column, rule.raw) for rule in contract.unsupported]
    kept += [(check.column, check.raw) for check in contract.custom_checks]
    kept += [(rule.column if _of_column(rule) else "", rule.raw) for rule in contract.quality]
    return [json.loads(raw) for about, raw in kept if about == column and raw]


def _of_column(rule: QualityRule) -> bool:
    """True for a rule that stands at its column, false for one of the table."""
    return len(rule.columns) == 1 and "properties" not in (json.loads(rule.raw or "{}").get("arguments") or {})


def _custom(name: str, value: Any) -> dict[str, Any]:
    return {"property": name, "value": value}


def _severity(reference: Reference) -> dict[str, Any]:
    if reference.severity == "error":
        return {}
    return {"customProperties": [{"property": "severity", "value": reference.severity}]}


def property_of(column: Column) -> dict[str, Any]:
    """One property as a file has it, without what rules of the table say of it."""
    return _column(column, [], Contract(id="", name="", version="", table="", columns=()))


def _column(column: Column, references: list[Reference], contract: Contract) -> dict[str, Any]:
    options = {key: getattr(column, attribute) for key, attribute in _BOUNDS}
    options |= {"pattern": column.pattern, "format": column.format, "defaultTimezone": column.timezone}
    options["timezone"] = column.has_timezone
    nested = json.loads(column.nested) if column.nested else {}
    written: dict[str, Any] = {
        "name": column.logical_name or column.name,
        "physicalName": column.name if column.logical_name else "",
        "description": column.description,
        "logicalType": column.logical_type,
        "physicalType": column.physical_type,
        "logicalTypeOptions": {key: value for key, value in options.items() if value not in (None, "")},
        "required": column.required,
        "unique": column.unique,
        "primaryKey": column.primary_key_position > 0,
        "primaryKeyPosition": column.primary_key_position or None,
        "enum": [{"value": value} for value in column.enum],
        "synonyms": [{"synonym": name} for name in column.synonyms],
        "classification": column.classification,
        "tags": list(column.tags),
        "relationships": [{"to": f"{r.table}.{r.parent_columns[0]}", **_severity(r)} for r in references],
        "quality": _kept_quality(contract, column.name),
        "customProperties": _customs(column),
    }
    return _filled(written | nested)


def _customs(column: Column) -> list[dict[str, Any]]:
    customs = [_custom(name, json.loads(text)) for name, text in column.custom]
    if column.unit:
        customs.append(_custom("unit", column.unit))
    if column.null_values is not None:
        customs.append(_custom("nullValues", list(column.null_values)))
    if column.allowed_repairs is not None:
        customs.append(_custom("allowedRepairs", list(column.allowed_repairs)))
    if column.drift_limits is not None:
        customs.append(_custom("driftLimits", _drift(column.drift_limits)))
    return customs


def _drift(limits: DriftLimits) -> dict[str, Any]:
    keys = DRIFT_KEYS | TABLE_DRIFT_KEYS
    return {key: value for key, name in keys.items() if (value := getattr(limits, name)) is not None}

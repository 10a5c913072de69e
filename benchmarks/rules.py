"""The contract's rules as one plain list, for the peer whose checks are written in a program."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median, pstdev
from typing import Any

from services.validate.drift import MEAN_EFFECT_MIN, MEAN_SHIFT_MAX, SPREAD_RATIO_MAX

_TO_DEVIATION = 1.4826


def listed(contract: dict[str, Any], baseline: Path) -> dict[str, Any]:
    """``{"types": {column: logical type}, "rules": [{check, column, …}]}``."""
    schema = contract["schema"][0]
    columns = schema["properties"]
    rules: list[dict[str, Any]] = []
    for column in columns:
        rules += [{"column": column["name"], **rule} for rule in _of_column(column)]
    keys = sorted((each for each in columns if each.get("primaryKey")), key=lambda each: each["primaryKeyPosition"])
    rules.append({"check": "unique", "columns": [each["name"] for each in keys]})
    rules += [{"check": "row count", "min": each["mustBeGreaterOrEqualTo"]} for each in schema["quality"]]
    rules += _shifts([each["name"] for each in columns if _watched(each)], baseline)
    return {"types": {each["name"]: each["logicalType"] for each in columns}, "rules": rules}


def _of_column(column: dict[str, Any]) -> list[dict[str, Any]]:
    options = column.get("logicalTypeOptions", {})
    rules: list[dict[str, Any]] = [{"check": "type", "type": column["logicalType"]}]
    if column.get("required"):
        rules.append({"check": "required"})
    if "minimum" in options:
        rules.append({"check": "range", "min": options["minimum"], "max": options["maximum"]})
    if "minLength" in options:
        rules.append({"check": "length", "min": options["minLength"], "max": options["maxLength"]})
    if "pattern" in options:
        rules.append({"check": "pattern", "pattern": options["pattern"]})
    if "enum" in column:
        rules.append({"check": "enum", "values": [each["value"] for each in column["enum"]]})
    rules += [{"check": "foreign key", "to": each["to"]} for each in column.get("relationships", [])]
    return rules


def _watched(column: dict[str, Any]) -> bool:
    switched_off = any(each["property"] == "driftLimits" for each in column.get("customProperties", []))
    return column["logicalType"] in ("integer", "number") and not switched_off


def _shifts(columns: list[str], baseline: Path) -> list[dict[str, Any]]:
    """Bounds for mean and spread out of the earlier deliveries, as wide as our own check's."""
    facts: dict[str, list[tuple[float, float]]] = {column: [] for column in columns}
    for path in sorted(baseline.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for column in columns:
            values = [float(row[column]) for row in rows if row[column]]
            mean = sum(values) / len(values)
            facts[column].append((mean, pstdev(values, mean)))
    rules: list[dict[str, Any]] = []
    for column, earlier in facts.items():
        mean, spread = median(each[0] for each in earlier), median(each[1] for each in earlier)
        deviation = _TO_DEVIATION * median(abs(each[0] - mean) for each in earlier)
        width = max(MEAN_SHIFT_MAX * deviation, MEAN_EFFECT_MIN * spread)
        rules.append({"check": "shift of mean", "column": column, "min": mean - width, "max": mean + width})
        bounds = {"min": spread / SPREAD_RATIO_MAX, "max": spread * SPREAD_RATIO_MAX}
        rules.append({"check": "shift of spread", "column": column, **bounds})
    return rules
